package main

import (
	"context"
	"errors"
)

// wait prints commands that work when pasted, and leaves everything up until the end of ctx.
func (w *world) wait(ctx context.Context) error {
	cert, key, batch := w.batch.WritePEM(w.dir)
	thiefCert, thiefKey, thief := w.thief.WritePEM(w.dir)
	if err := errors.Join(batch, thief); err != nil {
		return err
	}
	curl := "curl -sS --cacert " + w.path("ca.crt")
	as := func(cert, key string) string { return curl + " --cert " + cert + " --key " + key }
	w.say("\nAll of it stays up until you press Ctrl-C. Paste into another terminal:")
	w.say("\n# a token for orders-batch, by its certificate\ntoken=$(%s -d client_id=orders-batch -d %s %s | %s)",
		as(cert, key), "grant_type=client_credentials", w.keycloak.token, `sed 's/.*"access_token":"\([^"]*\)".*/\1/'`)
	for _, c := range []struct{ what, command string }{
		{"the owner: 200", as(cert, key)},
		{"a thief without certificate: 401", curl},
		{"a thief with another certificate: 401", as(thiefCert, thiefKey)},
	} {
		w.say("\n# %s\n%s -i -H \"Authorization: Bearer $token\" %s/orders", c.what, c.command, w.api.url)
	}
	w.say("\nThe switches are at %s/admin/master/console/#/orders/clients: admin, password %s", w.keycloak.base, w.secrets.admin)
	<-ctx.Done()
	return nil
}
