package pages_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of modules into docs/dependencies.md")

// modulesOfUsers are those that somebody imports or installs.
var modulesOfUsers = []string{".", "redisreplay", "otelpopauth", "mcpsession", "cmd/popauth"}

// licences are told by a sentence of their texts. One that is not here has to be read by somebody.
var licences = []struct{ name, sentence string }{
	{"Apache-2.0", "Apache License Version 2.0"},
	{"MPL-2.0", "Mozilla Public License, version 2.0"},
	{"BSD-3-Clause", "may be used to endorse or promote products derived from"},
	{"BSD-2-Clause", "Redistributions in binary form must reproduce"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software"},
	{"MIT", "Permission is hereby granted, free of charge"},
}

// The page names every module that is built in, with its licence, and every requirement of the root with a reason.
func TestDependencies(t *testing.T) {
	const page = "../../docs/dependencies.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), "<!-- modules -->\n")
	written, after, _ := strings.Cut(rest, "<!-- end -->\n")
	for line := range strings.Lines(string(mod)) {
		fields := strings.Fields(line)
		if len(fields) == 2 && strings.Contains(fields[0], ".") && !strings.Contains(before, "| "+fields[0]+" | ") {
			t.Errorf("docs/dependencies.md gives no reason for %s", fields[0])
		}
	}
	for line := range strings.Lines(before) {
		fields := strings.Fields(line)
		if len(fields) > 2 && strings.Contains(fields[1], "/") && !strings.Contains(string(mod), "\t"+fields[1]+" ") {
			t.Errorf("go.mod doesn't require %s", fields[1])
		}
	}
	if got := builtIn(t); got != written {
		if *update {
			if err := os.WriteFile(page, []byte(before+"<!-- modules -->\n"+got+"<!-- end -->\n"+after), 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
		t.Errorf("docs/dependencies.md says something else than is built in; once it is meant: go test ./tests/pages -update\n%s", got)
	}
}

// builtIn is the table of modules from which packages are built into those of users.
func builtIn(t *testing.T) string {
	t.Helper()
	users, dirs := map[string][]string{}, map[string]string{}
	for _, module := range modulesOfUsers {
		cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}\t{{.Dir}}{{end}}", "./...")
		cmd.Dir = filepath.Join("..", "..", filepath.FromSlash(module))
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
		out, err := cmd.Output()
		if err != nil {
			t.Skipf("go list in %s: %v", module, err) // no network for its modules
		}
		for line := range strings.Lines(string(out)) {
			name, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
			if name == "" || strings.HasPrefix(name, "github.com/seed-171ab058/popauth") || slices.Contains(users[name], module) {
				continue
			}
			users[name], dirs[name] = append(users[name], module), dir
		}
	}
	var b strings.Builder
	b.WriteString("| module | licence | built into |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(users)) {
		in := strings.Join(users[name], ", ")
		if len(users[name]) == len(modulesOfUsers) {
			in = "all"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, licenceOf(t, dirs[name]), strings.Replace(in, ".", "popauth", 1))
	}
	return b.String()
}

func licenceOf(t *testing.T, dir string) string {
	t.Helper()
	for _, name := range []string{"LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		flat := strings.Join(strings.Fields(string(text)), " ")
		for _, l := range licences {
			if strings.Contains(flat, l.sentence) {
				return l.name
			}
		}
	}
	t.Errorf("%s: no licence that is known here: read it, and say whether it may be built in", dir)
	return "?"
}
