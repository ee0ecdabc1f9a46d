package pages_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
)

// docs/refusals.md has an entry for each Reason, by its code, and for nothing else.
func TestRefusalsPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "refusals.md"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join("..", "..", "errors.go"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	upper := regexp.MustCompile(`(.)([A-Z])`)
	for _, m := range regexp.MustCompile(`(?m)^\tErr(\w+) +Reason = "(.+)"$`).FindAllStringSubmatch(string(source), -1) {
		code := strings.ToLower(upper.ReplaceAllString(m[1], "${1}_$2"))
		if got := popauth.Reason(m[2]).Code(); got != code {
			t.Errorf("Err%s: got code %q, want %q", m[1], got, code)
		}
		want = append(want, code)
	}
	if len(want) < 50 {
		t.Fatalf("found %d reasons: got fewer than there are", len(want))
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(string(page), -1) {
		got = append(got, m[1])
	}
	for _, code := range want {
		if !slices.Contains(got, code) {
			t.Errorf("no entry for %s", code)
		}
	}
	for _, code := range got {
		if !slices.Contains(want, code) {
			t.Errorf("an entry for %s, which no Reason has", code)
		}
	}
	for _, m := range regexp.MustCompile(`\(#(\w+)\)`).FindAllStringSubmatch(string(page), -1) {
		if !slices.Contains(want, m[1]) {
			t.Errorf("a link to %s, which no Reason has", m[1])
		}
	}
	if got := popauth.Reason("one of somebody else's").Code(); got != popauth.ErrTokenInvalid.Code() {
		t.Errorf("another Reason: got %q", got)
	}
}
