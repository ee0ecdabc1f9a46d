package fapi_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// requirements are those of the Security Profile on resource servers and clients, and those on both.
var requirements = []string{
	"5.3.4 (1)", "5.3.4 (2)", "5.3.4 (3)", "5.3.4 (4)", "5.3.4 (5)", "6.2",
	"5.3.3.1 (1)", "5.3.3.1 (2)", "5.3.3.1 (3)", "5.3.3.1 (4)", "5.3.3.1 (5)", "5.3.3.1 (6)", "5.3.3.1 (7)", "5.3.3.1 (8)", "5.3.3.1 (9)",
	"5.3.3.1 (10)", "5.3.3.1 (11)", "5.3.3.1 (12)", "5.3.3.1 (13)",
	"5.3.3.2 (1)", "5.3.3.2 (2)", "5.3.3.2 (3)", "5.3.3.2 (4)", "5.3.3.2 (5)", "5.3.3.2 (6)", "5.3.3.2 (7)",
	"5.2.1 (1)", "5.2.1 (2)", "5.2.1 (3)", "5.2.1 (4)", "5.2.1 (5)", "5.2.2 (1)", "5.2.2 (2)", "5.2.2.1", "5.2.3 (1)",
	"5.2.3 (2)",
	"5.4.1 (1.1)", "5.4.1 (1.2)", "5.4.1 (1.3)", "5.4.1 (2)", "5.4.1 (3)", "5.4.1 (4)", "5.4.2 (1)", "5.4.2 (2)", "5.4.3",
	"5.5.2 (1)", "5.5.2 (2)", // of Message Signing
}

var (
	pageRow  = regexp.MustCompile(`(?m)^\| ([56]\.[0-9.]+(?: \([0-9.]+\))?): [^|]+ \| ([^|]+) \| ([^|]+) \|$`)
	pageTest = regexp.MustCompile("`([a-z0-9/]+)\\.(Test[A-Za-z0-9]+)`")
)

// The page has a row for each requirement, and each test that it names is one of that package.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/fapi.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, m := range pageRow.FindAllStringSubmatch(string(text), -1) {
		requirement, keeper, shown := m[1], m[2], m[3]
		rows = append(rows, requirement)
		tests := pageTest.FindAllStringSubmatch(shown, -1)
		switch {
		case shown == "not here" && len(tests) == 0:
			if !strings.HasPrefix(keeper, "your ") && !strings.Contains(keeper, "your server") {
				t.Errorf("%s: shown by nothing, and kept by %q", requirement, keeper)
			}
		case len(tests) == 0 || strings.Count(shown, "`") != 2*len(tests):
			t.Errorf("%s: %q is no list of tests", requirement, shown)
		}
	}
	if !slices.Equal(rows, requirements) {
		t.Errorf("rows:\ngot  %q\nwant %q", rows, requirements)
	}
	for _, m := range pageTest.FindAllStringSubmatch(string(text), -1) {
		if err := isTest(m[1], m[2]); err != nil {
			t.Error(err)
		}
	}
}

func TestPageFindsNoTestThatIsntThere(t *testing.T) {
	if isTest("tests/fapi", "TestFAPI") == nil || isTest("tests/nothing", "TestPage") == nil {
		t.Error("got a test that isn't there")
	}
	if err := isTest("tests/fapi", "TestPage"); err != nil {
		t.Error(err)
	}
}

// isTest returns an error unless the package in dir has a test of this name.
func isTest(dir, name string) error {
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), "\nfunc "+name+"(t *testing.T) {") {
			return nil
		}
	}
	return fmt.Errorf("%s has no %s", dir, name)
}
