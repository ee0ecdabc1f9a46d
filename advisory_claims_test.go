package popauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// raw is a number or text in JSON that Go would not write.
type raw = json.RawMessage

func TestAdvisoryAudience(t *testing.T) {
	l := newLab(t, "ES256")
	guards := map[string]*popauth.Guard{
		"CVE-2026-30223 published keys": l.guard(),
		"CVE-2026-30223 static keys":    l.over(l.published()[0].text),
		"CVE-2026-30223 key function":   l.guard(func(o *popauth.Options) { o.Keys = textKeys{l.published()[0].key} }),
	}
	for name, g := range guards {
		t.Run(name, func(t *testing.T) {
			l.genuine(t, g, l.bound())
			l.genuine(t, g, l.bound(cnf{"aud": []string{"https://other.example", popauthtest.Audience}}))
			for _, tt := range []struct {
				name string
				aud  any
				want popauth.Reason
			}{
				{"CVE-2020-26160 empty array", []string{}, popauth.ErrTokenAudience},
				{"CVE-2020-26160 number", 42, popauth.ErrTokenMalformed},
				{"CVE-2020-26160 null", nil, popauth.ErrTokenMalformed},
				{"object", cnf{popauthtest.Audience: true}, popauth.ErrTokenMalformed},
				{"array of arrays", [][]string{{popauthtest.Audience}}, popauth.ErrTokenMalformed},
				{"null among others", []any{popauthtest.Audience, nil}, popauth.ErrTokenMalformed},
				{"CVE-2024-5798 text", "https://other.example", popauth.ErrTokenAudience},
				{"CVE-2024-5798 array", []string{"https://other.example", ""}, popauth.ErrTokenAudience},
				{"CVE-2023-22482 another", "api", popauth.ErrTokenAudience},
				{"CVE-2026-55669 none", omit, popauth.ErrTokenAudience},
				{"CVE-2026-44428 another deployment", popauthtest.Audience + ":8443", popauth.ErrTokenAudience},
				{"CVE-2023-36820 the issuer itself", l.issuer.URL, popauth.ErrTokenAudience},
				{"CVE-2025-62610 the client", "client-1", popauth.ErrTokenAudience},
				{"prefix", popauthtest.Audience[:len(popauthtest.Audience)-1], popauth.ErrTokenAudience},
				{"longer", popauthtest.Audience + ".evil.example", popauth.ErrTokenAudience},
				{"other case", strings.ToUpper(popauthtest.Audience), popauth.ErrTokenAudience},
				{"space", popauthtest.Audience + " ", popauth.ErrTokenAudience},
				{"list in text", "x " + popauthtest.Audience, popauth.ErrTokenAudience},
				{"wildcard", "*", popauth.ErrTokenAudience},
			} {
				t.Run(tt.name, func(t *testing.T) { l.forged(t, g, l.bound(cnf{"aud": tt.aud}), tt.want) })
			}
		})
	}
	t.Run("CVE-2026-55689 not configured", func(t *testing.T) {
		for _, audience := range [][]string{nil, {}, {""}, {popauthtest.Audience, ""}} {
			o := l.issuer.Options()
			o.Audience = audience
			if g, err := popauth.New(o); err == nil {
				t.Errorf("VULNERABLE: Audience %q: got %v, want an error", audience, g)
			}
		}
	})
}

func TestAdvisoryIssuer(t *testing.T) {
	l := newLab(t, "ES256")
	url := l.issuer.URL
	for name, g := range map[string]*popauth.Guard{
		"CVE-2026-22748 published keys": l.guard(),
		"CVE-2026-22748 static keys":    l.over(l.published()[0].text),
	} {
		t.Run(name, func(t *testing.T) {
			l.genuine(t, g, l.bound())
			for _, tt := range []struct {
				name string
				iss  any
				want popauth.Reason
			}{
				{"CVE-2025-30144 array", []string{url}, popauth.ErrTokenMalformed},
				{"CVE-2025-30144 array of two", []string{"https://evil.example", url}, popauth.ErrTokenMalformed},
				{"CVE-2024-53861 prefix", url[:len(url)-1], popauth.ErrTokenIssuer},
				{"CVE-2024-53861 one letter", "h", popauth.ErrTokenIssuer},
				{"CVE-2024-53861 longer", url + "0", popauth.ErrTokenIssuer},
				{"CVE-2018-15801 another", "https://evil.example", popauth.ErrTokenIssuer},
				{"CVE-2024-5037 empty", "", popauth.ErrTokenIssuer},
				{"CVE-2024-8901 none", omit, popauth.ErrTokenIssuer},
				{"null", nil, popauth.ErrTokenMalformed},
				{"object", cnf{"0": url}, popauth.ErrTokenMalformed},
				{"other case", strings.ToUpper(url), popauth.ErrTokenIssuer},
				{"slash", url + "/", popauth.ErrTokenIssuer},
				{"default port", strings.Replace(url, "https://", "https://:@", 1), popauth.ErrTokenIssuer},
				{"space", " " + url, popauth.ErrTokenIssuer},
				{"NUL", url + "\x00", popauth.ErrTokenIssuer},
			} {
				t.Run(tt.name, func(t *testing.T) { l.forged(t, g, l.bound(cnf{"iss": tt.iss}), tt.want) })
			}
		})
	}
}

// Dates of the wrong kind or size are no dates that happen to pass.
func TestAdvisoryDates(t *testing.T) {
	l := newLab(t, "ES256")
	g := l.guard()
	l.genuine(t, g, l.bound())
	now := l.clock.Now().Unix()
	soon := fmt.Sprint(now + 60)
	for _, claim := range []string{"exp", "nbf", "iat"} {
		for _, value := range []string{
			"-1", "-0.5", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "18446744073709551616", "253402300800", "9e18", "1e30", "1e400", "-1e400",
			"null", "true", "false", `""`, `"` + soon + `"`, `"NaN"`, `"Infinity"`, `"never"`, "[]", "[" + soon + "]", "{}", `{"$date":` + soon + `}`,
		} {
			t.Run("CVE-2026-44459 "+claim+" "+value, func(t *testing.T) {
				l.forged(t, g, l.bound(cnf{claim: raw(value)}), popauth.ErrTokenMalformed)
			})
		}
		for _, value := range []string{"NaN", "Infinity", "0x7fffffff", "+1", "01", "1.", ".5", "1_000", "1e"} {
			payload := strings.Replace(string(l.claims(cnf{claim: 1234567})), "1234567", value, 1)
			header := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":%q}`, l.published()[0].kid)
			l.forged(t, g, l.issuer.Sign([]byte(header), []byte(payload), ""), popauth.ErrTokenMalformed)
		}
	}
	for _, tt := range []struct {
		name   string
		claims cnf
		want   popauth.Reason
	}{
		{"CVE-2026-44459 exp 0", cnf{"exp": 0}, popauth.ErrTokenExpired},
		{"CVE-2026-44459 exp -0", cnf{"exp": raw("-0")}, popauth.ErrTokenExpired},
		{"CVE-2026-44459 exp 1e-400", cnf{"exp": raw("1e-400")}, popauth.ErrTokenExpired},
		{"CVE-2020-26892 past", cnf{"exp": now - 3600}, popauth.ErrTokenExpired},
		{"CVE-2026-9097 just past", cnf{"exp": now - 30}, popauth.ErrTokenExpired},
		{"GHSA-wxg7-w2v3-w38g none", cnf{"exp": omit}, popauth.ErrTokenMalformed},
		{"in milliseconds, past", cnf{"exp": 1}, popauth.ErrTokenExpired},
		{"in milliseconds", cnf{"exp": now * 1000}, popauth.ErrTokenMalformed},
		{"to come", cnf{"nbf": now + 31}, popauth.ErrTokenNotYetValid},
		{"at the end of days", cnf{"nbf": 253402300799}, popauth.ErrTokenNotYetValid},
		{"issued to come", cnf{"iat": now + 31}, popauth.ErrTokenNotYetValid},
	} {
		t.Run(tt.name, func(t *testing.T) { l.forged(t, g, l.bound(tt.claims), tt.want) })
	}
}

// A JWT that the same issuer signed with the same key for something else.
func TestAdvisoryForeignToken(t *testing.T) {
	l := newLab(t, "ES256")
	g := l.guard()
	l.genuine(t, g, l.bound())
	for _, tt := range []struct {
		name           string
		header, claims cnf
		want           popauth.Reason
	}{
		{"CVE-2026-41164 ID token", cnf{"typ": "JWT"}, cnf{"aud": "client-1", "nonce": "n", "auth_time": 1}, popauth.ErrTokenAudience},
		{"CVE-2026-41164 ID token, one name for API and client", cnf{"typ": "JWT"}, cnf{"at_hash": "x", "nonce": "n"}, popauth.ErrTokenType},
		{"ID token of the hybrid flow", cnf{"typ": "JWT"}, cnf{"c_hash": "x"}, popauth.ErrTokenType},
		{"ID token with s_hash", cnf{"typ": "JWT"}, cnf{"s_hash": "x"}, popauth.ErrTokenType},
		{"ID token that says so", cnf{"typ": "JWT"}, cnf{"typ": "ID"}, popauth.ErrTokenType},
		{"ID token without typ", cnf{"typ": omit}, cnf{}, popauth.ErrTokenType},
		{"logout token", cnf{"typ": "logout+jwt"}, cnf{"events": cnf{"http://schemas.openid.net/event/backchannel-logout": cnf{}}}, popauth.ErrTokenType},
		{"logout token of an older kind", cnf{"typ": "JWT"}, cnf{"events": cnf{"http://schemas.openid.net/event/backchannel-logout": cnf{}}}, popauth.ErrTokenType},
		{"security event", cnf{"typ": "secevent+jwt"}, cnf{}, popauth.ErrTokenType},
		{"client assertion", cnf{"typ": "JWT"}, cnf{"iss": "client-1", "sub": "client-1", "aud": l.issuer.URL}, popauth.ErrTokenIssuer},
		{"client assertion with a type", cnf{"typ": "client-authentication+jwt"}, cnf{}, popauth.ErrTokenType},
		{"CVE-2026-41164 proof", cnf{"typ": "dpop+jwt", "jwk": cnf{}}, cnf{"htm": "GET", "htu": "https://api.example.com/"}, popauth.ErrTokenType},
		{"refresh token", cnf{"typ": "rt+jwt"}, cnf{}, popauth.ErrTokenType},
		{"introspection response", cnf{"typ": "token-introspection+jwt"}, cnf{"token_introspection": cnf{"active": true}}, popauth.ErrTokenType},
		{"introspection response without its type", cnf{"typ": "JWT"}, cnf{"token_introspection": cnf{"active": true}}, popauth.ErrTokenType},
		{"CVE-2023-48309 session of an application", cnf{"typ": "session+jwt"}, cnf{}, popauth.ErrTokenType},
		{"request object", cnf{"typ": "oauth-authz-req+jwt"}, cnf{}, popauth.ErrTokenType},
		{"authorization response", cnf{"typ": "JWT"}, cnf{"aud": "client-1", "code": "x"}, popauth.ErrTokenAudience},
		{"user information", cnf{"typ": "JWT"}, cnf{"aud": "client-1", "exp": omit}, popauth.ErrTokenMalformed},
		{"typ beside", cnf{"typ": "at+jwt "}, cnf{}, popauth.ErrTokenType},
		{"typ longer", cnf{"typ": "xat+jwt"}, cnf{}, popauth.ErrTokenType},
		{"typ with a parameter", cnf{"typ": "at+jwt; x=1"}, cnf{}, popauth.ErrTokenType},
		{"typ array", cnf{"typ": []string{"at+jwt"}}, cnf{}, popauth.ErrTokenMalformed},
		{"typ null", cnf{"typ": nil}, cnf{}, popauth.ErrTokenMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := l.issuer.TokenWith(tt.header, l.owner.Bound(), cnf{"scope": "orders.read"}, tt.claims)
			l.forged(t, g, token, tt.want)
		})
	}
	loose := l.guard(func(o *popauth.Options) { o.TokenTypes = []string{"", "application/jwt", "own+jwt"} })
	for _, typ := range []any{omit, "", "application/JWT"} {
		token := func(claims cnf) string {
			return l.issuer.TokenWith(cnf{"typ": typ}, l.owner.Bound(), cnf{"scope": "orders.read"}, claims)
		}
		l.genuine(t, loose, token(nil))
		l.forged(t, loose, token(cnf{"at_hash": "x"}), popauth.ErrTokenType)
	}
	l.genuine(t, loose, l.issuer.TokenWith(cnf{"typ": "own+jwt"}, l.owner.Bound(), cnf{"scope": "orders.read", "events": cnf{}}))
	// What says that it is an access token may have those claims.
	l.genuine(t, g, l.bound(cnf{"at_hash": "x", "events": cnf{}}))
	l.forged(t, g, l.bound(cnf{"typ": "ID"}), popauth.ErrTokenType) // it says both
	l.genuine(t, g, l.issuer.TokenWith(cnf{"typ": "JWT"}, l.owner.Bound(), cnf{"scope": "orders.read", "typ": "Bearer", "nonce": "n"}))
}

// Two readers of one token must not find two values.
func TestAdvisoryTwoReadings(t *testing.T) {
	l := newLab(t, "ES256")
	g := l.guard()
	l.genuine(t, g, l.bound())
	header := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":%q`, l.published()[0].kid)
	good := strings.TrimSuffix(string(l.claims()), "}")
	l.genuine(t, g, l.issuer.Sign([]byte(header+"}"), []byte(good+"}"), ""))
	for _, more := range []string{
		`,"scope":"admin"`, `,"sc\u006fpe":"admin"`, `,"Scope":"admin"`, `,"SUB":"root"`, `,"` + "\u017f" + `ub":"root"`, `,"i` + "\u017f" + `s":"x"`, `,"aud":"x"`, `,"Aud":"x"`,
		`,"exp":253402300799`, `,"EXP":1`, `,"cnf":{}`, `,"CNF":{}`, `,"cnf":null`, `,"client_ID":"x"`, `,"Jti":"x"`, `,"NBF":1`, `,"IAT":1`, `,"SCP":"x"`,
		`,"x":{"a":1,"a":2}`, `,"x":[{"a":1,"a":2}]`, `,"x":"` + "\xff" + `"`, `,"` + "\xc0\xaf" + `":1`, `,"x":"\ud800"`, `,"x":"\udc00\ud800"`, ",\"x\":\"\x00\"", `,"x":'y'`, `,x:1`, `,"x":1,`, `,"x":undefined`,
		`}{"scope":"admin"`, `} {`, `}null`, `},{`, "}\x00{", `,"x":1}//`, `/*`, `,"x":1}}`,
	} {
		l.forged(t, g, l.issuer.Sign([]byte(header+"}"), []byte(good+more+"}"), ""), popauth.ErrTokenMalformed)
	}
	for _, more := range []string{
		`,"alg":"none"`, `,"Alg":"none"`, `,"kid":"x"`, `,"` + "\u212a" + `id":"x"`, `,"typ":"JWT"`, `,"TYP":"JWT"`, `,"x":"` + "\xff" + `"`, `,"x":{"a":1,"a":2}`, `}{"alg":"none"`, `}x`, `,`, "}\x00",
	} {
		l.forged(t, g, l.issuer.Sign([]byte(header+more+"}"), []byte(good+"}"), ""), popauth.ErrTokenMalformed)
	}
	for _, text := range []string{"\ufeff" + header + "}", "null", "[]", `"x"`, "1", ""} {
		l.forged(t, g, l.issuer.Sign([]byte(text), []byte(good+"}"), ""), popauth.ErrTokenMalformed)
	}
}

// What a token does not say is nobody's privilege.
func TestAdvisoryEmptyClaims(t *testing.T) {
	l := newLab(t, "ES256")
	g := l.guard()
	status := func(token string, p popauth.Policy) int {
		spy := &popauthtest.Spy{}
		o := send(func(http.Handler) http.Handler { return g.Authorize(p)(spy) }, l.owner.Request("GET", "/", token))
		if (o.status == 200) != (spy.Ran() == 1) {
			t.Errorf("got %d, but the handler ran %d times", o.status, spy.Ran())
		}
		return o.status
	}
	for _, tt := range []struct {
		name   string
		claims cnf
		policy popauth.Policy
		want   int
	}{
		{"honest subject", cnf{}, popauth.Subject("client-1"), 200},
		{"CVE-2026-23990 subject empty", cnf{"sub": ""}, popauth.Subject("client-1"), 403},
		{"CVE-2026-23990 no subject", cnf{"sub": omit}, popauth.Subject("client-1"), 403},
		{"CVE-2026-54560 no scope, no client", cnf{"scope": omit, "client_id": omit}, popauth.Scope("orders.read"), 403},
		{"scope empty", cnf{"scope": ""}, popauth.Scope("orders.read"), 403},
		{"scope empty, but scp", cnf{"scope": "", "scp": "orders.read"}, popauth.Scope("orders.read"), 403},
		{"scope of other case", cnf{"scope": "Orders.Read"}, popauth.Scope("orders.read"), 403},
		{"scope with a tab", cnf{"scope": "x\torders.read"}, popauth.Scope("orders.read"), 403},
		{"scope with a comma", cnf{"scope": "x,orders.read"}, popauth.Scope("orders.read"), 403},
		{"scope longer", cnf{"scope": "orders.read.all"}, popauth.Scope("orders.read"), 403},
		{"two scopes in one element", cnf{"scope": []string{"x orders.read"}}, popauth.Scope("orders.read"), 403},
		{"double space", cnf{"scope": "x  orders.read"}, popauth.Scope("orders.read"), 200},
		{"array", cnf{"scope": []string{"x", "orders.read"}}, popauth.Scope("orders.read"), 200},
		{"no client", cnf{"client_id": omit}, popauth.Client("client-1"), 403},
		{"CVE-2026-55076 text for a truth value", cnf{"email_verified": "true"}, mailVerified, 403},
		{"CVE-2026-55076 number for a truth value", cnf{"email_verified": 1}, mailVerified, 403},
		{"CVE-2026-55076 folded", cnf{"Email_Verified": true}, mailVerified, 403},
		{"truth value", cnf{"email_verified": true}, mailVerified, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := status(l.bound(tt.claims), tt.policy); got != tt.want {
				t.Errorf("VULNERABLE: got %d, want %d", got, tt.want)
			}
		})
	}
	for name, make := range map[string]func(){
		"Subject": func() { popauth.Subject("") }, "Client": func() { popauth.Client("") }, "Scope": func() { popauth.Scope() }, "BoundBy": func() { popauth.BoundBy("") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("VULNERABLE: %s takes nothing for a condition", name)
				}
			}()
			make()
		}()
	}
}

var mailVerified = popauth.ClaimsPolicy(func(c struct {
	Verified bool `json:"email_verified"`
}) error {
	if !c.Verified {
		return errors.New("email not verified")
	}
	return nil
})

// A policy sees the claims that were verified, whatever the request says beside them.
func TestAdvisoryClaimAgainstResource(t *testing.T) {
	l := newLab(t, "ES256")
	tenant := func(r *http.Request, p *popauth.Principal) error {
		claims, err := popauth.Claims[struct {
			Tenant string `json:"tenant"`
		}](p)
		if err == nil && claims.Tenant != r.URL.Query().Get("tenant") {
			err = popauth.ErrForbidden
		}
		return err
	}
	h := l.guard().Authorize(popauth.PolicyFunc(tenant))
	token := l.bound(cnf{"tenant": "a"})
	t.Run("CVE-2026-53471", func(t *testing.T) {
		send(h, l.owner.Request("GET", "/?tenant=a", token)).passed(t)
		r := l.owner.Request("GET", "/?tenant=b", token)
		r.Header.Set("X-Tenant", "b")
		r = r.WithContext(popauth.NewContext(r.Context(), &popauth.Principal{Subject: "root"}))
		if o := send(h, r); o.ran || o.status != 403 {
			t.Errorf("VULNERABLE: got %d, ran %t, want 403", o.status, o.ran)
		}
	})
}

// Whether a token still counts is asked on every request, and no answer is no.
func TestAdvisoryRevoked(t *testing.T) {
	l := newLab(t, "ES256")
	asked, gone := 0, false
	g := l.guard(func(o *popauth.Options) {
		o.Revoked = func(context.Context, *popauth.Token) (bool, error) { asked++; return gone, nil }
	})
	token := l.bound()
	t.Run("CVE-2024-22513", func(t *testing.T) {
		for range 3 {
			send(g.Confirm, l.owner.Request("GET", "/", token)).passed(t)
		}
		if asked != 3 {
			t.Errorf("VULNERABLE: asked %d times", asked)
		}
		gone = true
		l.forged(t, g, token, popauth.ErrTokenRevoked)
	})
}
