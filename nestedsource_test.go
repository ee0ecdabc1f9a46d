package popauth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// A source that knows its proxy by a secret finds nobody behind a handler that has removed the secret: the connection's
// certificate is still the proxy's.
func TestASecretThatIsGoneMakesNobodyTheProxy(t *testing.T) {
	l := newLab(t)
	gateway := l.ca.Client("gateway")
	bySecret := func() popauth.CertificateSource {
		return byProxy(proxy.RFC9440(), proxy.TrustSecret("X-Proxy-Secret", proxySecret))
	}
	source := bySecret()
	verified, err := clientcert.Verified(source, clientcert.Verification{Roots: l.ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	own := l.guard(func(o *popauth.Options) { o.Certificate = source })
	gateways := l.issuer.Token(gateway.Bound())
	for outerName, outer := range map[string]func(http.Handler) http.Handler{
		"ClientCertificate": popauth.ClientCertificate(source), "Guard": own.Authenticate,
		"wrapped": popauth.ClientCertificate(wrapped{source}), "Verified": popauth.ClientCertificate(verified),
		"two":                          chain(popauth.ClientCertificate(source), popauth.ClientCertificate(popauth.TLSCertificateAnyHost())),
		"another request made from it": chain(popauth.ClientCertificate(source), remade),
		"WithoutHeaders":               cleaned(source), "WithoutHeaders twice": chain(cleaned(source),
			cleaned(popauth.CertificateFunc(popauth.TLSCertificate().Certificate, "Authorization-Info"))),
		"another Guard's stage between": chain(popauth.ClientCertificate(source), l.guard().Authenticate),
	} {
		for innerName, inner := range map[string]popauth.CertificateSource{
			"the same": source, "one like it": bySecret(), "wrapped": wrapped{source}, "Verified": verified,
		} {
			guard := l.guard(func(o *popauth.Options) { o.Certificate = inner })
			for stageName, stage := range map[string]func(http.Handler) http.Handler{
				"Guard": guard.Confirm, "RequireCertificate": clientcert.Require(inner, clientcert.Thumbprint(gateway.Thumbprint())),
				"ClientCertificate": chain(popauth.ClientCertificate(inner), l.guard().Confirm),
			} {
				r := overProxyTLS(gateway, gateways, clientCert(l.owner))
				r.Header.Set("X-Proxy-Secret", proxySecret)
				r.Header.Set("Authorization-Info", "x")
				if got := send(chain(outer, stage), r); got.ran {
					t.Errorf("VULNERABLE: %s by %s behind %s: everybody is the proxy", stageName, innerName, outerName)
				}
			}
		}
	}
}

// remade serves a request that is made from the one that came, on the same connection.
func remade(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own := httptest.NewRequestWithContext(r.Context(), r.Method, "http://example.com/", http.NoBody)
		own.Header.Set("Authorization", r.Header.Get("Authorization"))
		own.TLS = r.TLS
		next.ServeHTTP(w, own)
	})
}

// cleaned asks nobody, as a handler does that has asked Check.
func cleaned(source popauth.CertificateSource) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, popauth.WithoutHeaders(r, source)) })
	}
}

// Whoever comes without the proxy is still known by his own connection, however often he is asked.
func TestADirectClientIsAskedTwice(t *testing.T) {
	l := newLab(t)
	source := byProxy(proxy.RFC9440(), proxy.TrustSecret("X-Proxy-Secret", proxySecret))
	own := l.guard(func(o *popauth.Options) { o.Certificate = source })
	for name, outer := range map[string]func(http.Handler) http.Handler{
		"ClientCertificate": popauth.ClientCertificate(source), "Guard": l.guard(func(o *popauth.Options) { o.Certificate = source }).Confirm,
		"WithoutHeaders": cleaned(source),
	} {
		for who, c := range map[string]*popauthtest.Client{"owner": l.owner, "thief": l.thief} {
			r := c.Request("GET", "https://example.com/orders", l.bound())
			r.Header.Set("Client-Cert", clientCert(l.owner))
			if got := send(chain(outer, own.Confirm), r); got.ran != (who == "owner") {
				t.Errorf("%s, %s: ran %t, status %d", name, who, got.ran, got.status)
			}
		}
	}
}
