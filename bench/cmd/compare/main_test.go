package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
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
