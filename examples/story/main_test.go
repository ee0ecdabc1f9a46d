package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
)

// TestMain is the program itself in the processes that these tests start, and that those start.
func TestMain(m *testing.M) {
	if os.Getenv("POPAUTH_STORY") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// story is a command that runs the program with a directory of its own for temporary files.
func story(t *testing.T, args ...string) (*exec.Cmd, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, temporary := exec.CommandContext(t.Context(), self, args...), t.TempDir()
	c.Env = append(os.Environ(), "POPAUTH_STORY=1", "TMPDIR="+temporary)
	return c, temporary
}

func needNginx(t *testing.T) {
	t.Helper()
	if _, err := proxies.Find("nginx"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// leftovers are the files and the processes of a run that has ended.
func leftovers(t *testing.T, temporary string) {
	t.Helper()
	files, err := os.ReadDir(temporary)
	if err != nil || len(files) > 0 {
		t.Errorf("got %v, %v, want no files", files, err)
	}
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline") // none where there is no /proc
	for _, file := range commands {
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(temporary)) {
			t.Errorf("still there: %q", line)
		}
	}
}

func TestStory(t *testing.T) {
	needNginx(t)
	c, temporary := story(t)
	var complaints bytes.Buffer
	c.Stderr = &complaints
	text, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, text, &complaints)
	}
	_, table, ok := strings.Cut(string(text), "\nWHO ")
	if !ok {
		t.Fatalf("no table in\n%s", text)
	}
	for _, want := range []string{
		"API, the token, no certificate", "API, the token, a certificate of the same authority",
		"API, the token, nginx's header forged", "API past nginx, the token, nginx's header forged",
		"token server, a certificate of the same authority", "All 21 as expected.",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	thieves := 0
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "thief") {
			thieves++
			if strings.Contains(line, " 200") {
				t.Errorf("VULNERABLE: %s", line)
			}
		}
	}
	if thieves != 13 {
		t.Errorf("got %d thieves, want 13", thieves)
	}
	leftovers(t, temporary)
}

func TestInterrupted(t *testing.T) {
	needNginx(t)
	c, temporary := story(t)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// As soon as everybody is up: whoever is left over then was not ended.
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "nginx ") {
		continue
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	exit, ok := errors.AsType[*exec.ExitError](c.Wait())
	if !ok || exit.ExitCode() != 1 {
		t.Errorf("got %v, want status 1", exit)
	}
	leftovers(t, temporary)
}

func TestUsage(t *testing.T) {
	c, _ := story(t, "thief")
	if out, err := c.CombinedOutput(); c.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "usage") {
		t.Errorf("got %v\n%s", err, out)
	}
}

func TestReport(t *testing.T) {
	all := []attempt{{who: "owner", want: "200"}, {who: "thief", want: "401 invalid_token"}}
	var out bytes.Buffer
	if err := report(&out, all, []string{"200", "401 invalid_token"}); err != nil {
		t.Errorf("got %v\n%s", err, &out)
	}
	out.Reset()
	err := report(&out, all, []string{"200", "200"})
	if err == nil || err.Error() != "1 of 2 are not as expected" || !strings.Contains(out.String(), "<-- not as expected") {
		t.Errorf("got %v\n%s", err, &out)
	}
}

func TestMissing(t *testing.T) {
	err := explained(fmt.Errorf("nginx: %w", proxies.ErrMissing))
	if want := "nginx: not installed: this example needs nginx"; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s…", err, want)
	}
}
