package release_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/tests/stranger/release"
)

// lab is a small repository with this one's names: a root, two modules to release, one of which requires the other, and an example.
type lab struct {
	*testing.T
	dir string
}

const version = "v0.1.0"

func newLab(t *testing.T) lab {
	t.Helper()
	l := lab{t, t.TempDir()}
	l.file("LICENSE", "MIT\n")
	l.file("go.mod", "module "+release.Root+"\n\ngo 1.26.0\n")
	l.file("root.go", "package popauth\n")
	l.file("a/go.mod", "module "+release.Root+"/a\n\ngo 1.26.0\n\nrequire (\n\tgithub.com/other/x v1.2.3\n\t"+release.Root+
		" v0.0.0\n\t"+release.Root+"/b v0.0.0\n)\n\nreplace (\n\t"+release.Root+" => ../\n\t"+release.Root+"/b => ../b\n)\n")
	l.file("a/go.sum", "github.com/other/x v1.2.3 h1:x=\n")
	l.file("a/a.go", "package a\n")
	l.file("b/go.mod", "module "+release.Root+"/b\n\ngo 1.26.0\n\nrequire "+release.Root+" v0.0.0\n\nreplace "+release.Root+" => ../\n")
	l.file("b/go.sum", "")
	l.file("b/b.go", "package b\n")
	l.file("examples/c/go.mod", "module "+release.Root+"/examples/c\n\ngo 1.26.0\n\nrequire "+release.Root+
		" v0.0.0\n\nreplace "+release.Root+" => ../../\n")
	l.git("init", "--quiet", "--initial-branch=main")
	l.commit()
	return l
}

func (l lab) file(name, text string) {
	l.Helper()
	name = filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		l.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
}

func (l lab) read(name string) string {
	l.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir, name))
	if err != nil {
		l.Fatal(err)
	}
	return string(text)
}

func (l lab) git(args ...string) {
	l.Helper()
	args = append([]string{"-C", l.dir, "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}, args...)
	if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
		l.Fatalf("git %v: %v: %s", args, err, out)
	}
}

func (l lab) commit() {
	l.Helper()
	l.git("add", "--all")
	l.git("commit", "--quiet", "--message=A change")
}

// tag makes a commit of the form of version, and tags it.
func (l lab) tag() {
	l.Helper()
	if err := release.Form(l.dir, version); err != nil {
		l.Fatal(err)
	}
	l.commit()
	modules, err := release.Modules(l.dir)
	if err != nil {
		l.Fatal(err)
	}
	for _, m := range modules {
		l.git("tag", m.Tag(version))
	}
}

func TestModules(t *testing.T) {
	l := newLab(t)
	modules, err := release.Modules(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range modules {
		got = append(got, m.Tag(version))
	}
	if want := "v0.1.0 b/v0.1.0 a/v0.1.0"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s: a requires b, and nobody requires the example", got, want)
	}
	l.file("b/go.mod", "module "+release.Root+"/b\n\ngo 1.26.0\n\nrequire "+release.Root+"/a v0.0.0\n")
	if _, err := release.Modules(l.dir); err == nil {
		t.Error("a and b require each other: got no error")
	}
	l.file("b/go.mod", "module "+release.Root+"/other\n\ngo 1.26.0\n")
	if _, err := release.Modules(l.dir); err == nil {
		t.Error("a module that isn't named by its directory: got no error")
	}
}

// The checksums are held against Go's own reading of the tags.
func TestForm(t *testing.T) {
	l := newLab(t)
	l.tag()
	for _, name := range []string{"a/go.mod", "b/go.mod"} {
		if text := l.read(name); strings.Contains(text, "replace") || strings.Contains(text, release.Placeholder) {
			t.Errorf("%s: got %s", name, text)
		}
	}
	if text := l.read("a/go.sum"); !strings.HasPrefix(text, "github.com/other/x v1.2.3 h1:x=\n"+release.Root+" v0.1.0 h1:") ||
		strings.Count(text, "\n") != 5 {
		t.Errorf("a/go.sum: got %s", text)
	}
	if text := l.read("examples/c/go.mod"); !strings.Contains(text, "replace") {
		t.Errorf("examples/c/go.mod: got %s, want it as it was", text)
	}
	tags, err := release.CheckTags(l.dir)
	if err != nil || len(tags) != 3 {
		t.Errorf("got %v, %v, want three tags", tags, err)
	}
	before := l.read("a/go.sum") + l.read("a/go.mod")
	if err := release.Form(l.dir, version); err != nil || l.read("a/go.sum")+l.read("a/go.mod") != before {
		t.Errorf("once more: got %v, or other files", err)
	}
	for _, bad := range []string{"", "0.1.0", "v0.1", "v0.1.0+x", "v0.1.0 "} {
		if err := release.Form(l.dir, bad); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

func TestBack(t *testing.T) {
	l := newLab(t)
	if err := release.Back(l.dir, version); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/go.mod", "b/go.mod", "examples/c/go.mod"} {
		if text := l.read(name); !strings.Contains(text, release.Root+" v0.1.0") || !strings.Contains(text, "replace") ||
			strings.Contains(text, release.Placeholder) {
			t.Errorf("%s: got %s", name, text)
		}
	}
}

func TestCheckTags(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(lab)
		want  string
	}{
		"a replace directive": {func(l lab) {
			l.file("b/go.mod", l.read("b/go.mod")+"\nreplace x.example/y => ../y\n")
		}, "replace directive"},
		"the placeholder": {func(l lab) {
			l.file("b/go.mod", strings.Replace(l.read("b/go.mod"), version, release.Placeholder, 1))
		}, "want a version that is released"},
		"another checksum": {func(l lab) {
			l.file("b/go.sum", strings.Replace(l.read("b/go.sum"), "h1:", "h1:0", 1))
		}, "what Go makes of tag"},
		"files changed": {func(l lab) { l.file("root.go", "package popauth // changed\n") }, "what Go makes of tag"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			if err := release.Form(l.dir, version); err != nil {
				t.Fatal(err)
			}
			test.spoil(l)
			l.commit()
			l.git("tag", version)
			l.git("tag", "b/"+version)
			_, err := release.CheckTags(l.dir)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
	t.Run("no tag of what it requires", func(t *testing.T) {
		l := newLab(t)
		if err := release.Form(l.dir, version); err != nil {
			t.Fatal(err)
		}
		l.commit()
		l.git("tag", "b/"+version)
		if _, err := release.CheckTags(l.dir); err == nil || !strings.Contains(err.Error(), "it comes first") {
			t.Errorf("got %v, want that the root's tag comes first", err)
		}
	})
}

// In a working tree of git's that is not its first, .git is a file: no module has it.
func TestFormInWorktree(t *testing.T) {
	l := newLab(t)
	other := filepath.Join(t.TempDir(), "other")
	l.git("worktree", "add", "--quiet", "--detach", other)
	if err := release.Form(other, version); err != nil {
		t.Fatal(err)
	}
	if err := release.Form(l.dir, version); err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(other, "a", "go.sum"))
	if err != nil || string(sum) != l.read("a/go.sum") {
		t.Errorf("got %v, %s, want %s", err, sum, l.read("a/go.sum"))
	}
}
