package forwardauth_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/oddcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// The owner of a certificate that Go can't parse is served, and nobody else by it; it is an identity for nobody.
func TestCertificatesThatGoCantParse(t *testing.T) {
	l, ca := newLab(t), popauthtest.NewCA(t)
	odd, err := oddcert.Issue(ca.Certificate, ca.Key, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	e := l.endpoint()
	for _, o := range odd {
		client := &popauthtest.Client{Certificate: o.Certificate}
		shows := func(c *popauthtest.Client) func(*http.Request) {
			return func(r *http.Request) {
				r.Header.Set("X-Forwarded-Tls-Client-Cert", base64.StdEncoding.EncodeToString(c.Certificate.Certificate[0]))
				r.Header.Set("Authorization", "Bearer "+l.issuer.Token(client.Bound()))
			}
		}
		if got := l.answer(e.Confirm(), l.asked(shows(client))).StatusCode; got != 200 {
			t.Errorf("%s: got %d %v, want 200", o.Name, got, l.reason)
		}
		if l.answer(e.Confirm(), l.asked(shows(l.owner))); !errors.Is(l.reason, popauth.ErrCertificateMismatch) {
			t.Errorf("VULNERABLE: %s: another certificate: got %v", o.Name, l.reason)
		}
		if l.answer(e.Authorize(clientcert.Policy(clientcert.Subject("CN=admin"))), l.asked(shows(client))); !errors.Is(l.reason,
			popauth.ErrCertificateUntrusted) ||
			!strings.Contains(l.reason.Error(), "certificate that Go can't parse: ") {
			t.Errorf("%s: its name: got %v", o.Name, l.reason)
		}
	}
}
