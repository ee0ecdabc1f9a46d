package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// serve writes what curl needs into a directory, prints commands that work when pasted, and waits.
func (w *world) serve(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "popauth-quickstart-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ca, token := filepath.Join(dir, "api-ca.crt"), filepath.Join(dir, "owner.token")
	for file, content := range map[string]string{
		ca: string(w.authority.PEM()), token: w.bound,
		filepath.Join(dir, "unbound.token"): w.unbound, filepath.Join(dir, "expired.token"): w.expired,
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return err
		}
	}
	ownerCert, ownerKey, err := w.owner.WritePEM(dir)
	if err != nil {
		return err
	}
	thiefCert, thiefKey, err := w.thief.WritePEM(dir)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "\nThe API stays up until you press Ctrl-C. Paste into another terminal:\n")
	for _, c := range []struct{ what, cert, key, token string }{
		{"the owner: 200", ownerCert, ownerKey, token},
		{"a thief without certificate: 401", "", "", token},
		{"a thief with another certificate: 401", thiefCert, thiefKey, token},
		{"an unbound token: 401", ownerCert, ownerKey, filepath.Join(dir, "unbound.token")},
	} {
		_, _ = fmt.Fprintf(out, "\n# %s\ncurl -i --cacert %s", c.what, ca)
		if c.cert != "" {
			_, _ = fmt.Fprintf(out, " --cert %s --key %s", c.cert, c.key)
		}
		_, _ = fmt.Fprintf(out, " -H \"Authorization: Bearer $(cat %s)\" %s/orders\n", c.token, w.api.URL)
	}
	<-ctx.Done()
	return nil
}
