package layout_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// storey is how high a package stands. Imports run down only.
type storey int

const (
	mechanism storey = 1 + iota // internal/*, which knows no type of popauth
	keys                        // internal/keys, made of mechanisms
	root                        // the contract, and what every request meets
	optIn                       // implements the root's interfaces; none needs another
	outside                     // commands, examples, tests and measurements, which nothing is made of
)

func storeyOf(dir string) storey {
	switch top, below, _ := strings.Cut(dir, "/"); top {
	case ".":
		return root
	case "internal":
		switch {
		case below == "lab": // what tests of several packages share
			return outside
		case below == "keys" || strings.HasPrefix(below, "keys/"):
			return keys
		}
		return mechanism
	case "bench", "cmd", "examples", "interop", "tests":
		return outside
	default:
		return optIn
	}
}

// forbidden says why a package must not import another, or nothing where it may.
func forbidden(from, to string) string {
	a, b := storeyOf(from), storeyOf(to)
	switch {
	case b > a:
		return "runs up"
	case a == optIn && b == optIn && topOf(from) != topOf(to):
		return "joins two opt-in packages"
	default:
		return ""
	}
}

func topOf(dir string) string {
	top, _, _ := strings.Cut(dir, "/")
	return top
}

// maxLines is how long a file of the root may be; tests may be longer.
const maxLines = 350

// edge is the import of one package by another, both by directory.
type edge struct{ from, to string }

// exceptions are what is still to be done. One that isn't needed any more is an error, so that they become fewer only.
type exceptions struct {
	imports []edge
	lines   map[string]int // files over maxLines, with the number of lines that each has
}

// broken says what in t is against the rules, in the order of packages and files.
func (e exceptions) broken(t tree) []string {
	return append(e.brokenImports(t), e.brokenLines(t)...)
}

func (e exceptions) brokenImports(t tree) []string {
	var all []string
	var needed []edge
	for _, from := range slices.Sorted(maps.Keys(t.imports)) {
		for _, to := range slices.Sorted(slices.Values(t.imports[from])) {
			why := forbidden(from, to)
			switch {
			case why == "":
			case slices.Contains(e.imports, edge{from, to}):
				needed = append(needed, edge{from, to})
			default:
				all = append(all, fmt.Sprintf("%s imports %s, which %s: move what it needs to internal/, "+
					"or let the root have an interface for it", from, to, why))
			}
		}
	}
	for _, x := range e.imports {
		if !slices.Contains(needed, x) {
			all = append(all, fmt.Sprintf("%s doesn't import %s any more: delete the exception", x.from, x.to))
		}
	}
	return all
}

func (e exceptions) brokenLines(t tree) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(t.lines)) {
		got, limit := t.lines[name], max(maxLines, e.lines[name])
		if got > limit {
			all = append(all, fmt.Sprintf("%s has %d lines, at most %d are allowed: give one of its nouns a file of its own", name, got,
				limit))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.lines)) {
		switch got := t.lines[name]; {
		case got <= maxLines:
			all = append(all, fmt.Sprintf("%s has %d lines: delete the exception", name, got))
		case got < e.lines[name]:
			all = append(all, fmt.Sprintf("%s has %d lines only: lower its exception from %d", name, got, e.lines[name]))
		}
	}
	return all
}
