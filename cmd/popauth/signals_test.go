//go:build unix

package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/cmd/popauth/internal/testbed"
)

// built is the program itself, with a directory of its own for temporary files.
func built(t *testing.T, args ...string) (cmd *exec.Cmd, tmp string) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "popauth")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	tmp = filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	return cmd, tmp
}

// ended waits for the end, and kills what doesn't come to one.
func ended(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		t.Error("a signal doesn't end it")
	}
}

// A command that waits for its input ends by one signal, as any program does.
func TestSignalEndsReading(t *testing.T) {
	cmd, _ := built(t, "inspect", "-")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended(t, cmd)
}

// Keys are gone when the terminal is, though a client holds a request open.
func TestServeTestHangup(t *testing.T) {
	cmd, tmp := built(t, "serve-test", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	var d testbed.Description
	if err != nil || json.Unmarshal([]byte(line), &d) != nil {
		t.Errorf("got %v, %s", err, line)
	}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(d.Issuer, "https://"),
		&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the program above
	if err != nil {
		t.Error(err)
	} else {
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprint(conn, "POST /token HTTP/1.1\r\nHost: x\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\na")
		time.Sleep(300 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Error(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	ended(t, cmd)
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v, want nothing left", left, err)
	}
}
