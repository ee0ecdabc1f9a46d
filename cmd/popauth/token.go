package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/oauth2"
)

func newToken() *cobra.Command {
	var c client
	var file string
	cmd := &cobra.Command{
		Use:   "token --issuer ISSUER --client-id ID [flags]",
		Short: "Get a token that is bound to a certificate or a key, and say what it is",
		Long: "token asks by client_credentials (RFC 6749, section 4.4). The exchange goes to standard error, what the token says to " +
			"standard output.",
		Example: "  popauth token --issuer https://id.example.com --client-id batch --cert client.crt --key client.key --out token.txt\n" +
			"  popauth token --issuer https://id.example.com --client-id batch --client-secret-file secret --dpop-key dpop.pem --out " +
			"token.txt",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.printToken(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), file)
		},
	}
	c.flags(cmd.Flags())
	cmd.Flags().StringVarP(&file, "out", "o", "", "file for the token, which only you may read")
	return cmd
}

func (c *client) printToken(ctx context.Context, in io.Reader, out, errOut io.Writer, file string) error {
	h, err := c.holder(ctx, in, errOut, nil)
	if err != nil {
		return err
	}
	from, err := h.obtain(ctx, nil)
	if err != nil {
		return err
	}
	t, err := from.token(ctx)
	if err != nil {
		return err
	}
	h.compare(t.AccessToken)
	if file != "" {
		if err := writePrivate(file, []byte(t.AccessToken)); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	if c.secrets && file == "" {
		_, err = fmt.Fprintln(out, t.AccessToken) // alone, for the next program
		return err
	}
	return c.describe(out, t, file)
}

func (c *client) describe(out io.Writer, t *oauth2.Token, file string) error {
	w := newTable(out)
	switch {
	case file != "":
		w.line("token", "in %s", file)
	default:
		w.line("token", "%s: --out FILE writes it, --show-secrets prints it", cut(t.AccessToken))
	}
	w.line("type", "%s", t.TokenType)
	if !t.Expiry.IsZero() {
		w.line("expires", "%s, %s", t.Expiry.UTC().Format(time.RFC3339), relative(t.Expiry, time.Now()))
	}
	if !isToken([]byte(t.AccessToken)) {
		w.line("", "opaque: only its issuer knows what it says")
		return w.flush()
	}
	if err := inspectJWT(w, t.AccessToken, time.Now()); err != nil {
		w.line("odd", "%v", err)
	}
	return w.flush()
}

// compare warns of a token that is bound to something else than what will be shown with it.
func (h *holder) compare(token string) {
	t := h.transcript
	if !isToken([]byte(token)) {
		return
	}
	p, err := splitJWT(token)
	if err != nil {
		return
	}
	for _, resource := range h.client.resources {
		if aud := plain(p.claims["aud"]); aud != resource && !strings.Contains(aud, `"`+resource+`"`) {
			t.print("warning: the token is for %s, and not for the resource %s: the server has to set its aud\n", aud, resource)
		}
	}
	cnf, _ := p.claims["cnf"].(map[string]any)
	if len(cnf) == 0 {
		t.print("warning: the token has no cnf: it is bound to nothing, and good in any hands\n")
		return
	}
	if want := text(cnf["x5t#S256"]); want != "" {
		switch {
		case h.leaf == nil:
			t.print("warning: the token is bound to the certificate %s: give --cert\n", want)
		case x5t(h.leaf) != want:
			t.print("warning: the token is bound to the certificate %s, and %s is %s: an API must refuse it\n", want, h.client.cert,
				x5t(h.leaf))
		}
	}
	if want := text(cnf["jkt"]); want != "" {
		switch {
		case h.key == nil:
			t.print("warning: the token is bound to the key %s: give --dpop-key\n", want)
		case h.key.Thumbprint() != want:
			t.print("warning: the token is bound to the key %s, and that of the proofs is %s: an API must refuse it\n", want,
				h.key.Thumbprint())
		}
	}
}

// writePrivate writes a file that only its owner may read, whole or not at all. What has the name already is replaced.
func writePrivate(file string, content []byte) error {
	if file == "-" {
		return errors.New("got -, want a file: --show-secrets prints it")
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".popauth-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
