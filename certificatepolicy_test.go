package popauth_test

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
	v := popauth.Verification{RootsFor: func(*http.Request, *x509.Certificate) (*x509.CertPool, error) { return pool, nil }}
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
	odd := root.Client("odd", alternative(general(6, "HTTPS://example.org/"), general(2, "\u212aelvin.example"[:0]+"kelvin.example"), general(1, "root@ops@example.com")))
	mapped := root.Client("mapped", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("198.51.100.7")} })
	addr := netip.MustParseAddr
	for _, tt := range []struct {
		name   string
		policy popauth.Match
		client *popauthtest.Client
		want   int
	}{
		{"DNS", popauth.CertificateDNS("a.example.com"), client, 200},
		{"DNS, second, case", popauth.CertificateDNS("x.example.com", "b.EXAMPLE.com"), client, 200},
		{"DNS, another", popauth.CertificateDNS("c.example.com"), client, 403},
		{"DNS, parent", popauth.CertificateDNS("example.com"), client, 403},
		{"DNS, suffix", popauth.CertificateDNS("a.example.com.evil.example"), client, 403},
		{"DNS, wildcard", popauth.CertificateDNS("a.example.com"), wild, 403},
		{"DNS, common name", popauth.CertificateDNS("a.example.com"), bare, 403},
		{"URI", popauth.CertificateURI("spiffe://example.org/batch"), client, 200},
		{"URI, one of two", popauth.CertificateURI("spiffe://example.org/batch"), two, 200},
		{"URI, another", popauth.CertificateURI("spiffe://example.org/batch/1"), client, 403},
		{"URI, to the letter", popauth.CertificateURI("https://example.org/x"), two, 403},
		{"URI, with its fragment", popauth.CertificateURI("https://example.org/x#"), two, 200},
		{"URI, scheme", popauth.CertificateURI("https://example.org/"), odd, 403},
		{"URI, none", popauth.CertificateURI("https://example.org/"), bare, 403},
		{"SPIFFE", popauth.CertificateSPIFFE("spiffe://example.org/batch"), client, 200},
		{"SPIFFE, another", popauth.CertificateSPIFFE("spiffe://example.org/batc"), client, 403},
		{"SPIFFE, two URIs", popauth.CertificateSPIFFE("spiffe://example.org/batch"), two, 403},
		{"email", popauth.CertificateEmail("Ops@example.COM"), client, 200},
		{"email, local part", popauth.CertificateEmail("ops@example.com"), client, 403},
		{"email, domain", popauth.CertificateEmail("Ops@example.org"), client, 403},
		{"email, two @", popauth.CertificateEmail("root@example.com"), odd, 403},
		{"IPv4", popauth.CertificateIP(addr("192.0.2.1")), client, 200},
		{"IPv6", popauth.CertificateIP(addr("::"), addr("2001:db8::1")), client, 200},
		{"IP, another", popauth.CertificateIP(addr("192.0.2.2")), client, 403},
		{"IP, v4 in v6", popauth.CertificateIP(addr("::ffff:192.0.2.1")), client, 200},
		{"IP, written by crypto/x509", popauth.CertificateIP(addr("198.51.100.7")), mapped, 200},
		{"subject", popauth.CertificateSubject(`CN=batch,O=Example\, Inc.,C=DE`), client, 200},
		{"subject, one of two", popauth.CertificateSubject("CN=x", `CN=batch, O=Example\2C Inc., C=DE`), client, 200},
		{"subject, part", popauth.CertificateSubject("CN=batch"), client, 403},
		{"subject, order", popauth.CertificateSubject(`C=DE,O=Example\, Inc.,CN=batch`), client, 403},
		{"subject, issuer's", popauth.CertificateSubject("CN=Devices,O=Example"), client, 403},
		{"issuer", popauth.CertificateIssuer("CN=Devices,O=Example"), client, 200},
		{"issuer, another", popauth.CertificateIssuer("CN=Devices"), client, 403},
		{"thumbprint", popauth.CertificateThumbprint(bare.Thumbprint(), client.Thumbprint()), client, 200},
		{"thumbprint, hex", popauth.CertificateThumbprint(strings.ReplaceAll(hexColons(client.Thumbprint()), ":", "")), client, 200},
		{"thumbprint, colons", popauth.CertificateThumbprint(hexColons(client.Thumbprint())), client, 200},
		{"thumbprint, another", popauth.CertificateThumbprint(bare.Thumbprint()), client, 403},
		{"all of two", popauth.AnyMatch(popauth.CertificateDNS("x"), popauth.CertificateEmail("Ops@example.com")), client, 200},
		{"another status", popauth.MatchFunc(func(*http.Request, *popauth.Certificate) error { return popauth.ErrUnavailable }), client, 503},
		{"function", popauth.MatchFunc(func(_ *http.Request, c *popauth.Certificate) error {
			if c.Leaf.Subject.CommonName != "batch" {
				return errors.New("another")
			}
			return nil
		}), client, 200},
	} {
		t.Run(tt.name, func(t *testing.T) { required(t, v, tt.client.Request("GET", "/", ""), tt.policy).is(t, tt.want) })
	}
	required(t, v, client.Request("GET", "/", ""), popauth.CertificateDNS("a.example.com"), popauth.CertificateDNS("c.example.com")).is(t, 403)
}

// Nobody has looked at what an unverified certificate says of itself.
func TestUnverifiedCertificate(t *testing.T) {
	thief := popauthtest.SelfSigned(t, "batch", func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses = []string{"a.example.com"}, []string{"ops@example.com"}
		c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1).To4()}
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/batch"}}
	})
	l := newLab(t)
	token := l.issuer.Token(thief.Bound())
	r := func() *http.Request { return thief.Request("GET", "/", token) }
	for name, p := range map[string]popauth.Match{
		"DNS": popauth.CertificateDNS("a.example.com"), "URI": popauth.CertificateURI("spiffe://example.org/batch"),
		"SPIFFE": popauth.CertificateSPIFFE("spiffe://example.org/batch"), "email": popauth.CertificateEmail("ops@example.com"),
		"IP": popauth.CertificateIP(netip.MustParseAddr("192.0.2.1")), "subject": popauth.CertificateSubject("CN=batch"),
		"issuer": popauth.CertificateIssuer("CN=batch"),
	} {
		t.Run(name, func(t *testing.T) {
			send(l.guard().Authorize(popauth.MatchPolicy(p)), r()).refused(t, 403, "")
			send(l.guard().Authorize(popauth.MatchPolicy(p)), (*popauthtest.Client)(nil).Request("GET", "/", l.unbound())).refused(t, 403, "")
			send(popauth.RequireCertificate(popauth.TLSCertificate(), p), r()).refused(t, 403, "")
			send(popauth.RequireCertificate(popauth.TLSCertificate(), popauth.AnyMatch(p, popauth.MatchFunc(
				func(*http.Request, *popauth.Certificate) error { return nil }))), r()).refused(t, 403, "")
		})
	}
	send(popauth.RequireCertificate(popauth.TLSCertificate()), r()).refused(t, 403, "")
	known := popauth.CertificateThumbprint(thief.Thumbprint())
	send(popauth.RequireCertificate(popauth.TLSCertificate(), known), r()).passed(t)
	send(l.guard().Authorize(popauth.MatchPolicy(known)), r()).passed(t)
	send(popauth.RequireCertificate(popauth.TLSCertificate(), known), l.owner.Request("GET", "/", "")).refused(t, 403, "")
	send(popauth.RequireCertificate(popauth.TLSCertificate(), known, popauth.CertificateDNS("a.example.com")), r()).refused(t, 403, "")
	send(l.guard().Authorize(popauth.MatchPolicy(known)), (*popauthtest.Client)(nil).Request("GET", "/", l.unbound())).refused(t, 403, "")
}

// Without a source of its own, a route takes what an outer handler has found, and never the connection's then.
func TestRequireCertificateInherits(t *testing.T) {
	l := newLab(t)
	verifiedByTLS := l.owner.Request("GET", "/", "")
	verifiedByTLS.TLS.VerifiedChains = append(verifiedByTLS.TLS.VerifiedChains, verifiedByTLS.TLS.PeerCertificates)
	none := popauth.ClientCertificate(sourceFunc(func(*http.Request) (*popauth.Certificate, error) { return nil, nil }))
	checked := popauth.ClientCertificate(verified(t, popauth.Verification{Roots: l.ca.Pool()}))
	var inside *popauth.Certificate
	look := tap(func(r *http.Request) { inside, _ = popauth.CertificateFromContext(r.Context()) })
	inherits := popauth.RequireCertificate(nil)

	send(chain(inherits, look), verifiedByTLS).passed(t)
	if inside == nil || inside.Verified != popauth.VerifiedByTLS {
		t.Errorf("got %+v", inside)
	}
	send(chain(none, inherits), verifiedByTLS).refused(t, 403, "")
	send(inherits, l.owner.Request("GET", "/", "")).refused(t, 403, "")
	send(chain(checked, inherits, look), l.owner.Request("GET", "/", "")).passed(t)
	if inside == nil || inside.Verified != popauth.VerifiedLocally {
		t.Errorf("got %+v", inside)
	}
	send(chain(checked, inherits), l.thief.Request("GET", "/", "")).refused(t, 403, "")
	send(chain(checked, inherits), (*popauthtest.Client)(nil).Request("GET", "/", "")).refused(t, 403, "")

	var c *popauth.Certificate
	var err error
	send(chain(checked, tap(func(r *http.Request) { c, err = popauth.CheckCertificate(r, nil) })), l.owner.Request("GET", "/", "")).passed(t)
	if err != nil || c == nil || c.Thumbprint != l.owner.Thumbprint() {
		t.Errorf("got %v, %v", c, err)
	}
	if c, err := popauth.CheckCertificate(verifiedByTLS, nil, popauth.Match{}); c != nil || !errors.Is(err, popauth.ErrForbidden) {
		t.Errorf("zero Match: got %v, %v", c, err)
	}
}

func TestCertificatePolicyPanics(t *testing.T) {
	sum := sha("x")
	for name, f := range map[string]func(){
		"no DNS name":       func() { popauth.CertificateDNS() },
		"empty DNS name":    func() { popauth.CertificateDNS("") },
		"wildcard":          func() { popauth.CertificateDNS("*.example.com") },
		"U-label":           func() { popauth.CertificateDNS("bücher.example") },
		"trailing dot":      func() { popauth.CertificateDNS("example.com.") },
		"no URI":            func() { popauth.CertificateURI() },
		"relative URI":      func() { popauth.CertificateURI("/x") },
		"URI with ü":        func() { popauth.CertificateURI("https://example.org/ü") },
		"broken URI":        func() { popauth.CertificateURI("https://exa mple/") },
		"trust domain":      func() { popauth.CertificateSPIFFE("spiffe://example.org") },
		"case":              func() { popauth.CertificateSPIFFE("spiffe://Example.org/x") },
		"port":              func() { popauth.CertificateSPIFFE("spiffe://example.org:1/x") },
		"trailing slash":    func() { popauth.CertificateSPIFFE("spiffe://example.org/x/") },
		"dots":              func() { popauth.CertificateSPIFFE("spiffe://example.org/../x") },
		"not SPIFFE":        func() { popauth.CertificateSPIFFE("https://example.org/x") },
		"no mail address":   func() { popauth.CertificateEmail("example.com") },
		"two @":             func() { popauth.CertificateEmail("a@b@example.com") },
		"no IP":             func() { popauth.CertificateIP() },
		"zero IP":           func() { popauth.CertificateIP(netip.Addr{}) },
		"zone":              func() { popauth.CertificateIP(netip.MustParseAddr("fe80::1%eth0")) },
		"subject":           func() { popauth.CertificateSubject("batch") },
		"issuer":            func() { popauth.CertificateIssuer("") },
		"no thumbprint":     func() { popauth.CertificateThumbprint() },
		"SHA-1":             func() { popauth.CertificateThumbprint(strings.Repeat("ab", 20)) },
		"SHA-1 with colons": func() { popauth.CertificateThumbprint(strings.TrimSuffix(strings.Repeat("ab:", 20), ":")) },
		"padded":            func() { popauth.CertificateThumbprint(sum + "=") },
		"standard base64":   func() { popauth.CertificateThumbprint(strings.Repeat("+", 43)) },
		"pad bits":          func() { popauth.CertificateThumbprint(strings.Repeat("A", 42) + "B") },
		"line break":        func() { popauth.CertificateThumbprint(strings.Repeat("A", 42) + "\n") },
		"not hex":           func() { popauth.CertificateThumbprint(strings.Repeat("xy", 32)) },
		"colons elsewhere":  func() { popauth.CertificateThumbprint("abc:" + strings.Repeat("ab:", 30) + "b") },
		"zero match":        func() { popauth.RequireCertificate(nil, popauth.Match{}) },
		"nil handler":       func() { popauth.RequireCertificate(nil)(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "popauth: ") {
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
		source, err := popauth.Verified(popauth.TLSCertificate(), popauth.Verification{SelfSigned: []string{s}})
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
