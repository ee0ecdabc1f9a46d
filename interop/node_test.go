package interop_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/counterpart"
)

// node is a script of this directory in a process of its own.
type node struct {
	testing.TB
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors bytes.Buffer
}

// installed says what is missing.
var installed = sync.OnceValue(func() error {
	version, err := exec.Command("node", "--version").Output()
	if err != nil {
		return fmt.Errorf("no Node.js: %w", err)
	}
	var major int
	if _, err := fmt.Sscanf(string(version), "v%d.", &major); err != nil || major < 20 {
		return fmt.Errorf("Node.js is %s, not 20 or later", version)
	}
	if _, err := os.Stat("node_modules/.package-lock.json"); err != nil { // the last that npm writes
		return fmt.Errorf("%w: npm ci --prefix interop --ignore-scripts", err)
	}
	return nil
})

// run starts a script, which ends with the test, and gives it a line of input.
func run(tb testing.TB, script string, input any) *node {
	tb.Helper()
	if err := installed(); err != nil {
		counterpart.Missing(tb, err)
	}
	n := &node{TB: tb, cmd: exec.Command("node", script)}
	n.cmd.Stderr = &n.errors
	n.cmd.WaitDelay = 10 * time.Second
	in, err := n.cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	n.in, n.out = in, bufio.NewReader(out)
	if err := n.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(n.end)
	n.write(input)
	return n
}

func (n *node) write(input any) {
	n.Helper()
	if err := json.NewEncoder(n.in).Encode(input); err != nil {
		n.Fatal(err)
	}
}

// read reads a line of output, which has to come within a minute.
func (n *node) read(output any) {
	n.Helper()
	defer n.killAfter(time.Minute).Stop()
	line, err := n.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, output)
	}
	if err != nil {
		n.end()
		n.Fatalf("%s: %v: %s\n%s", n.cmd.Args[1], err, line, &n.errors)
	}
}

// end closes the script's input, and kills it if that doesn't end it.
func (n *node) end() {
	if n.cmd.ProcessState != nil {
		return
	}
	n.in.Close()
	defer n.killAfter(10 * time.Second).Stop()
	if err := n.cmd.Wait(); err != nil {
		n.Errorf("%s: %v\n%s", n.cmd.Args[1], err, &n.errors)
	}
}

func (n *node) killAfter(d time.Duration) *time.Timer {
	return time.AfterFunc(d, func() { _ = n.cmd.Process.Kill() })
}
