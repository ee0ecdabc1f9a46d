package stranger

import (
	"crypto/tls"
	"io"
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// One request of the owner, and one of a thief, over real TLS.
func TestGuard(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	owner, thief := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief")
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	server := popauthtest.NewServer(t, guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ran")
	})), func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert })
	token := issuer.Token(owner.Bound())
	for _, caller := range []struct {
		name   string
		client *popauthtest.Client
		status int
		body   string
	}{{"owner", owner, http.StatusOK, "ran"}, {"thief", thief, http.StatusUnauthorized, ""}} {
		r, err := http.NewRequest(http.MethodGet, server.URL+"/orders", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := caller.client.HTTP(server).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != caller.status || string(body) != caller.body {
			t.Errorf("%s: got %d, %q, want %d, %q", caller.name, answer.StatusCode, body, caller.status, caller.body)
		}
	}
}
