package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/seed-171ab058/popauth/cmd/popauth/internal/testbed"
)

func newServeTest() *cobra.Command {
	var asJSON, nonces bool
	c := &cobra.Command{
		Use:   "serve-test [flags]",
		Short: "Serve a throw-away issuer and a guarded API on loopback, to learn and to test with",
		Long: "serve-test makes an authority, certificates and keys, in a private directory that is removed at the end, and serves until " +
			"it\nis interrupted. " +
			"Why the API refuses is logged on standard error. Nothing outside of this machine can reach it.",
		Example: "  popauth serve-test\n" +
			"  popauth serve-test --json --nonces >bed.json &",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return serveTest(c.Context(), c.OutOrStdout(), c.ErrOrStderr(), asJSON, nonces)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print addresses and files as one line of JSON")
	c.Flags().BoolVar(&nonces, "nonces", false, "ask for a nonce in each proof")
	return c
}

func serveTest(ctx context.Context, out, errOut io.Writer, asJSON, nonces bool) (err error) {
	bed, err := testbed.New(testbed.Options{Nonces: nonces, Logger: slog.New(slog.NewTextHandler(errOut, nil))})
	if err != nil {
		return err
	}
	defer func() {
		if ended := bed.Close(); err == nil {
			err = ended
		}
	}()
	d := bed.Describe()
	if asJSON {
		err = json.NewEncoder(out).Encode(d)
	} else {
		err = describeBed(out, d)
	}
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func describeBed(out io.Writer, d testbed.Description) error {
	w := newTable(out)
	w.line("issuer", "%s", d.Issuer)
	w.line("api", "%s", d.API)
	w.line("audience", "%s", d.Audience)
	w.line("client", "%s", d.ClientID)
	for _, name := range slices.Sorted(maps.Keys(d.Files)) {
		w.line(name, "%s", d.Files[name])
	}
	w.line("tokens", "%s/tokens lists them: %v", d.Issuer, slices.Sorted(maps.Keys(d.Tokens)))
	if err := w.flush(); err != nil {
		return err
	}
	file := map[string]string{} // as a shell reads it
	for name, path := range d.Files {
		quoted, err := commandLine([]string{path})
		if err != nil {
			return err
		}
		file[name] = quoted
	}
	_, err := fmt.Fprintf(out, `
Until you press Ctrl-C these work in another terminal:

# the owner: 200
curl -i --cacert %[1]s --cert %[2]s --key %[3]s -H "Authorization: Bearer $(curl -s --cacert %[1]s %[4]s)" %[5]s/orders

# a thief with a certificate of his own: 401
curl -i --cacert %[1]s --cert %[6]s --key %[7]s -H "Authorization: Bearer $(curl -s --cacert %[1]s %[4]s)" %[5]s/orders

# a token from the token endpoint, bound to the certificate: 200
popauth call %[5]s/orders --ca %[1]s --issuer %[8]s --client-id %[9]s --cert %[2]s --key %[3]s

# a token that is bound to a key: 200
popauth call %[5]s/orders --ca %[1]s --issuer %[8]s --client-id %[9]s --client-secret-file %[10]s --dpop-key %[11]s
`, file["ca"], file["owner-cert"], file["owner-key"], d.Tokens["certificate"], d.API, file["thief-cert"], file["thief-key"],
		d.Issuer, d.ClientID, file["client-secret"], file["dpop-key"])
	return err
}
