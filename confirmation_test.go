package popauth_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A cnf of any shape but a good one is refused with 401: behind Authenticate, behind Confirm and behind Authorize, for
// the owner of the certificate too.
func TestConfirmationShapes(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	good := l.Owner.Thumbprint()
	der := l.Owner.Certificate.Certificate[0]
	sum := sha256.Sum256(der)
	old := sum[:20] // as long as SHA-1, which a wrong issuer would write
	swapped := strings.Map(func(c rune) rune {
		if unicode.IsUpper(c) {
			return unicode.ToLower(c)
		}
		return unicode.ToUpper(c)
	}, good)
	for _, tt := range []struct {
		name string
		cnf  any
	}{
		{"empty string", ""}, {"text", "not-a-json-object"}, {"1", 1}, {"0", 0}, {"true", true}, {"false", false},
		{"3.14159", 3.14159}, {"empty array", []any{}}, {"array of a number", []any{123}}, {"array of a string", []any{"asdf"}},
		{"null", nil}, {"empty object", lab.Claims{}}, {"object in an array", []any{lab.Claims{"x5t#S256": good}}},
		{"object as a string", `{"x5t#S256":"` + good + `"}`},
		{"no known member", lab.Claims{"kid": "1"}}, {"jku only", lab.Claims{"jku": "https://x"}},
		{"jwk only", lab.Claims{"jwk": lab.Claims{"kty": "EC"}}},
		{"other case", lab.Claims{"X5T#s256": good}}, {"jkt only", lab.Claims{"jkt": good}},
		{"member empty", lab.Claims{"x5t#S256": ""}}, {"member array", lab.Claims{"x5t#S256": []any{}}},
		{"member in an array", lab.Claims{"x5t#S256": []any{good}}},
		{"member number", lab.Claims{"x5t#S256": 5}}, {"member null", lab.Claims{"x5t#S256": nil}},
		{"member true", lab.Claims{"x5t#S256": true}},
		{"member object", lab.Claims{"x5t#S256": lab.Claims{}}},
		{"padded", lab.Claims{"x5t#S256": good + "="}},
		{"standard alphabet", lab.Claims{"x5t#S256": base64.StdEncoding.EncodeToString(sum[:])}},
		{"standard alphabet, no padding", lab.Claims{"x5t#S256": "+/" + good[2:]}},
		{"hex", lab.Claims{"x5t#S256": hex.EncodeToString(sum[:])}}, {"SHA-1 hex", lab.Claims{"x5t#S256": hex.EncodeToString(old)}},
		{"SHA-1", lab.Claims{"x5t#S256": base64.RawURLEncoding.EncodeToString(old)}},
		{"case swapped", lab.Claims{"x5t#S256": swapped}}, {"lower case", lab.Claims{"x5t#S256": strings.ToLower(good)}},
		{"space behind", lab.Claims{"x5t#S256": good + " "}}, {"space before", lab.Claims{"x5t#S256": " " + good}},
		{"line break behind", lab.Claims{"x5t#S256": good + "\n"}},
		{"line break inside", lab.Claims{"x5t#S256": good[:20] + "\r\n" + good[20:]}},
		{"42 characters", lab.Claims{"x5t#S256": good[:42]}}, {"44 characters", lab.Claims{"x5t#S256": good + "A"}},
		{"31 bytes", lab.Claims{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:31])}},
		{"33 bytes", lab.Claims{"x5t#S256": base64.RawURLEncoding.EncodeToString(append(sum[:], 0))}},
		{"trailing bits", lab.Claims{"x5t#S256": good[:42] + nextLetter(good[42])}},
		{"another's", lab.Claims{"x5t#S256": l.Thief.Thumbprint()}},
		{"unknown beside good", lab.Claims{"x5t#S256": good, "extra": "1"}}, {"jkt beside good", lab.Claims{"x5t#S256": good, "jkt": good}},
		{"unknown of another type beside good", lab.Claims{"x5t#S256": good, "jwk": lab.Claims{"kty": "EC"}}},
		{"folded beside good", lab.Claims{"x5t#S256": good, "X5T#S256": good}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := l.Unbound(lab.Claims{"cnf": tt.cnf})
			lab.Alike(t, g, l.Owner.Request("GET", "/", token))
			for _, wrap := range []func(http.Handler) http.Handler{g.Authenticate, g.Confirm, g.Authorize(popauth.Scope("orders.read"))} {
				lab.Send(wrap, l.Owner.Request("GET", "/", token)).Refused(t, 401, lab.InvalidToken)
				lab.Send(wrap, (*popauthtest.Client)(nil).Request("GET", "/", token)).Refused(t, 401, lab.InvalidToken)
			}
		})
	}
	for _, tt := range []struct{ name, payload string }{
		{"duplicate member", `{"x5t#S256":"` + good + `","x5t#S256":"` + good + `"}`},
		{"duplicate member, one escaped", `{"x5t#S256":"` + good + `","x5t\u0023S256":"` + good + `"}`},
		{"two cnf", `{"x5t#S256":"` + l.Thief.Thumbprint() + `"},"cnf":{"x5t#S256":"` + good + `"}`},
		{"folded cnf", `{"x5t#S256":"` + good + `"},"CNF":{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := lab.RawPayload(l, `"cnf":`+tt.payload)
			lab.Alike(t, g, l.Owner.Request("GET", "/", token))
			lab.Send(g.Authenticate, l.Owner.Request("GET", "/", token)).Refused(t, 401, lab.InvalidToken)
		})
	}
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", lab.RawPayload(l, `"cnf":{"x5t#S256":"`+good+`"}`))).Passed(t)
}

// nextLetter changes only the two bits that 32 bytes leave over in the last of 43 letters.
func nextLetter(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)|1])
}

// What a request presents against what its token names.
func TestMutualTLS(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	owned := l.Bound()
	expired := popauthtest.SelfSigned(t, "expired", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	long := l.CA.ClientFor(key, "rsa")
	under := l.CA.Intermediate("between").Client("below")
	renewed := l.CA.Client("owner")
	sibling := l.CA.ClientFor(l.Owner.Certificate.PrivateKey.(crypto.Signer), "owner")
	both := *l.Thief
	both.Certificate.Certificate = append([][]byte{l.Thief.Certificate.Certificate[0]}, l.Owner.Certificate.Certificate[0])
	for _, tt := range []struct {
		name   string
		client *popauthtest.Client
		token  string
		passes bool
	}{
		{"owner", l.Owner, owned, true},
		{"no certificate", nil, owned, false},
		{"another certificate", l.Thief, owned, false},
		{"renewed certificate, same name", renewed, owned, false},
		{"renewed certificate, same name and key", sibling, owned, false},
		{"self-signed", l.Thief, l.Issuer.Token(l.Thief.Bound()), true},
		{"expired, self-signed", expired, l.Issuer.Token(expired.Bound()), true},
		{"RSA", long, l.Issuer.Token(long.Bound()), true},
		{"leaf and intermediate sent", under, l.Issuer.Token(under.Bound()), true},
		{"the owner's certificate sent behind the thief's own", &both, owned, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := lab.Send(g.Confirm, tt.client.Request("GET", "/", tt.token))
			if tt.passes {
				o.Passed(t)
			} else {
				o.Refused(t, 401, lab.InvalidToken)
			}
		})
	}
}

// A handshake that is not complete has proven nothing.
func TestHandshakeMustBeComplete(t *testing.T) {
	l := lab.New(t)
	r := l.Owner.Request("GET", "/", l.Bound())
	r.TLS.HandshakeComplete = false
	lab.Send(l.Guard().Confirm, r).Refused(t, 425, "")
}

// RFC 8705, appendix A: certificate and thumbprint. It has long expired and is of X.509 version 1: the binding does
// not depend on either.
func TestRFC8705AppendixA(t *testing.T) {
	var v struct {
		Certificate string `json:"certificate"`
		Thumbprint  string `json:"x5t#S256"`
	}
	b, err := os.ReadFile("testdata/rfc8705.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	der, err := base64.StdEncoding.DecodeString(v.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if got := popauth.Thumbprint(c); got != v.Thumbprint {
		t.Errorf("got %s, want %s", got, v.Thumbprint)
	}
	l := lab.New(t)
	r := l.Owner.Request("GET", "/", l.Unbound(lab.Claims{"cnf": lab.Claims{"x5t#S256": v.Thumbprint}}))
	r.TLS.PeerCertificates = []*x509.Certificate{c}
	lab.Send(l.Guard().Confirm, r).Passed(t)
	// Section 3.1 has the thumbprint of a certificate that is not published: only its form is tested.
	r = l.Owner.Request("GET", "/", l.Unbound(lab.Claims{"cnf": lab.Claims{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}))
	if _, err := l.Guard().Check(r); !errors.Is(err, popauth.ErrBindingMalformed) {
		t.Errorf("section 3.1: got %v, want %v: its last letter has bits to spare", err, popauth.ErrBindingMalformed)
	}
}

func TestUnboundTokens(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	for _, c := range []*popauthtest.Client{nil, l.Owner, l.Thief} {
		lab.Send(g.Authenticate, c.Request("GET", "/", l.Unbound())).Passed(t)
		lab.Send(g.Confirm, c.Request("GET", "/", l.Unbound())).Refused(t, 401, lab.InvalidToken)
		lab.Send(g.Authorize(popauth.BoundBy("x5t#S256")), c.Request("GET", "/", l.Unbound())).Refused(t, 401, lab.InvalidToken)
	}
}

// fakeConfirmer confirms a member, or not, and says in which order it was asked.
type fakeConfirmer struct {
	member, scheme string
	err            error
	asked          *[]string
}

func (c fakeConfirmer) Member() string { return c.member }
func (c fakeConfirmer) Confirm(_ *http.Request, p popauth.Presentation) error {
	*c.asked = append(*c.asked, c.member)
	p.SetHeader("X-Confirmed-By", c.member)
	return c.err
}

type fakeScheme struct{ fakeConfirmer }

func (c fakeScheme) Challenge() (string, []popauth.Param) {
	return c.scheme, []popauth.Param{{Name: "algs", Value: "ES256"}}
}

// Two members, two proofs; those of a scheme of their own last; nothing is asked if one is unknown anyway.
func TestEveryMemberIsConfirmed(t *testing.T) {
	l := lab.New(t)
	x5t := l.Owner.Thumbprint()
	failing := errors.New("no")
	for _, tt := range []struct {
		name       string
		cnf        any
		scheme     string
		client     *popauthtest.Client
		fail       error
		asked      string
		status     int
		challenges []string
	}{
		{name: "both", cnf: lab.Claims{"pop": "v", "x5t#S256": x5t}, scheme: "PoP", client: l.Owner, asked: "x5t#S256 pop", status: 200},
		{name: "both, no certificate", cnf: lab.Claims{"pop": "v", "x5t#S256": x5t}, scheme: "PoP", asked: "x5t#S256", status: 401,
			challenges: []string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound ` +
				`to was not proven", algs="ES256"`, `Bearer`}},
		{name: "both, proof fails", cnf: lab.Claims{"pop": "v", "x5t#S256": x5t}, scheme: "PoP", client: l.Owner, fail: failing,
			asked: "x5t#S256 pop", status: 401,
			challenges: []string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound ` +
				`to was not proven", algs="ES256"`, `Bearer`}},
		{name: "both under Bearer", cnf: lab.Claims{"pop": "v", "x5t#S256": x5t}, scheme: "Bearer", client: l.Owner, status: 401,
			challenges: []string{`Bearer error="invalid_token", error_description="Possession of the key that the access token is ` +
				`bound to was not proven"`, `PoP algs="ES256"`}},
		{name: "certificate alone under the scheme", cnf: lab.Claims{"x5t#S256": x5t}, scheme: "PoP", client: l.Owner, status: 401,
			challenges: []string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound ` +
				`to was not proven", algs="ES256"`, `Bearer`}},
		{name: "certificate alone under Bearer", cnf: lab.Claims{"x5t#S256": x5t}, scheme: "bearer", client: l.Owner, asked: "x5t#S256",
			status: 200},
		{name: "proof alone, scheme in other case", cnf: lab.Claims{"pop": "v"}, scheme: "pOp", asked: "pop", status: 200},
		{name: "unbound under the scheme", cnf: popauthtest.Omit, scheme: "PoP", client: l.Owner, status: 401,
			challenges: []string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound ` +
				`to was not proven", algs="ES256"`, `Bearer`}},
		{name: "unknown beside both", cnf: lab.Claims{"pop": "v", "x5t#S256": x5t, "z": "1"}, scheme: "PoP", client: l.Owner, status: 401,
			challenges: []string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound ` +
				`to was not proven", algs="ES256"`, `Bearer`}},
		{name: "member of another type", cnf: lab.Claims{"pop": 5}, scheme: "PoP", client: l.Owner, status: 401,
			challenges: []string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound ` +
				`to was not proven", algs="ES256"`, `Bearer`}},
		{name: "empty member", cnf: lab.Claims{"pop": ""}, scheme: "PoP", client: l.Owner, status: 401,
			challenges: []string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound ` +
				`to was not proven", algs="ES256"`, `Bearer`}},
		{name: "store down", cnf: lab.Claims{"pop": "v"}, scheme: "PoP", client: l.Owner, fail: popauth.ErrUnavailable, asked: "pop",
			status: 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked []string
			g := l.Guard(func(o *popauth.Options) {
				o.Confirmers = []popauth.Confirmer{
					fakeScheme{fakeConfirmer{"pop", "PoP", tt.fail, &asked}},
					recordingTLS{&asked},
				}
			})
			r := tt.client.Request("GET", "/", "")
			r.Header.Set("Authorization", tt.scheme+" "+l.Unbound(lab.Claims{"cnf": tt.cnf}))
			o := lab.Send(g.Authenticate, r)
			if got := strings.Join(asked, " "); got != tt.asked {
				t.Errorf("asked: got %q, want %q", got, tt.asked)
			}
			if o.Ran != (tt.status == 200) || o.Status != tt.status || strings.Join(o.Challenges, "|") != strings.Join(tt.challenges, "|") {
				t.Errorf("got %d, ran %t, %q\nwant %d %q", o.Status, o.Ran, o.Challenges, tt.status, tt.challenges)
			}
			if got, want := o.Header.Get("X-Confirmed-By"), strings.Contains(tt.asked, "pop"); (got == "pop") != want {
				t.Errorf("header of the Confirmer: got %q, want one: %t", got, want)
			}
		})
	}
	t.Run("no credentials", func(t *testing.T) {
		var asked []string
		g := l.Guard(func(o *popauth.Options) {
			o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, fakeScheme{fakeConfirmer{"pop", "PoP", nil, &asked}}}
		})
		if got := lab.Send(g.Confirm, l.Owner.Request("GET", "/", "")).Challenges; strings.Join(got, "|") != `Bearer|PoP algs="ES256"` {
			t.Errorf("got %q", got)
		}
		r := l.Owner.Request("GET", "/", "a")
		r.Header.Add("Authorization", "PoP a")
		if got := lab.Send(g.Confirm, r).Challenges; len(got) != 2 || !strings.HasPrefix(got[0], lab.InvalidRequest) ||
			!strings.HasPrefix(got[1], `PoP error="invalid_request"`) {
			t.Errorf("both schemes at once: got %q", got)
		}
	})
}

type recordingTLS struct{ asked *[]string }

func (recordingTLS) Member() string { return "x5t#S256" }
func (c recordingTLS) Confirm(r *http.Request, p popauth.Presentation) error {
	*c.asked = append(*c.asked, "x5t#S256")
	return popauth.MutualTLS{}.Confirm(r, p)
}

// A Presentation made by hand, for a Confirmer's own test, has nowhere to put headers.
func TestSetHeaderWithoutAnAnswer(*testing.T) { popauth.Presentation{}.SetHeader("A", "b") }

// A Guard without Confirmers takes no bound token at all.
func TestNoConfirmers(t *testing.T) {
	l := lab.New(t)
	g := l.Guard(func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{} })
	lab.Send(g.Authenticate, l.Owner.Request("GET", "/", l.Bound())).Refused(t, 401, lab.InvalidToken)
	lab.Send(g.Authenticate, l.Owner.Request("GET", "/", l.Unbound())).Passed(t)
}
