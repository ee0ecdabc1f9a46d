package proxies_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
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
