// Popauth says what a token, a proof, a key or a certificate is, and why an API refuses it: by the very decision of package popauth.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), append(hangup(), os.Interrupt, syscall.SIGTERM)...)
	context.AfterFunc(ctx, func() {
		stop() // a second one ends the program at once
		time.Sleep(grace)
		os.Exit(exitUsage)
	})
	status := runIn(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// grace is how long a command has to clean up after a signal. One that reads a pipe, or is busy, doesn't hear of it.
const grace = 3 * time.Second

// The exit statuses.
const (
	exitOK      = 0
	exitRefused = 1 // explain: the request would be refused
	exitUsage   = 2 // nothing was decided: a file, a flag, a server
)

// refusedError says that a command has done what it was asked, and the answer is no.
type refusedError struct{ error }

func run(args []string, in io.Reader, out, errOut io.Writer) int {
	return runIn(context.Background(), args, in, out, errOut)
}

func runIn(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if refused, ok := err.(refusedError); ok { //nolint:errorlint // cobra returns it as it is
		_, _ = fmt.Fprintln(errOut, printable(refused))
		return exitRefused
	}
	_, _ = fmt.Fprintln(errOut, "popauth:", printable(err))
	return exitUsage
}

// printable is an error's text, of which a server or a file may have chosen a part, in its lines.
func printable(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = shown(lines[i])
	}
	return strings.Join(lines, "\n")
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
	root.AddCommand(newThumbprint(), newInspect(), newExplain(), newProbe(), newToken(), newCall(), newServeTest(), newProxy(), newMan(),
		newVersion())
	return root
}
