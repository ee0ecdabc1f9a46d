// Package release makes of this tree the modules that others import and install: what their go.mod and go.sum say at a version,
// and a module proxy of files that has them.
//
// In the tree a module below the root finds the root by a replace directive, so that a change of both is one commit, tested before
// it is published. Whoever imports the module doesn't get that directive, and `go install` refuses a module that has one.
package release

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// Root is the path of the root module.
const Root = "github.com/seed-171ab058/popauth"

// own tells whether a module is of this tree.
func own(path string) bool { return path == Root || strings.HasPrefix(path, Root+"/") }

// kept are the directories whose modules nobody imports or installs.
var kept = [...]string{"bench", "examples", "interop", "tests"}

// Module is a module of the tree.
type Module struct {
	Path string
	Dir  string   // below the root, with slashes; "." is the root
	Own  []string // the paths of the tree's modules that it requires
}

// Tag is the name by which Go finds the module's version.
func (m Module) Tag(version string) string {
	if m.Dir == "." {
		return version
	}
	return m.Dir + "/" + version
}

// file is the path of one of the module's files.
func (m Module) file(tree, name string) string {
	return filepath.Join(tree, filepath.FromSlash(m.Dir), name)
}

// Modules are those that are released, each after those that it requires.
func Modules(tree string) ([]Module, error) {
	all, err := inTree(tree)
	if err != nil {
		return nil, err
	}
	var ordered []Module
	left := slices.DeleteFunc(all, func(m Module) bool {
		top, _, _ := strings.Cut(m.Dir, "/")
		return slices.Contains(kept[:], top)
	})
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(m Module) bool {
			return !slices.ContainsFunc(m.Own, func(need string) bool {
				return !slices.ContainsFunc(ordered, func(o Module) bool { return o.Path == need })
			})
		})
		if i < 0 {
			return nil, fmt.Errorf("%s requires %v: each must be a module that is released, and none may come back to it",
				left[0].Path, left[0].Own)
		}
		ordered = append(ordered, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return ordered, nil
}

// inTree are all modules, the root first.
func inTree(tree string) ([]Module, error) {
	var all []Module
	err := filepath.WalkDir(tree, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "node_modules", "testdata"}, entry.Name()):
			return filepath.SkipDir
		case entry.IsDir() || entry.Name() != "go.mod":
			return nil
		}
		dir, err := filepath.Rel(tree, filepath.Dir(name))
		if err != nil {
			return err
		}
		f, err := read(name)
		if err != nil {
			return err
		}
		m := Module{Path: f.Module.Mod.Path, Dir: filepath.ToSlash(dir)}
		if want := path.Join(Root, m.Dir); m.Path != want {
			return fmt.Errorf("%s: got module %s, want %s, by its directory", name, m.Path, want)
		}
		for _, r := range f.Require {
			if own(r.Mod.Path) {
				m.Own = append(m.Own, r.Mod.Path)
			}
		}
		all = append(all, m)
		return nil
	})
	slices.SortFunc(all, func(a, b Module) int { return strings.Compare(a.Path, b.Path) })
	return all, err
}

func read(name string) (*modfile.File, error) {
	b, err := os.ReadFile(name) //nolint:gosec // a go.mod of the tree that the command is given
	if err != nil {
		return nil, err
	}
	return modfile.Parse(name, b, nil)
}
