package stranger_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/tests/stranger/release"
)

// newVersion is one that nothing is released as.
const newVersion = "v0.900.0"

// repository is a clone of this tree, as it is now, with a changelog for the release.
type repository struct{ directory }

func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository{empty(t)}
	if err := release.Copy(filepath.Join("..", ".."), r.dir); err != nil {
		t.Fatal(err)
	}
	for _, pair := range [...][2]string{{"GIT_AUTHOR_NAME", "a"}, {"GIT_AUTHOR_EMAIL", "a@example.com"}, {"GIT_COMMITTER_NAME", "a"},
		{"GIT_COMMITTER_EMAIL", "a@example.com"}, {"GIT_CONFIG_GLOBAL", os.DevNull}, {"GIT_CONFIG_NOSYSTEM", "1"}} {
		r.env = append(r.env, pair[0]+"="+pair[1])
	}
	r.file("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n## [0.900.0] - unreleased\n\n### Added\n\n- All.\n\n"+
		"## [0.899.0] - 2026-01-01\n")
	r.run("git", "init", "--quiet", "--initial-branch=main")
	r.commit()
	return r
}

func (r repository) commit() {
	r.Helper()
	r.run("git", "add", "--all")
	r.run("git", "commit", "--quiet", "--message=A change")
}

// state is all that a release may change.
func (r repository) state() string {
	r.Helper()
	return r.run("git", "for-each-ref") + r.run("git", "rev-parse", "--symbolic-full-name", "HEAD") +
		r.run("git", "status", "--porcelain") + r.run("git", "worktree", "list")
}

func needBash(t *testing.T) {
	t.Helper()
	for _, program := range []string{"bash", "git"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program + " is not installed")
		}
	}
}

// What can't be released isn't, and the repository stays as it was.
func TestReleaseRefused(t *testing.T) {
	needBash(t)
	r := newRepository(t)
	first := strings.TrimSpace(r.run("git", "rev-parse", "HEAD"))
	changelog, err := os.ReadFile(filepath.Join(r.dir, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, text string) func() {
		return func() {
			r.file("CHANGELOG.md", strings.Replace(string(changelog), old, text, 1))
			r.commit()
		}
	}
	for _, test := range []struct {
		name    string
		before  func()
		version string
		want    string
	}{
		{"no version", func() {}, "0.900.0", "want one like v0.1.0"},
		{"half a version", func() {}, "v0.900", "want one like v0.1.0"},
		{"another branch", func() { r.run("git", "checkout", "--quiet", "-b", "other") }, newVersion, "not on main"},
		{"no branch", func() { r.run("git", "checkout", "--quiet", "--detach") }, newVersion, "not on main"},
		{"a changed file", func() { r.file("README.md", "changed") }, newVersion, "not everything is committed"},
		{"a new file", func() { r.file("new", "") }, newVersion, "not everything is committed"},
		{"a tag of the root", func() { r.run("git", "tag", newVersion) }, newVersion, "tag v0.900.0 exists"},
		{"a tag of a module", func() { r.run("git", "tag", "redisreplay/"+newVersion) }, newVersion, "tag redisreplay/v0.900.0 exists"},
		{"an older version", func() { r.run("git", "tag", "v0.901.0") }, newVersion, "want one above v0.901.0"},
		{"no section", edit("## [0.900.0]", "## [0.900.1]"), newVersion, "want a section ## [0.900.0]"},
		{"an empty section", edit("\n### Added\n\n- All.\n", ""), newVersion, "want a section ## [0.900.0]"},
		{"a section of a heading's name", func() {}, "v0.899.0", "want a section ## [0.899.0]"},
		{"news that have no version", edit("## [Unreleased]\n", "## [Unreleased]\n\n- Forgotten.\n"), newVersion,
			"nothing under [Unreleased]"},
		// refs/tags/mcpsession is a file then, so that the third tag can't be made.
		{"a tag that can't be made", func() { r.run("git", "tag", "mcpsession") }, newVersion, "deleted the tags that were made"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := repository{directory{t, r.lab, r.dir}}
			test.before()
			before := r.state()
			out, err := r.try("bash", ".ci/release", "-s", "-y", test.version)
			if err == nil || !strings.Contains(out, test.want) {
				t.Errorf("got %v, %s, want %q", err, out, test.want)
			}
			if got := r.state(); got != before {
				t.Errorf("got %s, want it as before: %s", got, before)
			}
			r.run("git", "checkout", "--quiet", "--force", "main")
			r.run("git", "clean", "--quiet", "--force", "-d")
			r.run("git", "reset", "--quiet", "--hard", first)
			for tag := range strings.Lines(r.run("git", "tag")) {
				r.run("git", "tag", "--delete", strings.TrimSpace(tag))
			}
		})
	}
}

// Go itself takes the tags of a repository, and holds what it makes of them to the checksums in go.sum.
func TestRelease(t *testing.T) {
	needBash(t)
	r := newRepository(t)
	before := r.state()
	if out := r.run("bash", ".ci/release", "-s", newVersion); r.state() != before || !strings.Contains(out, "Nothing was changed here") {
		t.Errorf("without -y: got %s and %s", out, r.state())
	}
	out := r.run("bash", ".ci/release", "-s", "-y", newVersion)
	if !strings.Contains(out, "git push --atomic origin main "+newVersion+" ") {
		t.Errorf("got %s, want how to publish it", out)
	}
	if want := "gh workflow run release.yml --ref cmd/popauth/" + newVersion + "\n"; !strings.HasSuffix(out, want) {
		t.Errorf("got %s, want how to build the programs: %s", out, want)
	}
	if got := r.run("git", "status", "--porcelain") + r.run("git", "rev-list", "--count", "HEAD"); got != "3\n" {
		t.Errorf("got %q, want three commits and nothing else", got)
	}
	tags, err := release.CheckTags(r.dir)
	if err != nil || len(tags) != len(r.modules) {
		t.Errorf("got %v, %v, want %d tags", tags, err, len(r.modules))
	}
	if text := r.run("git", "show", newVersion+":CHANGELOG.md"); strings.Contains(text, "unreleased\n") {
		t.Errorf("got %s, want the day", text)
	}

	get := func(what, version, want string) {
		d := module(t)
		d.env = append(d.env, "GOPROXY="+r.others, "GONOPROXY="+release.Root, "GIT_CONFIG_COUNT=1",
			"GIT_CONFIG_KEY_0=url.file://"+r.dir+".insteadOf", "GIT_CONFIG_VALUE_0=https://"+strings.TrimSuffix(release.Root, "/"))
		if what == "cmd/popauth" {
			d.env = append(d.env, "GOBIN="+d.dir)
			d.run("go", "install", release.Root+"/"+what+"@"+version)
			if out := d.run(filepath.Join(d.dir, "popauth"), "version"); !strings.HasPrefix(out, "popauth   "+want+"\n") {
				t.Errorf("%s: got %s, want %s", what, out, want)
			}
			return
		}
		d.run("go", "get", release.Root+"/"+what+"@"+version)
		if out := d.run("go", "list", "-m", "-f", "{{.Version}}", release.Root); strings.TrimSpace(out) != want {
			t.Errorf("%s@%s: got popauth %s, want %s", what, version, out, want)
		}
		d.file("main.go", "package main\n\nimport _ \""+release.Root+"/"+what+"\"\n\nfunc main() {}\n")
		d.run("go", "build", "-o", "program", ".")
	}
	get("redisreplay", "latest", newVersion)
	get("otelpopauth", "main", newVersion) // between releases: with the last one's root
	get("cmd/popauth", "latest", newVersion)
}
