package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// listed is a package as go list describes it.
type listed struct {
	ImportPath, Name, Dir string
	GoFiles               []string
	Export                string // the file of what the compiler exports
	DepOnly               bool   // of another module
}

// public tells packages that are there to be imported.
func (l listed) public() bool {
	for part := range strings.SplitSeq(l.ImportPath, "/") {
		if part == "internal" || part == "examples" || part == "tests" {
			return false
		}
	}
	return l.Name != "main" && !l.DepOnly
}

// list also has everything compiled, which takes no time where that was done before.
func list(dir string) ([]listed, error) {
	cmd := exec.Command("go", "list", "-deps", "-export", "-json=ImportPath,Name,Dir,GoFiles,Export,DepOnly", "./...")
	cmd.Dir = dir
	// The same lines on every machine; a go.work file further up must not decide what is read.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOOS=linux", "GOARCH=amd64")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		switch err := dec.Decode(&l); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		}
		all = append(all, l)
	}
}

// program reads packages of the project from their files, since the compiler makes up names of results; others from what it
// exports.
type program struct {
	fset    *token.FileSet
	listed  map[string]listed
	others  types.Importer
	checked map[string]*types.Package
}

func newProgram(all []listed) *program {
	p := &program{fset: token.NewFileSet(), listed: map[string]listed{}, checked: map[string]*types.Package{}}
	for _, l := range all {
		p.listed[l.ImportPath] = l
	}
	p.others = importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(p.listed[path].Export)
	})
	return p
}

// Import is types.Importer's.
func (p *program) Import(path string) (*types.Package, error) {
	if !ofProject(path) {
		return p.others.Import(path)
	}
	if pkg := p.checked[path]; pkg != nil {
		return pkg, nil
	}
	l := p.listed[path]
	var files []*ast.File
	for _, name := range l.GoFiles {
		f, err := parser.ParseFile(p.fset, filepath.Join(l.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	config := types.Config{Importer: p, IgnoreFuncBodies: true, Sizes: types.SizesFor("gc", "amd64")}
	pkg, err := config.Check(path, p.fset, files, nil)
	if err != nil {
		return nil, err
	}
	p.checked[path] = pkg
	return pkg, nil
}
