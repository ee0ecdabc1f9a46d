package proxy_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

func trustedBy(t *testing.T, id proxy.Identity) func(*http.Request) error {
	t.Helper()
	trusted, err := proxy.Trusted(proxy.TrustProxyTLS(id))
	if err != nil {
		t.Fatal(err)
	}
	return trusted.Check
}

// byTLS is a request over a connection whose certificate the server has verified by root.
func byTLS(c *popauthtest.Client, root *popauthtest.CA) *http.Request {
	r := c.Request("GET", "/", "")
	r.TLS.VerifiedChains = [][]*x509.Certificate{append(append([]*x509.Certificate(nil), r.TLS.PeerCertificates...), root.Certificate)}
	return r
}

// What was found out about one connection is not about another, of the same certificate: it may not have been verified.
func TestProxyOfAConnection(t *testing.T) {
	ca := popauthtest.NewCA(t)
	ingress := ca.Client("proxy", func(c *x509.Certificate) { c.DNSNames = []string{"proxy.internal"} })
	trusted := trustedBy(t, proxy.Identity{DNS: "proxy.internal", AnyAuthority: true})
	good := byTLS(ingress, ca)
	for range 300 { // more than there are places
		other := ingress.Request("GET", "/", "") // crypto/tls has not verified it
		if trusted(good) != nil || trusted(other) == nil || trusted(other) == nil {
			t.Fatal("VULNERABLE: one connection's verdict counts for another")
		}
	}
}

// Who a connection's peer is doesn't depend on what a request of it says, nor on the name that the proxy made it for.
func TestProxyAtAnyHost(t *testing.T) {
	ca := popauthtest.NewCA(t)
	name := func(c *x509.Certificate) {
		c.DNSNames = []string{"proxy.internal"}
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/proxy"}}
	}
	ingress := ca.Client("proxy", name)
	key := sha256.Sum256(ingress.Certificate.Leaf.RawSubjectPublicKeyInfo)
	for kind, id := range map[string]proxy.Identity{
		"AnyAuthority": {DNS: "proxy.internal", AnyAuthority: true}, "Roots": {URI: "spiffe://example.org/proxy", Roots: ca.Pool()},
		"Key": {Key: base64.StdEncoding.EncodeToString(key[:])},
	} {
		for _, first := range []string{"api.example.com", "other.example.com", ""} { // the first is what is remembered
			trusted := trustedBy(t, id)
			r := byTLS(ingress, ca)
			stranger := byTLS(ca.Client("other"), ca)
			r.TLS.ServerName, stranger.TLS.ServerName = "api.example.com", "api.example.com"
			for _, host := range []string{first, "api.example.com", "other.example.com", "192.0.2.1", ""} {
				if r.Host = host; trusted(r) != nil {
					t.Errorf("%s, first %q: not trusted at %q", kind, first, host)
				}
				if stranger.Host = host; trusted(stranger) == nil {
					t.Errorf("VULNERABLE: %s, first %q: another one is trusted at %q", kind, first, host)
				}
			}
		}
	}
}

// A proxy's connection may outlive its certificate.
func TestProxyThatExpires(t *testing.T) {
	ca := popauthtest.NewCA(t)
	for kind, id := range map[string]proxy.Identity{
		"AnyAuthority": {DNS: "proxy.internal", AnyAuthority: true}, "Roots": {DNS: "proxy.internal", Roots: ca.Pool()},
	} {
		trusted := trustedBy(t, id)
		end := time.Now().Add(2 * time.Second).Truncate(time.Second)
		r := byTLS(ca.Client("proxy", func(c *x509.Certificate) { c.DNSNames, c.NotAfter = []string{"proxy.internal"}, end }), ca)
		if err := trusted(r); err != nil {
			t.Errorf("%s: got %v", kind, err)
		}
		time.Sleep(time.Until(end.Add(50 * time.Millisecond)))
		if trusted(r) == nil {
			t.Errorf("VULNERABLE: %s: still trusted after its certificate's period", kind)
		}
	}
}

// Each setting by itself, and no two together.
func TestProxyIdentityProblems(t *testing.T) {
	ca := popauthtest.NewCA(t)
	sum := sha256.Sum256([]byte("key"))
	key, pool := base64.StdEncoding.EncodeToString(sum[:]), ca.Pool()
	loose := key[:len(key)-2] + string(key[len(key)-2]+1) + "=" // other bits behind the last byte
	for name, tt := range map[string]struct {
		id   proxy.Identity
		says string
	}{
		"nothing":              {proxy.Identity{}, "exactly one"},
		"roots alone":          {proxy.Identity{Roots: pool}, "exactly one"},
		"URI and DNS":          {proxy.Identity{URI: "spiffe://a/b", DNS: "a", Roots: pool}, "exactly one"},
		"URI and Key":          {proxy.Identity{URI: "spiffe://a/b", Key: key, Roots: pool}, "exactly one"},
		"DNS and Key":          {proxy.Identity{DNS: "a", Key: key, Roots: pool}, "exactly one"},
		"all three":            {proxy.Identity{URI: "spiffe://a/b", DNS: "a", Key: key, Roots: pool}, "exactly one"},
		"no authority":         {proxy.Identity{DNS: "a"}, "need Roots"},
		"URI, no authority":    {proxy.Identity{URI: "spiffe://a/b"}, "need Roots"},
		"both authorities":     {proxy.Identity{DNS: "a", Roots: pool, AnyAuthority: true}, "set one"},
		"an empty pool":        {proxy.Identity{DNS: "a", Roots: x509.NewCertPool()}, "no certificate in the pool"},
		"a key with Roots":     {proxy.Identity{Key: key, Roots: pool}, "speaks for itself"},
		"a key with any":       {proxy.Identity{Key: key, AnyAuthority: true}, "speaks for itself"},
		"a short key":          {proxy.Identity{Key: key[:40]}, "SHA-256"},
		"a key of other bits":  {proxy.Identity{Key: loose}, "SHA-256"},
		"a key in two lines":   {proxy.Identity{Key: key[:20] + "\n" + key[20:]}, "SHA-256"},
		"a key in another way": {proxy.Identity{Key: strings.Repeat("_", 43) + "="}, "SHA-256"},
	} {
		if _, err := proxy.Trusted(proxy.TrustProxyTLS(tt.id)); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
		// Beside one that is right it counts as well.
		if _, err := proxy.Trusted(proxy.TrustProxyTLS(tt.id, proxy.Identity{Key: key})); err == nil {
			t.Errorf("%s, beside another: got no error", name)
		}
	}
	if _, err := proxy.Trusted(proxy.TrustProxyTLS()); err == nil {
		t.Error("no identity: got no error")
	}
	trusted := trustedBy(t, proxy.Identity{Key: key})
	for _, state := range []*tls.ConnectionState{nil, {}, {HandshakeComplete: true},
		{PeerCertificates: []*x509.Certificate{ca.Certificate}}} {
		r := httptest.NewRequest("GET", "/", http.NoBody)
		if r.TLS = state; trusted(r) == nil {
			t.Errorf("%+v: trusted", state)
		}
	}
}

// A server may use the memory of one connection's state for the next: who was at the other end then is not who is now.
func TestProxyOfAStateInUseAgain(t *testing.T) {
	ca, other := popauthtest.NewCA(t), popauthtest.NewCA(t)
	name := func(c *x509.Certificate) { c.DNSNames = []string{"proxy.internal"} }
	ingress, thief := ca.Client("proxy", name), other.Client("thief", name)
	for way, id := range map[string]proxy.Identity{
		"Roots": {DNS: "proxy.internal", Roots: ca.Pool()}, "AnyAuthority": {DNS: "proxy.internal", AnyAuthority: true},
	} {
		trusted := trustedBy(t, id)
		good := byTLS(ingress, ca)
		if !id.AnyAuthority { // the server has verified neither, so that only the certificate tells them
			good.TLS.VerifiedChains = nil
		}
		if err := trusted(good); err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		*good.TLS = *thief.Request("GET", "/", "").TLS
		if trusted(good) == nil {
			t.Errorf("VULNERABLE: %s: the thief's connection is the proxy's", way)
		}
		good = byTLS(ingress, ca)
		if err := trusted(good); err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		if good.TLS.VerifiedChains = nil; trusted(good) == nil && id.AnyAuthority {
			t.Errorf("VULNERABLE: %s: nobody has verified this one", way)
		}
	}
}

// With Roots it is for this package to verify the certificate, whatever the server has: each rule once.
func TestProxyByRoots(t *testing.T) {
	ca := popauthtest.NewCA(t)
	name := func(c *x509.Certificate) { c.DNSNames = []string{"proxy.internal"} }
	self, authority := popauthtest.SelfSigned(t, "proxy", name), ca.Intermediate("proxy", name, func(c *x509.Certificate) {
		c.KeyUsage |= x509.KeyUsageDigitalSignature
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	roots := ca.Pool()
	roots.AddCert(self.Certificate.Leaf)
	trusted := trustedBy(t, proxy.Identity{DNS: "proxy.internal", Roots: roots})
	client := func(change func(*x509.Certificate)) []*x509.Certificate {
		return []*x509.Certificate{ca.Client("proxy", name, change).Certificate.Leaf}
	}
	good := client(func(*x509.Certificate) {})
	for what, tt := range map[string]struct {
		sent []*x509.Certificate
		want bool
	}{
		"good":                            {good, true},
		"with what is no certificate":     {append(good[:1:1], nil), false},
		"with more than anybody reads":    {append(good[:1:1], slices.Repeat([]*x509.Certificate{authority.Certificate}, 40)...), false},
		"its own issuer, and among Roots": {[]*x509.Certificate{self.Certificate.Leaf}, false},
		"an authority's own":              {[]*x509.Certificate{authority.Certificate}, false},
		"of another authority":            {[]*x509.Certificate{popauthtest.NewCA(t).Client("proxy", name).Certificate.Leaf}, false},
		"for servers alone": {client(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), false},
		"with a key that may not sign":     {client(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), false},
		"not valid yet":                    {client(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), false},
		"valid no longer":                  {client(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), false},
		"without the bytes it was made of": {[]*x509.Certificate{{DNSNames: []string{"proxy.internal"}}}, false},
	} {
		r := httptest.NewRequest("GET", "/", http.NoBody)
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: tt.sent}
		for range 2 { // found out, and remembered
			if err := trusted(r); (err == nil) != tt.want {
				t.Errorf("%s: got %v, want it to be trusted: %t", what, err, tt.want)
			}
		}
	}
}
