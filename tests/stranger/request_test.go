package stranger_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/tests/stranger/release"
)

// test runs a program of testdata.
func (d directory) test(name string) {
	d.Helper()
	d.program(name)
	d.run("go", "vet", ".")
	d.run("go", "test", "-count=1", "-run", ".", "-failfast", ".")
}

// A request by each module.
func TestRequest(t *testing.T) {
	t.Run("popauth", func(t *testing.T) {
		d := module(t)
		d.get(release.Root)
		d.test("guard")
	})
	for _, name := range []string{"mcpsession", "otelpopauth"} {
		t.Run(name, func(t *testing.T) {
			d := module(t)
			d.get(release.Root + "/" + name)
			d.test(name)
		})
	}
	t.Run("redisreplay", func(t *testing.T) {
		d := module(t)
		d.env = append(d.env, "REDIS_SOCKET="+startRedis(t))
		d.get(release.Root + "/redisreplay")
		d.test("redisreplay")
	})
}

// startRedis returns the socket of a Redis of the test's own.
func startRedis(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is missing: apt-get install redis-server")
		}
		t.Skip("redis-server is not installed")
	}
	dir, err := os.MkdirTemp("", "stranger") // t.TempDir's may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "redis")
	server := exec.Command(program, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no",
		"--dir", dir)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	for range 200 {
		if c, err := net.Dial("unix", socket); err == nil {
			_ = c.Close()
			return socket
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatal("redis-server doesn't listen")
	return ""
}
