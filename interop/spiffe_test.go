package interop_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const spiffeOrders, spiffeBatch = "spiffe://example.org/orders", "spiffe://example.org/batch"

func newSVID(tb testing.TB, ca *popauthtest.CA, id string) *x509svid.SVID {
	tb.Helper()
	u, err := url.Parse(id)
	if err != nil {
		tb.Fatal(err)
	}
	c := ca.Client("", func(c *x509.Certificate) {
		c.URIs, c.ExtKeyUsage = []*url.URL{u}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	}).Certificate
	return &x509svid.SVID{
		ID: spiffeid.RequireFromString(id), Certificates: []*x509.Certificate{c.Leaf}, PrivateKey: c.PrivateKey.(crypto.Signer),
	}
}

// go-spiffe's TLS configuration verifies in a full handshake alone. Behind it, Verified with the same source refuses the next
// request of an authority that was withdrawn, on resumed sessions and open connections, too.
func TestSPIFFE(t *testing.T) {
	old, next := popauthtest.NewCA(t), popauthtest.NewCA(t)
	domain := spiffeid.RequireTrustDomainFromString("example.org")
	for _, h2 := range []bool{false, true} {
		set := x509bundle.NewSet(x509bundle.FromX509Authorities(domain, []*x509.Certificate{old.Certificate, next.Certificate}))
		source, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{
			RootsFor: clientcert.Bundles(set, spiffeid.TrustDomainFromString),
		})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		mux.Handle("/tls", ok)
		mux.Handle("/verified", clientcert.Require(source, clientcert.SPIFFE(spiffeBatch))(ok))
		server := httptest.NewUnstartedServer(mux)
		server.TLS = tlsconfig.MTLSServerConfig(newSVID(t, next, spiffeOrders), set, tlsconfig.AuthorizeMemberOf(domain))
		server.EnableHTTP2 = h2
		server.StartTLS()
		t.Cleanup(server.Close)

		client := func(ca *popauthtest.CA, id string, sessions bool) *http.Client {
			config := tlsconfig.MTLSClientConfig(newSVID(t, ca, id), set, tlsconfig.AuthorizeID(spiffeid.RequireFromString(spiffeOrders)))
			config.ServerName = "orders" // without a name, httptest's own certificate comes
			if sessions {
				config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
			}
			c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: h2}}
			t.Cleanup(c.CloseIdleConnections)
			return c
		}
		ask := func(c *http.Client, path string) (status int, resumed bool) {
			resp, err := c.Get(server.URL + path)
			if err != nil {
				return 0, false // the handshake has failed
			}
			defer resp.Body.Close()
			_, _ = io.Copy(io.Discard, resp.Body)
			return resp.StatusCode, resp.TLS.DidResume
		}
		living, resuming := client(old, spiffeBatch, false), client(old, spiffeBatch, true)
		others, renewed := client(old, "spiffe://example.org/other", false), client(next, spiffeBatch, false)
		check := func(when, who string, c *http.Client, path string, want int, wantResumed bool) {
			t.Helper()
			if got, resumed := ask(c, path); got != want || resumed != wantResumed {
				t.Errorf("HTTP/2 %v, %s, %s: got %d, resumed %v, want %d, %v", h2, when, who, got, resumed, want, wantResumed)
			}
		}
		const before, after = "before", "withdrawn"
		check(before, "living", living, "/verified", http.StatusOK, false)
		check(before, "resuming", resuming, "/verified", http.StatusOK, false)
		check(before, "another ID", others, "/verified", http.StatusForbidden, false)
		check(before, "renewed", renewed, "/verified", http.StatusOK, false)

		set.Add(x509bundle.FromX509Authorities(domain, []*x509.Certificate{next.Certificate}))
		resuming.CloseIdleConnections()
		check(after, "resuming, TLS alone", resuming, "/tls", http.StatusOK, true)
		check(after, "living, TLS alone", living, "/tls", http.StatusOK, false)
		check(after, "new", client(old, spiffeBatch, false), "/tls", 0, false)
		check(after, "renewed", renewed, "/verified", http.StatusOK, false)
		check(after, "living", living, "/verified", http.StatusForbidden, false)
		resuming.CloseIdleConnections()
		check(after, "resuming", resuming, "/verified", http.StatusForbidden, true)
	}
}
