// Package issuers_test holds docs/issuers.md to what a Guard does: each entry's Options are constructed, and sent tokens
// of the shape that its issuer signs.
package issuers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// decided is the reason of a refusal, what the log says of it, and who came in.
type decided struct {
	reason popauth.Reason
	text   string
	as     *popauth.Principal
}

// decide sends a token to a handler behind Authenticate, whatever the policies.
func decide(t *testing.T, o popauth.Options, token string, policies ...popauth.Policy) decided {
	t.Helper()
	var d decided
	o.Deny = func(w http.ResponseWriter, _ *http.Request, err *popauth.Error) {
		d.reason, d.text = err.Reason, err.Error()
		w.WriteHeader(http.StatusUnauthorized)
	}
	g, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := (*popauthtest.Client)(nil).Request("GET", "https://api.example.com/orders", token)
	came := lab.Send(func(h http.Handler) http.Handler {
		inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.as, _ = popauth.FromContext(r.Context())
			h.ServeHTTP(w, r)
		})
		if len(policies) == 0 {
			return g.Authenticate(inner)
		}
		return g.Authenticate(g.Authorize(policies...)(inner))
	}, r)
	if came.Ran != (d.as != nil) || came.Ran != (d.reason == "") {
		t.Fatalf("ran %t, principal %v, reason %q", came.Ran, d.as, d.reason)
	}
	return d
}

// own are Options with the keys of i, for tokens under typ JWT or none.
func own(t *testing.T, i *popauthtest.Issuer) popauth.Options {
	t.Helper()
	keys, err := popauth.StaticKeys(i.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	return popauth.Options{Issuer: i.URL, Audience: []string{popauthtest.Audience}, Keys: keys, Remember: -1,
		TokenTypes: []string{"", "JWT"}}
}

// refusedFor fails unless a token is refused with this reason, and the log has the text.
func (d decided) refusedFor(t *testing.T, reason popauth.Reason, text string) {
	t.Helper()
	if d.as != nil || d.reason != reason || !strings.Contains(d.text, text) {
		t.Errorf("got %q (%s), ran %t, want %q with %q", d.reason, d.text, d.as != nil, reason, text)
	}
}

// The claim that names the client is the one that the settings say, and no other.
func TestClientClaim(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	none := popauthtest.Claims{"client_id": popauthtest.Omit, "scope": "orders.read"}
	token := func(claims popauthtest.Claims) string {
		return i.TokenWith(popauthtest.Claims{"typ": "JWT"}, none, claims)
	}
	for _, claim := range []string{"azp", "cid", "appid", "client_id"} {
		o := own(t, i)
		o.ClientClaim = claim
		for _, claims := range []popauthtest.Claims{{claim: "web"}, {claim: "web", "client_id": "web"}, {claim: `w\u0065b`}} {
			d := decide(t, o, token(claims))
			if want, _ := claims[claim].(string); d.as == nil || d.as.ClientID != want {
				t.Errorf("%s, %v: got %v, want client %q", claim, claims, d.as, want)
			}
		}
		if d := decide(t, o, token(popauthtest.Claims{claim: "web"}), popauth.Client("web")); d.as == nil {
			t.Errorf("%s: Client refuses the token of its client: %s", claim, d.text)
		}
		decide(t, o, token(popauthtest.Claims{claim: "thief"}), popauth.Client("web")).refusedFor(t, popauth.ErrForbidden, "client")
		for _, claims := range []popauthtest.Claims{
			{}, {claim: ""}, {claim: nil}, {claim: []string{"web"}}, {claim: 1}, {strings.ToUpper(claim): "web"}, {"clientId": "web"},
		} {
			d := decide(t, o, token(claims))
			if d.as != nil || d.reason != popauth.ErrTokenType && d.reason != popauth.ErrTokenMalformed {
				t.Errorf("%s, %v: got %q, ran %t, want a refusal of the token", claim, claims, d.reason, d.as != nil)
			}
		}
		// Go's encoding/json takes the last of the two for the claim, in whatever case it is.
		for _, other := range []string{strings.ToUpper(claim), strings.ToUpper(claim[:1]) + claim[1:]} {
			decide(t, o, token(popauthtest.Claims{claim: "web", other: "thief"})).refusedFor(t, popauth.ErrTokenMalformed, "in case only")
		}
		decide(t, o, token(popauthtest.Claims{"act": map[string]any{claim: "web"}})).refusedFor(t, popauth.ErrTokenType, "ClientClaim")
		if claim != "client_id" {
			decide(t, o, token(popauthtest.Claims{"client_id": "web"})).refusedFor(t, popauth.ErrTokenType, "ClientClaim")
			decide(t, o, token(popauthtest.Claims{claim: "thief", "client_id": "web"})).refusedFor(t, popauth.ErrTokenMalformed, claim)
		}
	}
	// Without the setting nothing changes: azp names nobody.
	d := decide(t, own(t, i), token(popauthtest.Claims{"azp": "web"}))
	if d.as == nil || d.as.ClientID != "" {
		t.Errorf("without ClientClaim: got %v, want no client", d.as)
	}
	decide(t, own(t, i), token(popauthtest.Claims{"azp": "web"}), popauth.Client("web")).refusedFor(t, popauth.ErrForbidden, "ClientClaim")
}

// A remembered token has the client that the first look found.
func TestClientClaimRemembered(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	o := own(t, i)
	v, err := popauth.NewJWTVerifier(popauth.JWTOptions{
		Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys, TokenTypes: o.TokenTypes, ClientClaim: "azp",
	})
	if err != nil {
		t.Fatal(err)
	}
	token := i.TokenWith(popauthtest.Claims{"typ": "JWT"}, popauthtest.Claims{"client_id": popauthtest.Omit, "azp": "web"})
	for range 2 {
		if got, err := v.Verify(t.Context(), token); err != nil || got.ClientID() != "web" {
			t.Fatalf("got %v, %v, want client web", got, err)
		}
	}
}

// Only tokens of the clients that are named may lack aud.
func TestClientsWithoutAudience(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	token := func(claims popauthtest.Claims) string {
		return i.TokenWith(popauthtest.Claims{"typ": popauthtest.Omit},
			popauthtest.Claims{"scope": "orders.read", "aud": popauthtest.Omit}, claims)
	}
	o := own(t, i)
	o.ClientsWithoutAudience = []string{"web"}
	for _, aud := range []any{popauthtest.Omit, []string{}, popauthtest.Audience, []string{"other", popauthtest.Audience}} {
		if d := decide(t, o, token(popauthtest.Claims{"client_id": "web", "aud": aud})); d.as == nil {
			t.Errorf("aud %v of the client: %s", aud, d.text)
		}
	}
	for _, claims := range []popauthtest.Claims{
		{"client_id": "thief"}, {"client_id": popauthtest.Omit}, {"client_id": ""}, {"client_id": "Web"},
		{"client_id": popauthtest.Omit, "azp": "web"},
		{"client_id": "web", "aud": "other"}, {"client_id": "web", "aud": ""}, {"client_id": "web", "aud": []string{""}},
		{"client_id": "web", "aud": "web"}, {"client_id": "thief", "aud": []string{}}, {"client_id": popauthtest.Omit, "sub": "web"},
	} {
		decide(t, o, token(claims)).refusedFor(t, popauth.ErrTokenAudience, "")
	}
	// All else is asked for as ever.
	decide(t, o, token(popauthtest.Claims{"client_id": "web", "exp": 1})).refusedFor(t, popauth.ErrTokenExpired, "")
	decide(t, o, token(popauthtest.Claims{"client_id": "web", "iss": "https://other.example"})).refusedFor(t, popauth.ErrTokenIssuer, "")
	decide(t, o, token(popauthtest.Claims{"client_id": "web", "token_use": "id"})).refusedFor(t, popauth.ErrTokenType, "")
	decide(t, o, token(popauthtest.Claims{"client_id": "web", "cnf": map[string]any{"x5t#S256": strings.Repeat("A", 43)}})).
		refusedFor(t, popauth.ErrCertificateMissing, "")
	// The client is the one that ClientClaim names.
	o.ClientClaim = "azp"
	if d := decide(t, o, token(popauthtest.Claims{"azp": "web", "client_id": popauthtest.Omit})); d.as == nil {
		t.Errorf("azp: %s", d.text)
	}
	decide(t, o, token(popauthtest.Claims{"azp": "thief", "client_id": popauthtest.Omit})).refusedFor(t, popauth.ErrTokenAudience, "")
	// Without the setting every token needs aud.
	decide(t, own(t, i), token(popauthtest.Claims{"client_id": "web"})).refusedFor(t, popauth.ErrTokenAudience, "")
}

// A JWT-SVID has no iss: its trust domain stands in sub.
func TestJWTSVIDs(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	o := own(t, i)
	jwt := popauth.JWTOptions{
		Issuer: "spiffe://example.org", Audience: o.Audience, Keys: o.Keys, TokenTypes: []string{"", "JWT", "JOSE"}, JWTSVIDs: true,
	}
	v, err := popauth.NewJWTVerifier(jwt)
	if err != nil {
		t.Fatal(err)
	}
	token := func(claims popauthtest.Claims) string {
		return i.TokenWith(popauthtest.Claims{"typ": "JWT"},
			popauthtest.Claims{"iss": popauthtest.Omit, "client_id": popauthtest.Omit, "jti": popauthtest.Omit}, claims)
	}
	for _, sub := range []string{"spiffe://example.org/batch", "spiffe://example.org/ns/shop/sa/b.a-t_ch", "spiffe://example.org/...x/.a"} {
		d := decide(t, popauth.Options{Verifier: v}, token(popauthtest.Claims{"sub": sub}))
		if d.as == nil || d.as.Issuer != jwt.Issuer || d.as.Subject != sub {
			t.Errorf("%s: got %v (%s), want it as the subject", sub, d.as, d.text)
		}
	}
	for _, sub := range []any{
		"spiffe://example.org", "spiffe://example.org/", "spiffe://example.org.evil/batch", "spiffe://example.orgevil/batch",
		"spiffe://evil/batch", "SPIFFE://example.org/batch", "spiffe://EXAMPLE.org/batch", "spiffe://example.org/a/../b",
		"spiffe://example.org/a//b",
		"spiffe://example.org/.", "spiffe://example.org/a?b", "spiffe://example.org/a%2fb", "spiffe://example.org:1/a",
		"spiffe://u@example.org/a",
		"spiffe://example.org/a\n", "batch", "",
	} {
		decide(t, popauth.Options{Verifier: v}, token(popauthtest.Claims{"sub": sub, "azp": "x"})).refusedFor(t, popauth.ErrTokenIssuer, "")
	}
	sub := popauthtest.Claims{"sub": "spiffe://example.org/batch"}
	for _, iss := range []any{"spiffe://example.org", "https://other.example", "", i.URL} {
		sub["iss"] = iss
		decide(t, popauth.Options{Verifier: v}, token(sub)).refusedFor(t, popauth.ErrTokenIssuer, "")
	}
	delete(sub, "iss")
	for name, value := range map[string]any{"aud": "other", "exp": 1} {
		d := decide(t, popauth.Options{Verifier: v}, token(popauthtest.Claims{"sub": sub["sub"], name: value}))
		if d.as != nil {
			t.Errorf("%s %v: passed", name, value)
		}
	}
	// Without the setting a token without iss is nobody's.
	jwt.JWTSVIDs = false
	if v, err = popauth.NewJWTVerifier(jwt); err != nil {
		t.Fatal(err)
	}
	decide(t, popauth.Options{Verifier: v}, token(sub)).refusedFor(t, popauth.ErrTokenIssuer, "")
}

// What a setting can't mean is said before the first request.
func TestSettingsRefused(t *testing.T) {
	i := popauthtest.NewIssuer(t, "ES256")
	for _, tt := range []struct {
		name, want string
		change     func(*popauth.JWTOptions)
	}{
		{name: "subject as client", want: "ClientClaim", change: func(o *popauth.JWTOptions) { o.ClientClaim = "sub" }},
		{name: "issuer as client", want: "ClientClaim", change: func(o *popauth.JWTOptions) { o.ClientClaim = "iss" }},
		{name: "anybody's tokens without aud", want: "ClientsWithoutAudience", change: func(o *popauth.JWTOptions) {
			o.ClientsWithoutAudience = []string{"web", ""}
		}},
		{name: "no audience at all", want: "Audience", change: func(o *popauth.JWTOptions) {
			o.Audience, o.ClientsWithoutAudience = nil, []string{"web"}
		}},
		{name: "SVIDs of a URL", want: "JWTSVIDs", change: func(o *popauth.JWTOptions) { o.JWTSVIDs = true }},
		{name: "SVIDs of a workload", want: "JWTSVIDs", change: func(o *popauth.JWTOptions) {
			o.Issuer, o.JWTSVIDs = "spiffe://example.org/batch", true
		}},
	} {
		o := own(t, i)
		jwt := popauth.JWTOptions{Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys}
		tt.change(&jwt)
		if _, err := popauth.NewJWTVerifier(jwt); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want a problem of %s", tt.name, err, tt.want)
		}
	}
	v, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: i.URL, Audience: []string{popauthtest.Audience}, Keys: own(t, i).Keys})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []popauth.Options{{Verifier: v, ClientClaim: "azp"}, {Verifier: v, ClientsWithoutAudience: []string{"web"}}} {
		if _, err := popauth.New(o); err == nil || !strings.Contains(err.Error(), "ClientClaim") {
			t.Errorf("beside a Verifier: got %v, want a problem", err)
		}
	}
}
