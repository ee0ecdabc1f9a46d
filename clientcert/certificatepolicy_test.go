package clientcert_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// alternative puts general names into a certificate to the letter: crypto/x509 would check and write them its own way.
func alternative(names ...asn1.RawValue) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		der, err := asn1.Marshal(names)
		if err != nil {
			panic(err)
		}
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der})
	}
}

func general(tag int, value string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)}
}

func TestCertificatePolicies(t *testing.T) {
	root := popauthtest.NewCA(t, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "Devices", Organization: []string{"Example"}}
	})
	pool := root.Pool()
	v := clientcert.Verification{RootsFor: func(*http.Request, *x509.Certificate) (*x509.CertPool, error) { return pool, nil }}
	client := root.Client("batch", func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "batch", Organization: []string{"Example, Inc."}, Country: []string{"DE"}}
		c.DNSNames = []string{"a.example.com", "B.example.com"}
		c.EmailAddresses = []string{"Ops@Example.com"}
		c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1).To4(), net.ParseIP("2001:db8::1")}
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/batch"}}
	})
	wild := root.Client("a.example.com", func(c *x509.Certificate) { c.DNSNames = []string{"*.example.com"} })
	bare := root.Client("a.example.com")
	two := root.Client("two", alternative(general(6, "spiffe://example.org/batch"), general(6, "https://example.org/x#")))
	odd := root.Client("odd", alternative(general(6, "HTTPS://example.org/"), general(2, "\u212aelvin.example"[:0]+"kelvin.example"),
		general(1, "root@ops@example.com")))
	mapped := root.Client("mapped", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("198.51.100.7")} })
	addr := netip.MustParseAddr
	for _, tt := range []struct {
		name   string
		policy clientcert.Match
		client *popauthtest.Client
		want   int
	}{
		{"DNS", clientcert.DNS("a.example.com"), client, 200},
		{"DNS, second, case", clientcert.DNS("x.example.com", "b.EXAMPLE.com"), client, 200},
		{"DNS, another", clientcert.DNS("c.example.com"), client, 403},
		{"DNS, parent", clientcert.DNS("example.com"), client, 403},
		{"DNS, suffix", clientcert.DNS("a.example.com.evil.example"), client, 403},
		{"DNS, wildcard", clientcert.DNS("a.example.com"), wild, 403},
		{"DNS, common name", clientcert.DNS("a.example.com"), bare, 403},
		{"URI", clientcert.URI("spiffe://example.org/batch"), client, 200},
		{"URI, one of two", clientcert.URI("spiffe://example.org/batch"), two, 200},
		{"URI, another", clientcert.URI("spiffe://example.org/batch/1"), client, 403},
		{"URI, to the letter", clientcert.URI("https://example.org/x"), two, 403},
		{"URI, with its fragment", clientcert.URI("https://example.org/x#"), two, 200},
		{"URI, scheme", clientcert.URI("https://example.org/"), odd, 403},
		{"URI, none", clientcert.URI("https://example.org/"), bare, 403},
		{"SPIFFE", clientcert.SPIFFE("spiffe://example.org/batch"), client, 200},
		{"SPIFFE, another", clientcert.SPIFFE("spiffe://example.org/batc"), client, 403},
		{"SPIFFE, two URIs", clientcert.SPIFFE("spiffe://example.org/batch"), two, 403},
		{"email", clientcert.Email("Ops@example.COM"), client, 200},
		{"email, local part", clientcert.Email("ops@example.com"), client, 403},
		{"email, domain", clientcert.Email("Ops@example.org"), client, 403},
		{"email, two @", clientcert.Email("root@example.com"), odd, 403},
		{"IPv4", clientcert.IP(addr("192.0.2.1")), client, 200},
		{"IPv6", clientcert.IP(addr("::"), addr("2001:db8::1")), client, 200},
		{"IP, another", clientcert.IP(addr("192.0.2.2")), client, 403},
		{"IP, v4 in v6", clientcert.IP(addr("::ffff:192.0.2.1")), client, 200},
		{"IP, written by crypto/x509", clientcert.IP(addr("198.51.100.7")), mapped, 200},
		{"subject", clientcert.Subject(`CN=batch,O=Example\, Inc.,C=DE`), client, 200},
		{"subject, one of two", clientcert.Subject("CN=x", `CN=batch, O=Example\2C Inc., C=DE`), client, 200},
		{"subject, part", clientcert.Subject("CN=batch"), client, 403},
		{"subject, order", clientcert.Subject(`C=DE,O=Example\, Inc.,CN=batch`), client, 403},
		{"subject, issuer's", clientcert.Subject("CN=Devices,O=Example"), client, 403},
		{"issuer", clientcert.Issuer("CN=Devices,O=Example"), client, 200},
		{"issuer, another", clientcert.Issuer("CN=Devices"), client, 403},
		{"thumbprint", clientcert.Thumbprint(bare.Thumbprint(), client.Thumbprint()), client, 200},
		{"thumbprint, hex", clientcert.Thumbprint(strings.ReplaceAll(hexColons(client.Thumbprint()), ":", "")), client, 200},
		{"thumbprint, colons", clientcert.Thumbprint(hexColons(client.Thumbprint())), client, 200},
		{"thumbprint, another", clientcert.Thumbprint(bare.Thumbprint()), client, 403},
		{"all of two", clientcert.AnyOf(clientcert.DNS("x"), clientcert.Email("Ops@example.com")), client, 200},
		{"another status", clientcert.MatchFunc(func(*http.Request, *popauth.Certificate) error { return popauth.ErrUnavailable }),
			client, 503},
		{"function", clientcert.MatchFunc(func(_ *http.Request, c *popauth.Certificate) error {
			if c.Leaf.Subject.CommonName != "batch" {
				return errors.New("another")
			}
			return nil
		}), client, 200},
	} {
		t.Run(tt.name, func(t *testing.T) { required(t, v, tt.client.Request("GET", "/", ""), tt.policy).Is(t, tt.want) })
	}
	required(t, v, client.Request("GET", "/", ""), clientcert.DNS("a.example.com"), clientcert.DNS("c.example.com")).Is(t, 403)
}

// Nobody has looked at what an unverified certificate says of itself.
func TestUnverifiedCertificate(t *testing.T) {
	thief := popauthtest.SelfSigned(t, "batch", func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses = []string{"a.example.com"}, []string{"ops@example.com"}
		c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1).To4()}
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/batch"}}
	})
	l := lab.New(t)
	token := l.Issuer.Token(thief.Bound())
	r := func() *http.Request { return thief.Request("GET", "/", token) }
	for name, p := range map[string]clientcert.Match{
		"DNS": clientcert.DNS("a.example.com"), "URI": clientcert.URI("spiffe://example.org/batch"),
		"SPIFFE": clientcert.SPIFFE("spiffe://example.org/batch"), "email": clientcert.Email("ops@example.com"),
		"IP": clientcert.IP(netip.MustParseAddr("192.0.2.1")), "subject": clientcert.Subject("CN=batch"),
		"issuer": clientcert.Issuer("CN=batch"),
	} {
		t.Run(name, func(t *testing.T) {
			lab.Send(l.Guard().Authorize(clientcert.Policy(p)), r()).Refused(t, 403, "")
			lab.Send(l.Guard().Authorize(clientcert.Policy(p)), (*popauthtest.Client)(nil).Request("GET", "/", l.Unbound())).Refused(t,
				403, "")
			lab.Send(clientcert.Require(popauth.TLSCertificate(), p), r()).Refused(t, 403, "")
			lab.Send(clientcert.Require(popauth.TLSCertificate(), clientcert.AnyOf(p, clientcert.MatchFunc(
				func(*http.Request, *popauth.Certificate) error { return nil }))), r()).Refused(t, 403, "")
		})
	}
	lab.Send(clientcert.Require(popauth.TLSCertificate()), r()).Refused(t, 403, "")
	known := clientcert.Thumbprint(thief.Thumbprint())
	lab.Send(clientcert.Require(popauth.TLSCertificate(), known), r()).Passed(t)
	lab.Send(l.Guard().Authorize(clientcert.Policy(known)), r()).Passed(t)
	lab.Send(clientcert.Require(popauth.TLSCertificate(), known), l.Owner.Request("GET", "/", "")).Refused(t, 403, "")
	lab.Send(clientcert.Require(popauth.TLSCertificate(), known, clientcert.DNS("a.example.com")), r()).Refused(t, 403, "")
	lab.Send(l.Guard().Authorize(clientcert.Policy(known)), (*popauthtest.Client)(nil).Request("GET", "/", l.Unbound())).Refused(t, 403, "")
}

// A function is shown a certificate that nobody has verified only beside a thumbprint, which names it.
func TestMatchFunc(t *testing.T) {
	l := lab.New(t)
	shown := 0
	whoever := clientcert.MatchFunc(func(_ *http.Request, c *popauth.Certificate) error {
		shown++
		c.Verified = popauth.VerifiedLocally
		return nil
	})
	own := clientcert.Thumbprint(l.Owner.Thumbprint())
	for name, tt := range map[string]struct {
		matches []clientcert.Match
		shown   int
		status  int
	}{
		"alone":               {[]clientcert.Match{whoever}, 0, 403},
		"beside a thumbprint": {[]clientcert.Match{whoever, own, whoever}, 2, 200},
		"within any of":       {[]clientcert.Match{clientcert.AnyOf(whoever, clientcert.DNS("a.example"))}, 0, 403},
		"or a thumbprint":     {[]clientcert.Match{clientcert.AnyOf(whoever, own)}, 0, 200},
		"all of, within any of": {[]clientcert.Match{clientcert.AnyOf(clientcert.AllOf(whoever, own), clientcert.DNS("a.example"))}, 1,
			200},
		"beside, and then a name": {[]clientcert.Match{own, whoever, clientcert.DNS("a.example")}, 1, 403},
	} {
		shown = 0
		lab.Send(l.Guard().Authorize(clientcert.Policy(tt.matches...)), l.Owner.Request("GET", "/", l.Bound())).Is(t, tt.status)
		if shown != tt.shown {
			t.Errorf("%s: the function was asked %d times, want %d", name, shown, tt.shown)
		}
		lab.Send(l.Guard().Authorize(clientcert.Policy(tt.matches...)),
			(*popauthtest.Client)(nil).Request("GET", "/", l.Unbound())).Refused(t, 403, "")
	}
	if _, err := clientcert.Check((*popauthtest.Client)(nil).Request("GET", "/", ""), nil, own); !errors.Is(err,
		popauth.ErrCertificateRequired) {
		t.Errorf("no certificate: got %v, want ErrCertificateRequired", err)
	}
	// Whoever can't tell has not said no.
	down := clientcert.AnyOf(clientcert.DNS("a.example"), clientcert.AllOf(own, lab.MatchFunc(lab.ErrDown)))
	lab.Send(l.Guard().Authorize(clientcert.Policy(down)), l.Owner.Request("GET", "/", l.Bound())).Refused(t, 503, "")
	verified := lab.Verified(t, clientcert.Verification{Roots: l.CA.Pool()})
	lab.Send(clientcert.Require(verified, down), l.CA.Client("x").Request("GET", "/", "")).Refused(t, 403, "")
	lab.Send(clientcert.Require(verified, clientcert.AnyOf(clientcert.DNS("a.example"), lab.MatchFunc(lab.ErrDown))),
		l.Owner.Request("GET", "/", "")).Refused(t, 503, "")
}

// Without a source of its own, a route takes what an outer handler has found, and never the connection's then.
func TestRequireCertificateInherits(t *testing.T) {
	l := lab.New(t)
	verifiedByTLS := l.Owner.Request("GET", "/", "")
	verifiedByTLS.TLS.VerifiedChains = append(verifiedByTLS.TLS.VerifiedChains, verifiedByTLS.TLS.PeerCertificates)
	none := popauth.ClientCertificate(lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { return nil, nil }))
	checked := popauth.ClientCertificate(lab.Verified(t, clientcert.Verification{Roots: l.CA.Pool()}))
	var inside *popauth.Certificate
	look := lab.Tap(func(r *http.Request) { inside, _ = popauth.CertificateFromContext(r.Context()) })
	inherits := clientcert.Require(nil)

	lab.Send(lab.Chain(inherits, look), verifiedByTLS).Passed(t)
	if inside == nil || inside.Verified != popauth.VerifiedByTLS {
		t.Errorf("got %+v", inside)
	}
	lab.Send(lab.Chain(none, inherits), verifiedByTLS).Refused(t, 403, "")
	lab.Send(inherits, l.Owner.Request("GET", "/", "")).Refused(t, 403, "")
	lab.Send(lab.Chain(checked, inherits, look), l.Owner.Request("GET", "/", "")).Passed(t)
	if inside == nil || inside.Verified != popauth.VerifiedLocally {
		t.Errorf("got %+v", inside)
	}
	lab.Send(lab.Chain(checked, inherits), l.Thief.Request("GET", "/", "")).Refused(t, 403, "")
	lab.Send(lab.Chain(checked, inherits), (*popauthtest.Client)(nil).Request("GET", "/", "")).Refused(t, 403, "")

	var c *popauth.Certificate
	var err error
	lab.Send(lab.Chain(checked, lab.Tap(func(r *http.Request) { c, err = clientcert.Check(r, nil) })),
		l.Owner.Request("GET", "/", "")).Passed(t)
	if err != nil || c == nil || c.Thumbprint != l.Owner.Thumbprint() {
		t.Errorf("got %v, %v", c, err)
	}
	if c, err := clientcert.Check(verifiedByTLS, nil, clientcert.Match{}); c != nil || !errors.Is(err, popauth.ErrForbidden) {
		t.Errorf("zero Match: got %v, %v", c, err)
	}
}

func TestCertificatePolicyPanics(t *testing.T) {
	sum := sha("x")
	for name, f := range map[string]func(){
		"no DNS name":       func() { clientcert.DNS() },
		"empty DNS name":    func() { clientcert.DNS("") },
		"wildcard":          func() { clientcert.DNS("*.example.com") },
		"U-label":           func() { clientcert.DNS("bücher.example") },
		"trailing dot":      func() { clientcert.DNS("example.com.") },
		"no URI":            func() { clientcert.URI() },
		"relative URI":      func() { clientcert.URI("/x") },
		"URI with ü":        func() { clientcert.URI("https://example.org/ü") },
		"broken URI":        func() { clientcert.URI("https://exa mple/") },
		"trust domain":      func() { clientcert.SPIFFE("spiffe://example.org") },
		"case":              func() { clientcert.SPIFFE("spiffe://Example.org/x") },
		"port":              func() { clientcert.SPIFFE("spiffe://example.org:1/x") },
		"trailing slash":    func() { clientcert.SPIFFE("spiffe://example.org/x/") },
		"dots":              func() { clientcert.SPIFFE("spiffe://example.org/../x") },
		"not SPIFFE":        func() { clientcert.SPIFFE("https://example.org/x") },
		"no mail address":   func() { clientcert.Email("example.com") },
		"two @":             func() { clientcert.Email("a@b@example.com") },
		"no IP":             func() { clientcert.IP() },
		"zero IP":           func() { clientcert.IP(netip.Addr{}) },
		"zone":              func() { clientcert.IP(netip.MustParseAddr("fe80::1%eth0")) },
		"subject":           func() { clientcert.Subject("batch") },
		"issuer":            func() { clientcert.Issuer("") },
		"no thumbprint":     func() { clientcert.Thumbprint() },
		"SHA-1":             func() { clientcert.Thumbprint(strings.Repeat("ab", 20)) },
		"SHA-1 with colons": func() { clientcert.Thumbprint(strings.TrimSuffix(strings.Repeat("ab:", 20), ":")) },
		"padded":            func() { clientcert.Thumbprint(sum + "=") },
		"standard base64":   func() { clientcert.Thumbprint(strings.Repeat("+", 43)) },
		"pad bits":          func() { clientcert.Thumbprint(strings.Repeat("A", 42) + "B") },
		"line break":        func() { clientcert.Thumbprint(strings.Repeat("A", 42) + "\n") },
		"not hex":           func() { clientcert.Thumbprint(strings.Repeat("xy", 32)) },
		"colons elsewhere":  func() { clientcert.Thumbprint("abc:" + strings.Repeat("ab:", 30) + "b") },
		"zero match":        func() { clientcert.Require(nil, clientcert.Match{}) },
		"nil handler":       func() { clientcert.Require(nil)(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "clientcert: ") {
					t.Errorf("got %v, want a panic", s)
				}
			}()
			f()
		})
	}
}

func sha(string) string { return base64.RawURLEncoding.EncodeToString(make([]byte, 32)) }

// A thumbprint means the same in every spelling, and nothing else is one.
func FuzzThumbprint(f *testing.F) {
	client := popauthtest.SelfSigned(f, "x")
	f.Add(client.Thumbprint())
	f.Add(hexColons(client.Thumbprint()))
	f.Add(strings.Repeat("ab:", 32))
	want, _ := base64.RawURLEncoding.DecodeString(client.Thumbprint())
	r := client.Request("GET", "/", "")
	f.Fuzz(func(t *testing.T, s string) {
		source, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{SelfSigned: []string{s}})
		if err != nil {
			return
		}
		plain := strings.ToLower(strings.ReplaceAll(s, ":", ""))
		same := s == client.Thumbprint() || plain == hex.EncodeToString(want)
		if c, _ := source.Certificate(r); (c != nil) != same {
			t.Errorf("%q: accepted %t, want %t", s, c != nil, same)
		}
	})
}
