// Command release makes of this tree the modules that others import and install. .ci/release calls it:
//
//	release tags VERSION TREE           prints the modules' tags, each after those of the modules that it requires
//	release form VERSION TREE           writes go.mod and go.sum as they are at the version
//	release back VERSION TREE           has modules find each other in the tree again, and require the version
//	release proxy VERSION TREE DIR      writes a module proxy of files
//	release check REPOSITORY            holds every tag of a version to what others can use
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/seed-171ab058/popauth/tests/stranger/release"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var command string
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch {
	case command == "tags" && len(args) == 2:
		return tags(args[0], args[1])
	case command == "form" && len(args) == 2:
		return release.Form(args[1], args[0])
	case command == "back" && len(args) == 2:
		return release.Back(args[1], args[0])
	case command == "proxy" && len(args) == 3:
		return release.Publish(args[1], args[0], args[2])
	case command == "check" && len(args) == 1:
		tags, err := release.CheckTags(args[0])
		for _, tag := range tags {
			fmt.Println("checked", tag)
		}
		return err
	}
	return errors.New("want tags, form or back with VERSION TREE, proxy with VERSION TREE DIR, or check with REPOSITORY")
}

func tags(version, tree string) error {
	modules, err := release.Modules(tree)
	if err != nil {
		return err
	}
	for _, m := range modules {
		fmt.Println(m.Tag(version))
	}
	return nil
}
