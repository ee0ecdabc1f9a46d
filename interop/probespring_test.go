//go:build unix

package interop_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// What popauth probe finds in an API of Spring Security's with mutual TLS and DPoP. With the validators that Spring Boot sets up there
// is nothing that lets a thief in but a Host that the sender writes; a validator that is set instead of them has to compare the
// thumbprint itself.
func TestProbeSpring(t *testing.T) {
	springLibraries(t)
	s := newAuthorizationServer(t)
	p := &probed{T: t, issuer: popauthtest.NewIssuer(t, "ES256"), ca: s.ca, dir: t.TempDir(), typ: "JWT"}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(p.issuer.JWKS()) }))
	t.Cleanup(keys.Close)
	address, ready := startSpringAPI(t, s, p.issuer.URL, keys.URL, "--test.audience="+structured)
	ofATJWT, readyToo := startSpringAPI(t, s, p.issuer.URL, keys.URL, "--test.audience="+structured, "--test.at-jwt=true")
	ready()
	p.finds("https://"+address+"/orders", p.byCertificate(structured),
		[]string{"authorization-twice", "token-malleable", "challenge-error-status"},
		[]string{"certificate-missing", "certificate-other", "certificate-resumed", "header-envoy", "token-alg-none"})
	p.finds("https://"+address+"/orders", p.byKey(structured),
		[]string{"token-malleable", "proof-method-letters", "proof-host-header", "challenge-scheme", "challenge-error-status"},
		[]string{"dpop-as-bearer", "proof-other-key", "proof-path", "replay", "replay-at-once"})
	readyToo()
	p.typ = "at+jwt"
	p.finds("https://"+ofATJWT+"/orders", append(p.byCertificate(structured), "--checks", "certificate-missing,no-token"),
		[]string{"certificate-missing"}, []string{"no-token"})
}
