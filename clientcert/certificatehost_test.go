package clientcert_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// b's authority names an admin of its own like a's; the request says that it is for a, over a connection for b.
func TestCertificateOfAnotherHost(t *testing.T) {
	a, b := popauthtest.NewCA(t), popauthtest.NewCA(t)
	authorities := map[string]*x509.CertPool{"a.example.com": a.Pool(), "b.example.com": b.Pool()}
	adminA, adminB := a.Client("admin"), b.Client("admin")
	l := lab.New(t)
	admin := clientcert.Subject("CN=admin")
	authorize := l.Guard().Authorize(clientcert.Policy(admin))
	for name, isHTTP2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		for gate, tt := range map[string]struct {
			wrap  func(http.Handler) http.Handler
			token bool
		}{
			"RequireCertificate": {clientcert.Require(nil, admin), false},
			"without a policy":   {clientcert.Require(nil), false},
			"TLSCertificate":     {clientcert.Require(popauth.TLSCertificate(), admin), false},
			"CallerCertificate":  {clientcert.Require(popauth.CallerCertificate(), admin), false},
			"Authorize":          {authorize, true},
			"CheckCertificate": {func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, err := clientcert.Check(r, nil, admin); err != nil {
						var e *popauth.Error
						_ = errors.As(err, &e)
						w.WriteHeader(e.Status())
						return
					}
					next.ServeHTTP(w, r)
				})
			}, false},
		} {
			t.Run(name+" "+gate, func(t *testing.T) {
				spy := &popauthtest.Spy{}
				ask := lab.ByName(t, tt.wrap(spy), isHTTP2, authorities)
				token := func(c *popauthtest.Client) string {
					if !tt.token {
						return ""
					}
					return l.Issuer.Token(c.Bound())
				}
				for _, host := range []string{"a.example.com", "A.Example.Com:8443", "a.example.com."} {
					if got := ask("a.example.com", host, adminA, token(adminA)); got != 200 {
						t.Errorf("a's admin at %s: got %d, want 200", host, got)
					}
				}
				ran := spy.Ran()
				for _, host := range []string{"a.example.com", "x.b.example.com", "127.0.0.1", "b.example.com.evil.example"} {
					if got := ask("b.example.com", host, adminB, token(adminB)); got != 421 || spy.Ran() != ran {
						t.Errorf("VULNERABLE: b's admin over b's connection at %s: got %d, ran %t, want 421", host, got, spy.Ran() != ran)
					}
				}
			})
		}
	}
}

// What a token is bound to needs no identity, so no host either; nor do roots of the route's own.
func TestBindingAtAnotherHost(t *testing.T) {
	a, b := popauthtest.NewCA(t), popauthtest.NewCA(t)
	authorities := map[string]*x509.CertPool{"a.example.com": a.Pool(), "b.example.com": b.Pool()}
	l, client := lab.New(t), b.Client("batch")
	token := l.Issuer.Token(client.Bound())
	for name, tt := range map[string]struct {
		wrap func(http.Handler) http.Handler
		want int
	}{
		"binding":    {l.Guard().Confirm, 200},
		"any host":   {clientcert.Require(popauth.TLSCertificateAnyHost(), clientcert.Subject("CN=batch")), 200},
		"thumbprint": {clientcert.Require(nil, clientcert.Thumbprint(client.Thumbprint())), 200},
		"its roots":  {clientcert.Require(lab.Verified(t, clientcert.Verification{Roots: b.Pool()})), 200},
		"a's roots":  {clientcert.Require(lab.Verified(t, clientcert.Verification{Roots: a.Pool()})), 403},
	} {
		spy := &popauthtest.Spy{}
		ask := lab.ByName(t, tt.wrap(spy), true, authorities)
		if got := ask("b.example.com", "a.example.com", client, token); got != tt.want || (spy.Ran() > 0) != (tt.want == 200) {
			t.Errorf("%s: got %d, ran %d, want %d", name, got, spy.Ran(), tt.want)
		}
	}
}

// The log has the rule and what was compared. A connection without a server name is for an IP address.
func TestMisdirectedRequests(t *testing.T) {
	l := lab.New(t)
	var log bytes.Buffer
	g := l.Guard(func(o *popauth.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for _, tt := range []struct {
		server, host string
		want         int
	}{
		{"api.example.com", "api.example.com", 200},
		{"API.example.com", "api.EXAMPLE.com.:443", 200},
		{"", "192.0.2.1", 200},
		{"", "192.0.2.1:8443", 200},
		{"", "[2001:db8::1]:8443", 200},
		{"", "2001:db8::1", 200},
		{"", "", 200},
		{"", "api.example.com", 421},
		{"", "localhost:8443", 421},
		{"", "[1].b.example.com", 421},
		{"", "[::1].b.example.com", 421},
		{"", "b.example.com:443:443", 421},
		{"", "b.example.com::443", 421},
		{"", ":x.b.example.com", 421},
		{"", "1234", 421},
		{"api.example.com", "[api.example.com].b.example.com", 421},
		{"api.example.com", "api.example.com:x.b.example.com", 421},
		{"api.example.com", "", 421},
		{"api.example.com", "192.0.2.1", 421},
		{"api.example.com", "www.example.com", 421},
		{"api.example.com", "example.com", 421},
		{"\u212a.example.com", "k.example.com", 421},
	} {
		for range 2 { // the second is remembered
			log.Reset()
			r := l.Owner.Request("GET", "/", l.Bound())
			r.TLS.VerifiedChains = [][]*x509.Certificate{{r.TLS.PeerCertificates[0], l.CA.Certificate}}
			r.TLS.ServerName, r.Host = tt.server, tt.host
			got := lab.Send(g.Authorize(clientcert.Policy(clientcert.Subject("CN=owner"))), r)
			if got.Status != tt.want || got.Ran != (tt.want == 200) || len(got.Challenges) > 0 {
				t.Errorf("server name %q, host %q: got %d, ran %t, want %d", tt.server, tt.host, got.Status, got.Ran, tt.want)
			}
			if tt.want == 421 && (!strings.Contains(log.String(), string(popauth.ErrMisdirected)) ||
				!strings.Contains(log.String(), "server name")) {
				t.Errorf("server name %q, host %q: got log %s", tt.server, tt.host, log.String())
			}
			bound := l.Owner.Request("GET", "/", l.Bound())
			bound.TLS.VerifiedChains, bound.TLS.ServerName, bound.Host = r.TLS.VerifiedChains, tt.server, tt.host
			lab.Send(g.Confirm, bound).Passed(t)
		}
	}
}

// What is remembered of a connection is so for one host: over HTTP/2 a connection carries requests for several.
func TestHostsOfOneConnection(t *testing.T) {
	l := lab.New(t)
	source := popauth.TLSCertificate() // with one memory
	gate := clientcert.Require(source)
	r := l.Owner.Request("GET", "/", "")
	r.TLS.VerifiedChains = [][]*x509.Certificate{{r.TLS.PeerCertificates[0], l.CA.Certificate}}
	for range 2 {
		for host, want := range map[string]int{"example.com": 200, "a.example.com": 421, "b.example.com": 421, "": 421} {
			r.Host = host
			if c, err := source.Certificate(r); err != nil ||
				want == 421 && !strings.Contains(c.CheckIdentity().Error(), fmt.Sprintf("host %q: open a connection for that host", host)) {
				t.Errorf("%q: got %v, %v", host, c.CheckIdentity(), err)
			}
			if got := lab.Send(gate, r); got.Status != want || got.Ran != (want == 200) {
				t.Errorf("%q: got %d, ran %t, want %d", host, got.Status, got.Ran, want)
			}
		}
	}
	// The same certificate over connections that have and have not verified it, and by another authority.
	r.Host = "example.com"
	unverified := *r.TLS
	unverified.VerifiedChains = nil
	partner := l.CA.Intermediate("Partner CA", lab.Permits(t, false))
	other := *r.TLS
	other.VerifiedChains = [][]*x509.Certificate{{r.TLS.PeerCertificates[0], partner.Certificate}}
	good := r.TLS
	for range 2 {
		r.TLS = good
		lab.Send(gate, r).Passed(t)
		r.TLS = &unverified
		lab.Send(gate, r).Refused(t, 403, "")
		r.TLS = &other
		lab.Send(gate, r).Refused(t, 403, "")
	}
}

// Nobody can take what was withheld for an identity, whoever looks.
func TestMisdirectedIsUnverified(t *testing.T) {
	l := lab.New(t)
	r := l.Owner.Request("GET", "/", "")
	r.TLS.VerifiedChains = [][]*x509.Certificate{{r.TLS.PeerCertificates[0], l.CA.Certificate}}
	good, err := popauth.TLSCertificate().Certificate(r)
	if err != nil || good.CheckIdentity() != nil || good.Verified != popauth.VerifiedByTLS || len(good.Chain) != 2 {
		t.Errorf("got %+v, %v", good, err)
	}
	r.Host = "other.example.com"
	bad, err := popauth.TLSCertificate().Certificate(r)
	if err != nil || !errors.Is(bad.CheckIdentity(), popauth.ErrMisdirected) || bad.Verified != popauth.NotVerified || bad.Chain != nil {
		t.Errorf("VULNERABLE: got %+v, %v", bad, err)
	}
	if err := (*popauth.Certificate)(nil).CheckIdentity(); !errors.Is(err, popauth.ErrCertificateRequired) {
		t.Errorf("nil: got %v", err)
	}
	err = (&popauth.Certificate{}).CheckIdentity()
	if !errors.Is(err, popauth.ErrCertificateUntrusted) || !strings.Contains(err.Error(), "without content") {
		t.Errorf("zero: got %v", err)
	}
	if err := (&popauth.Certificate{Verified: 9}).CheckIdentity(); !errors.Is(err, popauth.ErrCertificateUntrusted) {
		t.Errorf("of no meaning: got %v", err)
	}
}
