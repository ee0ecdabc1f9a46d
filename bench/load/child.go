package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A child is this program again, which a variable tells what to be. It reads its settings as one line of JSON and after
// that one command a line, each of which it answers with a line. It ends when its input does.
const role = "POPAUTH_BENCH_ROLE"

// Child runs what this process was started for, if it is a child, and ends it. Every program that calls Measure calls
// it first.
func Child() {
	run, ok := map[string]func(*bufio.Reader) error{"server": serve, "generator": generate}[os.Getenv(role)]
	if !ok {
		return
	}
	err := run(bufio.NewReader(os.Stdin))
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, os.Getenv(role)+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child is the other end.
type child struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// start begins a child on one processor and waits for its first line.
func start(ctx context.Context, what string, cpu int, settings any) (c *child, first string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	c = &child{command: exec.CommandContext(ctx, self)} //nolint:gosec // this program itself
	c.command.Env = append(os.Environ(), role+"="+what, "GOMAXPROCS=1")
	c.command.Stderr = os.Stderr
	if c.in, err = c.command.StdinPipe(); err != nil {
		return nil, "", err
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	c.out = bufio.NewReader(out)
	if err := on(cpu, c.command.Start); err != nil {
		return nil, "", err
	}
	line, err := json.Marshal(settings)
	if err == nil {
		first, err = c.ask(string(line))
	}
	if err != nil {
		c.stop()
		return nil, "", err
	}
	return c, first, nil
}

// ask sends one line and returns the answer to it.
func (c *child) ask(line string) (string, error) {
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		return "", err
	}
	answer, err := c.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the child said nothing: %w", err)
	}
	return strings.TrimSuffix(answer, "\n"), nil
}

// stop ends the child.
func (c *child) stop() {
	_ = c.in.Close()
	_ = c.command.Wait() // what it did last no longer counts
}

// settingsFrom reads the first line.
func settingsFrom(in *bufio.Reader, settings any) error {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, settings)
}
