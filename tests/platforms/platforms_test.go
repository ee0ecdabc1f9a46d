// Package platforms_test holds what others import to the systems and processors that Go knows, one of 32 bits and both of
// WebAssembly among them.
package platforms_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/lab"
)

// modules are those that others import or install, by directory.
var modules = []string{".", "redisreplay", "otelpopauth", "mcpsession", "cmd/popauth"}

// unpublished are packages of the root module that nobody else can import, and that none of the others needs.
var unpublished = regexp.MustCompile(`/(examples|tests)(/|$)|/internal/(lab|counterpart)(/|$)`)

// TestPlatforms checks types from source, of popauth and of all that it imports, as the compiler does first: what is declared on one
// system only, and what overflows an int of 32 bits, is found so. To compile it all takes a minute for each of these, on two processors.
func TestPlatforms(t *testing.T) {
	if testing.Short() || lab.Race {
		t.Skip("takes long; .ci/run platforms runs it")
	}
	for _, platform := range []string{
		"windows/amd64", "darwin/arm64", "freebsd/amd64", "linux/386", "linux/arm64", "js/wasm", "wasip1/wasm",
	} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			system, processor, _ := strings.Cut(platform, "/")
			c := checker{files: token.NewFileSet(), standard: map[string]*types.Package{}, system: system, processor: processor}
			for _, module := range modules {
				if err := c.module(filepath.Join("..", "..", module), "./..."); err != nil {
					t.Errorf("module %s: %v", module, err)
				}
			}
		})
	}
}

// A program with one fault for each way in which platforms differ is refused where it has it, and there only.
func TestFaults(t *testing.T) {
	if testing.Short() || lab.Race {
		t.Skip("as above")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/m\n\ngo 1.26.0\n")
	for _, test := range []struct {
		name, code, platform, want string
	}{
		{name: "overflow", code: "const most int = 1 << 40\n\nvar _ = most", platform: "linux/386", want: "1 << 40"},
		{name: "overflow elsewhere", code: "const most int = 1 << 40\n\nvar _ = most", platform: "linux/arm64"},
		{name: "system", code: "import \"syscall\"\n\nvar _ = syscall.SIGUSR1", platform: "windows/amd64", want: "undefined: "},
		{name: "system elsewhere", code: "import \"syscall\"\n\nvar _ = syscall.SIGUSR1", platform: "freebsd/amd64"},
		{name: "body", code: "func f() int { return \"\" }\n\nvar _ = f", platform: "linux/arm64", want: "cannot use"},
		{name: "package", code: "import \"example.com/m/none\"\n\nvar _ = none.X", platform: "linux/arm64", want: "none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			write("m.go", "package m\n\n"+test.code+"\n")
			system, processor, _ := strings.Cut(test.platform, "/")
			c := checker{files: token.NewFileSet(), standard: map[string]*types.Package{}, system: system, processor: processor}
			err := c.module(dir, "./...")
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
}

// checker checks the types of modules for one platform.
type checker struct {
	files             *token.FileSet
	system, processor string
	standard          map[string]*types.Package // by path, since all modules share it
}

// listed is a package as `go list -json` prints it.
type listed struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string
	Standard        bool
	Module          *struct{ GoVersion string }
	Error           *struct{ Err string }
}

// module checks the packages of a module that match a pattern, and those that they import.
func (c *checker) module(dir, pattern string) error {
	packages, err := c.list(dir, pattern)
	if err != nil {
		return err
	}
	known := map[string]*types.Package{"unsafe": types.Unsafe}
	for path, p := range c.standard {
		known[path] = p
	}
	var problems []error
	for _, p := range packages { // each after what it imports
		if known[p.ImportPath] != nil {
			continue
		}
		made, err := c.check(p, known)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", p.ImportPath, err))
		}
		known[p.ImportPath] = made
		if p.Standard {
			c.standard[p.ImportPath] = made
		}
	}
	return errors.Join(problems...)
}

func (c *checker) list(dir, pattern string) ([]listed, error) {
	names, err := c.goList(dir, "-e", pattern)
	if err != nil {
		return nil, err
	}
	arguments := []string{"-e", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap,Standard,Module,Error"}
	for name := range strings.FieldsSeq(names) {
		if !unpublished.MatchString(name) {
			arguments = append(arguments, name)
		}
	}
	text, err := c.goList(dir, arguments...)
	if err != nil {
		return nil, err
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var p listed
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		all = append(all, p)
	}
}

func (c *checker) goList(dir string, arguments ...string) (string, error) {
	list := exec.Command("go", append([]string{"list", "-C", dir}, arguments...)...)
	list.Env = append(os.Environ(), "GOOS="+c.system, "GOARCH="+c.processor, "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	var said strings.Builder
	list.Stderr = &said
	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, said.String())
	}
	return string(out), nil
}

// check leaves out the bodies of functions of the standard library, which has its own tests.
func (c *checker) check(p listed, known map[string]*types.Package) (*types.Package, error) {
	if p.Error != nil {
		return nil, errors.New(p.Error.Err)
	}
	var files []*ast.File
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(c.files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	var problems []error
	config := types.Config{
		IgnoreFuncBodies: p.Standard,
		Sizes:            types.SizesFor("gc", c.processor),
		Error:            func(err error) { problems = append(problems, err) },
		Importer: importer(func(path string) (*types.Package, error) {
			if made := known[cmp.Or(p.ImportMap[path], path)]; made != nil {
				return made, nil
			}
			return nil, fmt.Errorf("%s isn't there", path)
		}),
	}
	if p.Module != nil && p.Module.GoVersion != "" {
		config.GoVersion = "go" + p.Module.GoVersion
	}
	made, err := config.Check(p.ImportPath, c.files, files, nil)
	return made, errors.Join(append(problems, err)...)
}

type importer func(path string) (*types.Package, error)

func (f importer) Import(path string) (*types.Package, error) { return f(path) }
