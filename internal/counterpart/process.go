//go:build unix

package counterpart

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program that a test has started, and that ends with it.
type Process struct {
	tb    testing.TB
	name  string
	cmd   *exec.Cmd
	kill  func() // what is left of the process group
	log   log
	ended chan struct{} // closed once the program and what it has started are gone
}

// Start starts a program. If the test fails, its log has the last of what the program wrote.
//
// Nothing that the program starts outlives the test, even one that is killed: a watchdog leads their process group,
// and sends SIGKILL to all of it when its input, which the test holds open, comes to an end. No such thing is left to
// the program, since a script may forward no signal, and Keycloak, for one, hangs if it gets SIGTERM while it starts.
func Start(tb testing.TB, cmd *exec.Cmd) *Process {
	tb.Helper()
	watchdog := exec.Command("sh", "-c", "read -r line; kill -s KILL 0")
	watchdog.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := watchdog.StdinPipe()
	must(tb, err)
	must(tb, watchdog.Start())
	p := &Process{tb: tb, name: filepath.Base(cmd.Path), cmd: cmd, ended: make(chan struct{})}
	p.kill = func() { _ = in.Close() }
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: watchdog.Process.Pid}
	cmd.WaitDelay = time.Second // for others that still have the output open
	if err := cmd.Start(); err != nil {
		p.kill()
		_ = watchdog.Wait()
		tb.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // its error says which signal ended it
		p.kill()
		_ = watchdog.Wait()
	}()
	tb.Cleanup(func() {
		p.Stop()
		if tb.Failed() {
			tb.Logf("%s wrote at last:\n%s", p.name, p.log.tail())
		}
	})
	return p
}

// Run runs a program to its end, which has to be a good one.
func Run(tb testing.TB, cmd *exec.Cmd) {
	tb.Helper()
	p := Start(tb, cmd)
	<-p.ended
	if !cmd.ProcessState.Success() {
		tb.Fatalf("%s: %v", p.name, cmd.ProcessState)
	}
}

// Stop sends SIGTERM to the program, and SIGKILL to its whole group if it hasn't ended a minute later.
func (p *Process) Stop() {
	p.tb.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.kill()
		<-p.ended
		p.tb.Errorf("%s had to be killed", p.name)
	}
}

// Await asks again and again until the program is ready: until ready, which sees it as a client does, has no error.
func (p *Process) Await(ready func() error, limit time.Duration) {
	p.tb.Helper()
	deadline := time.After(limit)
	for {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-p.ended:
			p.tb.Fatalf("%s ended before it was ready: %v", p.name, err)
		case <-deadline:
			p.tb.Fatalf("%s is not ready after %v: %v", p.name, limit, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Environment is what a program needs of the test's environment, with HOME and TMPDIR in dir, and further variables
// (NAME=value). Settings that the developer has for the same program are not among it.
func Environment(dir string, variables ...string) []string {
	env := []string{"HOME=" + dir, "TMPDIR=" + dir}
	for _, name := range []string{"PATH", "LANG", "JAVA_HOME"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return slices.Concat(env, variables)
}

// Port is a port of 127.0.0.1 that was free a moment ago, for a program that has to be told one.
func Port(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
	defer func() { _ = l.Close() }()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		tb.Fatalf("got the address %v, want one of TCP", l.Addr())
	}
	return addr.Port
}

// log keeps what a program writes.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// tail is the last 8 KiB.
func (l *log) tail() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buf.Bytes()
	return bytes.Clone(b[max(0, len(b)-8<<10):])
}
