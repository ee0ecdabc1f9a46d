package proxies_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
)

var update = flag.Bool("update", false, "write the tables into docs/proxies.md")

const page = "../../docs/proxies.md"

// document compares a table with the one in the document, or writes it there.
func document(t *testing.T, name string, table [][]string) {
	t.Helper()
	var b strings.Builder
	for i, line := range table {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(line)) + "|\n")
		}
	}
	t.Logf("\n%s", aligned(table))
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), "<!-- "+name+" -->\n")
	written, after, ok2 := strings.Cut(rest, "<!-- end -->\n")
	switch {
	case !ok || !ok2:
		t.Errorf("%s has no place for the table %q", page, name)
	case written == b.String():
	case *update && !t.Failed():
		if err := os.WriteFile(page, []byte(before+"<!-- "+name+" -->\n"+b.String()+"<!-- end -->\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s says something else; after a change that is meant: go test ./examples/proxies -update", page)
	}
}

func aligned(table [][]string) string {
	var widths []int
	for i := range table[0] {
		w := 0
		for _, line := range table {
			w = max(w, len(line[i]))
		}
		widths = append(widths, w)
	}
	var b strings.Builder
	for _, line := range table {
		for i, cell := range line {
			fmt.Fprintf(&b, "%-*s  ", widths[i], cell)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// The commands of the document are run as they stand, but for the URL.
func TestDeployTest(t *testing.T) {
	need(t, "nginx")
	for _, program := range []string{"bash", "curl", "openssl"} {
		_, err := exec.LookPath(program)
		installed(t, err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(text), "<!-- deploy test -->\n```sh\n")
	script, _, _ = strings.Cut(script, "```\n")
	var want []string
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "ask ") && !strings.HasPrefix(line, "ask()") {
			_, status, _ := strings.Cut(line, "# ")
			want = append(want, strings.TrimSpace(status))
		}
	}
	c := newCast(t)
	l := newLane(t, c, kinds[0], "")
	dir := t.TempDir()
	for _, client := range []*popauthtest.Client{c.owner, c.thief} {
		if _, _, err := client.WritePEM(dir); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string][]byte{"ca.crt": c.authority.PEM(), "owner.token": []byte(c.token(c.owner))} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const example = "https://api.example.com"
	if !strings.Contains(script, example) || len(want) < 8 {
		t.Fatalf("%s: no commands in\n%s", page, script)
	}
	command := exec.Command("bash", "-c", strings.ReplaceAll(script, example, "https://"+l.proxy.Address))
	command.Dir = dir
	got, err := command.CombinedOutput()
	if err != nil || strings.Join(want, "\n")+"\n" != string(got) {
		t.Errorf("got %v\n%s, want %q", err, got, want)
	}
	if l.spy.Ran() != 2 {
		t.Errorf("the handler ran %d times, want twice", l.spy.Ran())
	}
}
