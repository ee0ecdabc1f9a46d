package introspection_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// firstReason is the first Reason of an error; "" if it has none.
func firstReason(err error) popauth.Reason {
	if e, ok := errors.AsType[*popauth.Error](err); ok {
		return e.Reason
	}
	r, _ := errors.AsType[popauth.Reason](err)
	return r
}

// What a Verifier of somebody else's makes of an authorization server's answer keeps to the rules of ours.
func TestTokenFromAnswer(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		rules        popauth.AnswerRules
		want         popauth.Reason // "" if there is a Token
		issuer       string
		audience     []string
	}{
		{name: "as of a JWT", answer: `{"iss":"a","aud":["x"],"sub":"s"}`, rules: popauth.AnswerRules{Issuer: "b"}, issuer: "a",
			audience: []string{"x"}},
		{name: "no iss", answer: `{"sub":"s"}`, rules: popauth.AnswerRules{Issuer: "b"}, issuer: "b"},
		{name: "no iss, and none is known", answer: `{"sub":"s"}`},
		{name: "null for what is absent", answer: `{"iss":null,"aud":null,"sub":null,"exp":null,"scope":null}`,
			rules: popauth.AnswerRules{Issuer: "b"}, issuer: "b"},
		{name: "empty aud for what is absent", answer: `{"aud":[],"sub":"s"}`},
		{name: "null for cnf", answer: `{"sub":"s","cnf":null}`, want: popauth.ErrBindingMalformed},
		{name: "no object", answer: `true`, want: popauth.ErrTokenMalformed},
		{name: "refresh token", answer: `{"sub":"s","typ":"Refresh"}`, want: popauth.ErrTokenType},
		{name: "ID token by what only those have", answer: `{"sub":"s","at_hash":"h"}`, want: popauth.ErrTokenType},
		{name: "without a required claim", answer: `{"sub":"s"}`, rules: popauth.AnswerRules{RequiredClaims: []string{"token_type"}},
			want: popauth.ErrTokenType},
		{name: "null for a required claim", answer: `{"token_type":null}`,
			rules: popauth.AnswerRules{RequiredClaims: []string{"token_type"}}, want: popauth.ErrTokenType},
		{name: "with what is required twice", answer: `{"token_type":"Bearer"}`,
			rules: popauth.AnswerRules{RequiredClaims: []string{"token_type", "token_type"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, err := popauth.NewTokenFromAnswer([]byte(tt.answer), tt.rules)
			if got := firstReason(err); got != tt.want || (token == nil) != (tt.want != "") {
				t.Fatalf("got %v, %v, want %q", token, err, tt.want)
			}
			if token != nil && (token.Issuer() != tt.issuer || !reflect.DeepEqual(token.Audience(), tt.audience)) {
				t.Errorf("got iss %q and aud %q, want %q and %q", token.Issuer(), token.Audience(), tt.issuer, tt.audience)
			}
		})
	}
}

// A Token's own times are those that golang-jwt would refuse it for.
func TestTokenCheckTime(t *testing.T) {
	const leeway = 10 * time.Second
	now := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		name, claims string
		want         popauth.Reason
	}{
		{name: "none", claims: `{"sub":"s"}`},
		{name: "in force", claims: `{"exp":1800000001,"nbf":1800000000,"iat":1800000000}`},
		{name: "expired within the leeway", claims: `{"exp":1799999991}`},
		{name: "expired", claims: `{"exp":1799999990}`, want: popauth.ErrTokenExpired},
		{name: "not before, within the leeway", claims: `{"nbf":1800000010}`},
		{name: "not before", claims: `{"nbf":1800000011}`, want: popauth.ErrTokenNotYetValid},
		{name: "issued within the leeway", claims: `{"iat":1800000010}`},
		{name: "issued later", claims: `{"iat":1800000011}`, want: popauth.ErrTokenNotYetValid},
		{name: "expired, and issued later", claims: `{"exp":1,"iat":1800000011}`, want: popauth.ErrTokenExpired},
	} {
		token, err := popauth.NewToken([]byte(tt.claims))
		if err != nil {
			t.Fatal(err)
		}
		if got := token.CheckTime(now, leeway); firstReason(got) != tt.want || (got == nil) != (tt.want == "") {
			t.Errorf("%s: got %v, want %q", tt.name, got, tt.want)
		}
	}
}

// What a Token says of itself can't be changed by who asked, and it counts what it holds.
func TestTokenBindingsAndSize(t *testing.T) {
	token, err := popauth.NewToken([]byte(`{"sub":"s","cnf":{"jkt":"k"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []popauth.Binding{{Member: "jkt", Value: "k"}}
	token.Bindings()[0].Value = "another"
	if got := token.Bindings(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	larger, err := popauth.NewToken([]byte(`{"sub":"` + strings.Repeat("s", 5000) + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	if token.Size() <= 0 || larger.Size() < token.Size()+4000 {
		t.Errorf("got %d bytes, and %d of one that has 5000 more", token.Size(), larger.Size())
	}
}

// A call that brought no answer is an outage, unless the request that has waited for it has ended.
func TestUnavailableKeepsItsReason(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	down := errors.New("down")
	for _, tt := range []struct {
		name string
		ctx  context.Context //nolint:containedctx // of a test
		err  error
		want popauth.Reason
	}{
		{name: "outage", ctx: t.Context(), err: down, want: popauth.ErrUnavailable},
		{name: "outage with another Reason in it", ctx: t.Context(), err: popauth.ErrTokenIssuer, want: popauth.ErrUnavailable},
		{name: "refusal with another Reason", ctx: t.Context(), err: &popauth.Error{Reason: popauth.ErrTokenIssuer},
			want: popauth.ErrUnavailable},
		{name: "an outage that was told", ctx: t.Context(), err: &popauth.Error{Reason: popauth.ErrUnavailable, Err: down},
			want: popauth.ErrUnavailable},
		{name: "crowd", ctx: t.Context(), err: &popauth.Error{Reason: popauth.ErrOverloaded, Err: down}, want: popauth.ErrOverloaded},
		{name: "ended", ctx: ended, err: down, want: popauth.ErrRequestEnded},
		{name: "ended, told as an outage", ctx: ended, err: &popauth.Error{Reason: popauth.ErrUnavailable, Err: down},
			want: popauth.ErrRequestEnded},
	} {
		e := popauth.Unavailable(tt.ctx, tt.err)
		if e.Reason != tt.want || strings.Count(e.Error(), string(popauth.ErrUnavailable)) > 1 {
			t.Errorf("%s: got %v, want %q, once", tt.name, e, tt.want)
		}
		if got, want := errors.Is(e, popauth.ErrUnavailable), tt.want != popauth.ErrRequestEnded; got != want {
			t.Errorf("%s: errors.Is finds ErrUnavailable: got %t, want %t", tt.name, got, want)
		}
	}
	if errors.Is(popauth.ErrUnavailable, popauth.ErrOverloaded) {
		t.Error("an outage is taken for a crowd")
	}
}

// A JWT without exp passes where that is asked for alone; one that has it expires there, too.
func TestMissingExpiration(t *testing.T) {
	l := lab.New(t)
	o := popauth.JWTOptions{Issuer: l.Issuer.URL, Audience: []string{popauthtest.Audience}, Keys: l.Issuer.Options().Keys, Now: l.Clock.Now}
	strict, err := popauth.NewJWTVerifier(o)
	if err != nil {
		t.Fatal(err)
	}
	o.AllowMissingExpiration = true
	lax, err := popauth.NewJWTVerifier(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		by     popauth.Verifier
		claims popauthtest.Claims
		want   popauth.Reason
	}{
		{name: "by default", by: strict, claims: popauthtest.Claims{"exp": popauthtest.Omit}, want: popauth.ErrTokenMalformed},
		{name: "allowed", by: lax, claims: popauthtest.Claims{"exp": popauthtest.Omit}},
		{name: "expired", by: lax, claims: popauthtest.Claims{"exp": 1}, want: popauth.ErrTokenExpired},
	} {
		token := l.Issuer.Token(tt.claims)
		for range 2 { // once by what is remembered
			got, err := tt.by.Verify(t.Context(), token)
			if firstReason(err) != tt.want || (err == nil) != (tt.want == "") {
				t.Fatalf("%s: got %v, want %q", tt.name, err, tt.want)
			}
			if caching, ok := tt.by.(popauth.CachingVerifier); err == nil && (!ok || !caching.Fresh(token, got)) {
				t.Errorf("%s: the Token is not fresh", tt.name)
			}
		}
	}
}
