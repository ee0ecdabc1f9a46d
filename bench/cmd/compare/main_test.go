package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
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

// A name that fits no row measures nothing, which nobody means.
func TestRowsThatAreNone(t *testing.T) {
	args := []string{"-only", "hostile", "-rows", "sunshine", "-short", "-cycles", "2", "-results", "../../results.json"}
	if err := run(args, io.Discard, t.Output()); err == nil {
		t.Error("got no error")
	}
}
