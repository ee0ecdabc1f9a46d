package advisories_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// raw is a number or text in JSON that Go would not write.
type raw = json.RawMessage

func TestAdvisoryAudience(t *testing.T) {
	l := lab.New(t, "ES256")
	guards := map[string]*popauth.Guard{
		"CVE-2026-30223 published keys": l.Guard(),
		"CVE-2026-30223 static keys":    l.Over(l.Published()[0].Text),
		"CVE-2026-30223 key function":   l.Guard(func(o *popauth.Options) { o.Keys = textKeys{l.Published()[0].Key} }),
	}
	for name, g := range guards {
		t.Run(name, func(t *testing.T) {
			l.Genuine(t, g, l.Bound())
			l.Genuine(t, g, l.Bound(lab.Claims{"aud": []string{"https://other.example", popauthtest.Audience}}))
			for _, tt := range []struct {
				name string
				aud  any
				want popauth.Reason
			}{
				{"CVE-2020-26160 empty array", []string{}, popauth.ErrTokenAudience},
				{"CVE-2020-26160 number", 42, popauth.ErrTokenMalformed},
				{"CVE-2020-26160 null", nil, popauth.ErrTokenMalformed},
				{"object", lab.Claims{popauthtest.Audience: true}, popauth.ErrTokenMalformed},
				{"array of arrays", [][]string{{popauthtest.Audience}}, popauth.ErrTokenMalformed},
				{"null among others", []any{popauthtest.Audience, nil}, popauth.ErrTokenMalformed},
				{"CVE-2024-5798 text", "https://other.example", popauth.ErrTokenAudience},
				{"CVE-2024-5798 array", []string{"https://other.example", ""}, popauth.ErrTokenAudience},
				{"CVE-2023-22482 another", "api", popauth.ErrTokenAudience},
				{"CVE-2026-55669 none", lab.Omit, popauth.ErrTokenAudience},
				{"CVE-2026-44428 another deployment", popauthtest.Audience + ":8443", popauth.ErrTokenAudience},
				{"CVE-2023-36820 the issuer itself", l.Issuer.URL, popauth.ErrTokenAudience},
				{"CVE-2025-62610 the client", "client-1", popauth.ErrTokenAudience},
				{"prefix", popauthtest.Audience[:len(popauthtest.Audience)-1], popauth.ErrTokenAudience},
				{"longer", popauthtest.Audience + ".evil.example", popauth.ErrTokenAudience},
				{"other case", strings.ToUpper(popauthtest.Audience), popauth.ErrTokenAudience},
				{"space", popauthtest.Audience + " ", popauth.ErrTokenAudience},
				{"list in text", "x " + popauthtest.Audience, popauth.ErrTokenAudience},
				{"wildcard", "*", popauth.ErrTokenAudience},
			} {
				t.Run(tt.name, func(t *testing.T) { l.Forged(t, g, l.Bound(lab.Claims{"aud": tt.aud}), tt.want) })
			}
		})
	}
	t.Run("CVE-2026-55689 not configured", func(t *testing.T) {
		for _, audience := range [][]string{nil, {}, {""}, {popauthtest.Audience, ""}} {
			o := l.Issuer.Options()
			o.Audience = audience
			if g, err := popauth.New(o); err == nil {
				t.Errorf("VULNERABLE: Audience %q: got %v, want an error", audience, g)
			}
		}
	})
}

func TestAdvisoryIssuer(t *testing.T) {
	l := lab.New(t, "ES256")
	url := l.Issuer.URL
	for name, g := range map[string]*popauth.Guard{
		"CVE-2026-22748 published keys": l.Guard(),
		"CVE-2026-22748 static keys":    l.Over(l.Published()[0].Text),
	} {
		t.Run(name, func(t *testing.T) {
			l.Genuine(t, g, l.Bound())
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
				{"CVE-2024-8901 none", lab.Omit, popauth.ErrTokenIssuer},
				{"null", nil, popauth.ErrTokenMalformed},
				{"object", lab.Claims{"0": url}, popauth.ErrTokenMalformed},
				{"other case", strings.ToUpper(url), popauth.ErrTokenIssuer},
				{"slash", url + "/", popauth.ErrTokenIssuer},
				{"default port", strings.Replace(url, "https://", "https://:@", 1), popauth.ErrTokenIssuer},
				{"space", " " + url, popauth.ErrTokenIssuer},
				{"NUL", url + "\x00", popauth.ErrTokenIssuer},
			} {
				t.Run(tt.name, func(t *testing.T) { l.Forged(t, g, l.Bound(lab.Claims{"iss": tt.iss}), tt.want) })
			}
		})
	}
}

// Dates of the wrong kind or size are no dates that happen to pass.
func TestAdvisoryDates(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	l.Genuine(t, g, l.Bound())
	now := l.Clock.Now().Unix()
	soon := fmt.Sprint(now + 60)
	for _, claim := range []string{"exp", "nbf", "iat"} {
		for _, value := range []string{
			"-1", "-0.5", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "18446744073709551616", "253402300800",
			"9e18", "1e30", "1e400", "-1e400",
			"null", "true", "false", `""`, `"` + soon + `"`, `"NaN"`, `"Infinity"`, `"never"`, "[]", "[" + soon + "]", "{}",
			`{"$date":` + soon + `}`,
		} {
			t.Run("CVE-2026-44459 "+claim+" "+value, func(t *testing.T) {
				l.Forged(t, g, l.Bound(lab.Claims{claim: raw(value)}), popauth.ErrTokenMalformed)
			})
		}
		for _, value := range []string{"NaN", "Infinity", "0x7fffffff", "+1", "01", "1.", ".5", "1_000", "1e"} {
			payload := strings.Replace(string(l.Claims(lab.Claims{claim: 1234567})), "1234567", value, 1)
			header := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":%q}`, l.Published()[0].Kid)
			l.Forged(t, g, l.Issuer.Sign([]byte(header), []byte(payload), ""), popauth.ErrTokenMalformed)
		}
	}
	for _, tt := range []struct {
		name   string
		claims lab.Claims
		want   popauth.Reason
	}{
		{"CVE-2026-44459 exp 0", lab.Claims{"exp": 0}, popauth.ErrTokenExpired},
		{"CVE-2026-44459 exp -0", lab.Claims{"exp": raw("-0")}, popauth.ErrTokenExpired},
		{"CVE-2026-44459 exp 1e-400", lab.Claims{"exp": raw("1e-400")}, popauth.ErrTokenExpired},
		{"CVE-2020-26892 past", lab.Claims{"exp": now - 3600}, popauth.ErrTokenExpired},
		{"CVE-2026-9097 just past", lab.Claims{"exp": now - 30}, popauth.ErrTokenExpired},
		{"GHSA-wxg7-w2v3-w38g none", lab.Claims{"exp": lab.Omit}, popauth.ErrTokenMalformed},
		{"in milliseconds, past", lab.Claims{"exp": 1}, popauth.ErrTokenExpired},
		{"in milliseconds", lab.Claims{"exp": now * 1000}, popauth.ErrTokenMalformed},
		{"to come", lab.Claims{"nbf": now + 31}, popauth.ErrTokenNotYetValid},
		{"at the end of days", lab.Claims{"nbf": 253402300799}, popauth.ErrTokenNotYetValid},
		{"issued to come", lab.Claims{"iat": now + 31}, popauth.ErrTokenNotYetValid},
	} {
		t.Run(tt.name, func(t *testing.T) { l.Forged(t, g, l.Bound(tt.claims), tt.want) })
	}
}

// A JWT that the same issuer signed with the same key for something else.
func TestAdvisoryForeignToken(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	l.Genuine(t, g, l.Bound())
	for _, tt := range []struct {
		name           string
		header, claims lab.Claims
		want           popauth.Reason
	}{
		{"CVE-2026-41164 ID token", lab.Claims{"typ": "JWT"}, lab.Claims{"aud": "client-1", "nonce": "n", "auth_time": 1},
			popauth.ErrTokenAudience},
		{"CVE-2026-41164 ID token, one name for API and client", lab.Claims{"typ": "JWT"}, lab.Claims{"at_hash": "x", "nonce": "n"},
			popauth.ErrTokenType},
		{"ID token of the hybrid flow", lab.Claims{"typ": "JWT"}, lab.Claims{"c_hash": "x"}, popauth.ErrTokenType},
		{"ID token with s_hash", lab.Claims{"typ": "JWT"}, lab.Claims{"s_hash": "x"}, popauth.ErrTokenType},
		{"ID token that says so", lab.Claims{"typ": "JWT"}, lab.Claims{"typ": "ID"}, popauth.ErrTokenType},
		{"ID token without typ", lab.Claims{"typ": lab.Omit}, lab.Claims{}, popauth.ErrTokenType},
		{"logout token", lab.Claims{"typ": "logout+jwt"},
			lab.Claims{"events": lab.Claims{"http://schemas.openid.net/event/backchannel-logout": lab.Claims{}}}, popauth.ErrTokenType},
		{"logout token of an older kind", lab.Claims{"typ": "JWT"},
			lab.Claims{"events": lab.Claims{"http://schemas.openid.net/event/backchannel-logout": lab.Claims{}}}, popauth.ErrTokenType},
		{"security event", lab.Claims{"typ": "secevent+jwt"}, lab.Claims{}, popauth.ErrTokenType},
		{"client assertion", lab.Claims{"typ": "JWT"}, lab.Claims{"iss": "client-1", "sub": "client-1", "aud": l.Issuer.URL},
			popauth.ErrTokenIssuer},
		{"client assertion with a type", lab.Claims{"typ": "client-authentication+jwt"}, lab.Claims{}, popauth.ErrTokenType},
		{"CVE-2026-41164 proof", lab.Claims{"typ": "dpop+jwt", "jwk": lab.Claims{}},
			lab.Claims{"htm": "GET", "htu": "https://api.example.com/"}, popauth.ErrTokenType},
		{"refresh token", lab.Claims{"typ": "rt+jwt"}, lab.Claims{}, popauth.ErrTokenType},
		{"introspection response", lab.Claims{"typ": "token-introspection+jwt"},
			lab.Claims{"token_introspection": lab.Claims{"active": true}}, popauth.ErrTokenType},
		{"introspection response without its type", lab.Claims{"typ": "JWT"},
			lab.Claims{"token_introspection": lab.Claims{"active": true}}, popauth.ErrTokenType},
		{"CVE-2023-48309 session of an application", lab.Claims{"typ": "session+jwt"}, lab.Claims{}, popauth.ErrTokenType},
		{"request object", lab.Claims{"typ": "oauth-authz-req+jwt"}, lab.Claims{}, popauth.ErrTokenType},
		{"authorization response", lab.Claims{"typ": "JWT"}, lab.Claims{"aud": "client-1", "code": "x"}, popauth.ErrTokenAudience},
		{"user information", lab.Claims{"typ": "JWT"}, lab.Claims{"aud": "client-1", "exp": lab.Omit}, popauth.ErrTokenMalformed},
		{"typ beside", lab.Claims{"typ": "at+jwt "}, lab.Claims{}, popauth.ErrTokenType},
		{"typ longer", lab.Claims{"typ": "xat+jwt"}, lab.Claims{}, popauth.ErrTokenType},
		{"typ with a parameter", lab.Claims{"typ": "at+jwt; x=1"}, lab.Claims{}, popauth.ErrTokenType},
		{"typ array", lab.Claims{"typ": []string{"at+jwt"}}, lab.Claims{}, popauth.ErrTokenMalformed},
		{"typ null", lab.Claims{"typ": nil}, lab.Claims{}, popauth.ErrTokenMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := l.Issuer.TokenWith(tt.header, l.Owner.Bound(), lab.Claims{"scope": "orders.read"}, tt.claims)
			l.Forged(t, g, token, tt.want)
		})
	}
	loose := l.Guard(func(o *popauth.Options) { o.TokenTypes = []string{"", "application/jwt", "own+jwt"} })
	for _, typ := range []any{lab.Omit, "", "application/JWT"} {
		token := func(claims lab.Claims) string {
			return l.Issuer.TokenWith(lab.Claims{"typ": typ}, l.Owner.Bound(), lab.Claims{"scope": "orders.read"}, claims)
		}
		l.Genuine(t, loose, token(nil))
		l.Forged(t, loose, token(lab.Claims{"at_hash": "x"}), popauth.ErrTokenType)
	}
	l.Genuine(t, loose, l.Issuer.TokenWith(lab.Claims{"typ": "own+jwt"}, l.Owner.Bound(),
		lab.Claims{"scope": "orders.read", "events": lab.Claims{}}))
	// What says that it is an access token may have those claims.
	l.Genuine(t, g, l.Bound(lab.Claims{"at_hash": "x", "events": lab.Claims{}}))
	l.Forged(t, g, l.Bound(lab.Claims{"typ": "ID"}), popauth.ErrTokenType) // it says both
	l.Genuine(t, g, l.Issuer.TokenWith(lab.Claims{"typ": "JWT"}, l.Owner.Bound(),
		lab.Claims{"scope": "orders.read", "typ": "Bearer", "nonce": "n"}))
}

// Two readers of one token must not find two values.
func TestAdvisoryTwoReadings(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	l.Genuine(t, g, l.Bound())
	header := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":%q`, l.Published()[0].Kid)
	good := strings.TrimSuffix(string(l.Claims()), "}")
	l.Genuine(t, g, l.Issuer.Sign([]byte(header+"}"), []byte(good+"}"), ""))
	for _, more := range []string{
		`,"scope":"admin"`, `,"sc\u006fpe":"admin"`, `,"Scope":"admin"`, `,"SUB":"root"`, `,"` + "\u017f" + `ub":"root"`,
		`,"i` + "\u017f" + `s":"x"`, `,"aud":"x"`, `,"Aud":"x"`,
		`,"exp":253402300799`, `,"EXP":1`, `,"cnf":{}`, `,"CNF":{}`, `,"cnf":null`, `,"client_ID":"x"`, `,"Jti":"x"`, `,"NBF":1`,
		`,"IAT":1`, `,"SCP":"x"`,
		`,"x":{"a":1,"a":2}`, `,"x":[{"a":1,"a":2}]`, `,"x":"` + "\xff" + `"`, `,"` + "\xc0\xaf" + `":1`, `,"x":"\ud800"`,
		`,"x":"\udc00\ud800"`, ",\"x\":\"\x00\"", `,"x":'y'`, `,x:1`, `,"x":1,`, `,"x":undefined`,
		`}{"scope":"admin"`, `} {`, `}null`, `},{`, "}\x00{", `,"x":1}//`, `/*`, `,"x":1}}`,
	} {
		l.Forged(t, g, l.Issuer.Sign([]byte(header+"}"), []byte(good+more+"}"), ""), popauth.ErrTokenMalformed)
	}
	for _, more := range []string{
		`,"alg":"none"`, `,"Alg":"none"`, `,"kid":"x"`, `,"` + "\u212a" + `id":"x"`, `,"typ":"JWT"`, `,"TYP":"JWT"`,
		`,"x":"` + "\xff" + `"`, `,"x":{"a":1,"a":2}`, `}{"alg":"none"`, `}x`, `,`, "}\x00",
	} {
		l.Forged(t, g, l.Issuer.Sign([]byte(header+more+"}"), []byte(good+"}"), ""), popauth.ErrTokenMalformed)
	}
	for _, text := range []string{"\ufeff" + header + "}", "null", "[]", `"x"`, "1", ""} {
		l.Forged(t, g, l.Issuer.Sign([]byte(text), []byte(good+"}"), ""), popauth.ErrTokenMalformed)
	}
}

// What a token does not say is nobody's privilege.
func TestAdvisoryEmptyClaims(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	status := func(token string, p popauth.Policy) int {
		spy := &popauthtest.Spy{}
		o := lab.Send(func(http.Handler) http.Handler { return g.Authorize(p)(spy) }, l.Owner.Request("GET", "/", token))
		if (o.Status == 200) != (spy.Ran() == 1) {
			t.Errorf("got %d, but the handler ran %d times", o.Status, spy.Ran())
		}
		return o.Status
	}
	for _, tt := range []struct {
		name   string
		claims lab.Claims
		policy popauth.Policy
		want   int
	}{
		{"honest subject", lab.Claims{}, popauth.Subject("client-1"), 200},
		{"CVE-2026-23990 subject empty", lab.Claims{"sub": ""}, popauth.Subject("client-1"), 403},
		{"CVE-2026-23990 no subject", lab.Claims{"sub": lab.Omit}, popauth.Subject("client-1"), 403},
		{"CVE-2026-54560 no scope, no client", lab.Claims{"scope": lab.Omit, "client_id": lab.Omit}, popauth.Scope("orders.read"), 403},
		{"scope empty", lab.Claims{"scope": ""}, popauth.Scope("orders.read"), 403},
		{"scope empty, but scp", lab.Claims{"scope": "", "scp": "orders.read"}, popauth.Scope("orders.read"), 403},
		{"scope of other case", lab.Claims{"scope": "Orders.Read"}, popauth.Scope("orders.read"), 403},
		{"scope with a tab", lab.Claims{"scope": "x\torders.read"}, popauth.Scope("orders.read"), 403},
		{"scope with a comma", lab.Claims{"scope": "x,orders.read"}, popauth.Scope("orders.read"), 403},
		{"scope longer", lab.Claims{"scope": "orders.read.all"}, popauth.Scope("orders.read"), 403},
		{"two scopes in one element", lab.Claims{"scope": []string{"x orders.read"}}, popauth.Scope("orders.read"), 403},
		{"double space", lab.Claims{"scope": "x  orders.read"}, popauth.Scope("orders.read"), 200},
		{"array", lab.Claims{"scope": []string{"x", "orders.read"}}, popauth.Scope("orders.read"), 200},
		{"no client", lab.Claims{"client_id": lab.Omit}, popauth.Client("client-1"), 403},
		{"CVE-2026-55076 text for a truth value", lab.Claims{"email_verified": "true"}, mailVerified, 403},
		{"CVE-2026-55076 number for a truth value", lab.Claims{"email_verified": 1}, mailVerified, 403},
		{"CVE-2026-55076 folded", lab.Claims{"Email_Verified": true}, mailVerified, 403},
		{"truth value", lab.Claims{"email_verified": true}, mailVerified, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := status(l.Bound(tt.claims), tt.policy); got != tt.want {
				t.Errorf("VULNERABLE: got %d, want %d", got, tt.want)
			}
		})
	}
	for name, make := range map[string]func(){
		"Subject": func() { popauth.Subject("") }, "Client": func() { popauth.Client("") }, "Scope": func() { popauth.Scope() },
		"BoundBy": func() { popauth.BoundBy("") },
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
	l := lab.New(t, "ES256")
	tenant := func(r *http.Request, p *popauth.Principal) error {
		claims, err := popauth.Claims[struct {
			Tenant string `json:"tenant"`
		}](p)
		if err == nil && claims.Tenant != r.URL.Query().Get("tenant") {
			err = popauth.ErrForbidden
		}
		return err
	}
	h := l.Guard().Authorize(popauth.PolicyFunc(tenant))
	token := l.Bound(lab.Claims{"tenant": "a"})
	t.Run("CVE-2026-53471", func(t *testing.T) {
		lab.Send(h, l.Owner.Request("GET", "/?tenant=a", token)).Passed(t)
		r := l.Owner.Request("GET", "/?tenant=b", token)
		r.Header.Set("X-Tenant", "b")
		r = r.WithContext(popauth.NewContext(r.Context(), &popauth.Principal{Subject: "root"}))
		if o := lab.Send(h, r); o.Ran || o.Status != 403 {
			t.Errorf("VULNERABLE: got %d, ran %t, want 403", o.Status, o.Ran)
		}
	})
}

// Whether a token still counts is asked on every request, and no answer is no.
func TestAdvisoryRevoked(t *testing.T) {
	l := lab.New(t, "ES256")
	asked, gone := 0, false
	g := l.Guard(func(o *popauth.Options) {
		o.Revoked = func(context.Context, *popauth.Token) (bool, error) { asked++; return gone, nil }
	})
	token := l.Bound()
	t.Run("CVE-2024-22513", func(t *testing.T) {
		for range 3 {
			lab.Send(g.Confirm, l.Owner.Request("GET", "/", token)).Passed(t)
		}
		if asked != 3 {
			t.Errorf("VULNERABLE: asked %d times", asked)
		}
		gone = true
		l.Forged(t, g, token, popauth.ErrTokenRevoked)
	})
}
