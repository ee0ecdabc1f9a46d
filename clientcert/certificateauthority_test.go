package clientcert_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

func named(n pkix.Name) func(*x509.Certificate) { return func(c *x509.Certificate) { c.Subject = n } }

// A partner's authority names somebody whom it has no right to name.
func TestNameConstraints(t *testing.T) {
	email := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	root := popauthtest.NewCA(t)
	mail := func(c *x509.Certificate) {
		c.PermittedEmailAddresses, c.PermittedDNSDomainsCritical = []string{"partner.example"}, true
	}
	dns := func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"partner.example"}, true
	}
	for _, tt := range []struct {
		name      string
		authority func(*x509.Certificate)
		subject   pkix.Name
		policy    string
		want      int
		tls       bool // crypto/tls lets it in
	}{
		{"not permitted", lab.Permits(t, false), pkix.Name{CommonName: "admin", Organization: []string{"Example"}},
			"CN=admin,O=Example", 403, true},
		{"permitted", lab.Permits(t, false), pkix.Name{CommonName: "own", Organization: []string{"Partner"}}, "CN=own,O=Partner", 200,
			true},
		{"critical, not permitted", lab.Permits(t, true), pkix.Name{CommonName: "admin", Organization: []string{"Example"}},
			"CN=admin,O=Example", 403, false},
		{"critical, permitted", lab.Permits(t, true), pkix.Name{CommonName: "own", Organization: []string{"Partner"}}, "CN=own,O=Partner",
			200, false},
		{"mail address in the subject", mail, pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "x"},
			{Type: email, Value: asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte("boss@example.com")}},
		}}, "1.2.840.113549.1.9.1=boss@example.com,CN=x", 403, true},
		{"host as common name", dns, pkix.Name{CommonName: "api.example.com"}, "CN=api.example.com", 403, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := root.Intermediate("Partner CA", tt.authority).Client("x", named(tt.subject))
			policy := clientcert.Subject(tt.policy)
			required(t, clientcert.Verification{Roots: root.Pool()}, client.Request("GET", "/", ""), policy).Is(t, tt.want)
			if !tt.tls {
				return
			}
			l := lab.New(t)
			var log bytes.Buffer
			g := l.Guard(func(o *popauth.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			spy := &popauthtest.Spy{}
			mux := http.NewServeMux()
			mux.Handle("/route", clientcert.Require(nil, policy)(spy))
			mux.Handle("/guard", g.Authorize(clientcert.Policy(policy))(spy))
			mux.Handle("/bound", g.Confirm(http.NotFoundHandler()))
			server := popauthtest.NewServer(t, mux, func(c *tls.Config) {
				c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, root.Pool()
			})
			for path, want := range map[string]int{"/route": tt.want, "/guard": tt.want, "/bound": 404} {
				r, err := http.NewRequest("GET", server.URL+path, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+l.Issuer.Token(client.Bound()))
				answer, err := client.HTTP(server).Do(r)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				if answer.StatusCode != want {
					t.Errorf("%s: got %d, want %d", path, answer.StatusCode, want)
				}
			}
			if ran := spy.Ran() > 0; ran != (tt.want == 200) {
				t.Errorf("VULNERABLE: ran %t", ran)
			}
			if tt.want == 403 && !strings.Contains(log.String(), "name constraints of") {
				t.Errorf("got log %s, want the rule and what was compared", log.String())
			}
		})
	}
}

func spiffe(id string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		u, err := url.Parse(id)
		if err != nil {
			panic(err)
		}
		c.URIs, c.DNSNames = []*url.URL{u}, []string{"admin.a.example"}
	}
}

// One pool for two trust domains: each authority could name the other's workloads.
func TestTrustDomains(t *testing.T) {
	a, b := popauthtest.NewCA(t), popauthtest.NewCA(t)
	both := a.Pool()
	both.AddCert(b.Certificate)
	const id = "spiffe://a.example/admin"
	own, foreign := a.Client("admin", spiffe(id)), b.Client("admin", spiffe(id))
	policies := map[string]clientcert.Match{
		"SPIFFE": clientcert.SPIFFE(id), "URI": clientcert.URI(id), "one of two URIs": clientcert.URI("https://a.example/", id),
	}
	domains := map[string]*x509.CertPool{"a.example": a.Pool(), "b.example": b.Pool()}
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			pooled := clientcert.Verification{Roots: both}
			required(t, pooled, own.Request("GET", "/", ""), policy).Is(t, 403)
			required(t, pooled, foreign.Request("GET", "/", ""), policy).Is(t, 403)
			byTLS := foreign.Request("GET", "/", "")
			byTLS.TLS.VerifiedChains = [][]*x509.Certificate{{byTLS.TLS.PeerCertificates[0], b.Certificate}}
			lab.Send(clientcert.Require(nil, policy), byTLS).Refused(t, 403, "")

			split := clientcert.Verification{TrustDomains: domains, Roots: both}
			required(t, split, own.Request("GET", "/", ""), policy).Is(t, 200)
			required(t, split, foreign.Request("GET", "/", ""), policy).Is(t, 403)
			chosen := clientcert.Verification{RootsFor: func(_ *http.Request, c *x509.Certificate) (*x509.CertPool, error) {
				return domains[c.URIs[0].Host], nil
			}}
			required(t, chosen, own.Request("GET", "/", ""), policy).Is(t, 200)
			required(t, chosen, foreign.Request("GET", "/", ""), policy).Is(t, 403)
		})
	}
	split := clientcert.Verification{TrustDomains: domains, Roots: both}
	for name, c := range map[string]*popauthtest.Client{
		"of an unknown trust domain": a.Client("x", spiffe("spiffe://c.example/x")),
		"two IDs":                    a.Client("x", alternative(general(6, id), general(6, "https://x.example/"))),
		"in another spelling":        a.Client("x", alternative(general(6, "SPIFFE://a.example/admin"))),
		"a trust domain's own":       a.Client("x", spiffe("spiffe://a.example")),
	} {
		if got := reasonOf(t, split, c); got != popauth.ErrCertificateUntrusted {
			t.Errorf("%s: got %q, want it refused", name, got)
		}
	}
	if got := reasonOf(t, split, b.Client("no ID")); got != "" {
		t.Errorf("without an ID: got %q, want Roots to count", got)
	}
	// No pool must never come to mean the system's.
	for text, c := range map[string]*popauthtest.Client{
		"not among TrustDomains": a.Client("x", spiffe("spiffe://c.example/x")), "no SPIFFE ID": b.Client("no ID"),
	} {
		if _, err := lab.Verified(t, clientcert.Verification{TrustDomains: domains}).Certificate(c.Request("GET", "/", "")); err == nil ||
			!strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q", err, text)
		}
	}
	if got := reasonOf(t, clientcert.Verification{TrustDomains: domains}, b.Client("no ID")); got != popauth.ErrCertificateUntrusted {
		t.Errorf("without an ID and Roots: got %q, want it refused", got)
	}
}

// The roots are asked for with every request, and what others have found is not remembered for them.
func TestRootsFor(t *testing.T) {
	a, b := popauthtest.NewCA(t), popauthtest.NewCA(t)
	pools := map[string]*x509.CertPool{"a.example.com": a.Pool(), "b.example.com": b.Pool()}
	var failure error
	source := lab.Verified(t, clientcert.Verification{RootsFor: func(r *http.Request, _ *x509.Certificate) (*x509.CertPool, error) {
		return pools[r.Host], failure
	}})
	client := b.Client("batch")
	check := func(host string, want popauth.Reason) {
		t.Helper()
		_, err := clientcert.Check(client.Request("GET", "https://"+host+"/", ""), source)
		if want == "" && err != nil || want != "" && !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %q", host, err, want)
		}
	}
	for range 2 {
		check("b.example.com", "")
		check("a.example.com", popauth.ErrCertificateUntrusted)
		check("c.example.com", popauth.ErrCertificateUntrusted)
	}
	if _, err := source.Certificate(client.Request("GET", "https://c.example.com/", "")); err == nil ||
		!strings.Contains(err.Error(), "RootsFor has no roots") {
		t.Errorf("got %v, want never those of the system", err)
	}
	pools["b.example.com"] = a.Pool() // withdrawn
	check("b.example.com", popauth.ErrCertificateUntrusted)
	failure = errors.New("no bundle")
	check("b.example.com", popauth.ErrUnavailable)
	failure = context.DeadlineExceeded
	check("b.example.com", popauth.ErrUnavailable)
}

func TestRootsProblems(t *testing.T) {
	pool := popauthtest.NewCA(t).Pool()
	rootsFor := func(*http.Request, *x509.Certificate) (*x509.CertPool, error) { return pool, nil }
	for name, v := range map[string]clientcert.Verification{
		"RootsFor and Roots":       {RootsFor: rootsFor, Roots: pool},
		"RootsFor and SystemRoots": {RootsFor: rootsFor, SystemRoots: true},
		"empty pool":               {TrustDomains: map[string]*x509.CertPool{"a.example": x509.NewCertPool()}},
		"nil pool":                 {TrustDomains: map[string]*x509.CertPool{"a.example": nil}},
		"an ID for a trust domain": {TrustDomains: map[string]*x509.CertPool{"spiffe://a.example": pool}},
		"upper case":               {TrustDomains: map[string]*x509.CertPool{"A.example": pool}},
	} {
		if s, err := clientcert.Verified(popauth.TLSCertificate(), v); err == nil || s != nil {
			t.Errorf("%s: got %v, %v, want an error", name, s, err)
		}
	}
}

// A policy can tell by whom, and can't change what others see.
func TestChain(t *testing.T) {
	root := popauthtest.NewCA(t)
	client := root.Intermediate("between").Client("batch")
	isRoot := clientcert.MatchFunc(func(_ *http.Request, c *popauth.Certificate) error {
		chain := c.Chain
		if len(chain) != 3 || chain[0] != c.Leaf || !chain[2].Equal(root.Certificate) {
			return errors.New("another root")
		}
		chain[2] = nil
		return nil
	})
	source := lab.Verified(t, clientcert.Verification{Roots: root.Pool()})
	for range 2 {
		lab.Send(clientcert.Require(source, isRoot, isRoot), client.Request("GET", "/", "")).Passed(t)
	}
	for range 2 { // what is found is one's own
		c, err := source.Certificate(client.Request("GET", "/", ""))
		if err != nil || c.Chain[2] == nil {
			t.Fatalf("got %v, %v", c, err)
		}
		c.Chain[2] = nil
	}
	byTLS := client.Request("GET", "/", "")
	byTLS.TLS.VerifiedChains = [][]*x509.Certificate{{byTLS.TLS.PeerCertificates[0], byTLS.TLS.PeerCertificates[1], root.Certificate}}
	lab.Send(clientcert.Require(nil, isRoot, isRoot), byTLS).Passed(t)
	lab.Send(clientcert.Require(nil, isRoot), client.Request("GET", "/", "")).Refused(t, 403, "")
	self := popauthtest.SelfSigned(t, "self")
	c, err := clientcert.Check(self.Request("GET", "/", ""),
		lab.Verified(t, clientcert.Verification{SelfSigned: []string{self.Thumbprint()}}))
	if err != nil || len(c.Chain) != 1 || c.Chain[0] != c.Leaf {
		t.Errorf("got %v, %v", c, err)
	}
}

// A customer's certificate with the proxy's name is not the proxy's, whatever the server's pool has.
func TestProxyNameOfAnotherAuthority(t *testing.T) {
	internal, customers := popauthtest.NewCA(t), popauthtest.NewCA(t)
	name := func(c *x509.Certificate) {
		c.DNSNames = []string{"proxy.internal"}
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/proxy"}}
	}
	l := lab.New(t)
	both := internal.Pool()
	both.AddCert(customers.Certificate)
	for _, id := range []proxy.Identity{
		{DNS: "proxy.internal", Roots: internal.Pool()}, {URI: "spiffe://example.org/proxy", Roots: internal.Pool()},
	} {
		g := l.Guard(func(o *popauth.Options) {
			o.Certificate = lab.ByProxy(proxy.RFC9440(), proxy.TrustProxyTLS(id))
		})
		for _, auth := range []tls.ClientAuthType{tls.VerifyClientCertIfGiven, tls.RequestClientCert} {
			spy := &popauthtest.Spy{}
			server := popauthtest.NewServer(t, g.Confirm(spy), func(c *tls.Config) { c.ClientAuth, c.ClientCAs = auth, both })
			for _, tt := range []struct {
				name   string
				client *popauthtest.Client
				want   int
			}{
				{"the proxy", internal.Client("proxy", name), 200},
				{"a customer", customers.Client("mallory", name), 401},
				{"another of the proxy's authority", internal.Client("other"), 401},
				{"the proxy below a CA that may not name it",
					internal.Intermediate("Partner CA", lab.Permits(t, false)).Client("proxy", name), 401},
			} {
				client := tt.client.HTTP(server)
				for range 2 {
					r, err := http.NewRequest("GET", server.URL, http.NoBody)
					if err != nil {
						t.Fatal(err)
					}
					r.Header.Set("Authorization", "Bearer "+l.Bound())
					r.Header.Set("Client-Cert", lab.ClientCert(l.Owner))
					before := spy.Ran()
					answer, err := client.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					answer.Body.Close()
					if answer.StatusCode != tt.want || (spy.Ran() > before) != (tt.want == 200) {
						t.Errorf("%s, %v: got %d, ran %t, want %d", tt.name, auth, answer.StatusCode, spy.Ran() > before, tt.want)
					}
				}
			}
		}
	}
}

// A URI is compared as it stands in the certificate, not as net/url writes it again.
func TestProxyURIToTheLetter(t *testing.T) {
	ca := popauthtest.NewCA(t)
	trusted, err := proxy.Trusted(proxy.TrustProxyTLS(proxy.Identity{URI: "spiffe://example.org/proxy", Roots: ca.Pool()}))
	if err != nil {
		t.Fatal(err)
	}
	for uri, want := range map[string]bool{
		"spiffe://example.org/proxy": true, "SPIFFE://example.org/proxy": false, "spiffe://example.org/proxy#": false,
		"spiffe://EXAMPLE.org/proxy": false,
	} {
		err := trusted.Check(ca.Client("proxy", alternative(general(6, uri))).Request("GET", "/", ""))
		if got := err == nil; got != want {
			t.Errorf("%s: got %v, want trusted %t", uri, err, want)
		}
	}
}
