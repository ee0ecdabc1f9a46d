package layout_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// tree is what the rules judge, test files left out.
type tree struct {
	imports map[string][]string // of each package, those of this repository; both by directory, "." being the root
	lines   map[string]int      // of each file of the root
}

// readTree reads every module below fsys. It expects that a package's path is the root module's with its directory.
func readTree(fsys fs.FS) (tree, error) {
	t := tree{imports: map[string][]string{}, lines: map[string]int{}}
	module, err := modulePath(fsys)
	if err != nil {
		return tree{}, err
	}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && ignored(name):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		return t.addFile(fsys, module, name)
	})
	if err == nil && t.imports["."] == nil {
		err = errors.New("the root holds no package")
	}
	return t, err
}

// ignored tells directories that the go command ignores as well.
func ignored(dir string) bool {
	base := path.Base(dir)
	return dir != "." && (base[0] == '.' || base[0] == '_' || base == "testdata" || base == "node_modules")
}

func modulePath(fsys fs.FS) (string, error) {
	text, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if p, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(p), nil
		}
	}
	return "", errors.New("go.mod: no module line")
}

func (t tree) addFile(fsys fs.FS, module, name string) error {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	if dir == "." {
		t.lines[name] = bytes.Count(text, []byte("\n"))
	}
	if t.imports[dir] == nil {
		t.imports[dir] = []string{}
	}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		to, ours := strings.CutPrefix(imported+"/", module+"/")
		to = path.Clean(to)
		if ours && !slices.Contains(t.imports[dir], to) {
			t.imports[dir] = append(t.imports[dir], to)
		}
	}
	return nil
}
