package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// A source that knows its proxy by a secret finds nobody behind a handler that has removed the secret: the connection's
// certificate is still the proxy's.
func TestASecretThatIsGoneMakesNobodyTheProxy(t *testing.T) {
	l := lab.New(t)
	gateway := l.CA.Client("gateway")
	bySecret := func() popauth.CertificateSource {
		return lab.ByProxy(proxy.RFC9440(), proxy.TrustSecret("X-Proxy-Secret", proxySecret))
	}
	source := bySecret()
	verified, err := clientcert.Verified(source, clientcert.Verification{Roots: l.CA.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	own := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	gateways := l.Issuer.Token(gateway.Bound())
	for outerName, outer := range map[string]func(http.Handler) http.Handler{
		"ClientCertificate": popauth.ClientCertificate(source), "Guard": own.Authenticate,
		"wrapped": popauth.ClientCertificate(wrapped{source}), "Verified": popauth.ClientCertificate(verified),
		"two": lab.Chain(popauth.ClientCertificate(source),
			popauth.ClientCertificate(popauth.TLSCertificateAnyHost())),
		"another request made from it": lab.Chain(popauth.ClientCertificate(source), remade),
		"WithoutHeaders":               cleaned(source), "WithoutHeaders twice": lab.Chain(cleaned(source),
			cleaned(popauth.CertificateFunc(popauth.TLSCertificate().Certificate, "Authorization-Info"))),
		"another Guard's stage between": lab.Chain(popauth.ClientCertificate(source), l.Guard().Authenticate),
	} {
		for innerName, inner := range map[string]popauth.CertificateSource{
			"the same": source, "one like it": bySecret(), "wrapped": wrapped{source}, "Verified": verified,
		} {
			guard := l.Guard(func(o *popauth.Options) { o.Certificate = inner })
			for stageName, stage := range map[string]func(http.Handler) http.Handler{
				"Guard": guard.Confirm, "RequireCertificate": clientcert.Require(inner, clientcert.Thumbprint(gateway.Thumbprint())),
				"ClientCertificate": lab.Chain(popauth.ClientCertificate(inner), l.Guard().Confirm),
			} {
				r := overProxyTLS(gateway, gateways, lab.ClientCert(l.Owner))
				r.Header.Set("X-Proxy-Secret", proxySecret)
				r.Header.Set("Authorization-Info", "x")
				if got := lab.Send(lab.Chain(outer, stage), r); got.Ran {
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
	l := lab.New(t)
	source := lab.ByProxy(proxy.RFC9440(), proxy.TrustSecret("X-Proxy-Secret", proxySecret))
	own := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	for name, outer := range map[string]func(http.Handler) http.Handler{
		"ClientCertificate": popauth.ClientCertificate(source),
		"Guard":             l.Guard(func(o *popauth.Options) { o.Certificate = source }).Confirm,
		"WithoutHeaders":    cleaned(source),
	} {
		for who, c := range map[string]*popauthtest.Client{"owner": l.Owner, "thief": l.Thief} {
			r := c.Request("GET", "https://example.com/orders", l.Bound())
			r.Header.Set("Client-Cert", lab.ClientCert(l.Owner))
			if got := lab.Send(lab.Chain(outer, own.Confirm), r); got.Ran != (who == "owner") {
				t.Errorf("%s, %s: ran %t, status %d", name, who, got.Ran, got.Status)
			}
		}
	}
}
