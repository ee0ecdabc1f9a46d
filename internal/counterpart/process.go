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
	log   log
	ended chan struct{} // closed once the program and what it has started are gone
}

// Start starts a program. If the test fails, its log has the last of what the program wrote.
//
// The program gets a process group of its own, so that nothing that it has started outlives the test. On Linux it gets
// SIGTERM even when the test is killed.
func Start(tb testing.TB, cmd *exec.Cmd) *Process {
	tb.Helper()
	p := &Process{tb: tb, name: filepath.Base(cmd.Path), cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	cmd.SysProcAttr = endWithParent()
	cmd.SysProcAttr.Setpgid = true
	must(tb, cmd.Start())
	go func() {
		// Wait returns when nobody has the output open any more. Its error says which signal ended the program.
		_ = cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what the program has started and forgotten
		close(p.ended)
	}()
	tb.Cleanup(func() {
		p.Stop()
		if tb.Failed() {
			tb.Logf("%s wrote at last:\n%s", p.name, p.log.tail())
		}
	})
	return p
}

// Stop sends SIGTERM to the program, and SIGKILL to all of its group if it hasn't ended 20 seconds later.
func (p *Process) Stop() {
	p.tb.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
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
	defer l.Close()
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
