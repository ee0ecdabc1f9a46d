// Popauth says what a token, a proof, a key or a certificate is, and why an API refuses it: by the very decision of package popauth.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// The exit statuses.
const (
	exitOK      = 0
	exitRefused = 1 // explain: the request would be refused
	exitUsage   = 2 // nothing was decided: a file, a flag, a server
)

// refusedError says that a command has done what it was asked, and the answer is no.
type refusedError struct{ error }

func run(args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	if refused, ok := err.(refusedError); ok { //nolint:errorlint // cobra returns it as it is
		_, _ = fmt.Fprintln(errOut, refused)
		return exitRefused
	}
	_, _ = fmt.Fprintln(errOut, "popauth:", err)
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "popauth",
		Short: "Say what tokens, proofs, keys and certificates are, and why an API refuses them",
		Long: "popauth reads access tokens that are bound to a key, by a client certificate (RFC 8705) or by DPoP (RFC 9449).\n" +
			"It sends nothing anywhere, unless a URL or --issuer says so, and never prints a token or a private key.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	root.AddCommand(newThumbprint(), newInspect(), newExplain(), newProxy(), newVersion())
	return root
}
