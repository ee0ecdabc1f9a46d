package stranger_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/tests/stranger/release"
)

// packages are those of a module that others can import or, if they are commands, install.
func packages(t *testing.T, tree string, m release.Module) (imported, installed []string) {
	t.Helper()
	top := filepath.Join(tree, filepath.FromSlash(m.Dir))
	err := filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if slices.Contains([]string{"internal", "testdata", "examples", "tests", "bench", "interop", "node_modules"}, entry.Name()) ||
			strings.HasPrefix(entry.Name(), ".") && rel != "." {
			return filepath.SkipDir
		}
		if mod, _ := filepath.Glob(filepath.Join(name, "go.mod")); len(mod) > 0 && rel != "." {
			return filepath.SkipDir
		}
		files, err := filepath.Glob(filepath.Join(name, "*.go"))
		if err != nil {
			return err
		}
		files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
		if len(files) == 0 {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), files[0], nil, parser.PackageClauseOnly)
		if err != nil {
			return err
		}
		if f.Name.Name == "main" {
			installed = append(installed, path.Join(m.Path, rel))
		} else {
			imported = append(imported, path.Join(m.Path, rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imported, installed
}

// Each module alone can be required, and each of its packages imported.
func TestImport(t *testing.T) {
	all := 0
	for _, m := range published.modules {
		imported, _ := packages(t, published.tree, m)
		if len(imported) == 0 {
			continue
		}
		all += len(imported)
		t.Run(m.Dir, func(t *testing.T) {
			d := module(t)
			text := "package main\n\nimport (\n"
			for _, p := range imported {
				text += "\t_ \"" + p + "\"\n"
			}
			d.file("main.go", text+")\n\nfunc main() {}\n")
			d.get(m.Path)
			d.run("go", "build", "-o", "program", ".")
			for _, p := range m.Own {
				if got := strings.TrimSpace(d.run("go", "list", "-m", p)); got != p+" "+d.version {
					t.Errorf("got %s, want %s", got, d.version)
				}
			}
			t.Logf("%d packages", len(imported))
		})
	}
	if all < 13 { // as many as there were
		t.Errorf("got %d packages in all, want the public ones", all)
	}
}

// What others get can be used without this tree.
func TestReleased(t *testing.T) {
	for _, m := range published.modules {
		d := empty(t)
		text := d.run("go", "mod", "download", "-json", m.Path+"@"+d.version)
		if strings.Contains(text, `"Error"`) {
			t.Errorf("%s: got %s", m.Path, text)
		}
	}
	for _, m := range published.modules {
		d := directory{t, published, filepath.Join(published.tree, filepath.FromSlash(m.Dir))}
		d.run("go", "mod", "tidy", "-diff")
		// As in GOFLAGS unless it says otherwise: neither go.mod nor go.sum may need a change.
		d.run("go", "build", "-mod=readonly", "./...")
	}
}

// A tag of this repository is one that others can use.
func TestTags(t *testing.T) {
	tags, err := release.CheckTags(filepath.Join("..", ".."))
	if err != nil {
		t.Error(err)
	}
	t.Logf("checked %d tags: %v", len(tags), tags)
}
