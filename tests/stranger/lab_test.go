package stranger_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/tests/stranger/release"
)

// lab is what a stranger has: Go, and proxies for modules. Nothing in it knows where this tree is.
type lab struct {
	version string
	tree    string // a copy, in the form that is released
	modules []release.Module
	cache   string // for modules; empty at first
	others  string // GOPROXY for what others publish
	env     []string
}

// published is the lab of all tests, made once: each test has an empty directory of its own in it.
var published lab

func TestMain(m *testing.M) { os.Exit(inLab(m)) }

func inLab(m *testing.M) int {
	dir, err := os.MkdirTemp("", "popauth-stranger")
	if err == nil {
		defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
		published, err = publish(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stranger:", err)
		return 1
	}
	return m.Run()
}

// publish copies this tree, makes of it what is released, and offers it by a proxy.
func publish(dir string) (lab, error) {
	l := lab{version: os.Getenv("STRANGER_VERSION"), tree: filepath.Join(dir, "tree"), cache: filepath.Join(dir, "modules")}
	if l.version == "" {
		l.version = "v0.1.0-test"
	}
	if err := release.Copy(filepath.Join("..", ".."), l.tree); err != nil {
		return l, err
	}
	if err := release.Form(l.tree, l.version); err != nil {
		return l, err
	}
	proxy := filepath.Join(dir, "proxy")
	if err := release.Publish(l.tree, l.version, proxy); err != nil {
		return l, err
	}
	var err error
	if l.modules, err = release.Modules(l.tree); err != nil {
		return l, err
	}
	out, err := exec.Command("go", "env", "GOMODCACHE", "GOPROXY", "GOCACHE").Output()
	if err != nil {
		return l, fmt.Errorf("go env: %w", err)
	}
	known := strings.Split(strings.TrimSpace(string(out)), "\n")
	// It may come from the cache of whoever runs the tests, as from a proxy. The checksum database vouches for it.
	l.others = "file://" + filepath.ToSlash(filepath.Join(known[0], "cache", "download")) + "," + known[1]
	l.env = append(os.Environ(),
		"GOPROXY=file://"+filepath.ToSlash(proxy)+","+l.others,
		"GONOSUMDB="+release.Root, "GONOPROXY=none", "GOPRIVATE=",
		"GOMODCACHE="+l.cache, "GOCACHE="+known[2],
		// Paths in a compiled package are of modules then, so that the next run need not compile what others publish.
		"GOFLAGS=-mod=mod -trimpath -modcacherw -buildvcs=false",
		"GOWORK=off", "GO111MODULE=on", "GOBIN=", "PWD=", "NO_COLOR=1")
	return l, nil
}

// directory is an empty one, somewhere else.
type directory struct {
	*testing.T
	lab
	dir string
}

func empty(t *testing.T) directory {
	t.Helper()
	return directory{t, published, t.TempDir()}
}

// module is an empty directory with a go.mod that requires nothing yet.
func module(t *testing.T) directory {
	t.Helper()
	d := empty(t)
	d.run("go", "mod", "init", "example.com/stranger")
	return d
}

func (d directory) file(name, text string) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
		d.Fatal(err)
	}
}

// program is one of testdata.
func (d directory) program(name string) {
	d.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name, name+"_test.go"))
	if err != nil {
		d.Fatal(err)
	}
	d.file(name+"_test.go", string(text))
}

// run runs a program that must succeed, and returns what it prints.
func (d directory) run(args ...string) string {
	d.Helper()
	out, err := d.try(args...)
	if err != nil {
		d.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (d directory) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(d.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Dir, command.Env = d.dir, d.env
	out, err := command.CombinedOutput()
	return string(out), err
}

// get requires a module by its newest version, as documentation says, and holds that it is the one that was published.
func (d directory) get(path string) {
	d.Helper()
	d.run("go", "get", path+"@latest")
	if got := strings.TrimSpace(d.run("go", "list", "-m", path)); got != path+" "+d.version {
		d.Fatalf("got %s, want %s", got, d.version)
	}
}
