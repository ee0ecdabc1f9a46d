package release

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"
)

// CheckTags returns the repository's tags of versions, and what is wrong with them: a go.mod that nobody else can use, a module
// that has no such tag, a checksum that isn't what Go makes of the tag.
func CheckTags(repository string) (tags []string, err error) {
	r := repo(repository)
	out, err := r.git("tag", "--list")
	if err != nil {
		return nil, err
	}
	var all []error
	for tag := range strings.Lines(out) {
		tag = strings.TrimSpace(tag)
		dir, version := ".", tag
		if i := strings.LastIndexByte(tag, '/'); i >= 0 {
			dir, version = tag[:i], tag[i+1:]
		}
		if !semver.IsValid(version) {
			continue
		}
		tags = append(tags, tag)
		if err := r.check(tag, dir); err != nil {
			all = append(all, fmt.Errorf("tag %s: %w", tag, err))
		}
	}
	return tags, errors.Join(all...)
}

type repo string

func (r repo) git(args ...string) (string, error) {
	out, err := exec.Command("git", append([]string{"-C", string(r)}, args...)...).Output() //nolint:gosec // no shell
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, failed.Stderr)
	}
	return string(out), err
}

func (r repo) check(tag, dir string) error {
	inTag := func(name string) (string, error) {
		return r.git("show", tag+":"+strings.TrimPrefix(dir+"/"+name, "./"))
	}
	text, err := inTag("go.mod")
	if err != nil {
		return err
	}
	if err := Released("go.mod", []byte(text)); err != nil {
		return err
	}
	f, err := modfile.Parse("go.mod", []byte(text), nil)
	if err != nil {
		return err
	}
	for _, required := range f.Require {
		if !own(required.Mod.Path) {
			continue
		}
		sum, err := inTag("go.sum")
		if err != nil {
			return err
		}
		if err := r.checkSum(required.Mod, sum); err != nil {
			return fmt.Errorf("requires %s: %w", required.Mod, err)
		}
	}
	return nil
}

// checkSum makes the checksum of a module of this repository from its tag, and looks for it in a go.sum.
func (r repo) checkSum(m module.Version, sum string) error {
	dir := strings.TrimPrefix(strings.TrimPrefix(m.Path, Root), "/")
	tag := strings.TrimPrefix(dir+"/"+m.Version, "/")
	if _, err := r.git("rev-parse", "--verify", "--quiet", "refs/tags/"+tag); err != nil {
		return fmt.Errorf("no tag %s: it comes first", tag)
	}
	own, err := os.MkdirTemp("", "popauth-release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(own)                          //nolint:errcheck // a temporary directory
	out, err := os.Create(filepath.Join(own, "zip")) //nolint:gosec // in a directory of its own
	if err != nil {
		return err
	}
	err = zip.CreateFromVCS(out, m, string(r), tag, dir)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	hash, err := dirhash.HashZip(out.Name(), dirhash.Hash1)
	if err != nil {
		return err
	}
	if want := m.Path + " " + m.Version + " " + hash + "\n"; !strings.Contains(sum, want) {
		return fmt.Errorf("go.sum: want %s, which is what Go makes of tag %s", strings.TrimSpace(want), tag)
	}
	return nil
}
