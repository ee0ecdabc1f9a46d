package popauth_test

import (
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth"
)

// A decision counts behind a handler that has found the certificate of the same request, and not where the request was
// another connection's in between.
func TestDecisionBehindAnotherConnection(t *testing.T) {
	a := newDPoPAPI(t, popauth.DPoP{}, func(o *popauth.Options) { o.Certificate = popauth.TLSCertificate() })
	certificate := popauth.ClientCertificate(popauth.TLSCertificate())
	connection := func(c *tls.ConnectionState, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.WithContext(r.Context())
			r.TLS = c
			next.ServeHTTP(w, r)
		})
	}
	r := a.request()
	a.handler = certificate(a.guard.Confirm(certificate(a.guard.Confirm(a.spy))))
	a.accept(t, r)
	r = a.request()
	other := *r.TLS
	a.handler = certificate(a.guard.Confirm(connection(&other, certificate(connection(r.TLS, certificate(a.guard.Confirm(a.spy)))))))
	before := a.spy.Ran()
	if w := a.serve(r); w.Code != http.StatusUnauthorized || a.spy.Ran() != before {
		t.Errorf("VULNERABLE: got %d, ran %d: the decision about another connection", w.Code, a.spy.Ran()-before)
	}
}
