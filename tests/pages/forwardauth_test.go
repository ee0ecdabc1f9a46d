package pages_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/proxy"
)

func anyLanguage(secret string, nginx netip.Prefix) (*http.Server, string, error) {
	var bad error
	// …
	check := func(err error) {
		if err != nil && bad == nil {
			bad = err
		}
	}
	proofs, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com"}) // the API, as its clients call it
	// …
	check(err)
	format := proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify")
	trust := []proxy.Trust{proxy.TrustPeers(nginx), proxy.TrustSecret("X-Proxy-Secret", secret)}
	peer, err := proxy.Trusted(trust...)
	// …
	check(err)
	source, err := proxy.Certificate(format, trust...)
	// …
	check(err)
	endpoint, err := forwardauth.New(forwardauth.Options{
		Guard: popauth.Options{
			Issuer:      "https://id.example.com",
			Audience:    []string{"https://api.example.com"},
			Certificate: source,
			Confirmers:  []popauth.Confirmer{popauth.MutualTLS{}, proofs},
		},
		Headers: forwardauth.Nginx(),
		Proxy:   peer,
		Claims:  map[string]string{"X-Auth-Tenant": "tenant"}, // in the file, too
	})
	// …
	check(err)
	read, admin := popauth.Scope("orders.read"), popauth.Scope("orders.admin")
	site := forwardauth.Site{
		Endpoint: endpoint, Format: format, Secret: secret,
		Routes: []forwardauth.Route{ // whole segments, the longest counts, the rest gets 404
			{Path: "/orders", Handler: endpoint.Authorize(popauth.Bound(), read)},
			{Path: "/orders/admin", Handler: endpoint.Authorize(popauth.Bound(), admin)},
		},
		Listen: "443", API: []string{"127.0.0.1:8080"}, Service: []string{"127.0.0.1:9090"},
		Certificate: "/etc/ssl/server.crt", Key: "/etc/ssl/server.key", Clients: "/etc/ssl/clients-ca.crt",
	}
	file, err := site.Nginx() // has the secret in it
	// …
	check(err)
	service, err := site.Handler()
	// …
	check(err)
	server := &http.Server{ // no RequestLine.Handler: the endpoint asks for one reading itself
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		Handler:           service,
		ConnContext:       proxy.ConnContext,
	}
	return server, file, bad
}

// The page's service refuses who isn't the proxy, and its file has the page's names.
func TestAnyLanguage(t *testing.T) {
	server, file, err := anyLanguage("0123456789abcdef", netip.MustParsePrefix("10.0.4.7/32"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"X-Auth-Tenant", "/orders/admin", "X-Ssl-Client-Cert", `"0123456789abcdef"`} {
		if !strings.Contains(file, want) {
			t.Errorf("the file has no %s", want)
		}
	}
	w := httptest.NewRecorder()
	server.Handler.ServeHTTP(w, httptest.NewRequest("GET", "/auth", http.NoBody))
	if w.Code != http.StatusForbidden {
		t.Errorf("a stranger: got %d, want 403", w.Code)
	}
}
