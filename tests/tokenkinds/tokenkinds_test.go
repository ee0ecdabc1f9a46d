package tokenkinds_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// issuerKinds is one file of testdata: which options fit an issuer, and which JWTs it signs. See the README
// there.
type issuerKinds struct {
	Issuer  string
	Options struct {
		TokenTypes, RequiredClaims []string
		AllowIDTokens              bool
	}
	Audience, Mark        string
	Access, Unfit, Others []kindOfToken
}

// kindOfToken is one JWT: an access token, or another.
type kindOfToken struct {
	Name, How, Source string
	Kind              string // of another: id, refresh, jarm, …
	Bare              string // why nothing in it tells it from an access token
	Open              string // why it passes even with its own issuer's options
	Signer            string // who signs it with a key that is none of the issuer's
	Reason            string // what an unfit access token is refused with
	Token             string // what is sent as it stands, in place of a JWT
	Introspected      bool   // servers answer for it as for an access token
	Header, Payload   popauthtest.Claims
}

// tokenKinds reads the corpus. A file without access tokens is of no issuer and has no options.
func tokenKinds(t *testing.T) []issuerKinds {
	t.Helper()
	names, err := filepath.Glob("testdata/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files: %v", err)
	}
	var all []issuerKinds
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var i issuerKinds
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.DisallowUnknownFields()
		if err := d.Decode(&i); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, i)
	}
	return all
}

// claims are the payload with its times, which the files count from now; no default of popauthtest's is in it.
func (k kindOfToken) claims() popauthtest.Claims {
	c := popauthtest.Claims{}
	for _, name := range []string{"iss", "aud", "sub", "client_id", "iat", "exp", "jti"} {
		c[name] = popauthtest.Omit
	}
	maps.Copy(c, k.Payload)
	for _, name := range []string{"iat", "exp", "nbf", "auth_time"} {
		if seconds, ok := k.Payload[name].(float64); ok {
			c[name] = time.Now().Unix() + int64(seconds)
		}
	}
	return c
}

// disguised are the claims in the worst case: of the API's own issuer, and for the API. What names the issuer twice
// still does.
func (k kindOfToken) disguised(issuer string) popauthtest.Claims {
	c := k.claims()
	for _, name := range []string{"sub", "client_id"} {
		if had, ok := c["iss"].(string); ok && c[name] == any(had) {
			c[name] = issuer
		}
	}
	c["iss"], c["aud"] = issuer, popauthtest.Audience
	return c
}

// audience is the first name in aud, or the API's own.
func (k kindOfToken) audience() []string {
	switch aud := k.Payload["aud"].(type) {
	case string:
		return []string{aud}
	case []any:
		if len(aud) > 0 {
			return []string{aud[0].(string)}
		}
	}
	return []string{popauthtest.Audience}
}

// mint signs the token with this header.
func (k kindOfToken) mint(i *popauthtest.Issuer, typ any, claims popauthtest.Claims) string {
	if k.Token != "" {
		return k.Token
	}
	header := popauthtest.Claims{}
	maps.Copy(header, k.Header)
	header["typ"] = typ
	return i.TokenWith(header, claims)
}

// typ is what the header says; Omit if it says nothing.
func (k kindOfToken) typ() any {
	if typ, ok := k.Header["typ"]; ok {
		return typ
	}
	return popauthtest.Omit
}

// sentTo is the reason why a guard with these options refuses the token, and whether the handler ran.
func sentTo(t *testing.T, o popauth.Options, token string) (popauth.Reason, bool) {
	t.Helper()
	var reason popauth.Reason
	o.Deny = func(w http.ResponseWriter, _ *http.Request, err *popauth.Error) {
		reason = err.Reason
		w.WriteHeader(http.StatusUnauthorized)
	}
	g, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return sentToGuard(g, &reason, token)
}

func sentToGuard(g *popauth.Guard, reason *popauth.Reason, token string) (popauth.Reason, bool) {
	*reason = ""
	r := (*popauthtest.Client)(nil).Request("GET", "https://api.example.com/orders", token)
	return *reason, lab.Send(g.Authenticate, r).Ran
}

// options are those of the issuer, with the keys of i.
func (k issuerKinds) options(t *testing.T, i *popauthtest.Issuer, issuer string, audience []string) popauth.Options {
	t.Helper()
	keys, err := popauth.StaticKeys(i.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	return popauth.Options{
		Issuer: issuer, Audience: audience, Keys: keys, Remember: -1,
		TokenTypes: k.Options.TokenTypes, RequiredClaims: k.Options.RequiredClaims, AllowIDTokens: k.Options.AllowIDTokens,
	}
}

// Every access token passes with its issuer's options, and those that can't are refused for the reason that is known.
func TestTokenKindsAccess(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	passed, all := 0, 0
	for _, k := range tokenKinds(t) {
		for _, token := range slices.Concat(k.Access, k.Unfit) {
			t.Run(k.Issuer+"/"+token.Name, func(t *testing.T) {
				issuer, _ := token.Payload["iss"].(string)
				if issuer == "" {
					issuer = "https://id.example.com"
				}
				got, ran := sentTo(t, k.options(t, i, issuer, token.audience()), token.mint(i, token.typ(), token.claims()))
				if ran != (token.Reason == "") || string(got) != token.Reason {
					t.Errorf("got reason %q, ran %t, want reason %q", got, ran, token.Reason)
				}
				if all++; ran {
					passed++
				}
			})
		}
	}
	t.Logf("access tokens: %d passed of %d", passed, all)
}

// disguise is one way in which another token is sent.
type disguise struct {
	name, token string
	claims      popauthtest.Claims
}

// disguises are the token signed as the API's issuer would, under each typ that says nothing and its own, as it is and
// with an exp if it has none.
func (k kindOfToken) disguises(i *popauthtest.Issuer) []disguise {
	claims := k.disguised(i.URL)
	all := []popauthtest.Claims{claims}
	if claims["exp"] == any(popauthtest.Omit) {
		expiring := maps.Clone(claims)
		expiring["exp"] = time.Now().Unix() + 300
		all = append(all, expiring)
	}
	var made []disguise
	for _, header := range []struct {
		name string
		typ  any
	}{{name: "own typ", typ: k.typ()}, {name: "typ JWT", typ: "JWT"}, {name: "no typ", typ: popauthtest.Omit},
		{name: "empty typ", typ: ""}} {
		for _, c := range all {
			made = append(made, disguise{name: header.name, token: k.mint(i, header.typ, c), claims: c})
		}
	}
	return made
}

// excused tells whether an issuer's options can't tell the token from an access token: because its ID tokens are
// wanted, or because nothing in the token says what it is and it has all that is required.
func (k issuerKinds) excused(token kindOfToken, claims popauthtest.Claims) (allowed, bare bool) {
	lacks := func(name string) bool { return claims[name] == nil || claims[name] == any(popauthtest.Omit) }
	if token.Kind == "id" && k.Options.AllowIDTokens {
		return true, false
	}
	return false, token.Bare+token.Open != "" && !slices.ContainsFunc(k.Options.RequiredClaims, lacks)
}

// Nothing but access tokens passes with the options of any issuer.
func TestTokenKindsOthers(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	corpus := tokenKinds(t)
	refused, allowed, bare := 0, 0, 0
	open := map[string]int{} // by issuer: how many tokens say nothing of their kind and have all that is required
	for at, k := range corpus {
		if len(k.Access) == 0 {
			continue
		}
		o := k.options(t, i, i.URL, []string{popauthtest.Audience})
		var reason popauth.Reason
		o.Deny = func(w http.ResponseWriter, _ *http.Request, err *popauth.Error) { reason = err.Reason }
		g, err := popauth.New(o)
		if err != nil {
			t.Fatal(err)
		}
		for of, other := range corpus {
			tokens := other.Others
			for _, token := range other.Access {
				if of != at && token.Kind == "id" { // an ID token that counts at its own issuer alone
					tokens = append(slices.Clip(tokens), token)
				}
			}
			for _, token := range tokens {
				for _, d := range token.disguises(i) {
					got, ran := sentToGuard(g, &reason, d.token)
					idToken, indistinct := k.excused(token, d.claims)
					switch {
					case !ran:
						refused++
						if got != popauth.ErrTokenType && got != popauth.ErrTokenMalformed && got != popauth.ErrBindingUnknown {
							t.Errorf("%s, options of %s, %s: refused with %q", token.Name, k.Issuer, d.name, got)
						}
					case idToken:
						allowed++
					case indistinct && (of != at || token.Signer+token.Open != ""):
						bare++
						open[k.Issuer]++
					default:
						t.Errorf("%s of %s passes with the options of %s, %s", token.Name, other.Issuer, k.Issuer, d.name)
					}
				}
			}
		}
	}
	t.Logf("other tokens: %d refused of %d; %d ID tokens where they are allowed, %d that say nothing of their kind: %v",
		refused, refused+allowed+bare, allowed, bare, open)
}

// An introspection endpoint's answer with the same claims is decided upon alike.
func TestTokenKindsIntrospected(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	v, err := introspection.New(lab.IntrospectionOptions(i))
	if err != nil {
		t.Fatal(err)
	}
	passed, refused := 0, 0
	for _, k := range tokenKinds(t) {
		for _, token := range k.Access {
			if token.Kind == "id" { // there is no AllowIDTokens for answers: no server known puts such claims into one
				continue
			}
			answer := i.Opaque(token.disguised(i.URL), popauthtest.Claims{"token_type": "Bearer"})
			got, ran := sentTo(t, popauth.Options{Verifier: v}, answer)
			if !ran {
				t.Errorf("%s of %s: refused with %q, want a pass", token.Name, k.Issuer, got)
			}
			passed++
		}
		for _, token := range k.Others {
			if !token.Introspected {
				continue
			}
			got, ran := sentTo(t, popauth.Options{Verifier: v}, i.Opaque(token.disguised(i.URL)))
			if ran || !errors.Is(got, popauth.ErrTokenType) {
				t.Errorf("%s of %s: got reason %q, ran %t, want %q", token.Name, k.Issuer, got, ran, popauth.ErrTokenType)
			}
			refused++
		}
	}
	t.Logf("answers: %d for access tokens, %d for others", passed, refused)
}

// The corpus says where each token comes from.
func TestTokenKindsSources(t *testing.T) {
	for _, k := range tokenKinds(t) {
		for _, token := range slices.Concat(k.Access, k.Unfit, k.Others) {
			if token.Name == "" || token.Source == "" || !slices.Contains([]string{"run", "read", "source", "known"}, token.How) {
				t.Errorf("%s, %s: got source %q, how %q", k.Issuer, token.Name, token.Source, token.How)
			}
		}
		for _, token := range k.Others {
			if token.Kind == "" {
				t.Errorf("%s, %s: no kind", k.Issuer, token.Name)
			}
		}
	}
}
