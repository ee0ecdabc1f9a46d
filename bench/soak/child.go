//go:build unix

package soak

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// An API process is this program again, which a variable tells so. It reads its settings as one line of JSON and after
// that one command a line, each of which it answers with a line. It ends when its input does.
const role = "POPAUTH_SOAK_ROLE"

// Child runs the API and ends the process, if it was started for that. Every program that calls Run calls it first.
func Child() {
	if os.Getenv(role) == "" {
		return
	}
	if err := serve(bufio.NewReader(os.Stdin), os.Stdout); err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, "API:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// group is a process group that ends with this process, even if that is killed: a watchdog leads it, and kills all of it
// when its input, which this process holds open, comes to an end.
type group struct {
	watchdog *exec.Cmd
	in       io.Closer
	mu       sync.Mutex
	all      []*process
}

func newGroup() (*group, error) {
	g := &group{watchdog: exec.Command("sh", "-c", "read -r line; kill -s KILL 0")}
	g.watchdog.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if g.in, err = g.watchdog.StdinPipe(); err != nil {
		return nil, err
	}
	return g, g.watchdog.Start()
}

func (g *group) close() {
	_ = g.in.Close()
	_ = g.watchdog.Wait() // it says that it was killed
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.all {
		<-p.ended
	}
}

// process is one member of a group.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
}

func (g *group) start(command *exec.Cmd) (*process, error) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: g.watchdog.Process.Pid}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{command: command, ended: make(chan struct{})}
	g.mu.Lock()
	g.all = append(g.all, p)
	g.mu.Unlock()
	go func() {
		_ = command.Wait() // its error says which signal ended it
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.command.Process.Pid }

func (p *process) signal(s syscall.Signal) error { return p.command.Process.Signal(s) }

// end sends the signal and waits.
func (p *process) end(s syscall.Signal) error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	err := p.signal(s)
	<-p.ended
	return err
}

// child is an API process as its parent sees it.
type child struct {
	*process
	in  io.WriteCloser
	mu  sync.Mutex // one question at a time
	out *bufio.Reader
}

// startChild begins an API process, which says its address when it is ready.
func (g *group) startChild(s apiSettings) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(self) //nolint:gosec // this program itself
	command.Env = append(os.Environ(), role+"=api")
	command.Stderr = os.Stderr
	c := &child{}
	if c.in, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	// A pipe of one's own: Wait closes that of StdoutPipe, which may be read yet.
	out, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	command.Stdout, c.out = w, bufio.NewReader(out)
	c.process, err = g.start(command)
	_ = w.Close() // the process has its own
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	go func() {
		<-c.ended
		c.mu.Lock()
		defer c.mu.Unlock()
		_ = out.Close()
	}()
	line, err := json.Marshal(s) //nolint:gosec // for the pipe to the process alone
	if err == nil {
		_, err = c.in.Write(append(line, '\n'))
	}
	return c, err
}

// line reads one answer.
func (c *child) line() (string, error) {
	answer, err := c.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("an API process said nothing: %w", err)
	}
	return strings.TrimSuffix(answer, "\n"), nil
}

// ask sends one command and returns the answer to it.
func (c *child) ask(command string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := io.WriteString(c.in, command+"\n"); err != nil {
		return "", err
	}
	return c.line()
}
