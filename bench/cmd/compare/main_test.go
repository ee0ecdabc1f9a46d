package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is in the repository is what the figures in it make, by the templates that are in it.
func TestDocumentsAreThoseOfTheFigures(t *testing.T) {
	folder := t.TempDir()
	if err := run([]string{"-from", "../../results.json", "-out", folder}, io.Discard, t.Output()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"performance.md", "performance.svg", "scale.md"} {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("../../../docs", name))
		if err != nil {
			t.Fatal(err)
		}
		// How many bytes a map needs differs between platforms.
		if name != "scale.md" && !bytes.Equal(got, want) {
			t.Errorf("docs/%s is not up to date: go run ./cmd/compare -from results.json", name)
		}
	}
}

// Measuring strangers alone rewrites the page of performance and its figures, and leaves docs/scale.md to who has changed
// what that says.
func TestOnlyHostileLeavesScale(t *testing.T) {
	folder := t.TempDir()
	saved, err := os.ReadFile("../../results.json")
	if err != nil {
		t.Fatal(err)
	}
	results := filepath.Join(folder, "results.json")
	if err := os.WriteFile(results, saved, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-only", "hostile", "-rows", "^no token$", "-short", "-cycles", "2", "-results", results, "-out", folder}
	if err := run(args, io.Discard, t.Output()); err != nil {
		t.Fatal(err)
	}
	var got []string
	all, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		got = append(got, one.Name())
	}
	if want := []string{"performance.md", "performance.svg", "results.json"}; !slices.Equal(got, want) {
		t.Errorf("files: got %q, want %q", got, want)
	}
}

// A name that fits no row measures nothing, which nobody means, and a row that was never measured has no place on the page.
func TestRowsThatAreNone(t *testing.T) {
	saved, err := os.ReadFile("../../results.json")
	if err != nil {
		t.Fatal(err)
	}
	without := filepath.Join(t.TempDir(), "results.json")
	if err := os.WriteFile(without, bytes.Replace(saved, []byte(`"Name": "no token"`), []byte(`"Name": "another"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, results, rows, want string }{
		{name: "no such row", results: "../../results.json", rows: "sunshine", want: "no row has such a name"},
		{name: "never measured", results: without, rows: "^no token$", want: "has not been measured before"},
	} {
		args := []string{"-only", "hostile", "-rows", tt.rows, "-short", "-cycles", "2", "-results", tt.results}
		if err := run(args, io.Discard, t.Output()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}
