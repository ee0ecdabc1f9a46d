// Command signatures prints what packages offer those who import them, one signature a line and nothing else, sorted:
// constants with their values, variables, functions, types, their fields and methods. It is given the directories of modules:
//
//	go run ./internal/signatures . redisreplay
//
// A type that users can't name, since it isn't exported or is internal, is listed as well where something exported hands one
// out or has it as a field, for its exported fields and methods can be used.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

func main() {
	all, err := ofModules(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "signatures:", err)
		os.Exit(1)
	}
	for _, line := range all {
		fmt.Println(line)
	}
}

func ofModules(dirs []string) ([]string, error) {
	type answer struct {
		lines []string
		err   error
	}
	answers := make([]chan answer, len(dirs))
	for i, dir := range dirs {
		answers[i] = make(chan answer, 1)
		go func() {
			lines, err := ofModule(dir)
			answers[i] <- answer{lines, err}
		}()
	}
	var all []string
	var errs []error
	for i, dir := range dirs {
		a := <-answers[i]
		all = append(all, a.lines...)
		if a.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", dir, a.err))
		}
	}
	slices.Sort(all)
	// Packages of several modules may hand out the same type that users can't name.
	return slices.Compact(all), errors.Join(errs...)
}

func ofModule(dir string) ([]string, error) {
	all, err := list(dir)
	if err != nil {
		return nil, err
	}
	l, p := lister{public: map[string]bool{}}, newProgram(all)
	for _, found := range all {
		if found.public() {
			l.public[found.ImportPath] = true
		}
	}
	for path := range l.public {
		pkg, err := p.Import(path)
		if err != nil {
			return nil, err
		}
		l.add(pkg)
	}
	return l.lines, nil
}

// project is the root module's path, which every package's begins with.
const project = "github.com/seed-171ab058/popauth"

func ofProject(path string) bool { return path == project || strings.HasPrefix(path, project+"/") }
