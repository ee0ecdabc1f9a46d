package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-171ab058/popauth/internal/counterpart"
)

// commands are all that this program has, but for what cobra adds.
func commands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if sub.Name() != "completion" && sub.Name() != "help" {
			all = append(all, commands(sub)...)
		}
	}
	return all
}

const (
	screenLines   = 40
	screenColumns = 140
)

// The help of each command fits on a screen, and has two examples whose flags exist.
func TestHelp(t *testing.T) {
	for _, c := range commands(newRoot()) {
		path := strings.Fields(c.CommandPath())
		_, out, errOut := (&lab{T: t}).run("", append(path[1:], "--help")...)
		if n := strings.Count(out, "\n"); n == 0 || n > screenLines {
			t.Errorf("%s: %d lines, want at most %d%s", c.CommandPath(), n, screenLines, errOut)
		}
		for line := range strings.Lines(out) {
			if len([]rune(line)) > screenColumns {
				t.Errorf("%s: %d columns, want at most %d: %s", c.CommandPath(), len(line), screenColumns, line)
			}
		}
		if !c.HasParent() {
			continue
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: got the summary %q, want one without a full stop", c.CommandPath(), c.Short)
		}
		examples := strings.Count(c.Example, "  "+c.CommandPath()+" ") + strings.Count(c.Example, "  "+c.CommandPath()+"\n")
		if examples != 2 {
			t.Errorf("%s: %d examples, want 2", c.CommandPath(), examples)
		}
		for word := range strings.FieldsSeq(c.Example) {
			if name, ok := strings.CutPrefix(word, "--"); ok && c.Flags().Lookup(name) == nil {
				t.Errorf("%s: its example has --%s, which there isn't", c.CommandPath(), name)
			}
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: --%s says nothing of itself", c.CommandPath(), f.Name)
			}
		})
	}
}

// The manual has a page for each command, which a formatter takes if there is one.
func TestMan(t *testing.T) {
	dir := t.TempDir()
	if status, _, errOut := (&lab{T: t}).run("", "man", dir); status != exitOK {
		t.Fatal(errOut)
	}
	for _, c := range commands(newRoot()) {
		if c.Hidden {
			continue
		}
		page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		if c.HasParent() && !strings.Contains(string(page), ".SH EXAMPLE") {
			t.Errorf("%s: its page has no examples", c.CommandPath())
		}
	}
	if status, _, errOut := (&lab{T: t}).run("", "man", filepath.Join(dir, "none")); status != exitUsage || !strings.Contains(errOut,
		"none") {
		t.Errorf("no such directory: got %d, %s", status, errOut)
	}
}

// The completions are what their shells can read.
func TestCompletion(t *testing.T) {
	counterpart.Need(t, "bash")
	_, script, errOut := (&lab{T: t}).run("", "completion", "bash")
	cmd := exec.Command("bash", "-n")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(script, "popauth") {
		t.Errorf("got %v, %s%s", err, out, errOut)
	}
	for _, shell := range []string{"zsh", "fish", "powershell"} {
		if _, out, errOut := (&lab{T: t}).run("", "completion", shell); !strings.Contains(out, "popauth") {
			t.Errorf("%s: got %s%s", shell, out, errOut)
		}
	}
	if _, out, _ := (&lab{T: t}).run("", "__complete", "proxy", ""); !strings.Contains(out, "haproxy") {
		t.Errorf("got %s, want the proxies", out)
	}
}
