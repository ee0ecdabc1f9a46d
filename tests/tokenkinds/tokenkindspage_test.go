package tokenkinds_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// settings are the options as a page writes them.
func (k issuerKinds) settings() string {
	var s []string
	list := func(name string, values []string) {
		if values != nil {
			s = append(s, fmt.Sprintf("`%s: {\"%s\"}`", name, strings.Join(values, `", "`)))
		}
	}
	list("TokenTypes", k.Options.TokenTypes)
	list("RequiredClaims", k.Options.RequiredClaims)
	if k.Options.AllowIDTokens {
		s = append(s, "`AllowIDTokens: true`")
	}
	return strings.Join(s, " ")
}

// The page has a row for each issuer of the corpus, with its options, and one for each access token that can't pass.
func TestTokenKindsPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/tokens.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	rows := 0
	for _, k := range tokenKinds(t) {
		if len(k.Access) == 0 {
			continue
		}
		want := []string{fmt.Sprintf("| %s | %s | %s | %s |\n", k.Issuer, k.settings(), k.Audience, k.Mark)}
		for _, token := range k.Unfit {
			want = append(want, fmt.Sprintf("| %s | %s | %s |\n", k.Issuer, token.Name, token.Reason))
		}
		rows += len(want)
		for _, row := range want {
			if strings.Count(page, row) != 1 {
				t.Errorf("docs/tokens.md has this row %d times, want once:\n%s", strings.Count(page, row), row)
			}
		}
	}
	_, tables, ok := strings.Cut(page, "## Options, issuer by issuer")
	if got := strings.Count(tables, "\n| ") - strings.Count(tables, "\n|---|")*1; !ok || got != rows {
		t.Errorf("docs/tokens.md: got %d rows of issuers, want %d", got, rows)
	}
}
