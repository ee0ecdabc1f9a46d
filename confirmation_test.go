package popauth_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the value that a wrong issuer would write
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
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A cnf of any shape but a good one is refused with 401: behind Authenticate, behind Confirm and behind Authorize, for
// the owner of the certificate too.
func TestConfirmationShapes(t *testing.T) {
	l := newLab(t)
	g := l.guard()
	good := l.owner.Thumbprint()
	der := l.owner.Certificate.Certificate[0]
	sum, old := sha256.Sum256(der), sha1.Sum(der) //nolint:gosec // as above
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
		{"null", nil}, {"empty object", cnf{}}, {"object in an array", []any{cnf{"x5t#S256": good}}},
		{"object as a string", `{"x5t#S256":"` + good + `"}`},
		{"no known member", cnf{"kid": "1"}}, {"jku only", cnf{"jku": "https://x"}}, {"jwk only", cnf{"jwk": cnf{"kty": "EC"}}},
		{"other case", cnf{"X5T#s256": good}}, {"jkt only", cnf{"jkt": good}},
		{"member empty", cnf{"x5t#S256": ""}}, {"member array", cnf{"x5t#S256": []any{}}}, {"member in an array", cnf{"x5t#S256": []any{good}}},
		{"member number", cnf{"x5t#S256": 5}}, {"member null", cnf{"x5t#S256": nil}}, {"member true", cnf{"x5t#S256": true}},
		{"member object", cnf{"x5t#S256": cnf{}}},
		{"padded", cnf{"x5t#S256": good + "="}}, {"standard alphabet", cnf{"x5t#S256": base64.StdEncoding.EncodeToString(sum[:])}},
		{"standard alphabet, no padding", cnf{"x5t#S256": "+/" + good[2:]}},
		{"hex", cnf{"x5t#S256": hex.EncodeToString(sum[:])}}, {"SHA-1 hex", cnf{"x5t#S256": hex.EncodeToString(old[:])}},
		{"SHA-1", cnf{"x5t#S256": base64.RawURLEncoding.EncodeToString(old[:])}},
		{"case swapped", cnf{"x5t#S256": swapped}}, {"lower case", cnf{"x5t#S256": strings.ToLower(good)}},
		{"space behind", cnf{"x5t#S256": good + " "}}, {"space before", cnf{"x5t#S256": " " + good}}, {"line break behind", cnf{"x5t#S256": good + "\n"}},
		{"line break inside", cnf{"x5t#S256": good[:20] + "\r\n" + good[20:]}},
		{"42 characters", cnf{"x5t#S256": good[:42]}}, {"44 characters", cnf{"x5t#S256": good + "A"}}, {"31 bytes", cnf{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:31])}},
		{"33 bytes", cnf{"x5t#S256": base64.RawURLEncoding.EncodeToString(append(sum[:], 0))}},
		{"trailing bits", cnf{"x5t#S256": good[:42] + nextLetter(good[42])}},
		{"another's", cnf{"x5t#S256": l.thief.Thumbprint()}},
		{"unknown beside good", cnf{"x5t#S256": good, "extra": "1"}}, {"jkt beside good", cnf{"x5t#S256": good, "jkt": good}},
		{"unknown of another type beside good", cnf{"x5t#S256": good, "jwk": cnf{"kty": "EC"}}},
		{"folded beside good", cnf{"x5t#S256": good, "X5T#S256": good}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := l.unbound(cnf{"cnf": tt.cnf})
			alike(t, g, l.owner.Request("GET", "/", token))
			for _, wrap := range []func(http.Handler) http.Handler{g.Authenticate, g.Confirm, g.Authorize(popauth.Scope("orders.read"))} {
				send(wrap, l.owner.Request("GET", "/", token)).refused(t, 401, invalidToken)
				send(wrap, (*popauthtest.Client)(nil).Request("GET", "/", token)).refused(t, 401, invalidToken)
			}
		})
	}
	for _, tt := range []struct{ name, payload string }{
		{"duplicate member", `{"x5t#S256":"` + good + `","x5t#S256":"` + good + `"}`},
		{"duplicate member, one escaped", `{"x5t#S256":"` + good + `","x5t\u0023S256":"` + good + `"}`},
		{"two cnf", `{"x5t#S256":"` + l.thief.Thumbprint() + `"},"cnf":{"x5t#S256":"` + good + `"}`},
		{"folded cnf", `{"x5t#S256":"` + good + `"},"CNF":{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := rawPayload(l, `"cnf":`+tt.payload)
			alike(t, g, l.owner.Request("GET", "/", token))
			send(g.Authenticate, l.owner.Request("GET", "/", token)).refused(t, 401, invalidToken)
		})
	}
	send(g.Confirm, l.owner.Request("GET", "/", rawPayload(l, `"cnf":{"x5t#S256":"`+good+`"}`))).passed(t)
}

// nextLetter changes only the two bits that 32 bytes leave over in the last of 43 letters.
func nextLetter(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)|1])
}

// What a request presents against what its token names.
func TestMutualTLS(t *testing.T) {
	l := newLab(t)
	g := l.guard()
	owned := l.bound()
	expired := popauthtest.SelfSigned(t, "expired", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	long := l.ca.ClientFor(key, "rsa")
	under := l.ca.Intermediate("between").Client("below")
	renewed := l.ca.Client("owner")
	sibling := l.ca.ClientFor(l.owner.Certificate.PrivateKey.(crypto.Signer), "owner")
	both := *l.thief
	both.Certificate.Certificate = append([][]byte{l.thief.Certificate.Certificate[0]}, l.owner.Certificate.Certificate[0])
	for _, tt := range []struct {
		name   string
		client *popauthtest.Client
		token  string
		passes bool
	}{
		{"owner", l.owner, owned, true},
		{"no certificate", nil, owned, false},
		{"another certificate", l.thief, owned, false},
		{"renewed certificate, same name", renewed, owned, false},
		{"renewed certificate, same name and key", sibling, owned, false},
		{"self-signed", l.thief, l.issuer.Token(l.thief.Bound()), true},
		{"expired, self-signed", expired, l.issuer.Token(expired.Bound()), true},
		{"RSA", long, l.issuer.Token(long.Bound()), true},
		{"leaf and intermediate sent", under, l.issuer.Token(under.Bound()), true},
		{"the owner's certificate sent behind the thief's own", &both, owned, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := send(g.Confirm, tt.client.Request("GET", "/", tt.token))
			if tt.passes {
				o.passed(t)
			} else {
				o.refused(t, 401, invalidToken)
			}
		})
	}
}

// A handshake that is not complete has proven nothing.
func TestHandshakeMustBeComplete(t *testing.T) {
	l := newLab(t)
	r := l.owner.Request("GET", "/", l.bound())
	r.TLS.HandshakeComplete = false
	send(l.guard().Confirm, r).refused(t, 425, "")
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
	l := newLab(t)
	r := l.owner.Request("GET", "/", l.unbound(cnf{"cnf": cnf{"x5t#S256": v.Thumbprint}}))
	r.TLS.PeerCertificates = []*x509.Certificate{c}
	send(l.guard().Confirm, r).passed(t)
	// Section 3.1 has the thumbprint of a certificate that is not published: only its form is tested.
	r = l.owner.Request("GET", "/", l.unbound(cnf{"cnf": cnf{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}))
	if _, err := l.guard().Check(r); !errors.Is(err, popauth.ErrBindingMalformed) {
		t.Errorf("section 3.1: got %v, want %v: its last letter has bits to spare", err, popauth.ErrBindingMalformed)
	}
}

func TestUnboundTokens(t *testing.T) {
	l := newLab(t)
	g := l.guard()
	for _, c := range []*popauthtest.Client{nil, l.owner, l.thief} {
		send(g.Authenticate, c.Request("GET", "/", l.unbound())).passed(t)
		send(g.Confirm, c.Request("GET", "/", l.unbound())).refused(t, 401, invalidToken)
		send(g.Authorize(popauth.BoundBy("x5t#S256")), c.Request("GET", "/", l.unbound())).refused(t, 401, invalidToken)
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
	l := newLab(t)
	x5t := l.owner.Thumbprint()
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
		{"both", cnf{"pop": "v", "x5t#S256": x5t}, "PoP", l.owner, nil, "x5t#S256 pop", 200, nil},
		{"both, no certificate", cnf{"pop": "v", "x5t#S256": x5t}, "PoP", nil, nil, "x5t#S256", 401,
			[]string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound to was not proven", algs="ES256"`, `Bearer`}},
		{"both, proof fails", cnf{"pop": "v", "x5t#S256": x5t}, "PoP", l.owner, failing, "x5t#S256 pop", 401,
			[]string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound to was not proven", algs="ES256"`, `Bearer`}},
		{"both under Bearer", cnf{"pop": "v", "x5t#S256": x5t}, "Bearer", l.owner, nil, "", 401,
			[]string{`Bearer error="invalid_token", error_description="Possession of the key that the access token is bound to was not proven"`, `PoP algs="ES256"`}},
		{"certificate alone under the scheme", cnf{"x5t#S256": x5t}, "PoP", l.owner, nil, "", 401,
			[]string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound to was not proven", algs="ES256"`, `Bearer`}},
		{"certificate alone under Bearer", cnf{"x5t#S256": x5t}, "bearer", l.owner, nil, "x5t#S256", 200, nil},
		{"proof alone, scheme in other case", cnf{"pop": "v"}, "pOp", nil, nil, "pop", 200, nil},
		{"unbound under the scheme", popauthtest.Omit, "PoP", l.owner, nil, "", 401,
			[]string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound to was not proven", algs="ES256"`, `Bearer`}},
		{"unknown beside both", cnf{"pop": "v", "x5t#S256": x5t, "z": "1"}, "PoP", l.owner, nil, "", 401,
			[]string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound to was not proven", algs="ES256"`, `Bearer`}},
		{"member of another type", cnf{"pop": 5}, "PoP", l.owner, nil, "", 401,
			[]string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound to was not proven", algs="ES256"`, `Bearer`}},
		{"empty member", cnf{"pop": ""}, "PoP", l.owner, nil, "", 401,
			[]string{`PoP error="invalid_token", error_description="Possession of the key that the access token is bound to was not proven", algs="ES256"`, `Bearer`}},
		{"store down", cnf{"pop": "v"}, "PoP", l.owner, popauth.ErrUnavailable, "pop", 503, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked []string
			g := l.guard(func(o *popauth.Options) {
				o.Confirmers = []popauth.Confirmer{
					fakeScheme{fakeConfirmer{"pop", "PoP", tt.fail, &asked}},
					recordingTLS{&asked},
				}
			})
			r := tt.client.Request("GET", "/", "")
			r.Header.Set("Authorization", tt.scheme+" "+l.unbound(cnf{"cnf": tt.cnf}))
			o := send(g.Authenticate, r)
			if got := strings.Join(asked, " "); got != tt.asked {
				t.Errorf("asked: got %q, want %q", got, tt.asked)
			}
			if o.ran != (tt.status == 200) || o.status != tt.status || strings.Join(o.challenges, "|") != strings.Join(tt.challenges, "|") {
				t.Errorf("got %d, ran %t, %q\nwant %d %q", o.status, o.ran, o.challenges, tt.status, tt.challenges)
			}
			if got, want := o.header.Get("X-Confirmed-By"), strings.Contains(tt.asked, "pop"); (got == "pop") != want {
				t.Errorf("header of the Confirmer: got %q, want one: %t", got, want)
			}
		})
	}
	t.Run("no credentials", func(t *testing.T) {
		var asked []string
		g := l.guard(func(o *popauth.Options) {
			o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, fakeScheme{fakeConfirmer{"pop", "PoP", nil, &asked}}}
		})
		if got := send(g.Confirm, l.owner.Request("GET", "/", "")).challenges; strings.Join(got, "|") != `Bearer|PoP algs="ES256"` {
			t.Errorf("got %q", got)
		}
		r := l.owner.Request("GET", "/", "a")
		r.Header.Add("Authorization", "PoP a")
		if got := send(g.Confirm, r).challenges; len(got) != 2 || !strings.HasPrefix(got[0], invalidRequest) || !strings.HasPrefix(got[1], `PoP error="invalid_request"`) {
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
	l := newLab(t)
	g := l.guard(func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{} })
	send(g.Authenticate, l.owner.Request("GET", "/", l.bound())).refused(t, 401, invalidToken)
	send(g.Authenticate, l.owner.Request("GET", "/", l.unbound())).passed(t)
}
