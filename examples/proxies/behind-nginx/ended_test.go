//go:build unix

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What asks it to end as init systems and containers do finds nginx ended and its files gone, as Ctrl-C does.
func TestServeEndsBySIGTERM(t *testing.T) {
	need(t)
	program := filepath.Join(t.TempDir(), "behind-nginx")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	temporary := t.TempDir()
	command := exec.Command(program, "-serve")
	command.Env = append(os.Environ(), "TMPDIR="+temporary)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
	defer stuck.Stop()
	asked := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Both stay up") {
			asked = true
			if err := command.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := command.Wait(); err != nil || !asked {
		t.Errorf("got %v, asked to end: %t; want an end with 0", err, asked)
	}
	left, err := os.ReadDir(temporary)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range left {
		t.Errorf("left behind: %s", one.Name())
		text, err := os.ReadFile(filepath.Join(temporary, one.Name(), "pid")) // of an nginx that is still up
		if pid, wrong := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && wrong == nil {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
	}
}
