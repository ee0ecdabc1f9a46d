package clientauth_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// The headers of the proxy, its secret among them, are for the source alone: on every request, be it refused or not.
func TestHeadersOfTheSourceAreRemoved(t *testing.T) {
	const secret = "a secret of the proxy's"
	batch := popauthtest.SelfSigned(t, "batch")
	names := []string{"Client-Cert", "Client_cert", "X-Proxy-Secret"}
	look := func(where string, r *http.Request) {
		for _, name := range names {
			if len(r.Header[name]) > 0 {
				t.Errorf("%s sees %s", where, name)
			}
		}
	}
	asked := 0
	a := newAuth(t, clientauth.Options{
		Clients: clientauth.Static{"batch": {thumbprint(t, batch)}},
		Certificate: struct{ popauth.CertificateSource }{byProxy(proxy.RFC9440(), proxy.TrustPeers(netip.MustParsePrefix("192.0.2.1/32")),
			proxy.TrustSecret("X-Proxy-Secret", secret))},
		Deny: func(w http.ResponseWriter, r *http.Request, e *clientauth.Error) {
			asked++
			look("Deny", r)
			clientauth.WriteError(w, e)
		},
	})
	h := a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		look("handler", r)
		c := *batch.Request("GET", "/", "").TLS
		c.PeerCertificates = nil
		if r.TLS != nil {
			r.TLS = &c // a copy of the connection's state changes nothing
		}
		if client, err := a.Authenticate(r); r.Host == "mtls.example.com" &&
			(err != nil || client.Certificate.Thumbprint != batch.Thumbprint()) {
			t.Errorf("got %v, %v", client, err)
		}
		// Another request with this one's context has not arrived.
		other := httptest.NewRequest(http.MethodPost, "https://mtls.example.com/token", strings.NewReader(form)).WithContext(r.Context())
		other.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if client, err := a.Authenticate(other); err == nil {
			t.Errorf("VULNERABLE: another request was authenticated as %s", client.ID)
		}
	}))
	for _, tt := range []struct{ host, certificate string }{
		{"mtls.example.com", ":" + base64.StdEncoding.EncodeToString(batch.Certificate.Certificate[0]) + ":"},
		{"mtls.example.com", "junk"}, {"example.com", "junk"},
	} {
		r := post(nil, form, header("Client-Cert", tt.certificate), header("Client_cert", "x"), header("X-Proxy-Secret", secret))
		r.TLS.PeerCertificates = nil
		r.Host, r.RemoteAddr = tt.host, "192.0.2.1:4711"
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	if asked != 3 {
		t.Errorf("%d looked, want 3", asked)
	}
}
