package forwardauth_test

import (
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/proxy"
)

// The secret of the proxy is for the rule of trust alone, whether the proxy reports certificates or not.
func TestNobodyElseSeesTheSecret(t *testing.T) {
	for name, source := range map[string]popauth.CertificateSource{
		"with certificates": byProxy(proxy.Traefik(), proxyPeer...), "without": nil,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.o.Guard.Certificate = source
			asked := 0
			look := func(where string, r *http.Request) {
				asked++
				for _, header := range []string{"X-Proxy-Secret", "X_proxy_secret"} {
					if len(r.Header[header]) > 0 {
						t.Errorf("%s sees %s", where, header)
					}
				}
			}
			l.o.Guard.Deny = func(w http.ResponseWriter, r *http.Request, e *popauth.Error) {
				look("Deny", r)
				w.WriteHeader(e.Status())
			}
			policy := popauth.PolicyFunc(func(r *http.Request, _ *popauth.Principal) error { look("PolicyFunc", r); return nil })
			h := l.endpoint().Authorize(policy)
			alias := header("X_proxy_secret", "x")
			l.answer(h, l.asked(alias, header("Authorization", "Bearer "+l.issuer.Token())))
			l.answer(h, l.asked(alias, header("Authorization", "Bearer x")))
			l.answer(h, l.asked(alias, header("X-Forwarded-Uri", ""))) // refused before the Guard
			if asked != 3 {
				t.Errorf("%d looked, want 3", asked)
			}
		})
	}
}
