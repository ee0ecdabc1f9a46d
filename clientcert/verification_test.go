package clientcert_test

import (
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// required is what a route without tokens makes of the request.
func required(tb testing.TB, v clientcert.Verification, r *http.Request, matches ...clientcert.Match) lab.Outcome {
	tb.Helper()
	return lab.Send(clientcert.Require(lab.Verified(tb, v), matches...), r)
}

func reasonOf(tb testing.TB, v clientcert.Verification, c *popauthtest.Client) popauth.Reason {
	tb.Helper()
	got, err := clientcert.Check(c.Request("GET", "/", ""), lab.Verified(tb, v))
	if err == nil {
		return ""
	}
	if got != nil {
		tb.Error("a certificate beside the error")
	}
	var e *popauth.Error
	if !errors.As(err, &e) {
		tb.Fatalf("got %T, want an *Error", err)
	}
	return e.Reason
}

func usages(u ...x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = u }
}

func expired(c *x509.Certificate)     { c.NotAfter = time.Now().Add(-time.Minute) }
func notYetValid(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }

// The cases that certificate authentication has to answer, CV-1 and so on; see also TestVerificationChains.
func TestVerificationCases(t *testing.T) {
	root := popauthtest.NewCA(t)
	between := root.Intermediate("between")
	bare := func(c *popauthtest.Client) *popauthtest.Client { // sends its leaf alone
		own := *c
		own.Certificate.Certificate = c.Certificate.Certificate[:1]
		return &own
	}
	self := popauthtest.SelfSigned(t, "self")
	selfAny := popauthtest.SelfSigned(t, "self", usages())
	selfServer := popauthtest.SelfSigned(t, "self", usages(x509.ExtKeyUsageServerAuth))
	selfExpired, selfEarly := popauthtest.SelfSigned(t, "self", expired), popauthtest.SelfSigned(t, "self", notYetValid)
	listed := func(c *popauthtest.Client, also ...func(*clientcert.Verification)) clientcert.Verification {
		v := clientcert.Verification{SelfSigned: []string{c.Thumbprint()}}
		for _, f := range also {
			f(&v)
		}
		return v
	}
	anyUsage := func(v *clientcert.Verification) { v.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }
	anyPeriod := func(v *clientcert.Verification) { v.SelfSignedAnyPeriod = true }
	chained := clientcert.Verification{Roots: root.Pool()}
	chainedAny := chained
	anyUsage(&chainedAny)
	both := chained
	both.SelfSigned = []string{self.Thumbprint()}
	refuses := chained
	refuses.Check = func(*http.Request, *popauth.Certificate) error { return errors.New("not in the register") }
	silent := chained
	silent.Check = func(*http.Request, *popauth.Certificate) error { return nil }
	system := clientcert.Verification{SystemRoots: true}
	onlyBetween := clientcert.Verification{Roots: between.Pool()}
	elsewhere := clientcert.Verification{Roots: popauthtest.NewCA(t).Pool(), Intermediates: []*x509.Certificate{between.Certificate}}
	withBetween := clientcert.Verification{Roots: root.Pool(), Intermediates: []*x509.Certificate{between.Certificate}}
	below := between.Client("below")

	for _, tt := range []struct {
		id     string
		v      clientcert.Verification
		client *popauthtest.Client
		want   int
	}{
		{"CV-1 none", chained, nil, 403},
		{"CV-2 self-signed for clients", listed(self), self, 200},
		{"CV-3 self-signed for anything", listed(selfAny), selfAny, 200},
		{"CV-4 self-signed where chained is asked for", chained, self, 403},
		{"CV-4 the same for anything", chained, selfAny, 403},
		{"CV-5 self-signed for servers", listed(selfServer), selfServer, 403},
		{"CV-6 any usage", listed(selfServer, anyUsage), selfServer, 200},
		{"CV-7 any usage, chained", chainedAny, selfServer, 403},
		{"CV-8 expired", listed(selfExpired), selfExpired, 403},
		{"CV-8 expired, any period", listed(selfExpired, anyPeriod), selfExpired, 200},
		{"CV-9 not yet valid", listed(selfEarly), selfEarly, 403},
		{"CV-9 not yet valid, any period", listed(selfEarly, anyPeriod), selfEarly, 200},
		{"CV-10 the hook refuses", refuses, root.Client("c"), 403},
		{"CV-11 the hook does nothing", silent, root.Client("c"), 200},
		{"CV-13 untrusted root, system's", system, root.Client("c"), 403},
		{"CV-14 validation fails", elsewhere, root.Client("c"), 403},
		// Elsewhere this is refused. What stands in Roots is a trust anchor (RFC 5280, section 6.1), and to trust an
		// intermediate alone is to trust less.
		{"CV-15 the intermediate is the root", onlyBetween, below, 200},
		{"CV-15 and the root is not", onlyBetween, root.Client("c"), 403},
		{"CV-15 only an intermediate, and another root", elsewhere, below, 403},
		{"CV-16 root and intermediate", withBetween, below, 200},
		{"CV-17 intermediate not sent", withBetween, bare(below), 200},
		{"CV-18 no intermediate", chained, bare(below), 403},
		{"intermediate sent", chained, below, 200},
		{"CV-22 subject is issuer", chained, root.Client("popauthtest CA"), 403},
		{"self-signed, another listed", both, popauthtest.SelfSigned(t, "self"), 403},
		{"both: self-signed", both, self, 200},
		{"both: chained", both, root.Client("c"), 200},
		{"chained where self-signed is asked for", listed(self), root.Client("c"), 403},
		{"chained for servers", chained, root.Client("c", usages(x509.ExtKeyUsageServerAuth)), 403},
		{"chained for servers, any usage", chainedAny, root.Client("c", usages(x509.ExtKeyUsageServerAuth)), 200},
		{"chained, intermediate for servers", chained, root.Intermediate("s", usages(x509.ExtKeyUsageServerAuth)).Client("c"), 403},
		{"chained, expired", chained, root.Client("c", expired), 403},
		{"chained, not yet valid", chained, root.Client("c", notYetValid), 403},
		{"chained, intermediate expired", chained, root.Intermediate("x", expired).Client("c"), 403},
		{"any period is for the list, early", listed(self, anyPeriod, func(v *clientcert.Verification) { v.Roots = root.Pool() }),
			root.Client("c", notYetValid), 403},
		{"any period is for the list", listed(self, anyPeriod, func(v *clientcert.Verification) { v.Roots = root.Pool() }),
			root.Client("c", expired), 403},
		{"an authority's own certificate", chained, root.Client("c", func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
		}), 403},
		{"a root's own certificate", both, &popauthtest.Client{Certificate: tls.Certificate{Certificate: [][]byte{root.Certificate.Raw}}},
			403},
		{"key usage without signatures", chained, root.Client("c", func(c *x509.Certificate) {
			c.KeyUsage = x509.KeyUsageKeyEncipherment
		}), 403},
		{"no key usage", chained, root.Client("c", func(c *x509.Certificate) { c.KeyUsage = 0 }), 200},
	} {
		t.Run(tt.id, func(t *testing.T) { required(t, tt.v, tt.client.Request("GET", "/", "")).Is(t, tt.want) })
	}

	if got := reasonOf(t, chained, nil); got != popauth.ErrCertificateRequired {
		t.Errorf("none: got %s", got)
	}
	if got := reasonOf(t, chained, self); got != popauth.ErrCertificateUntrusted {
		t.Errorf("untrusted: got %s", got)
	}
	if got := reasonOf(t, refuses, root.Client("c")); got != popauth.ErrForbidden {
		t.Errorf("hook: got %s", got)
	}
	refuses.Check = func(*http.Request, *popauth.Certificate) error { return fmt.Errorf("x: %w", popauth.ErrUnavailable) }
	required(t, refuses, root.Client("c").Request("GET", "/", "")).Refused(t, 503, "")
}

// CV-12, CV-19: what a handler finds.
func TestVerifiedCertificate(t *testing.T) {
	root := popauthtest.NewCA(t)
	client := root.Client("batch", func(c *x509.Certificate) { c.DNSNames = []string{"batch.example.com"} })
	type tenant struct{}
	var seen *popauth.Certificate
	own := func(h http.Handler) http.Handler { // puts an identity of its own beside
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenant{}, "acme")))
		})
	}
	v := clientcert.Verification{Roots: root.Pool(), Check: func(r *http.Request, c *popauth.Certificate) error {
		if r.URL.Path != "/" || c.Verified != popauth.VerifiedLocally {
			t.Errorf("hook: got %s, %s", r.URL.Path, c.Verified)
		}
		c.Thumbprint, c.Leaf = "", nil
		return nil
	}}
	request := client.Request("GET", "/", "")
	lab.Send(lab.Chain(clientcert.Require(lab.Verified(t, v)), own, lab.Tap(func(r *http.Request) {
		seen, _ = popauth.CertificateFromContext(r.Context())
		if r.Context().Value(tenant{}) != "acme" {
			t.Error("the identity beside is gone")
		}
	})), request).Passed(t)
	if seen == nil || seen.Leaf != request.TLS.PeerCertificates[0] || seen.Thumbprint != client.Thumbprint() ||
		seen.Verified != popauth.VerifiedLocally || seen.Source != popauth.SourceTLS {
		t.Fatalf("got %+v", seen)
	}
}

// CV-20, CV-21: once per two requests with memory, every time without; after its time anew. The certificate that is
// sent the second time has a signature that would be refused if anyone looked.
func TestVerificationMemory(t *testing.T) {
	root := popauthtest.NewCA(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(1000 * time.Hour) })
	for _, tt := range []struct {
		remember time.Duration
		after    time.Duration
		want     int
	}{
		{0, 0, 200}, {0, 119 * time.Second, 200}, {0, 2 * time.Minute, 403}, {0, 31 * time.Minute, 403}, {0, -time.Second, 403},
		{30 * time.Minute, 29 * time.Minute, 200}, {30 * time.Minute, 31 * time.Minute, 403},
		{-1, 0, 403},
	} {
		t.Run(fmt.Sprint(tt.remember, tt.after), func(t *testing.T) {
			clock := popauthtest.NewClock(time.Now())
			hooks := 0
			wrap := clientcert.Require(lab.Verified(t, clientcert.Verification{
				Roots: root.Pool(), Remember: tt.remember, Now: clock.Now,
				Check: func(*http.Request, *popauth.Certificate) error { hooks++; return nil },
			}))
			r := root.Client("c").Request("GET", "/", "")
			lab.Send(wrap, r).Passed(t)
			spoil(r)
			clock.Advance(tt.after)
			lab.Send(wrap, r).Is(t, tt.want)
			if want := map[int]int{200: 2, 403: 1}[tt.want]; hooks != want {
				t.Errorf("hook: asked %d times, want %d: it is asked on every request that gets so far", hooks, want)
			}
		})
	}
}

func TestVerificationMemoryIsExact(t *testing.T) {
	clock := popauthtest.NewClock(time.Now())
	root := popauthtest.NewCA(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(1000 * time.Hour) })
	between := root.Intermediate("between", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(90 * time.Second) })
	v := clientcert.Verification{Roots: root.Pool(), Now: clock.Now, Remember: 30 * time.Minute}
	wrap := clientcert.Require(lab.Verified(t, v))

	t.Run("the end of the certificate comes first", func(t *testing.T) {
		short := root.Client("short", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Minute) }).Request("GET", "/", "")
		below := between.Client("below").Request("GET", "/", "")
		lab.Send(wrap, short).Passed(t)
		lab.Send(wrap, below).Passed(t)
		clock.Advance(61 * time.Second)
		lab.Send(wrap, short).Refused(t, 403, "")
		lab.Send(wrap, below).Passed(t)
		clock.Advance(30 * time.Second)
		lab.Send(wrap, below).Refused(t, 403, "")
		clock.Advance(-91 * time.Second)
		lab.Send(wrap, short).Passed(t)
	})
	t.Run("refused without the intermediate, accepted with it", func(t *testing.T) {
		client := between.Client("two")
		bare := *client
		bare.Certificate.Certificate = client.Certificate.Certificate[:1]
		lab.Send(wrap, bare.Request("GET", "/", "")).Refused(t, 403, "")
		lab.Send(wrap, client.Request("GET", "/", "")).Passed(t)
		lab.Send(wrap, bare.Request("GET", "/", "")).Refused(t, 403, "")
	})
	t.Run("a refusal is remembered for less", func(t *testing.T) {
		r := root.Client("c").Request("GET", "/", "")
		spoil(r)
		lab.Send(wrap, r).Refused(t, 403, "")
		spoil(r)
		lab.Send(wrap, r).Refused(t, 403, "")
		clock.Advance(10 * time.Second)
		lab.Send(wrap, r).Passed(t)
	})
	t.Run("a refusal that time heals is not", func(t *testing.T) {
		soon := func(c *x509.Certificate) { c.NotBefore = clock.Now().Add(5 * time.Second) }
		early := root.Client("early", soon).Request("GET", "/", "")
		later := root.Intermediate("later", soon).Client("c").Request("GET", "/", "")
		lab.Send(wrap, early).Refused(t, 403, "")
		lab.Send(wrap, later).Refused(t, 403, "")
		clock.Advance(6 * time.Second)
		lab.Send(wrap, early).Passed(t)
		lab.Send(wrap, later).Passed(t)
	})
	t.Run("what one source has found another has not", func(t *testing.T) {
		r := root.Client("c").Request("GET", "/", "")
		lab.Send(wrap, r).Passed(t)
		required(t, clientcert.Verification{Roots: popauthtest.NewCA(t).Pool()}, r).Refused(t, 403, "")
	})
	t.Run("the pool is copied", func(t *testing.T) {
		pool, other := root.Pool(), popauthtest.NewCA(t)
		wrap := clientcert.Require(lab.Verified(t, clientcert.Verification{Roots: pool}))
		pool.AddCert(other.Certificate)
		lab.Send(wrap, other.Client("c").Request("GET", "/", "")).Refused(t, 403, "")
	})
	t.Run("bounded", func(t *testing.T) {
		wrap := clientcert.Require(lab.Verified(t, v))
		first := root.Client("first").Request("GET", "/", "")
		lab.Send(wrap, first).Passed(t)
		spoil(first)
		lab.Send(wrap, first).Passed(t)
		// Refusals, which anybody can cause, push out no acceptance.
		key, foreign := key2(t), popauthtest.NewCA(t)
		for i := range 1100 {
			lab.Send(wrap, foreign.ClientFor(key, fmt.Sprint(i)).Request("GET", "/", ""))
		}
		lab.Send(wrap, first).Passed(t)
		for i := range 1025 {
			lab.Send(wrap, root.ClientFor(key, fmt.Sprint(i)).Request("GET", "/", "")).Passed(t)
		}
		lab.Send(wrap, first).Refused(t, 403, "")
	})
}

// spoil changes the signature as crypto/x509 has read it, and back; what was sent stays the same.
func spoil(r *http.Request) {
	c := r.TLS.PeerCertificates[0]
	c.Signature = slices.Clone(c.Signature)
	c.Signature[8] ^= 1
}

func key2(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func TestVerificationSettings(t *testing.T) {
	root := popauthtest.NewCA(t)
	sum := strings.Repeat("ab", 32)
	for name, tt := range map[string]struct {
		v    clientcert.Verification
		want []string
	}{
		"zero":         {clientcert.Verification{}, []string{"Verification.Roots"}},
		"empty pool":   {clientcert.Verification{Roots: x509.NewCertPool()}, []string{"Verification.Roots: no certificate"}},
		"two of roots": {clientcert.Verification{Roots: root.Pool(), SystemRoots: true}, []string{"Verification.SystemRoots"}},
		"only intermediates": {clientcert.Verification{Intermediates: []*x509.Certificate{root.Certificate}},
			[]string{"Verification.Roots"}},
		"several": {clientcert.Verification{
			Intermediates: []*x509.Certificate{nil}, SelfSigned: []string{sum, sum[:40], "x"}, KeyUsages: []x509.ExtKeyUsage{},
			Remember: time.Hour,
		}, []string{"Verification.Intermediates", "SelfSigned: entry 1: this is a SHA-1", "SelfSigned: entry 2", "Verification.KeyUsages",
			"Verification.Remember"}},
		"any period of nothing": {clientcert.Verification{Roots: root.Pool(), SelfSignedAnyPeriod: true}, []string{"SelfSignedAnyPeriod"}},
	} {
		source, err := clientcert.Verified(popauth.TLSCertificate(), tt.v)
		if err == nil || source != nil {
			t.Errorf("%s: got %v, %v, want nil and an error", name, source, err)
			continue
		}
		for _, w := range tt.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: got %q, want %q in it", name, err, w)
			}
		}
	}
	if _, err := clientcert.Verified(nil, clientcert.Verification{Roots: root.Pool()}); err == nil {
		t.Error("nil source: got nil")
	}
}

// What is not the source's to decide stays what it is.
func TestVerifiedPassesOn(t *testing.T) {
	l := lab.New(t)
	v := clientcert.Verification{Roots: l.CA.Pool()}
	wrap := func(c *popauth.Certificate, err error) func(http.Handler) http.Handler {
		s, e := clientcert.Verified(lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { return c, err }), v)
		if e != nil {
			t.Fatal(e)
		}
		return clientcert.Require(s)
	}
	r := (*popauthtest.Client)(nil).Request("GET", "/", "")
	good, _ := popauth.TLSCertificate().Certificate(l.Owner.Request("GET", "/", ""))
	lab.Send(wrap(good, nil), r).Passed(t)
	if good.Verified != popauth.NotVerified {
		t.Error("the source's own certificate was changed")
	}
	lab.Send(wrap(good, popauth.ErrCertificateTooLarge), r).Refused(t, 431, "")
	lab.Send(wrap(good, errors.New("unreadable")), r).Refused(t, 400, "")
	lab.Send(wrap(nil, nil), r).Refused(t, 403, "")
	lab.Send(wrap(&popauth.Certificate{}, nil), r).Refused(t, 400, "")
	lab.Send(wrap(&popauth.Certificate{Leaf: &x509.Certificate{}}, nil), r).Refused(t, 400, "")
	lab.Send(wrap(&popauth.Certificate{Leaf: good.Leaf, Intermediates: []*x509.Certificate{nil}}, nil), r).Refused(t, 400, "")
	// A proxy's word doesn't replace the check that was asked for.
	thief, _ := popauth.TLSCertificate().Certificate(l.Thief.Request("GET", "/", ""))
	thief.Verified = popauth.VerifiedByProxy
	lab.Send(wrap(thief, nil), r).Refused(t, 403, "")

	// A Guard takes the certificate from it, a token without certificate is still a token.
	g := l.Guard(func(o *popauth.Options) { o.Certificate = lab.Verified(t, clientcert.Verification{Roots: l.CA.Pool()}) })
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", l.Bound())).Passed(t)
	lab.Send(g.Authenticate, (*popauthtest.Client)(nil).Request("GET", "/", l.Unbound())).Passed(t)
	lab.Send(g.Authenticate, l.Thief.Request("GET", "/", l.Unbound())).Refused(t, 403, "")
	lab.Send(g.Confirm, (*popauthtest.Client)(nil).Request("GET", "/", l.Bound())).Refused(t, 401, lab.InvalidToken)
	lab.Send(g.Authorize(clientcert.Policy(clientcert.Subject("CN=owner"))), l.Owner.Request("GET", "/", l.Bound())).Passed(t)
	lab.Send(g.Authorize(clientcert.Policy(clientcert.Subject("CN=other"))), l.Owner.Request("GET", "/", l.Bound())).Refused(t, 403, "")
}

func TestVerificationLimits(t *testing.T) {
	root := popauthtest.NewCA(t)
	v := clientcert.Verification{Roots: root.Pool()}
	padded := func(n int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: make([]byte, n)}}
		}
	}
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}, Critical: true}}
	}
	deep := root
	for i := range 8 {
		deep = deep.Intermediate(fmt.Sprintf("deep %d", i))
	}
	sending := func(n int) *http.Request {
		r := root.Client("c").Request("GET", "/", "")
		for range n {
			r.TLS.PeerCertificates = append(r.TLS.PeerCertificates, root.Certificate)
		}
		return r
	}
	keyed := func(alg x509.PublicKeyAlgorithm, key any, at int) *http.Request {
		r := sending(1)
		own := *r.TLS.PeerCertificates[at]
		own.PublicKeyAlgorithm, own.PublicKey = alg, key
		r.TLS.PeerCertificates[at] = &own
		return r
	}
	bits := func(n uint) *rsa.PublicKey { return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), n-1), E: 65537} }
	self := popauthtest.SelfSigned(t, "self", critical)
	for name, tt := range map[string]struct {
		v    clientcert.Verification
		r    *http.Request
		want int
	}{
		"big":                {v, root.Client("c", padded(15<<10)).Request("GET", "/", ""), 200},
		"too big":            {v, root.Client("c", padded(16<<10)).Request("GET", "/", ""), 431},
		"too big in between": {v, root.Intermediate("i", padded(16<<10)).Client("c").Request("GET", "/", ""), 403},
		"forty sent":         {v, sending(39), 200},
		"forty-one sent":     {v, sending(40), 403},
		"too big together": {v, root.Intermediate("a", padded(15<<10)).Intermediate("b", padded(15<<10)).
			Intermediate("c", padded(15<<10)).Intermediate("d", padded(15<<10)).Intermediate("e",
			padded(15<<10)).Client("c").Request("GET", "/", ""), 403},
		"ten in the chain":        {v, deep.Client("c").Request("GET", "/", ""), 200},
		"RSA 8192":                {v, keyed(x509.RSA, bits(8192), 0), 200},
		"RSA 8193":                {v, keyed(x509.RSA, bits(8193), 0), 403},
		"RSA 16384 beside":        {v, keyed(x509.RSA, bits(16384), 1), 403},
		"RSA 2047":                {v, keyed(x509.RSA, bits(2047), 0), 403},
		"DSA":                     {v, keyed(x509.DSA, nil, 0), 403},
		"unknown key":             {v, keyed(x509.UnknownPublicKeyAlgorithm, nil, 0), 403},
		"critical":                {v, root.Client("c", critical).Request("GET", "/", ""), 403},
		"critical in between":     {v, root.Intermediate("i", critical).Client("c").Request("GET", "/", ""), 403},
		"critical in self-signed": {clientcert.Verification{SelfSigned: []string{self.Thumbprint()}}, self.Request("GET", "/", ""), 403},
	} {
		t.Run(name, func(t *testing.T) { required(t, tt.v, tt.r).Is(t, tt.want) })
	}
	t.Run("eleven in the chain", func(t *testing.T) {
		c := deep.Intermediate("i").Client("c") // leaf, 9, root
		v.Intermediates = []*x509.Certificate{deep.Certificate}
		for _, der := range c.Certificate.Certificate[1:] {
			x, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			v.Intermediates = append(v.Intermediates, x)
		}
		c.Certificate.Certificate = c.Certificate.Certificate[:1]
		required(t, v, c.Request("GET", "/", "")).Refused(t, 403, "")
	})
}

// Chains that others have published, and what they must come to.
func TestVerificationChains(t *testing.T) {
	f, err := os.Open("testdata/chains.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var data struct {
		Certificates []string
		Chains       []struct {
			ID, Expected         string
			Time                 *time.Time
			Leaf                 int
			Intermediates, Roots []int
		}
	}
	if err := json.NewDecoder(z).Decode(&data); err != nil {
		t.Fatal(err)
	}
	// RFC 5280 has nothing against authorities as leaves; RFC 8446, section 4.4.2.2, has, since these have a key usage
	// without digitalSignature.
	stricter := map[string]bool{"limbo/rfc5280::ca-as-leaf": true, "limbo/pathlen::validation-ignores-pathlen-in-leaf": true}
	parse := func(n int) *x509.Certificate {
		der, err := base64.StdEncoding.DecodeString(data.Certificates[n])
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil
		}
		return c
	}
	count := map[bool]int{}
	for _, tt := range data.Chains {
		now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
		if tt.Time != nil {
			now = *tt.Time
		}
		v := clientcert.Verification{Roots: x509.NewCertPool(), Now: func() time.Time { return now }}
		for _, n := range tt.Roots {
			if c := parse(n); c != nil {
				v.Roots.AddCert(c)
			}
		}
		r := (*popauthtest.Client)(nil).Request("GET", "/", "")
		for _, n := range append([]int{tt.Leaf}, tt.Intermediates...) {
			if c := parse(n); c != nil {
				r.TLS.PeerCertificates = append(r.TLS.PeerCertificates, c)
			} else if n == tt.Leaf {
				break // crypto/tls refuses it
			}
		}
		source, err := clientcert.Verified(popauth.TLSCertificate(), v)
		got := false
		if err == nil {
			got = lab.Send(clientcert.Require(source), r).Ran
		}
		if want := tt.Expected == "accept" && !stricter[tt.ID]; got != want {
			_, err := clientcert.Check(r, source)
			t.Errorf("%s: got %t, want %t: %v", tt.ID, got, want, err)
		}
		count[got]++
	}
	t.Logf("accepted %d, refused %d", count[true], count[false])
	if count[true] < 40 || count[false] < 60 {
		t.Errorf("got %v: are these all?", count)
	}
}

// The intermediate comes with the handshake, and the server's own TLS has verified nothing.
func TestVerifiedOnAListener(t *testing.T) {
	root := popauthtest.NewCA(t)
	below := root.Intermediate("between").Client("below")
	alone := *below
	alone.Certificate.Certificate = below.Certificate.Certificate[:1]
	spy := &popauthtest.Spy{}
	server := popauthtest.NewServer(t, clientcert.Require(lab.Verified(t, clientcert.Verification{Roots: root.Pool()}))(spy))
	for name, tt := range map[string]struct {
		client *popauthtest.Client
		want   int
	}{"with": {below, 200}, "without": {&alone, 403}, "no certificate": {nil, 403},
		"self-signed": {popauthtest.SelfSigned(t, "below"), 403}} {
		before := spy.Ran()
		status, _, _ := lab.Fetch(t, tt.client.HTTP(server), server.URL, "")
		if ran := spy.Ran() > before; status != tt.want || ran != (tt.want == 200) {
			t.Errorf("%s: got %d, ran %t, want %d", name, status, ran, tt.want)
		}
	}
}

func TestVerificationRevoked(t *testing.T) {
	root := popauthtest.NewCA(t)
	between := root.Intermediate("between")
	client := between.Client("c")
	var asked [][]*x509.Certificate
	var revoked bool
	var err error
	self := popauthtest.SelfSigned(t, "self")
	wrap := clientcert.Require(lab.Verified(t, clientcert.Verification{Roots: root.Pool(), SelfSigned: []string{self.Thumbprint()},
		Revoked: func(_ context.Context, chain []*x509.Certificate) (bool, error) {
			asked = append(asked, chain)
			return revoked, err
		}}))
	r := client.Request("GET", "/", "")
	lab.Send(wrap, r).Passed(t)
	if len(asked) != 1 || len(asked[0]) != 3 || asked[0][0] != r.TLS.PeerCertificates[0] || !asked[0][2].Equal(root.Certificate) {
		t.Errorf("asked about %v", asked)
	}
	revoked = true
	lab.Send(wrap, r).Refused(t, 403, "")
	revoked, err = false, errors.New("unreachable")
	o := lab.Send(wrap, r)
	o.Refused(t, 503, "")
	if o.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	err = fmt.Errorf("x: %w", popauth.ErrCertificateUntrusted)
	lab.Send(wrap, r).Refused(t, 403, "")
	err = nil
	lab.Send(wrap, r).Passed(t)
	before := len(asked)
	lab.Send(wrap, popauthtest.SelfSigned(t, "x").Request("GET", "/", "")).Refused(t, 403, "")
	lab.Send(wrap, self.Request("GET", "/", "")).Passed(t)
	if len(asked) != before {
		t.Error("asked about a certificate that has no verified chain")
	}

	// One way without a revoked certificate is enough.
	other := popauthtest.NewCA(t)
	der, e := x509.CreateCertificate(rand.Reader, between.Certificate, other.Certificate, between.Key.Public(), other.Key)
	if e != nil {
		t.Fatal(e)
	}
	crossed, _ := x509.ParseCertificate(der)
	pool := root.Pool()
	pool.AddCert(other.Certificate)
	var bad []*x509.Certificate
	wrap = clientcert.Require(lab.Verified(t, clientcert.Verification{Roots: pool, Intermediates: []*x509.Certificate{crossed},
		Revoked: func(_ context.Context, chain []*x509.Certificate) (bool, error) {
			for _, b := range bad {
				if chain[1].Equal(b) {
					return true, nil
				}
			}
			return false, nil
		}}))
	lab.Send(wrap, r).Passed(t)
	bad = []*x509.Certificate{between.Certificate}
	lab.Send(wrap, r).Passed(t)
	bad = []*x509.Certificate{crossed}
	lab.Send(wrap, r).Passed(t)
	bad = []*x509.Certificate{crossed, between.Certificate}
	lab.Send(wrap, r).Refused(t, 403, "")
}

func hexColons(thumbprint string) string {
	b, _ := base64.RawURLEncoding.DecodeString(thumbprint)
	var parts []string
	for _, x := range b {
		parts = append(parts, strings.ToUpper(hex.EncodeToString([]byte{x})))
	}
	return strings.Join(parts, ":")
}
