package stranger_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/tests/stranger/release"
)

// command is the program popauth, as `go install` made it.
type command struct {
	directory
	program string
}

func install(t *testing.T) command {
	t.Helper()
	d := empty(t)
	bin := filepath.Join(d.dir, "bin")
	d.env = append(d.env, "GOBIN="+bin)
	commands := 0
	for _, m := range d.modules {
		_, installed := packages(t, d.tree, m)
		for _, p := range installed {
			d.run("go", "install", p+"@latest") // refuses a module with a replace directive
			commands++
		}
	}
	if commands == 0 {
		t.Fatal("no commands to install")
	}
	return command{d, filepath.Join(bin, "popauth")}
}

func TestInstall(t *testing.T) {
	c := install(t)
	if got := c.run(c.program, "version"); !strings.HasPrefix(got, "popauth   "+c.version+"\npackage   "+c.version+"\n") {
		t.Errorf("version: got %q, want %s twice", got, c.version)
	}
	c.makeInput()
	if got := c.run(c.program, "thumbprint", "owner.crt"); !strings.Contains(got, "x5t#S256") {
		t.Errorf("thumbprint: got %q", got)
	}
	explain := []string{c.program, "explain", "--issuer", "https://id.example.com", "--audience", "https://api.example.com",
		"--jwks", "keys.json"}
	if got := c.run(append(explain, "--cert", "owner.crt", "token.txt")...); !strings.Contains(got, "✓  certificate") {
		t.Errorf("explain: got %s", got)
	}
	got, err := c.try(append(explain, "--cert", "thief.crt", "token.txt")...)
	if err == nil || !strings.Contains(got, "✗  certificate") {
		t.Errorf("explain, for a thief: got %v, %s, want a refusal", err, got)
	}
	if strings.Contains(c.run(c.program, "--help"), "\n  serve-test ") {
		c.serveTest()
	}
}

// makeInput writes keys, certificates and a token: a program with package popauthtest makes them, as a reader's would.
func (c command) makeInput() {
	c.Helper()
	d := module(c.T)
	d.get(release.Root)
	d.program("input")
	d.env = append(d.env, "OUT="+c.dir)
	d.run("go", "test", "-count=1", ".")
}
