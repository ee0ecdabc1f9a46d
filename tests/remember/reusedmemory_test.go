package remember_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/internal/reused"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// sameSize returns clients whose certificates are of one size, so that their headers are at the same place, with names of
// one length.
func sameSize(t *testing.T, ca *popauthtest.CA, names ...string) []*popauthtest.Client {
	t.Helper()
	clients := []*popauthtest.Client{ca.Client(names[0])}
	for _, name := range names[1:] {
		c := ca.Client(name)
		for len(c.Certificate.Certificate[0]) != len(clients[0].Certificate.Certificate[0]) {
			c = ca.Client(name)
		}
		clients = append(clients, c)
	}
	return clients
}

func TestForwardedHeadersInReusedMemory(t *testing.T) {
	l := lab.New(t)
	names := []string{"alice", "bobby", "carol"}
	clients := sameSize(t, l.CA, names...)
	der := func(c *popauthtest.Client) string {
		return base64.StdEncoding.EncodeToString(c.Certificate.Certificate[0])
	}
	text := func(c *popauthtest.Client) string {
		return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate.Certificate[0]})))
	}
	root := base64.StdEncoding.EncodeToString(l.CA.Certificate.Raw)
	for _, tt := range []struct {
		format  proxy.Format
		headers func(*popauthtest.Client) []string
	}{
		{proxy.RFC9440(), func(c *popauthtest.Client) []string {
			return []string{"Client-Cert", ":" + der(c) + ":", "Client-Cert-Chain", ":" + root + ":"}
		}},
		{proxy.Nginx("X-Cert", "X-Verify"), func(c *popauthtest.Client) []string {
			return []string{"X-Cert", text(c), "X-Verify", "SUCCESS"}
		}},
		{proxy.HAProxy("X-Cert", "X-Verify"), func(c *popauthtest.Client) []string { return []string{"X-Cert", der(c), "X-Verify", "0"} }},
		{proxy.Caddy("X-Cert"), func(c *popauthtest.Client) []string { return []string{"X-Cert", der(c)} }},
		{proxy.Traefik(), func(c *popauthtest.Client) []string { return []string{"X-Forwarded-Tls-Client-Cert", der(c)} }},
		{proxy.Kong(), func(c *popauthtest.Client) []string { return []string{"X-Client-Cert", text(c)} }},
		{proxy.Envoy(), func(c *popauthtest.Client) []string {
			sum := sha256.Sum256(c.Certificate.Certificate[0])
			return []string{"X-Forwarded-Client-Cert", "Hash=" + hex.EncodeToString(sum[:]) + `;Cert="` + text(c) + `"`}
		}},
	} {
		t.Run(tt.format.Name(), func(t *testing.T) {
			source := lab.ByProxy(tt.format, proxy.TrustPeers(lab.ProxyNet), proxy.TrustSecret("X-Secret", strings.Repeat("s", 16)))
			guard := l.Guard(func(o *popauth.Options) { o.Certificate = source })
			tokens := make([]string, len(clients))
			for i, c := range clients {
				tokens[i] = l.Issuer.Token(popauthtest.Claims{"sub": names[i]}, c.Bound())
			}
			var b reused.Buffer
			for _, i := range reused.Order(len(clients)) {
				for j := range clients { // with his own certificate, and with the tokens of the others
					r := b.Request(lab.ViaProxy(tokens[j], append(tt.headers(clients[i]), "X-Secret", strings.Repeat("s", 16))...))
					got, err := source.Certificate(r)
					if err != nil || got == nil || got.Leaf.Subject.CommonName != names[i] {
						t.Fatalf("%s: got %v, %v, want the certificate that was sent", names[i], got, err)
					}
					p, err := guard.Check(r)
					if (err == nil) != (i == j) ||
						err == nil && (p.Subject != names[i] || p.Certificate.Leaf.Subject.CommonName != names[i]) {
						t.Fatalf("certificate of %s, token of %s: got %v, %v", names[i], names[j], p, err)
					}
				}
			}
		})
	}
}

// What stands beside a certificate counts as much: the same one with another verdict.
func TestVerdictsInReusedMemory(t *testing.T) {
	l := lab.New(t)
	source := lab.ByProxy(proxy.HAProxy("X-Cert", "X-Verify"), proxy.TrustPeers(lab.ProxyNet))
	der := base64.StdEncoding.EncodeToString(l.Owner.Certificate.Certificate[0])
	var b reused.Buffer
	for _, i := range reused.Order(2) {
		c, err := source.Certificate(b.Request(lab.ViaProxy("", "X-Cert", der, "X-Verify", []string{"0", "9"}[i])))
		if want := []popauth.VerifiedBy{popauth.VerifiedByProxy, popauth.NotVerified}[i]; err != nil || c.Verified != want {
			t.Fatalf("verdict %d: got %v, %v, want %v", i, c.Verified, err, want)
		}
	}
}

// The same for each memory of tokens, of what their headers and those of proofs say, of used proofs, and of hosts.
func TestTokensInReusedMemory(t *testing.T) {
	l := lab.New(t)
	names := []string{"alice", "bobby", "carol"}
	partner := popauthtest.NewIssuer(t)
	partner.Now = l.Clock.Now
	introspection, err := introspection.New(lab.IntrospectionOptions(l.Issuer))
	if err != nil {
		t.Fatal(err)
	}
	issuers, err := issuers.New(issuers.Options{Now: l.Clock.Now, Resolve: func(_ context.Context, iss string) (popauth.Verifier, error) {
		for _, i := range []*popauthtest.Issuer{l.Issuer, partner} {
			if i.URL == iss {
				o := i.Options()
				return popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys, Now: l.Clock.Now})
			}
		}
		return nil, popauth.ErrTokenIssuer
	}})
	if err != nil {
		t.Fatal(err)
	}
	verifier := func(v popauth.Verifier) *popauth.Guard {
		g, err := popauth.New(popauth.Options{Verifier: v, Now: l.Clock.Now,
			Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	for name, tt := range map[string]struct {
		guard *popauth.Guard
		token func(name string, i int) (subject, token string)
	}{
		"JWT": {l.Guard(), func(name string, _ int) (string, string) {
			return name, l.Issuer.Token(popauthtest.Claims{"sub": name})
		}},
		"introspection": {verifier(introspection), func(name string, _ int) (string, string) {
			return name, l.Issuer.Opaque(popauthtest.Claims{"sub": name})
		}},
		"issuers": {verifier(issuers), func(name string, i int) (string, string) {
			return name, []*popauthtest.Issuer{l.Issuer, partner}[i%2].Token(popauthtest.Claims{"sub": name})
		}},
		"unknown kid": {l.Guard(), func(name string, i int) (string, string) {
			if i == 0 {
				return name, l.Issuer.Token(popauthtest.Claims{"sub": name})
			}
			return "", l.Issuer.TokenWith(popauthtest.Claims{"kid": fmt.Sprintf("unknown%d", i)}, popauthtest.Claims{"sub": name})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var b reused.Buffer
			tokens := map[int][2]string{}
			for i, name := range names {
				subject, token := tt.token(name, i)
				tokens[i] = [2]string{subject, token}
			}
			for _, i := range reused.Order(len(names)) {
				subject, token := tokens[i][0], tokens[i][1]
				p, err := tt.guard.Check(b.Request((&popauthtest.Client{}).Request("GET", "/orders", token)))
				if (err == nil) != (subject != "") || err == nil && p.Subject != subject {
					t.Fatalf("token of %s: got %v, %v", names[i], p, err)
				}
			}
		})
	}
	t.Run("proofs", func(t *testing.T) {
		key, other := popauthtest.NewProofKey(t, ""), popauthtest.NewProofKey(t, "")
		g := l.Guard(func(o *popauth.Options) {
			o.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{Nonces: dpop.StatelessNonces{Secrets: [][]byte{make([]byte, 32)},
				Optional: true}})}
		})
		var b reused.Buffer
		for i, key := range []*popauthtest.ProofKey{key, other, key, other} {
			token := l.Issuer.Token(key.Bound())
			id := popauthtest.Claims{"jti": fmt.Sprintf("id%d", i), "iat": l.Clock.Now().Unix()}
			r := key.Request("GET", "https://api.example.com/orders", token, id)
			if _, err := g.Check(b.Request(r)); err != nil {
				t.Errorf("proof %d: %v", i, err)
			}
			if _, err := g.Check(b.Request(r)); !errors.Is(err, popauth.ErrProofReplayed) {
				t.Errorf("proof %d again: got %v, want it to be used", i, err)
			}
		}
	})
	t.Run("hosts", func(t *testing.T) {
		owner := l.CA.Client("owner")
		source := popauth.TLSCertificate()
		connection := owner.Request("GET", "https://one.example.com/", "")
		connection.TLS.VerifiedChains = [][]*x509.Certificate{{connection.TLS.PeerCertificates[0], l.CA.Certificate}}
		var b reused.Buffer
		for _, i := range reused.Order(3) {
			connection.Host = []string{"one.example.com", "two.example.com", "six.example.com"}[i]
			c, err := source.Certificate(b.Request(connection))
			if err != nil || (c.CheckIdentity() == nil) != (i == 0) {
				t.Fatalf("%s: got %v, %v", connection.Host, c.CheckIdentity(), err)
			}
			if err := c.CheckIdentity(); err != nil && !strings.Contains(err.Error(), connection.Host) {
				t.Fatalf("%s: got %v, want its name", connection.Host, err)
			}
		}
	})
}

// A call to an issuer goes on when its request has ended, and asks about the token of that request.
func TestACallThatOutlivesItsRequest(t *testing.T) {
	l := lab.New(t)
	tokens := []string{l.Issuer.Opaque(popauthtest.Claims{"sub": "alice"}), l.Issuer.Opaque(popauthtest.Claims{"sub": "bobby"})}
	o := lab.IntrospectionOptions(l.Issuer)
	asked, release := make(chan struct{}), make(chan struct{})
	inner := o.Client.Transport
	client := *o.Client
	client.Transport = lab.RoundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet { // discovery
			asked <- struct{}{}
			<-release
		}
		return inner.RoundTrip(r)
	})
	o.Client = &client
	v, err := introspection.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var b reused.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := v.Verify(ctx, b.Text(tokens[0]))
		done <- err
	}()
	<-asked
	cancel()
	if err := <-done; !errors.Is(err, popauth.ErrRequestEnded) {
		t.Fatalf("got %v, want the request to have ended", err)
	}
	b.Scribble()
	again := b.Text(tokens[1])
	close(release)
	for range 100 { // until the first call is remembered
		if l.Issuer.Introspections() > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for i, token := range []string{strings.Clone(tokens[0]), again} {
		got, err := v.Verify(t.Context(), token)
		if want := []string{"alice", "bobby"}[i]; err != nil || got.Subject() != want {
			t.Errorf("got %v, %v, want the token of %s", got, err, want)
		}
	}
}

// Recheck is about the token that has come with the request, not about what is in its memory by now.
func TestRecheckInReusedMemory(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	tokens := []string{l.Bound(popauthtest.Claims{"jti": "one"}), l.Bound(popauthtest.Claims{"jti": "two"})}
	var b reused.Buffer
	kept := (*http.Request)(nil)
	keep := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { kept = r })
	g.Confirm(keep).ServeHTTP(httptest.NewRecorder(), b.Request(l.Owner.Request("GET", "/orders", tokens[0])))
	if kept == nil {
		t.Fatal("the handler did not run")
	}
	if _, err := g.Recheck(kept); err != nil {
		t.Fatal(err)
	}
	b.Request(l.Owner.Request("GET", "/orders", tokens[1]))
	if got := kept.Header.Get("Authorization"); got != "Bearer "+tokens[1] {
		t.Fatalf("the memory has %.20s: the test shows nothing", got)
	}
	if p, err := g.Recheck(kept); !errors.Is(err, popauth.ErrUndecided) {
		t.Errorf("got %v, %v, want %s", p, err, popauth.ErrUndecided)
	}
}
