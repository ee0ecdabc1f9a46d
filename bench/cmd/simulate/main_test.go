package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	name := filepath.Join(t.TempDir(), "scale.md")
	var out bytes.Buffer
	if err := run([]string{"-results", "../../results.json", "-instances", "100", "-seed", "2", "-out", name}, &out); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(written, out.Bytes()) {
		t.Errorf("what is written is not what is printed: %v", err)
	}
	for _, want := range []string{"100 instances, seed 2", "## A key rotation"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, bad := range []string{"NaN", "Inf", "<no value>", "%!"} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("%s in what is written", bad)
		}
	}
	if err := run([]string{"-instances", "0"}, &out); err == nil {
		t.Error("no instances: got no error")
	}
}
