package tokenkinds_test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// New warns where only claims tell what kind of token it is, for each issuer.
func TestOpenTokenTypesWarning(t *testing.T) {
	l := lab.NewTwoIssuers(t)
	with := func(types, required []string) popauth.Verifier {
		o := l.Acme.Options()
		v, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys, TokenTypes: types,
			RequiredClaims: required})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	closed, open := with([]string{"at+jwt"}, nil), with(nil, nil)
	for _, tt := range []struct {
		name string
		v    popauth.Verifier
		want []string
	}{
		{"the default", open, []string{l.Acme.URL}},
		{"none", with([]string{"at+jwt", ""}, nil), []string{l.Acme.URL}},
		{"a generic one", with([]string{"JOSE"}, nil), []string{l.Acme.URL}},
		{"with a parameter", with([]string{"application/jwt; x=1"}, nil), []string{l.Acme.URL}},
		{"at+jwt alone", closed, nil},
		{"application/at+jwt", with([]string{"application/at+jwt"}, nil), nil},
		{"a kind of the issuer's own", with([]string{"own+jwt"}, nil), nil},
		{"claims", with(nil, []string{"scope"}), nil},
		{"first of two", popauth.JWTOr(open, closed), []string{l.Acme.URL}},
		{"second of two", popauth.JWTOr(closed, open), []string{l.Acme.URL}},
		{"Issuers", l.Both(), []string{l.Acme.URL, l.Globex.URL}},
		{"somebody else's", lab.VerifierFunc(open.Verify), nil},
	} {
		var log bytes.Buffer
		if _, err := popauth.New(popauth.Options{Verifier: tt.v, Logger: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(log.String(), "level=WARN"); got != len(tt.want) {
			t.Errorf("%s: got %d warnings, want %d", tt.name, got, len(tt.want))
		}
		for _, iss := range tt.want {
			if !strings.Contains(log.String(), "issuer="+iss) {
				t.Errorf("%s: got %q, want %s in it", tt.name, &log, iss)
			}
		}
	}
}

// The settings are checked, and the caller's lists left alone.
func TestTokenKindSettings(t *testing.T) {
	l := lab.New(t)
	for field, change := range map[string]func(*popauth.Options){
		"RequiredClaims: has an empty entry": func(o *popauth.Options) { o.RequiredClaims = []string{"scope", ""} },
		"Verifier: leave Issuer": func(o *popauth.Options) {
			*o = popauth.Options{Verifier: lab.VerifierFunc(nil), RequiredClaims: []string{"a"}}
		},
		"Verifier: leave Issuer, Audience": func(o *popauth.Options) {
			*o = popauth.Options{Verifier: lab.VerifierFunc(nil), AllowIDTokens: true}
		},
		"Verifier: leave": func(o *popauth.Options) { *o = popauth.Options{Verifier: lab.VerifierFunc(nil), KeyIssuer: "x"} },
	} {
		o := l.Issuer.Options()
		change(&o)
		if _, err := popauth.New(o); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want %q in it", err, field)
		}
	}
	required := []string{"scope", "client_id", "client_id"}
	g := l.Guard(func(o *popauth.Options) { o.RequiredClaims = required })
	if !slices.Equal(required, []string{"scope", "client_id", "client_id"}) {
		t.Errorf("New has changed the caller's list: %q", required)
	}
	required[0] = "x"
	lab.Send(g.Authenticate, l.Owner.Request("GET", "/", l.Bound())).Passed(t)
}

// Each rule with a value at its edge.
func TestTokenKindEdges(t *testing.T) {
	l := lab.New(t, "ES256")
	plain := func(*popauth.Options) {}
	types := func(list ...string) func(*popauth.Options) { return func(o *popauth.Options) { o.TokenTypes = list } }
	required := func(o *popauth.Options) { o.RequiredClaims = []string{"scope", "own.claim/x"} }
	for _, tt := range []struct {
		name           string
		change         func(*popauth.Options)
		header, claims lab.Claims
		want           popauth.Reason
	}{
		{"nonce and a scope", plain, lab.Claims{"typ": "JWT"}, lab.Claims{"nonce": "n"}, ""},
		{"nonce and a kind that any JWT has", plain, lab.Claims{"typ": "JWT"}, lab.Claims{"nonce": "n", "scope": lab.Omit, "typ": "JWT"},
			popauth.ErrTokenType},
		{"nonce and an empty scope", plain, lab.Claims{"typ": "JWT"}, lab.Claims{"nonce": "n", "scope": []string{"openid", ""}},
			popauth.ErrTokenType},
		{"code and state null", plain, lab.Claims{"typ": "JWT"}, lab.Claims{"code": nil, "state": nil, "sub": lab.Omit}, ""},
		{"code without sub, state null", plain, lab.Claims{"typ": "JWT"}, lab.Claims{"code": "c", "state": nil, "sub": lab.Omit},
			popauth.ErrTokenType},
		{"state without sub, code null", plain, lab.Claims{"typ": "JWT"}, lab.Claims{"code": nil, "state": "s", "sub": lab.Omit},
			popauth.ErrTokenType},
		{"required under at+jwt", required, lab.Claims{"typ": "at+jwt"}, nil, popauth.ErrTokenType},
		{"required, null", required, lab.Claims{"typ": "at+jwt"}, lab.Claims{"own.claim/x": nil}, popauth.ErrTokenType},
		{"required, there", required, lab.Claims{"typ": "at+jwt"}, lab.Claims{"own.claim/x": lab.Claims{}}, ""},
		{"a long s for an s", plain, lab.Claims{"typ": "JWT"}, lab.Claims{"token_use": "acce\u017fs"}, popauth.ErrTokenType},
		{"a generic type, ID token", types("JOSE"), lab.Claims{"typ": "JOSE"}, lab.Claims{"at_hash": "x"}, popauth.ErrTokenType},
		{"a generic type, nobody", types("JWS"), lab.Claims{"typ": "JWS"}, lab.Claims{"sub": lab.Omit, "client_id": lab.Omit},
			popauth.ErrTokenType},
		{"a generic type", types("JOSE"), lab.Claims{"typ": "JOSE"}, nil, ""},
		{"zip that is none", plain, lab.Claims{"zip": "NONE"}, nil, ""},
		{"zip in another case", plain, lab.Claims{"zip": "none"}, nil, popauth.ErrTokenMalformed},
		{"zip empty", plain, lab.Claims{"zip": ""}, nil, popauth.ErrTokenMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := l.Guard(tt.change)
			token := l.Issuer.TokenWith(tt.header, l.Owner.Bound(), lab.Claims{"scope": "orders.read"}, tt.claims)
			if tt.want == "" {
				l.Genuine(t, g, token)
			} else {
				l.Forged(t, g, token, tt.want)
			}
		})
	}
}

// A claim that is null is not there.
func TestTokenKindNull(t *testing.T) {
	l := lab.New(t)
	lab.Send(l.Guard().Authenticate, l.Owner.Request("GET", "/",
		l.Issuer.TokenWith(lab.Claims{"typ": "JWT"}, l.Owner.Bound(), lab.Claims{"nonce": nil}))).Passed(t)
	lab.Send(l.Guard().Authenticate, l.Owner.Request("GET", "/",
		l.Issuer.TokenWith(lab.Claims{"typ": "JWT"}, l.Owner.Bound(), lab.Claims{"nonce": "n"}))).Refused(t, 401, lab.InvalidToken)
}

// Every word for a kind counts, wherever it is said.
func TestTokenKindWords(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	access := []string{
		"at+jwt", "application/at+jwt", "jwt", "application/jwt", "urn:ietf:params:oauth:token-type:access_token",
		"urn:ietf:params:oauth:token-type:jwt", "Bearer", "access", "access_token", "access-token", "accessToken", "AT",
	}
	other := []string{
		"id", "id_token", "id-token", "idToken", "urn:ietf:params:oauth:token-type:id_token", "refresh", "refresh_token", "refresh-token",
		"refreshToken", "rt", "rt+jwt", "offline", "urn:ietf:params:oauth:token-type:refresh_token", "logout", "logout_token", "code",
		"authorization_code", "initialAccess", "registration", "invitation", "reset", "password_reset", "reset_password", "reset-password",
		"verification", "email_verification", "verify_email",
	}
	for _, claim := range []string{"typ", "token_use", "tokenName", "tokenType", "token_type", "tokenUse", "tok_type", "type", "use",
		"purpose"} {
		for _, word := range access {
			l.Genuine(t, g, l.Bound(lab.Claims{claim: word}))
		}
		for _, word := range other {
			l.Forged(t, g, l.Bound(lab.Claims{claim: word}), popauth.ErrTokenType)
			l.Forged(t, g, l.Bound(lab.Claims{claim: strings.ToUpper(word)}), popauth.ErrTokenType)
		}
	}
}

// What marks an access token in a server's answers can be asked for there, too.
func TestIntrospectionRequiredClaims(t *testing.T) {
	l := lab.New(t)
	v := l.Introspection(func(o *introspection.Options) { o.RequiredClaims = []string{"token_type", "client_id"} })
	const answer = `{"active":true,"aud":"` + popauthtest.Audience + `","sub":"alice","client_id":"web"`
	for body, want := range map[string]popauth.Reason{
		answer + `,"token_type":"Bearer"}`: "",
		answer + `}`:                       popauth.ErrTokenType,
		answer + `,"token_type":null}`:     popauth.ErrTokenType,
	} {
		l.Answering(200, body)
		if token, err := v.Verify(t.Context(), body); (token == nil) == (want == "") || want != "" && !errors.Is(err, want) {
			t.Errorf("%s: got %v, %v, want %q", body, token, err, want)
		}
	}
}
