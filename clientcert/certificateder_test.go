package clientcert_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/internal/oddcert"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// odd are clients whose certificates crypto/x509 can't parse, by what is odd about them.
func odd(t *testing.T, ca *popauthtest.CA) map[string]*popauthtest.Client {
	t.Helper()
	all, err := oddcert.Issue(ca.Certificate, ca.Key, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	clients := map[string]*popauthtest.Client{}
	for _, c := range all {
		clients[c.Name] = &popauthtest.Client{Certificate: c.Certificate}
	}
	return clients
}

// proxyFormats are the forms in which proxies report a certificate that they have validated, with intermediates if they
// send any.
var proxyFormats = []struct {
	format proxy.Format
	lines  func(der, between []byte) []string
}{
	{proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"), func(der, _ []byte) []string {
		return []string{"X-SSL-Client-Cert", escaped(der), "X-SSL-Client-Verify", "SUCCESS"}
	}},
	{proxy.IngressNginx(), func(der, _ []byte) []string {
		return []string{"ssl-client-cert", escaped(der), "ssl-client-verify", "SUCCESS"}
	}},
	{proxy.Apache("X-SSL-Client-Cert", "X-SSL-Client-Verify").WithChain("X-SSL-Client-Cert-Chain-0"), func(der, between []byte) []string {
		folded := func(b []byte) string { return strings.ReplaceAll(certificatePEM(b), "\n", " ") }
		return []string{"X-SSL-Client-Cert", folded(der), "X-SSL-Client-Cert-Chain-0", folded(between), "X-SSL-Client-Verify", "SUCCESS"}
	}},
	{proxy.HAProxy("X-SSL-Client-Cert", "X-SSL-Client-Verify").WithChain("X-SSL-Chain"), func(der, between []byte) []string {
		return []string{"X-SSL-Client-Cert", lab.Base64Of(der), "X-SSL-Chain", lab.Base64Of(between), "X-SSL-Client-Verify", "0"}
	}},
	{proxy.RFC9440(), func(der, between []byte) []string {
		return []string{"Client-Cert", ":" + lab.Base64Of(der) + ":", "Client-Cert-Chain", ":" + lab.Base64Of(between) + ":"}
	}},
	{proxy.Cloudflare(), func(der, _ []byte) []string { return []string{"Client-Cert", ":" + lab.Base64Of(der) + ":"} }},
	{proxy.CloudflareLegacy(), func(der, _ []byte) []string { return []string{"Cf-Client-Cert-Der-Base64", lab.Base64Of(der)} }},
	{proxy.Caddy("X-SSL-Client-Cert"), func(der, _ []byte) []string { return []string{"X-SSL-Client-Cert", lab.Base64Of(der)} }},
	{proxy.Traefik(), func(der, between []byte) []string {
		return []string{"X-Forwarded-Tls-Client-Cert", lab.Base64Of(der) + "," + lab.Base64Of(between)}
	}},
	{proxy.Kong(), func(der, between []byte) []string {
		return []string{"X-Client-Cert", escaped(der), "X-Client-Cert-Chain", escaped(der) + escaped(between)}
	}},
	{proxy.Envoy(), func(der, between []byte) []string {
		sum := sha256.Sum256(der)
		return []string{"X-Forwarded-Client-Cert", "Hash=" + hex.EncodeToString(sum[:]) + `;Cert="` + escaped(der) + `";Chain="` +
			escaped(der) + escaped(between) + `"`}
	}},
	{proxy.AWSALBVerify(), func(der, _ []byte) []string { return []string{"X-Amzn-Mtls-Clientcert-Leaf", escaped(der)} }},
	{proxy.AWSALBPassthrough(), func(der, between []byte) []string {
		return []string{"X-Amzn-Mtls-Clientcert", escaped(der) + escaped(between)}
	}},
	{proxy.AzureAppService(), func(der, _ []byte) []string { return []string{"X-ARR-ClientCert", lab.Base64Of(der)} }},
	{proxy.IISARR(), func(der, _ []byte) []string { return []string{"X-ARR-ClientCert", lab.Base64Of(der)} }},
	{proxy.CloudFoundry(), func(der, _ []byte) []string { return []string{"X-Forwarded-Client-Cert", lab.Base64Of(der)} }},
	{proxy.CloudFront(), func(der, _ []byte) []string {
		return []string{"CloudFront-Viewer-Cert-Pem", escaped(der), "CloudFront-Viewer-Cert-Present", "1"}
	}},
	{proxy.CloudFrontPassthrough(), func(der, between []byte) []string {
		return []string{"Client-Cert", ":" + lab.Base64Of(der) + ":", "Client-Cert-Chain", ":" + lab.Base64Of(between) + ":",
			"CloudFront-Viewer-Cert-Present", "1"}
	}},
	{proxy.AzureApplicationGateway("X-Client-Cert", "X-Client-Verify"), func(der, _ []byte) []string {
		return []string{"X-Client-Cert", escaped(der), "X-Client-Verify", "SUCCESS"}
	}},
	{proxy.AzureContainerApps(), func(der, between []byte) []string {
		sum := sha256.Sum256(der)
		return []string{"X-Forwarded-Client-Cert", "Hash=" + hex.EncodeToString(sum[:]) + `;Cert="` + escaped(der) + `";Chain="` +
			escaped(between) + `";`}
	}},
	{proxy.F5("X-Client-Cert", "X-Client-Verify"), func(der, _ []byte) []string {
		return []string{"X-Client-Cert", lab.Base64Of(der), "X-Client-Verify", "0"}
	}},
	{proxy.AWSLambdaWebAdapter(), func(der, _ []byte) []string {
		return []string{"X-Amzn-Request-Context", `{"authentication":{"clientCert":{"clientCertPem":"` +
			strings.ReplaceAll(certificatePEM(der), "\n", `\n`) + `"}}}`}
	}},
	{proxy.GoogleCloud(proxy.GoogleCloudHeaders{}), func(der, between []byte) []string {
		return []string{
			"X-Client-Cert-Leaf", ":" + lab.Base64Of(der) + ":", "X-Client-Cert-Chain", ":" + lab.Base64Of(between) + ":",
			"X-Client-Cert-Present", "true", "X-Client-Cert-Chain-Verified", "true", "X-Client-Cert-Error", "",
		}
	}},
}

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func escaped(der []byte) string {
	return url.PathEscape(strings.TrimSuffix(certificatePEM(der), "\n") + "\n")
}

// The owner's request passes: a binding needs the hash of the certificate alone. Nobody else's does, and nobody is
// somebody by a name.
func TestCertificatesThatGoCantParse(t *testing.T) {
	l := lab.New(t)
	clients := odd(t, l.CA)
	between := clients["negative serial number"].Certificate.Certificate[0] // in the chain it is of no use, and does no harm
	for _, f := range proxyFormats {
		source := lab.ByProxy(f.format, proxy.TrustPeers(lab.ProxyNet))
		for name, c := range clients {
			t.Run(f.format.Name()+" "+name, func(t *testing.T) {
				der := c.Certificate.Certificate[0]
				token := l.Issuer.Token(c.Bound(), lab.Claims{"scope": "orders.read"})
				request := func() *http.Request { return lab.ViaProxy(token, f.lines(der, between)...) }
				lab.BothWays(t, l, source, request, lab.Passes)
				thief := func() *http.Request {
					return lab.ViaProxy(token, f.lines(clients["URI with a space"].Certificate.Certificate[0], between)...)
				}
				if name != "URI with a space" {
					lab.BothWays(t, l, source, thief, lab.Unauthorized)
				}
				lab.BothWays(t, l, source, func() *http.Request { return lab.ViaProxy(token) }, lab.Unauthorized)
			})
		}
	}
}

// Every way to take an identity refuses it, and says why.
func TestNoIdentityThatGoCantParse(t *testing.T) {
	l := lab.New(t)
	source := lab.ByProxy(proxy.HAProxy("X-SSL-Client-Cert", "X-SSL-Client-Verify"), proxy.TrustPeers(lab.ProxyNet))
	pool := l.CA.Pool()
	named := func(source popauth.CertificateSource, c *popauthtest.Client) map[string]popauth.CertificateSource {
		all := map[string]popauth.CertificateSource{}
		for name, v := range map[string]clientcert.Verification{
			"Roots": {Roots: pool}, "SelfSigned": {SelfSigned: []string{c.Thumbprint()}, SelfSignedAnyPeriod: true},
			"RootsFor": {RootsFor: func(*http.Request, *x509.Certificate) (*x509.CertPool, error) { return pool, nil }},
			"Check":    {Roots: pool, Check: func(*http.Request, *popauth.Certificate) error { t.Error("Check was asked"); return nil }},
			"Revoked": {Roots: pool, Revoked: func(context.Context, []*x509.Certificate) (bool, error) {
				t.Error("Revoked was asked")
				return false, nil
			}},
		} {
			s, err := clientcert.Verified(source, v)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = s
		}
		return all
	}
	policies := map[string]clientcert.Match{
		"DNS": clientcert.DNS("a.example"), "URI": clientcert.URI("https://a.example/"), "IP": clientcert.IP(netip.MustParseAddr("::1")),
		"SPIFFE": clientcert.SPIFFE("spiffe://a.example/x"), "mail": clientcert.Email("a@a.example"),
		"subject": clientcert.Subject("CN=admin"), "issuer": clientcert.Issuer("CN=popauthtest CA"),
	}
	for name, c := range odd(t, l.CA) {
		t.Run(name, func(t *testing.T) {
			token := l.Issuer.Token(c.Bound())
			request := func() *http.Request {
				return lab.ViaProxy(token, "X-SSL-Client-Cert", lab.Base64Of(c.Certificate.Certificate[0]), "X-SSL-Client-Verify", "0")
			}
			says := func(err error) bool {
				return errors.Is(err, popauth.ErrCertificateUntrusted) && strings.Contains(err.Error(), "certificate that Go can't parse: ")
			}
			for how, s := range named(source, c) {
				if _, err := clientcert.Check(request(), s); !says(err) {
					t.Errorf("VULNERABLE: Verified by %s: got %v", how, err)
				}
				lab.Send(l.Guard(func(o *popauth.Options) { o.Certificate = s }).Authenticate, request()).Refused(t, 403, "")
			}
			var log bytes.Buffer
			g := l.Guard(func(o *popauth.Options) {
				o.Certificate, o.Logger = source, slog.New(slog.NewTextHandler(&log, nil))
			})
			for form, p := range policies {
				log.Reset()
				lab.Send(g.Authorize(clientcert.Policy(p)), request()).Refused(t, 403, "")
				if !strings.Contains(log.String(), "certificate that Go can't parse") {
					t.Errorf("%s: got log %s", form, &log)
				}
				lab.Send(clientcert.Require(source, p), request()).Refused(t, 403, "")
			}
			lab.Send(clientcert.Require(source), request()).Refused(t, 403, "")
			lab.Send(clientcert.Require(source, clientcert.Thumbprint(c.Thumbprint())), request()).Passed(t)
			lab.Send(clientcert.Require(source, clientcert.Thumbprint(l.Owner.Thumbprint())), request()).Refused(t, 403, "")
			// What a handler sees, at once and later.
			h := g.Authorize(popauth.PolicyFunc(func(_ *http.Request, p *popauth.Principal) error {
				if p.Certificate.Leaf != nil || p.Certificate.Verified != popauth.NotVerified {
					t.Errorf("VULNERABLE: got %+v", p.Certificate)
				}
				return nil
			}))
			r := lab.Held(t, h, request())
			p, err := g.Recheck(r, popauth.Bound())
			if err != nil || p.Certificate.Thumbprint != c.Thumbprint() || !bytes.Equal(p.Certificate.DER(), c.Certificate.Certificate[0]) {
				t.Errorf("got %+v, %v", p, err)
			}
			if !says(p.Certificate.CheckIdentity()) {
				t.Errorf("got %v", p.Certificate.CheckIdentity())
			}
			p.Certificate.DER()[9] ^= 1 // one's own
			lab.Send(g.Confirm, request()).Passed(t)
		})
	}
}

// A source of one's own gives the bytes; what it says about them is not looked at.
func TestSourceOfOnesOwn(t *testing.T) {
	l := lab.New(t)
	strange := odd(t, l.CA)["compressed point"]
	made := func(c *popauthtest.Client) *popauth.Certificate {
		found, err := popauth.NewCertificate("mine", c.Certificate.Certificate[0], c.Certificate.Certificate[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for name, tt := range map[string]struct {
		source      func() *popauth.Certificate
		bound, path int
	}{
		"from DER":   {func() *popauth.Certificate { return made(l.Owner) }, 200, 403},
		"Leaf alone": {func() *popauth.Certificate { return &popauth.Certificate{Leaf: made(l.Owner).Leaf} }, 200, 403},
		"Raw alone": {func() *popauth.Certificate {
			return &popauth.Certificate{Leaf: &x509.Certificate{Raw: made(l.Owner).Leaf.Raw}}
		}, 200, 403},
		"a wrong thumbprint": {func() *popauth.Certificate { c := made(l.Owner); c.Thumbprint = l.Thief.Thumbprint(); return c }, 200, 403},
		"another's, with the thumbprint": {func() *popauth.Certificate {
			return &popauth.Certificate{Leaf: made(l.Thief).Leaf, Thumbprint: l.Owner.Thumbprint()}
		}, 401, 403},
		"another one put in": {func() *popauth.Certificate { c := made(l.Owner); c.Leaf = made(l.Thief).Leaf; return c }, 401, 403},
		"verified": {func() *popauth.Certificate { c := made(l.Owner); c.Verified = popauth.VerifiedLocally; return c }, 200,
			200},
		"verified, but unparsed": {func() *popauth.Certificate {
			c := made(strange)
			c.Verified = popauth.VerifiedLocally
			return c
		}, 401, 403},
		"no content": {func() *popauth.Certificate { return &popauth.Certificate{Thumbprint: l.Owner.Thumbprint()} }, 400, 400},
		"no Raw":     {func() *popauth.Certificate { return &popauth.Certificate{Leaf: &x509.Certificate{}} }, 400, 400},
		"nil intermediate": {func() *popauth.Certificate { c := made(l.Owner); c.Intermediates = []*x509.Certificate{nil}; return c },
			400, 400},
		"nil in the chain":   {func() *popauth.Certificate { c := made(l.Owner); c.Chain = []*x509.Certificate{nil}; return c }, 400, 400},
		"ours taken to bits": {func() *popauth.Certificate { c := made(l.Owner); c.Leaf = nil; return c }, 400, 400},
	} {
		source := lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { return tt.source(), nil })
		var seen string
		g := l.Guard(func(o *popauth.Options) { o.Certificate = source })
		spy := &popauthtest.Spy{Next: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			p, _ := popauth.FromContext(r.Context())
			seen = p.Certificate.Thumbprint
		})}
		for _, h := range []http.Handler{g.Confirm(spy), popauth.ClientCertificate(source)(l.Guard().Confirm(spy))} {
			seen = ""
			got := lab.Send(func(http.Handler) http.Handler { return h }, lab.ViaProxy(l.Bound()))
			if got.Status != tt.bound || tt.bound == 200 && seen != l.Owner.Thumbprint() {
				t.Errorf("%s: got %d, thumbprint %q, want %d", name, got.Status, seen, tt.bound)
			}
		}
		if got := lab.Send(clientcert.Require(source), lab.ViaProxy("")); got.Status != tt.path || got.Ran != (tt.path == 200) {
			t.Errorf("%s: got %d, ran %t, want %d", name, got.Status, got.Ran, tt.path)
		}
		if c, err := clientcert.Check(lab.ViaProxy(""), source); (err == nil) != (tt.path == 200) ||
			c != nil && c.Thumbprint != l.Owner.Thumbprint() {
			t.Errorf("%s: got %v, %v", name, c, err)
		}
	}
}

func TestNewCertificate(t *testing.T) {
	l := lab.New(t)
	der := l.Owner.Certificate.Certificate[0]
	c, err := popauth.NewCertificate("mine", der, l.CA.Certificate.Raw, odd(t, l.CA)["URI with NUL"].Certificate.Certificate[0])
	if err != nil || c.Thumbprint != l.Owner.Thumbprint() || c.Source != "mine" || c.Verified != popauth.NotVerified ||
		len(c.Intermediates) != 1 {
		t.Fatalf("got %+v, %v", c, err)
	}
	before := c.DER()
	der = bytes.Clone(der)
	copied, _ := popauth.NewCertificate("mine", der)
	der[30] ^= 1
	if !bytes.Equal(copied.DER(), before) {
		t.Error("it has the caller's bytes")
	}
	for name, tt := range map[string]struct {
		der  []byte
		want popauth.Reason
	}{
		"nothing":           {nil, popauth.ErrCertificateMalformed},
		"something behind":  {append(bytes.Clone(before), 0), popauth.ErrCertificateMalformed},
		"cut short":         {before[:len(before)-1], popauth.ErrCertificateMalformed},
		"no SEQUENCE":       {[]byte{5, 0}, popauth.ErrCertificateMalformed},
		"an empty one":      {[]byte{0x30, 0}, popauth.ErrCertificateMalformed},
		"a public key":      {l.CA.Certificate.RawSubjectPublicKeyInfo, popauth.ErrCertificateMalformed},
		"four parts":        {[]byte{0x30, 9, 0x30, 0, 0x30, 0, 3, 1, 0, 5, 0}, popauth.ErrCertificateMalformed},
		"indefinite length": {append([]byte{0x30, 0x80}, append(bytes.Clone(before[4:]), 0, 0)...), popauth.ErrCertificateMalformed},
		"too large":         {make([]byte, 16<<10+1), popauth.ErrCertificateTooLarge},
	} {
		for _, list := range [][][]byte{{tt.der}, {before, tt.der}} {
			c, err := popauth.NewCertificate("mine", list[0], list[1:]...)
			var e *popauth.Error
			if c != nil || !errors.As(err, &e) || e.Reason != tt.want {
				t.Errorf("%s: got %v, %v, want %v", name, c, err, tt.want)
			}
		}
	}
	if got := (*popauth.Certificate)(nil).DER(); got != nil {
		t.Errorf("nil: got %x", got)
	}
}

// A name that one connection has is none of another source's: what popauth has found out about its own certificate doesn't
// stay with what somebody makes of it.
func TestWhatBecomesOfOurCertificates(t *testing.T) {
	l := lab.New(t)
	id := "spiffe://a.example/admin"
	admin := l.CA.Client("admin", spiffe(id))
	policy := clientcert.SPIFFE(id)
	request := func(change func(*tls.ConnectionState)) *http.Request {
		r := admin.Request("GET", "/", "")
		r.TLS.VerifiedChains = [][]*x509.Certificate{{r.TLS.PeerCertificates[0], l.CA.Certificate}}
		if change != nil {
			change(r.TLS)
		}
		return r
	}
	through := func(inner popauth.CertificateSource, change func(*popauth.Certificate)) popauth.CertificateSource {
		return lab.SourceFunc(func(r *http.Request) (*popauth.Certificate, error) {
			c, err := inner.Certificate(r)
			if err == nil {
				change(c)
			}
			return c, err
		})
	}
	pooled := lab.Verified(t, clientcert.Verification{Roots: l.CA.Pool()})
	for name, tt := range map[string]struct {
		source popauth.CertificateSource
		want   int
	}{
		"the TLS stack's word": {through(popauth.TLSCertificate(), func(*popauth.Certificate) {}), 403},
		"the TLS stack's word, repeated": {through(popauth.TLSCertificate(), func(c *popauth.Certificate) {
			*c = popauth.Certificate{Leaf: c.Leaf, Verified: c.Verified}
		}), 403},
		"one pool": {through(pooled, func(*popauth.Certificate) {}), 403},
		"its own word": {through(popauth.TLSCertificate(), func(c *popauth.Certificate) {
			c.Verified = popauth.VerifiedLocally
		}), 200},
		"its own word about a proxy": {through(popauth.TLSCertificate(), func(c *popauth.Certificate) {
			c.Verified = popauth.VerifiedByProxy
		}), 200},
		"its own word about another": {through(pooled, func(c *popauth.Certificate) {
			c.Leaf, c.SharedRoots = l.CA.Client("admin", spiffe(id)).Certificate.Leaf, false
		}), 200},
		"another, by the same pool": {through(pooled, func(c *popauth.Certificate) {
			c.Leaf = l.CA.Client("admin", spiffe(id)).Certificate.Leaf
		}), 403},
	} {
		if got := lab.Send(clientcert.Require(tt.source, policy), request(nil)); got.Status != tt.want || got.Ran != (tt.want == 200) {
			t.Errorf("%s: got %d, ran %t, want %d", name, got.Status, got.Ran, tt.want)
		}
	}
	elsewhere := func(s *tls.ConnectionState) { s.ServerName = "other.example.com" }
	same := through(popauth.TLSCertificate(), func(*popauth.Certificate) {})
	lab.Send(clientcert.Require(same), request(elsewhere)).Refused(t, 421, "")
	another := through(popauth.TLSCertificate(), func(c *popauth.Certificate) { c.Leaf = l.Owner.Certificate.Leaf })
	lab.Send(clientcert.Require(another), request(elsewhere)).Refused(t, 403, "")
}
