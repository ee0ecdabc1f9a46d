package main

import (
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/seed-171ab058/popauth"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program, and of popauth in it",
		Long: "version prints the version of this program, of the package popauth in it, whose decisions it repeats, and of Go.\n" +
			"For a program of your own that uses popauth: go version -m PROGRAM, or popauth.Version in it.",
		Example: "  popauth version\n  popauth version | head -n 1",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				info = &debug.BuildInfo{}
			}
			return printVersion(c.OutOrStdout(), info, popauth.Version())
		},
	}
}

// printVersion writes a line each for what whoever reads a report of a fault asks first. What isn't known has none.
func printVersion(out io.Writer, info *debug.BuildInfo, library string) error {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	if settings["vcs.modified"] == "true" {
		revision += ", changed"
	}
	var platform string
	if settings["GOOS"] != "" {
		platform = " " + settings["GOOS"] + "/" + settings["GOARCH"]
	}
	text := fmt.Sprintf("popauth   %s\n", orUnknown(info.Main.Version))
	for _, line := range [...][2]string{
		{"package", library}, {"revision", revision}, {"of", settings["vcs.time"]}, {"Go", orUnknown(info.GoVersion) + platform},
	} {
		if line[1] != "" {
			text += fmt.Sprintf("%-9s %s\n", line[0], line[1])
		}
	}
	_, err := io.WriteString(out, text)
	return err
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
