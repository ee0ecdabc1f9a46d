package simulation

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"text/template"
	"text/template/parse"
)

// The page is what the template makes of some figures: whoever writes into the page alone loses it with the next run.
func TestPageIsTheTemplates(t *testing.T) {
	page, err := os.ReadFile("../../docs/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	figure := func(...any) string { return "" }
	made, err := template.New("").Funcs(template.FuncMap{"count": figure, "span": figure}).Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	var form strings.Builder
	expression(t, &form, made.Root)
	if !regexp.MustCompile(`\A` + form.String() + `\z`).Match(page) {
		t.Errorf("docs/scale.md is not what scale.md.tmpl makes%s: write into the template, and run go run ./cmd/simulate",
			firstLine(made.Root, string(page)))
	}
}

// expression writes what matches a template with any figures in it.
func expression(t *testing.T, to *strings.Builder, n parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		for _, n := range n.Nodes {
			expression(t, to, n)
		}
	case *parse.TextNode:
		to.WriteString(regexp.QuoteMeta(string(n.Text)))
	case *parse.ActionNode:
		to.WriteString(`[^\n]*?`)
	case *parse.IfNode:
		part(t, to, n.List, "?")
	case *parse.RangeNode:
		part(t, to, n.List, "*")
	default:
		t.Fatalf("a part of the template that this test doesn't know: %v", n)
	}
}

func part(t *testing.T, to *strings.Builder, list *parse.ListNode, times string) {
	to.WriteString("(?:")
	expression(t, to, list)
	to.WriteString(")" + times)
}

// firstLine names a line of the template that the page hasn't, or of the page that the template hasn't.
func firstLine(list *parse.ListNode, page string) string {
	for _, n := range list.Nodes {
		text, ok := n.(*parse.TextNode)
		if !ok {
			continue
		}
		for line := range strings.Lines(string(text.Text)) {
			if !strings.Contains(page, strings.TrimSuffix(line, "\n")) {
				return ", which has: " + line
			}
		}
	}
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "#") && !strings.Contains(document, line) {
			return ", which lacks: " + line
		}
	}
	return ""
}
