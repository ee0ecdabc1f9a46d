package redisreplay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/redisreplay"
)

// server is a redis-server of the test's own, that ends with it.
type server struct {
	t    testing.TB
	dir  string
	args []string
	port int // 0: only the socket
	cmd  *exec.Cmd
}

func redisProgram(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is missing: apt-get install redis-server")
		}
		t.Skip("redis-server is not installed")
	}
	return program
}

// newServer starts a server that listens on a socket in a directory of its own.
func newServer(t testing.TB, args ...string) *server {
	t.Helper()
	return start(t, 0, args...)
}

// newPortServer starts a server that listens on a free loopback port as well.
func newPortServer(t testing.TB, args ...string) *server {
	t.Helper()
	return start(t, freePort(t), args...)
}

func start(t testing.TB, port int, args ...string) *server {
	t.Helper()
	// The path of a socket is short; that of t.TempDir may not be.
	dir, err := os.MkdirTemp("", "redisreplay")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: dir, port: port, args: args}
	t.Cleanup(func() {
		s.kill()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s.start()
	return s
}

func (s *server) start() {
	s.t.Helper()
	// A configuration file, since a sentinel rewrites its own.
	config := []string{
		"port " + strconv.Itoa(s.port), "bind 127.0.0.1", "unixsocket " + s.socket(), "dir " + s.dir, `save ""`, "daemonize no",
	}
	name := filepath.Join(s.dir, "redis.conf")
	if err := os.WriteFile(name, []byte(strings.Join(append(config, s.args...), "\n")), 0o600); err != nil {
		s.t.Fatal(err)
	}
	args := []string{name}
	for _, a := range s.args {
		if strings.HasPrefix(a, "sentinel ") {
			args = []string{name, "--sentinel"}
		}
	}
	s.cmd = exec.Command(redisProgram(s.t), args...)
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	client := redis.NewClient(s.options())
	defer client.Close()
	eventually(s.t, "redis-server answers", func() error { return client.Ping(context.Background()).Err() })
}

func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Error(err)
	}
	_ = s.cmd.Wait() // its error says that the process was killed
	s.cmd = nil
}

func (s *server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) socket() string { return filepath.Join(s.dir, "s") }

func (s *server) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

func (s *server) options() *redis.Options {
	return &redis.Options{Network: "unix", Addr: s.socket(), ContextTimeoutEnabled: true}
}

func (s *server) client() *redis.Client { return closed(s.t, redis.NewClient(s.options())) }

// closed closes the client when the test ends.
func closed[C io.Closer](t testing.TB, client C) C {
	t.Cleanup(func() { client.Close() })
	return client
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within a minute: %v", what, err)
}

// patient are options for tests of something else than time, on machines that are busy.
var patient = redisreplay.Options{Timeout: 30 * time.Second, Skew: time.Millisecond}

func newStore(t testing.TB, client redis.UniversalClient, o redisreplay.Options) *redisreplay.Store {
	t.Helper()
	s, err := redisreplay.New(client, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask reports what the store said of an id of a key of its own, with the rules about its errors.
func ask(t testing.TB, s *redisreplay.Store, id string) (bool, error) {
	t.Helper()
	fresh, err := s.Use(context.Background(), id, id, time.Now().Add(10*time.Minute))
	if err != nil && (fresh || !errors.Is(err, popauth.ErrUnavailable)) {
		t.Errorf("Use: got %v, %v, want no error or false and one that wraps ErrUnavailable", fresh, err)
	}
	return fresh, err
}

// use wants an id of a key to be fresh, or refused for this reason.
func use(t testing.TB, s *redisreplay.Store, key, id string, until time.Time, reason error) {
	t.Helper()
	fresh, err := s.Use(context.Background(), key, id, until)
	if fresh != (reason == nil) || !errors.Is(err, reason) {
		t.Errorf("Use(%q, %q): got %v, %v, want %v", key, id, fresh, err, reason)
	}
}

func want(t testing.TB, s *redisreplay.Store, id string, want bool) {
	t.Helper()
	if got, err := ask(t, s, id); got != want || err != nil {
		t.Errorf("Use(%q): got %v, %v, want %v", id, got, err, want)
	}
}

// wantRefused wants an error within the bound, and what a busy machine adds to it.
func wantRefused(t testing.TB, s *redisreplay.Store, id string, bound time.Duration) error {
	t.Helper()
	start := time.Now()
	fresh, err := ask(t, s, id)
	if fresh || err == nil {
		t.Errorf("Use(%q): got %v, %v, want an error", id, fresh, err)
	}
	if took := time.Since(start); took > bound+2*time.Second {
		t.Errorf("Use(%q): took %v, want at most %v", id, took, bound)
	}
	return err
}

func ids(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint(prefix, " ", i)
	}
	return list
}
