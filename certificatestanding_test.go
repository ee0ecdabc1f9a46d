package popauth_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// A connection may outlive its certificate. A new request is then nobody's by name; what its token is bound to it still
// holds. The client gets to show the certificate that it has meanwhile.
func TestExpiredOnAConnection(t *testing.T) {
	l := lab.New(t)
	past := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Minute)
	}
	late := l.CA.Intermediate("late", past)
	policy := clientcert.Subject("CN=batch")
	var log bytes.Buffer
	g := l.Guard(func(o *popauth.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	remembering := popauth.TLSCertificate()
	for name, tt := range map[string]struct {
		client  *popauthtest.Client
		expired bool
	}{
		"its own period":                {l.CA.Client("batch", past), true},
		"the period of its authority":   {late.Client("batch"), true},
		"a certificate that is valid":   {l.CA.Client("batch"), false},
		"one below a valid authority's": {l.CA.Intermediate("between").Client("batch"), false},
	} {
		token := l.Issuer.Token(tt.client.Bound())
		own := l.Guard(func(o *popauth.Options) { o.Certificate = remembering })
		for way, h := range map[string]func(http.Handler) http.Handler{
			"Authorize":                      g.Authorize(clientcert.Policy(policy)),
			"Authorize, with its own source": own.Authorize(clientcert.Policy(policy)),
			"RequireCertificate":             clientcert.Require(nil),
			"RequireCertificate, policy":     clientcert.Require(nil, policy),
			"RequireCertificate, source":     clientcert.Require(remembering, policy),
			"CheckCertificate, Refuse": func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, err := clientcert.Check(r, remembering, policy); err != nil {
						g.Refuse(w, r, err)
						return
					}
					next.ServeHTTP(w, r)
				})
			},
		} {
			for range 2 { // the second is remembered
				log.Reset()
				got := lab.Send(h, lab.ByTLS(tt.client, token, l.CA))
				if !tt.expired {
					got.Passed(t)
					continue
				}
				got.Refused(t, 403, "")
				if got.Header.Get("Connection") != "close" {
					t.Errorf("%s, %s: got Connection: %q, want it closed", name, way, got.Header.Get("Connection"))
				}
				if way == "Authorize" && !strings.Contains(log.String(), "expired on a connection that lasts") {
					t.Errorf("%s: got log %s", name, &log)
				}
			}
		}
		// The binding, and what handlers and policies see.
		seen := popauth.VerifiedBy(-1)
		see := func(c *popauth.Certificate) {
			if seen = c.Verified; (c.CheckIdentity() != nil) != tt.expired || (c.Chain == nil) != tt.expired {
				t.Errorf("%s: got %v, chain %v", name, c.CheckIdentity(), c.Chain)
			}
		}
		want := popauth.VerifiedByTLS
		if tt.expired {
			want = popauth.NotVerified
		}
		for way, h := range map[string]http.Handler{
			"FromContext": g.Confirm(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				p, _ := popauth.FromContext(r.Context())
				see(p.Certificate)
			})),
			"CertificateFromContext": popauth.ClientCertificate(popauth.TLSCertificate())(http.HandlerFunc(func(_ http.ResponseWriter,
				r *http.Request) {
				c, _ := popauth.CertificateFromContext(r.Context())
				see(c)
			})),
			"PolicyFunc": g.Authorize(popauth.PolicyFunc(func(_ *http.Request, p *popauth.Principal) error {
				see(p.Certificate)
				return nil
			}))(http.NotFoundHandler()),
			"Check": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				p, err := g.Check(r)
				if err != nil {
					t.Fatal(err)
				}
				see(p.Certificate)
			}),
			"Certificate": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				c, _ := remembering.Certificate(r)
				see(c)
			}),
			"Confirmer": l.Guard(func(o *popauth.Options) {
				o.Confirmers = []popauth.Confirmer{looking{see}}
			}).Confirm(http.NotFoundHandler()),
		} {
			seen = -1
			h.ServeHTTP(httptest.NewRecorder(), lab.ByTLS(tt.client, token, l.CA))
			if seen != want {
				t.Errorf("%s, %s: got %v, want %v", name, way, seen, want)
			}
		}
	}
}

// looking is a Confirmer that looks at the certificate.
type looking struct{ see func(*popauth.Certificate) }

func (looking) Member() string { return "x5t#S256" }

func (c looking) Confirm(_ *http.Request, p popauth.Presentation) error {
	c.see(p.Certificate())
	return nil
}

// What a proxy has verified ends as well, and its connection stays: it is not the caller's.
func TestExpiredBehindAProxy(t *testing.T) {
	l := lab.New(t)
	old := l.CA.Client("batch", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Minute)
	})
	source := lab.ByProxy(proxy.HAProxy("X-SSL-Client-Cert", "X-SSL-Client-Verify"), proxy.TrustPeers(lab.ProxyNet))
	request := func(c *popauthtest.Client) *http.Request {
		return lab.ViaProxy(l.Issuer.Token(c.Bound()), "X-SSL-Client-Cert", lab.Base64Of(c.Certificate.Certificate[0]),
			"X-SSL-Client-Verify", "0")
	}
	g := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	for _, h := range []func(http.Handler) http.Handler{
		g.Authorize(clientcert.Policy(clientcert.Subject("CN=batch"))), clientcert.Require(source),
	} {
		got := lab.Send(h, request(old))
		got.Refused(t, 403, "")
		if got.Header.Get("Connection") != "" {
			t.Error("the proxy's connection is closed")
		}
		lab.Send(h, request(l.CA.Client("batch"))).Passed(t)
	}
	lab.Send(g.Confirm, request(old)).Passed(t)
}

// Over real connections: one that has been closed is not used again, over HTTP/1.1 and HTTP/2.
func TestConnectionIsClosed(t *testing.T) {
	l := lab.New(t)
	client := l.CA.Client("batch", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(2 * time.Second) })
	for _, isHTTP2 := range []bool{false, true} {
		source := popauth.TLSCertificate()
		spy := &popauthtest.Spy{}
		server := httptest.NewUnstartedServer(clientcert.Require(source)(spy))
		server.EnableHTTP2 = isHTTP2
		server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: l.CA.Pool()}
		connections := make(chan struct{}, 10)
		server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				connections <- struct{}{}
			}
		}
		server.StartTLS()
		defer server.Close()
		transport := &http.Transport{ForceAttemptHTTP2: isHTTP2,
			TLSClientConfig: &tls.Config{RootCAs: client.HTTP(server).Transport.(*http.Transport).TLSClientConfig.RootCAs,
				Certificates: []tls.Certificate{client.Certificate}}}
		defer transport.CloseIdleConnections()
		ask := func() (int, bool) {
			answer, err := (&http.Client{Transport: transport}).Get(server.URL)
			if err != nil {
				return 0, true // the handshake: the certificate is too old for a new connection
			}
			answer.Body.Close()
			return answer.StatusCode, answer.Close
		}
		if got, _ := ask(); got != 200 {
			t.Errorf("HTTP/2 %t: got %d, want 200", isHTTP2, got)
		}
		time.Sleep(time.Until(client.Certificate.Leaf.NotAfter.Add(time.Second)))
		if got, closes := ask(); got != 403 || !isHTTP2 && !closes || spy.Ran() != 1 {
			t.Errorf("HTTP/2 %t: got %d, closed %t, ran %d, want 403 once", isHTTP2, got, closes, spy.Ran())
		}
		if got, _ := ask(); got != 0 || len(connections) < 2 {
			t.Errorf("HTTP/2 %t: got %d over the old connection", isHTTP2, got)
		}
		client = l.CA.Client("batch", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(2 * time.Second) })
	}
}

// A request that takes no name from a certificate pays nothing for its names; one that does, once for a connection, for
// whatever hosts.
func TestNamesAreLookedAtOnce(t *testing.T) {
	l := lab.New(t)
	client := l.CA.Intermediate("between", lab.Permits(t, false)).Client("batch")
	token := l.Issuer.Token(client.Bound(), lab.Claims{"scope": "orders.read"})
	r := lab.ByTLS(client, token, l.CA)
	source := popauth.TLSCertificate()
	g := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	verified, err := clientcert.Verified(source, clientcert.Verification{Roots: l.CA.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]func(http.Handler) http.Handler{
		"binding":           g.Confirm,
		"scope":             g.Authorize(popauth.Scope("orders.read"), popauth.Bound()),
		"thumbprint":        clientcert.Require(source, clientcert.Thumbprint(client.Thumbprint())),
		"ClientCertificate": lab.Chain(popauth.ClientCertificate(source), l.Guard().Confirm),
		"Verified":          clientcert.Require(verified),
		"no token":          g.Authorize(clientcert.Policy(clientcert.Subject("CN=batch"))),
		"another's token":   g.Authorize(clientcert.Policy(clientcert.Subject("CN=batch"))),
	} {
		own := r.Clone(t.Context())
		own.TLS = r.TLS
		switch name {
		case "no token":
			own.Header.Del("Authorization")
		case "another's token":
			own.Header.Set("Authorization", "Bearer "+l.Bound())
		}
		lab.Send(h, own)
		if popauth.Judged(source, r) {
			t.Fatalf("%s: the names were looked at", name)
		}
	}
	elsewhere := r.Clone(t.Context())
	elsewhere.TLS, elsewhere.Host = r.TLS, "other.example.com"
	lab.Send(clientcert.Require(source), elsewhere).Refused(t, 421, "")
	if popauth.Judged(source, r) {
		t.Fatal("another host: the names were looked at")
	}
	lab.Send(clientcert.Require(source), r).Refused(t, 403, "")
	if !popauth.Judged(source, r) {
		t.Error("an identity: the names were not looked at")
	}
	for i := range 20 { // over HTTP/2, more hosts than a set has places
		elsewhere.Host = fmt.Sprintf("host%d.example.com", i)
		lab.Send(clientcert.Require(source), elsewhere).Refused(t, 421, "")
		if !popauth.Judged(source, r) {
			t.Fatal("other hosts make popauth forget what it knows of the connection")
		}
	}
}

// What is kept is popauth's own: the slices of a connection's state are everybody's.
func TestKeptChainsAreOwn(t *testing.T) {
	l := lab.New(t)
	source := popauth.TLSCertificate()
	good := lab.ByTLS(l.Owner, "", l.CA)
	lab.Send(clientcert.Require(source), good).Passed(t)
	limited := l.CA.Intermediate("Partner CA", lab.Permits(t, false))
	good.TLS.VerifiedChains[0][1] = limited.Certificate // the same slice
	lab.Send(clientcert.Require(source), good).Refused(t, 403, "")
}

// hostileChain has 118 kB of names, and of constraints to hold them against.
func hostileChain(t testing.TB, ca *popauthtest.CA, names, constraints int) (*popauthtest.Client, []*popauthtest.CA) {
	t.Helper()
	list := func(n int, s string) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf(s, i))
		}
		return all
	}
	between := ca
	var all []*popauthtest.CA
	for level := range 2 {
		between = between.Intermediate(fmt.Sprintf("level %d", level), func(c *x509.Certificate) {
			c.ExcludedDNSDomains, c.PermittedDNSDomainsCritical = list(constraints, "c%d.example"), true
		})
		all = append(all, between)
	}
	return between.Client("batch", func(c *x509.Certificate) { c.DNSNames = list(names, "n%d.example") }), all
}

// A chain with many names and constraints is refused, at once, for what it is; its token's binding is not.
func TestHostileChain(t *testing.T) {
	l := lab.New(t)
	client, authorities := hostileChain(t, l.CA, 1000, 2500)
	size := 0
	for _, der := range client.Certificate.Certificate {
		size += len(der)
	}
	if size < 70<<10 {
		t.Fatalf("got a chain of %d bytes", size)
	}
	r := lab.ByTLS(client, l.Issuer.Token(client.Bound()), l.CA)
	for range 4 {
		r.TLS.VerifiedChains = append(r.TLS.VerifiedChains, r.TLS.VerifiedChains...) // sixteen
	}
	var log bytes.Buffer
	g := l.Guard(func(o *popauth.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	start := time.Now()
	lab.Send(g.Authorize(clientcert.Policy(clientcert.DNS("n1.example"))), r).Refused(t, 403, "")
	if !strings.Contains(log.String(), "comparisons") {
		t.Errorf("got log %s", &log)
	}
	lab.Send(g.Confirm, r).Passed(t)
	source := lab.Verified(t, clientcert.Verification{Roots: l.CA.Pool(), Remember: -1,
		Intermediates: []*x509.Certificate{authorities[0].Certificate}})
	lab.Send(clientcert.Require(source), r).Refused(t, 403, "")
	if took := time.Since(start); took > 2*time.Second { // 4 s for each was what it took
		t.Errorf("took %v", took)
	}
	// What is ordinary passes.
	ordinary, _ := hostileChain(t, l.CA, 20, 20)
	lab.Send(clientcert.Require(nil, clientcert.DNS("n1.example")), lab.ByTLS(ordinary, "", l.CA)).Passed(t)
	lab.Send(clientcert.Require(lab.Verified(t, clientcert.Verification{Roots: l.CA.Pool()})), ordinary.Request("GET", "/", "")).Passed(t)
}

// BenchmarkHostileChain reports what a request costs whose connection nobody knows yet, in verifications of a signature.
// Verified searches for the way to a root besides, which verifies a signature for each certificate on it.
func BenchmarkHostileChain(b *testing.B) {
	l := lab.New(b)
	large, _ := hostileChain(b, l.CA, 2500, 1500)
	within, _ := hostileChain(b, l.CA, 100, 100)
	plain := l.CA.Intermediate("level 0").Intermediate("level 1").Client("batch")
	key := large.Certificate.PrivateKey.(*ecdsa.PrivateKey)
	sum := sha256.Sum256([]byte("x"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct {
		name     string
		client   *popauthtest.Client
		chains   int
		verified bool
	}{
		{"large", large, 1, false}, {"large, 16 chains", large, 16, false}, {"within", within, 1, false},
		{"within, 16 chains", within, 16, false},
		{"Verified, large", large, 1, true}, {"Verified, within", within, 1, true}, {"Verified, plain", plain, 1, true},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := lab.ByTLS(bb.client, "", l.CA)
			for len(r.TLS.VerifiedChains) < bb.chains {
				r.TLS.VerifiedChains = append(r.TLS.VerifiedChains, r.TLS.VerifiedChains[0])
			}
			var all time.Duration
			for b.Loop() {
				source := popauth.TLSCertificate() // which has seen nothing
				if bb.verified {
					source = lab.Verified(b, clientcert.Verification{Roots: l.CA.Pool()})
				}
				start := time.Now()
				c, _ := source.Certificate(r)
				_ = c.CheckIdentity()
				all += time.Since(start)
			}
			start := time.Now()
			for range 200 {
				ecdsa.VerifyASN1(&key.PublicKey, sum[:], signature)
			}
			b.ReportMetric(float64(all)/float64(b.N)/(float64(time.Since(start))/200), "verifications/op")
		})
	}
}

// A proxy's own connection is not closed for what it says of a client, be it the same authority's.
func TestRefusedBehindAProxyWithACertificate(t *testing.T) {
	l := lab.New(t)
	source := lab.ByProxy(proxy.HAProxy("X-SSL-Client-Cert", "X-SSL-Client-Verify"), proxy.TrustPeers(lab.ProxyNet))
	v, err := clientcert.Verified(source, clientcert.Verification{Roots: l.CA.Pool(),
		Revoked: func(context.Context, []*x509.Certificate) (bool, error) { return true, nil }})
	if err != nil {
		t.Fatal(err)
	}
	r := lab.ViaProxy("", "X-SSL-Client-Cert", lab.Base64Of(l.Owner.Certificate.Certificate[0]), "X-SSL-Client-Verify", "0")
	r.TLS = lab.ByTLS(l.CA.Client("proxy"), "", l.CA).TLS
	got := lab.Send(clientcert.Require(v), r)
	if got.Refused(t, 403, ""); got.Header.Get("Connection") != "" {
		t.Errorf("got Connection: %q, want the proxy's to stay", got.Header.Get("Connection"))
	}
}

// Whatever refuses the connection's own certificate would refuse it again; a policy says nothing about the certificate.
func TestWhatClosesAConnection(t *testing.T) {
	l := lab.New(t)
	expired := l.CA.Client("batch", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
	})
	revoked := func(context.Context, []*x509.Certificate) (bool, error) { return true, nil }
	outage := func(context.Context, []*x509.Certificate) (bool, error) { return false, errors.New("no answer") }
	// A program that has asked its TLS stack itself says so of what has expired since.
	own := popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
		return &popauth.Certificate{Leaf: r.TLS.PeerCertificates[0], Source: popauth.SourceTLS, Verified: popauth.VerifiedByTLS}, nil
	})
	for name, tt := range map[string]struct {
		gate   func(http.Handler) http.Handler
		client *popauthtest.Client
		status int
		want   string
	}{
		"Verified, expired": {clientcert.Require(lab.Verified(t, clientcert.Verification{Roots: l.CA.Pool()})), expired, 403, "close"},
		"Verified, revoked": {clientcert.Require(lab.Verified(t,
			clientcert.Verification{Roots: l.CA.Pool(), Revoked: revoked})), l.Owner, 403, "close"},
		"Verified, outage": {clientcert.Require(lab.Verified(t,
			clientcert.Verification{Roots: l.CA.Pool(), Revoked: outage})), l.Owner, 503, ""},
		"a source of its own, expired": {clientcert.Require(own), expired, 403, "close"},
		"its names": {clientcert.Require(nil), l.CA.Intermediate("Partner CA", lab.Permits(t, false)).Client("admin"),
			403, "close"},
		"a policy": {clientcert.Require(nil, clientcert.Subject("CN=other")), l.Owner, 403, ""},
	} {
		got := lab.Send(tt.gate, lab.ByTLS(tt.client, "", l.CA))
		if got.Refused(t, tt.status, ""); got.Header.Get("Connection") != tt.want {
			t.Errorf("%s: got Connection: %q, want %q", name, got.Header.Get("Connection"), tt.want)
		}
	}
}
