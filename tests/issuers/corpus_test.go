package issuers_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const corpus = "../tokenkinds/testdata/"

// signed is what one issuer signs: a file of the corpus, whose README says what the members are.
type signed struct {
	name    string
	Options struct {
		TokenTypes, RequiredClaims []string
		AllowIDTokens              bool
	}
	Access, Unfit, Others []shape
}

// shape is one JWT as its issuer writes it.
type shape struct {
	Name, How, Source, Kind, Bare, Open, Signer, Reason, Token string
	Header, Payload                                            popauthtest.Claims
}

func read(t *testing.T, name string) signed {
	t.Helper()
	text, err := os.ReadFile(corpus + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	s := signed{name: name}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

func readAll(t *testing.T) (all []signed) {
	t.Helper()
	names, err := filepath.Glob(corpus + "*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range names {
		all = append(all, read(t, strings.TrimSuffix(filepath.Base(name), ".json")))
	}
	return all
}

// sign signs the shape with a key of i, with these claims changed.
func (s shape) sign(i *popauthtest.Issuer, typ any, changed popauthtest.Claims) string {
	if s.Token != "" {
		return s.Token
	}
	claims, header := popauthtest.Claims{}, popauthtest.Claims{"typ": typ}
	for _, name := range []string{"iss", "aud", "sub", "client_id", "iat", "exp", "jti"} {
		claims[name] = popauthtest.Omit
	}
	maps.Copy(claims, s.Payload)
	for _, name := range []string{"iat", "exp", "nbf", "auth_time"} {
		if seconds, ok := s.Payload[name].(float64); ok {
			claims[name] = time.Now().Unix() + int64(seconds)
		}
	}
	maps.Copy(claims, changed)
	for name, value := range s.Header {
		if name != "typ" {
			header[name] = value
		}
	}
	return i.TokenWith(header, claims)
}

func (s shape) typ() any {
	if typ, ok := s.Header["typ"]; ok {
		return typ
	}
	return popauthtest.Omit
}

// meant are the claims that make the shape one for the API of these options.
func (s shape) meant(o popauth.Options) popauthtest.Claims {
	c := popauthtest.Claims{"iss": o.Issuer, "aud": o.Audience[0]}
	for _, name := range []string{"iss", "aud"} {
		if list, ok := s.Payload[name].([]any); s.Payload[name] == nil || ok && len(list) == 0 {
			delete(c, name) // it stays as it is
		}
	}
	return c
}

// with are the options as the page has them, but for the keys.
func (e entry) with(t *testing.T, i *popauthtest.Issuer) popauth.Options {
	t.Helper()
	keys, err := popauth.StaticKeys(i.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	o := e.options
	o.Keys, o.Remember = keys, -1
	return o
}

// The code of the page is right as it stands: New has nothing to say against it, and it makes no request.
func TestOptionsConstructed(t *testing.T) {
	for _, e := range entries() {
		o := e.options
		if e.keys.Issuer != "" {
			keys, err := popauth.NewRemoteKeys(e.keys)
			if err != nil {
				t.Errorf("%s: %v", e.title, err)
				continue
			}
			o.Keys = keys
		}
		if _, err := popauth.New(o); err != nil {
			t.Errorf("%s: %v", e.title, err)
		}
		// What tells the kinds apart is what docs/tokens.md says.
		want := read(t, e.corpus).Options
		if !slices.Equal(o.TokenTypes, want.TokenTypes) || !slices.Equal(o.RequiredClaims, want.RequiredClaims) ||
			o.AllowIDTokens != want.AllowIDTokens {
			t.Errorf("%s: got %q %q %t, and docs/tokens.md has %+v", e.title, o.TokenTypes, o.RequiredClaims, o.AllowIDTokens, want)
		}
	}
}

// Every access token of the issuer passes with the page's options, and names its client where the page says that it does.
func TestAccessTokens(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	for _, e := range entries() {
		o, all, passed := e.with(t, i), read(t, e.corpus), 0
		for _, s := range slices.Concat(all.Access, all.Unfit) {
			if !strings.Contains(s.Name, e.tokens) {
				continue
			}
			d := decide(t, o, s.sign(i, s.typ(), s.meant(o)))
			want := s.Reason == "" || slices.Contains(e.fits, s.Name)
			if (d.as != nil) != want {
				t.Errorf("%s, %s: passed %t (%s), want %t", e.title, s.Name, d.as != nil, d.text, want)
				continue
			}
			if !want {
				continue
			}
			passed++
			if claim := o.ClientClaim; claim != "" && (d.as.ClientID == "" || d.as.ClientID != s.Payload[claim]) {
				t.Errorf("%s, %s: got client %q, want %s %q", e.title, s.Name, d.as.ClientID, claim, s.Payload[claim])
			}
			if d.as.ClientID != "" && s.Payload["aud"] != nil {
				decide(t, o, s.sign(i, s.typ(), s.meant(o)), popauth.Client("another")).refusedFor(t, popauth.ErrForbidden, "client")
			}
			// A stolen token that is bound passes for nobody without the certificate, and no binding of another kind is overlooked.
			for _, member := range []string{"x5t#S256", "jkt", "other"} {
				bound := s.meant(o)
				bound["cnf"] = popauthtest.Claims{member: strings.Repeat("A", 43)}
				if d := decide(t, o, s.sign(i, s.typ(), bound)); d.as != nil {
					t.Errorf("%s, %s: bound by %s, passed without proof", e.title, s.Name, member)
				}
			}
		}
		if passed == 0 {
			t.Errorf("%s: no token passes", e.title)
		}
	}
}

// excused tells whether a token says nothing of its kind and has all that the options ask for. Its own issuer's tokens are
// excused only where another key signs them.
func (e entry) excused(s shape, own bool) bool {
	if s.Kind == "id" && e.options.AllowIDTokens {
		return true
	}
	has := func(name string) bool { return s.Payload[name] != nil }
	asked := slices.Clone(e.options.RequiredClaims)
	if e.options.ClientClaim != "" {
		asked = append(asked, e.options.ClientClaim)
	}
	return s.Bare+s.Open != "" && (!own || s.Signer+s.Open != "") &&
		!slices.ContainsFunc(asked, func(name string) bool { return !has(name) })
}

// Nothing else passes with the page's options: neither what this issuer signs beside access tokens, nor any other JWT, though
// it were signed with the same key for this API. What the issuer doesn't sign may pass only if it says nothing of its kind.
func TestNothingElsePasses(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	all := readAll(t)
	refused, excused := 0, map[string]int{}
	for _, e := range entries() {
		o := e.with(t, i)
		for _, from := range all {
			for _, s := range from.Others {
				for _, typ := range []any{s.typ(), "JWT", popauthtest.Omit} {
					c := s.meant(o)
					c["iss"], c["aud"] = o.Issuer, o.Audience[0]
					if s.Payload["exp"] == nil {
						c["exp"] = time.Now().Unix() + 300
					}
					switch d := decide(t, o, s.sign(i, typ, c)); {
					case d.as == nil:
						refused++
						if !slices.Contains([]popauth.Reason{popauth.ErrTokenType, popauth.ErrTokenMalformed, popauth.ErrBindingUnknown},
							d.reason) {
							t.Errorf("%s of %s, options of %s: refused with %q", s.Name, from.name, e.title, d.reason)
						}
					case e.excused(s, from.name == e.corpus):
						excused[e.title]++
					default:
						t.Errorf("%s of %s passes with the options of %s, typ %v", s.Name, from.name, e.title, typ)
					}
				}
			}
		}
	}
	t.Logf("%d refused; without a mark, if the issuer signed such: %v", refused, excused)
}

// Another issuer's tokens are nobody's here, even by the same key, for the same audience and with all claims.
func TestOtherIssuersRefused(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	stranger := popauthtest.NewIssuer(t, "ES256")
	all := readAll(t)
	tried := 0
	for _, e := range entries() {
		o := e.with(t, i)
		for _, from := range all {
			for _, s := range from.Access {
				iss, _ := s.Payload["iss"].(string)
				if iss == o.Issuer || s.Token != "" {
					continue
				}
				tried++
				d := decide(t, o, s.sign(i, s.typ(), popauthtest.Claims{"aud": o.Audience[0]}))
				if d.as != nil || !errors.Is(d.reason, popauth.ErrTokenIssuer) && d.reason != popauth.ErrTokenType {
					t.Errorf("%s of %s, options of %s: ran %t, %q", s.Name, from.name, e.title, d.as != nil, d.reason)
				}
				d = decide(t, o, s.sign(stranger, s.typ(), s.meant(o)))
				if d.as != nil || d.reason == "" {
					t.Errorf("%s of %s, options of %s: passes by a stranger's key", s.Name, from.name, e.title)
				}
			}
		}
	}
	t.Logf("%d tokens of other issuers", tried)
}
