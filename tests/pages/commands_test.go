package pages_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// others are commands that nothing here can look up, by how they begin: with the test that runs the like, or why none does.
var others = []struct{ command, by string }{
	{"popauth ", "cmd/popauth/docs_test.go TestDocs"},
	{"curl --config", "cmd/popauth/curl_test.go TestCurl"},
	{"curl -H", "not run: it has a token that somebody stole"},
	{"git clone", "tests/stranger/readme_test.go TestREADME"},
	{"go get ", "tests/stranger/import_test.go TestImport"},
	{"go install github.com/seed-171ab058/popauth/", "tests/stranger/install_test.go TestInstall"},
	{"go version -m", "not run: the go command's own"},
	{"gh attestation", "not run: of a release on GitHub"},
	{".ci/", "not run: it runs the tests"},
	{"cd ", "not run: by itself"},
}

var (
	prompt  = regexp.MustCompile(`^(?:\$ )?((?:go|git|popauth|curl|gh|cd) .*|\.ci/.*)$`)
	inline  = regexp.MustCompile("`((?:go (?:run|test|install|get)|popauth) [^`]*)`")
	ofTests = regexp.MustCompile(`(?m)^func (Test\w+|Fuzz\w+|Example\w*)\(`)
)

// Every command of a page can be run: the package of go run is there, the test of go test too, and for the rest the list says who runs it.
func TestCommands(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, o := range others {
		file, test, ok := strings.Cut(o.by, " ")
		if strings.HasPrefix(o.by, "not run: ") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil || !ok || !strings.Contains(string(text), "func "+test) {
			t.Errorf("%q: %s, %v: no such test", o.command, o.by, err)
		}
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	more := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "examples/keycloak/README.md"}
	for _, name := range more {
		pages = append(pages, filepath.Join(root, name))
	}
	read := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		dir := root
		for _, command := range commandsOf(string(text)) {
			read++
			if to, ok := strings.CutPrefix(command, "cd "); ok && !strings.Contains(to, "&&") {
				dir = filepath.Join(root, to)
			}
			if why := wrongWith(dir, root, command); why != "" {
				t.Errorf("%s: %s: %s", page, command, why)
			}
		}
	}
	if read < 80 {
		t.Errorf("got %d commands, want all", read)
	}
}

// commandsOf are those of code blocks, and those in the text.
func commandsOf(page string) (all []string) {
	inside := false
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\r\n")
		if fence.MatchString(line) {
			inside = !inside
			continue
		}
		indented := strings.HasPrefix(line, "    ")
		if m := prompt.FindStringSubmatch(strings.TrimSpace(line)); m != nil && (inside || indented) {
			command, _, _ := strings.Cut(m[1], "  #")
			command, _, _ = strings.Cut(command, " # ")
			if _, after, ok := strings.Cut(command, "cd bench && "); ok {
				all = append(all, "cd bench")
				command = after
			}
			all = append(all, strings.TrimSpace(command))
		}
		if !inside {
			for _, m := range inline.FindAllStringSubmatch(line, -1) {
				all = append(all, m[1])
			}
		}
	}
	return all
}

// wrongWith says what of a command is not there.
func wrongWith(dir, root, command string) string {
	words := strings.Fields(command)
	if words[0] != "go" || !slices.Contains([]string{"run", "test", "install"}, words[1]) || strings.Contains(command, "@") {
		if !slices.ContainsFunc(others, func(o struct{ command, by string }) bool { return strings.HasPrefix(command, o.command) }) {
			return "nobody says who runs it: add it to the list of this test"
		}
		return ""
	}
	pattern, packages := "", []string{}
	for i := 2; i < len(words); i++ {
		switch word := strings.Trim(words[i], "'"); {
		case word == "-C":
			i++
			dir = filepath.Join(root, words[i])
		case word == "-run" || word == "-fuzz":
			i++
			pattern = strings.Trim(words[i], "'")
		case strings.HasPrefix(word, "-run="):
			pattern = strings.TrimPrefix(word, "-run=")
		case word == "." || strings.HasPrefix(word, "./"):
			packages = append(packages, strings.TrimSuffix(word, "/..."))
		}
	}
	if len(packages) == 0 {
		return "it names no package"
	}
	for _, p := range packages {
		if strings.HasPrefix(p, "./cmd/") && dir == root {
			dir = filepath.Join(root, "bench") // "in bench", as its pages say
		}
		files, err := filepath.Glob(filepath.Join(dir, p, "*.go"))
		if err != nil || len(files) == 0 && p != "." && !strings.Contains(command, "/...") {
			return "no package " + p + " in " + dir
		}
		if pattern != "" && !matches(files, pattern) {
			return "no test of " + p + " has such a name"
		}
	}
	return ""
}

func matches(files []string, pattern string) bool {
	first, _, _ := strings.Cut(pattern, "/")
	re, err := regexp.Compile(first)
	if err != nil {
		return false
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range ofTests.FindAllStringSubmatch(string(text), -1) {
			if re.MatchString(m[1]) {
				return true
			}
		}
	}
	return false
}
