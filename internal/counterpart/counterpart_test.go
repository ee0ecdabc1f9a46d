//go:build unix

package counterpart_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/counterpart"
)

func TestCache(t *testing.T) {
	t.Setenv("POPAUTH_CACHE", t.TempDir())
	filled := 0
	fill := func(dir string) {
		filled++
		write(t, filepath.Join(dir, "file"), strconv.Itoa(filled))
	}
	for _, test := range []struct {
		name   string
		inputs []string
		want   string
	}{
		{name: "first", inputs: []string{"1.0", "a"}, want: "1"},
		{name: "the same", inputs: []string{"1.0", "a"}, want: "1"},
		{name: "another input", inputs: []string{"1.0", "b"}, want: "2"},
		{name: "inputs that join to the same", inputs: []string{"1.0a", ""}, want: "3"},
		{name: "the first again", inputs: []string{"1.0", "a"}, want: "1"},
	} {
		dir := counterpart.Cache(t, "program", test.inputs, fill)
		if got := read(t, filepath.Join(dir, "file")); got != test.want {
			t.Errorf("%s: got the directory of fill %s, want %s", test.name, got, test.want)
		}
	}
}

// A fill that fails leaves nothing that could be taken for complete, nor does one that was killed.
func TestCacheIncomplete(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("POPAUTH_CACHE", cache)
	var killed string
	failed := &failing{TB: t}
	run(func() {
		counterpart.Cache(failed, "program", nil, func(dir string) {
			write(t, filepath.Join(dir, "file"), "half")
			killed = dir
			failed.Fatal("out of memory")
		})
	})
	if !failed.failed {
		t.Fatal("the test goes on after a fill that failed")
	}
	if err := os.MkdirAll(killed, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(killed, "old"), "half")
	dir := counterpart.Cache(t, "program", nil, func(dir string) { write(t, filepath.Join(dir, "file"), "whole") })
	if got := read(t, filepath.Join(dir, "file")); got != "whole" {
		t.Errorf("file: got %q, want %q", got, "whole")
	}
	if _, err := os.Stat(filepath.Join(dir, "old")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was left half made: got %v, want it to be gone", err)
	}
}

func TestCacheAtOnce(t *testing.T) {
	t.Setenv("POPAUTH_CACHE", t.TempDir())
	var filled atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			counterpart.Cache(t, "program", nil, func(string) {
				filled.Add(1)
				time.Sleep(10 * time.Millisecond)
			})
		})
	}
	all.Wait()
	if got := filled.Load(); got != 1 {
		t.Errorf("filled: got %d times, want once", got)
	}
}

func TestClone(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "clone")
	if err := os.Mkdir(filepath.Join(from, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(from, "bin", "program"), "#!/bin/sh\necho it runs\n")
	if err := os.Chmod(filepath.Join(from, "bin", "program"), 0o700); err != nil {
		t.Fatal(err)
	}
	counterpart.Clone(t, to, from)
	if out, err := exec.Command(filepath.Join(to, "bin", "program")).Output(); err != nil || string(out) != "it runs\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

// What a program has started ends with it, asked or not.
func TestProcess(t *testing.T) {
	for _, test := range []struct{ name, script string }{
		// The child writes its number itself: before it runs a program of its own, it would swallow the signal.
		{name: "forwards the signal", script: `trap 'kill $!; wait' TERM; sh -c 'echo $$ >child; exec sleep 600' & wait`},
		{name: "forgets its child", script: `sleep 600 & echo $! >child; wait`},
		{name: "forgets its child, which writes nowhere", script: `sleep 600 >/dev/null 2>&1 & echo $! >child; wait`},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, child := parent(t, t.TempDir(), test.script)
			p.Stop()
			gone(t, child)
		})
	}
}

// It ends too when the test itself is killed, which this test does to itself in a process of its own.
func TestProcessOfKilledTest(t *testing.T) {
	dir := os.Getenv("COUNTERPART_TEST_DIR")
	if dir != "" {
		parent(t, dir, `trap '' TERM; sleep 600 & echo $! >child; wait`)
		must(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
	}
	dir = t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestProcessOfKilledTest$")
	cmd.Env = append(os.Environ(), "COUNTERPART_TEST_DIR="+dir)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("got %v, want it killed\n%s", err, out)
	}
	child, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Join(dir, "child"))))
	must(t, err)
	gone(t, child)
}

// parent starts a script that has a child, whose number it writes to the file child.
func parent(t *testing.T, dir, script string) (p *counterpart.Process, child int) {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	p = counterpart.Start(t, cmd)
	p.Await(func() error {
		text, err := os.ReadFile(filepath.Join(dir, "child"))
		if err == nil {
			child, err = strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
		}
		return err
	}, 10*time.Second)
	return p, child
}

func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the child %d: got it alive, want it gone", pid)
		}
	}
}

// A program that ends before it is ready fails the test at once.
func TestProcessEndsEarly(t *testing.T) {
	failed := &failing{TB: t}
	start := time.Now()
	run(func() {
		counterpart.Start(failed, exec.Command("false")).Await(func() error { return errors.New("not ready") }, time.Minute)
	})
	if took := time.Since(start); !failed.failed || took > 30*time.Second {
		t.Errorf("got failed: %t after %v, want it soon", failed.failed, took)
	}
}

// failing is a test whose failure is what is wanted.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Skip(...any)           { runtime.Goexit() }
func (f *failing) Failed() bool          { return f.failed }
func (f *failing) Fatal(...any)          { f.failed = true; runtime.Goexit() }
func (f *failing) Fatalf(string, ...any) { f.failed = true; runtime.Goexit() }

// run waits for a goroutine that a failure may end.
func run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func write(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func read(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}
