package requestline_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What people copy has a RequestLine.Handler around it, so that %40 of an honest client isn't answered with 400:
// every program, and every server of the pages. A forwardauth endpoint asks for one reading itself.
func TestRequestLineHandlerIsCopied(t *testing.T) {
	server := func(line string) bool {
		return strings.Contains(line, "http.Server{") || strings.Contains(line, ".NewUnstartedServer(") ||
			strings.Contains(line, ".NewServer(")
	}
	found := 0
	t.Chdir("../..")
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		page := strings.HasSuffix(path, ".md") && (filepath.Dir(path) == "." || filepath.Dir(path) == "docs")
		program := strings.HasPrefix(path, "examples"+string(filepath.Separator)) && strings.HasSuffix(path, ".go") &&
			!strings.HasSuffix(path, "_test.go")
		if !page && !program || strings.HasSuffix(path, "CHANGELOG.md") ||
			strings.Contains(filepath.ToSlash(path), "examples/forwardauth/") ||
			strings.Contains(filepath.ToSlash(path), "/internal/") { // of tests
			return nil
		}
		text, err := os.ReadFile(path) //nolint:gosec // of this repository
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			if !server(line) || strings.Contains(line, "mcp.NewServer(") || strings.Contains(line, "no RequestLine.Handler") {
				continue
			}
			found++
			near := strings.Join(strings.Split(string(text), "\n")[max(0, i-2):min(i+6, strings.Count(string(text), "\n"))], "\n")
			if !strings.Contains(near, "popauth.RequestLine{") && !strings.Contains(near, "promhttp") {
				t.Errorf("%s:%d: a server without popauth.RequestLine{}.Handler around its handler", path, i+1)
			}
		}
		return nil
	})
	if err != nil || found < 10 {
		t.Errorf("got %d servers, %v, want 10 at least", found, err)
	}
}
