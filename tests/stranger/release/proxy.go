package release

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"
)

// Publish writes the released modules, which are in the form of a version, as a module proxy of files:
// https://go.dev/ref/mod#goproxy-protocol.
func Publish(tree, version, proxy string) error {
	modules, err := Modules(tree)
	if err != nil {
		return err
	}
	for _, m := range modules {
		if err := m.publish(tree, version, proxy); err != nil {
			return fmt.Errorf("%s: %w", m.Path, err)
		}
	}
	return nil
}

func (m Module) publish(tree, version, proxy string) error {
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		return err
	}
	dir := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{version, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(m.file(tree, "go.mod"))
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"list": []byte(version + "\n"), version + ".info": info, version + ".mod": mod} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return m.zip(tree, version, filepath.Join(dir, version+".zip"))
}

// Copy copies what git has of a tree, or would have after `git add`, as it is in its directory now.
func Copy(tree, to string) error {
	list := exec.Command("git", "-C", tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard") //nolint:gosec // no shell
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("git ls-files in %s: %w", tree, err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		from := filepath.Join(tree, filepath.FromSlash(name))
		stat, err := os.Lstat(from)
		if os.IsNotExist(err) || err == nil && !stat.Mode().IsRegular() {
			continue // deleted, or a link, which no module has
		}
		if err != nil {
			return err
		}
		text, err := os.ReadFile(from) //nolint:gosec // a file of the tree
		if err != nil {
			return err
		}
		target := filepath.Join(to, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(target, text, stat.Mode().Perm()); err != nil { //nolint:gosec // below the directory that the caller names
			return err
		}
	}
	return nil
}
