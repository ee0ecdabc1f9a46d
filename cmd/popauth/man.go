package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newMan is for whoever packages this program: it isn't among the commands that are listed.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write the manual pages into a directory",
		Hidden:  true,
		Example: "  popauth man man1\n  popauth man /usr/local/share/man/man1",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			info, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			if !info.IsDir() {
				return fmt.Errorf("%s: want a directory", args[0])
			}
			c.Root().DisableAutoGenTag = true // a page says the same whenever it is made
			return doc.GenManTree(c.Root(), &doc.GenManHeader{Title: "POPAUTH", Section: "1", Source: "popauth", Manual: "popauth"},
				args[0])
		},
	}
}
