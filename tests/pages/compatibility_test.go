package pages_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/forwardauth"
)

// What docs/compatibility.md promises by name is there, and nothing of it has been forgotten.
func TestCompatibilityPage(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	page := read("docs/compatibility.md")

	identity, err := forwardauth.NewIdentity(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`X-Auth-\w+`).FindAllString(page, -1)
	if want := identity.Names(); !slices.Equal(got, want) {
		t.Errorf("identity headers: got %v, want %v", got, want)
	}
	for _, metric := range regexp.MustCompile("`(popauth[. ][a-z.]+)`").FindAllStringSubmatch(page, -1) {
		if metric[1] != "popauth version" && !strings.Contains(read("otelpopauth/otelpopauth.go"), `"`+metric[1]+`"`) {
			t.Errorf("%s: no metric or span of otelpopauth", metric[1])
		}
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read("go.mod"))
	if version == nil || !strings.Contains(page, "Go "+version[1]+" or newer") {
		t.Errorf("Go: got none of go.mod's version, want %v", version)
	}
	mods, err := filepath.Glob("../../*/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, mod := range mods {
		dir := filepath.Base(filepath.Dir(mod))
		if !slices.Contains([]string{"bench", "interop"}, dir) && !strings.Contains(page, "`"+dir+"`") {
			t.Errorf("module %s: want it among those that are released", dir)
		}
	}
}
