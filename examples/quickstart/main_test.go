package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"owner   GET /orders", "thief   GET /orders", "403 insufficient_scope",
		"token bound to another certificate"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// The commands that -serve prints are run as they stand.
func TestServe(t *testing.T) {
	for _, program := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, write, true)
		_ = write.Close()
		done <- err
	}()
	printed := &bytes.Buffer{}
	buffer := make([]byte, 4096)
	for strings.Count(printed.String(), "/orders\n") < 4 {
		n, err := read.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		printed.Write(buffer[:n])
	}
	status := ""
	for line := range strings.Lines(printed.String()) {
		if after, ok := strings.CutPrefix(strings.TrimSpace(line), "# "); ok {
			_, status, _ = strings.Cut(after, ": ")
		}
		if !strings.HasPrefix(line, "curl ") {
			continue
		}
		got, err := exec.Command("bash", "-c", line).CombinedOutput()
		if err != nil || !strings.Contains(string(got), " "+status+" ") {
			t.Errorf("%swant %s, got %v\n%s", line, status, err, got)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
