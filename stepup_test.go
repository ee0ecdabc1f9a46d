package popauth_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestStepUp(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	ago := func(d time.Duration) float64 { return float64(l.Clock.Now().Add(-d).Unix()) }
	const weak = `Bearer error="insufficient_user_authentication", error_description="A stronger or more recent authentication of the ` +
		`user is needed"`
	acr := func(p ...popauth.Policy) []popauth.Policy { return p }
	mfa, hour := popauth.ACR("phr", "mfa"), popauth.AuthenticatedWithin(time.Hour)
	leeway := 30 * time.Second
	for _, tt := range []struct {
		name     string
		claims   lab.Claims
		policies []popauth.Policy
		want     string // the challenge; "" for a pass
	}{
		{"preferred acr", lab.Claims{"acr": "phr"}, acr(mfa), ""},
		{"other acr", lab.Claims{"acr": "mfa"}, acr(mfa), ""},
		{"weaker acr", lab.Claims{"acr": "pwd"}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"no acr", lab.Claims{}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"empty acr", lab.Claims{"acr": ""}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"acr of other case", lab.Claims{"acr": "MFA"}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"two in one acr", lab.Claims{"acr": "phr mfa"}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"acr array", lab.Claims{"acr": []string{"mfa"}}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"acr number", lab.Claims{"acr": 1}, acr(popauth.ACR("1")), weak + `, acr_values="1"`},
		{"acr null", lab.Claims{"acr": nil}, acr(popauth.ACR("null")), weak + `, acr_values="null"`},
		{"claim of other case beside", lab.Claims{"acr": "mfa", "ACR": "pwd"}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"acr by a URI", lab.Claims{"acr": "urn:mace:incommon:iap:silver"}, acr(popauth.ACR("urn:mace:incommon:iap:silver")), ""},

		{"just now", lab.Claims{"auth_time": ago(0)}, acr(hour), ""},
		{"as long ago as may be", lab.Claims{"auth_time": ago(time.Hour + leeway)}, acr(hour), ""},
		{"too long ago", lab.Claims{"auth_time": ago(time.Hour + leeway + time.Second)}, acr(hour), weak + `, max_age="3600"`},
		{"as far ahead as may be", lab.Claims{"auth_time": ago(-leeway)}, acr(hour), ""},
		{"in the future", lab.Claims{"auth_time": ago(-leeway - time.Second)}, acr(hour), weak + `, max_age="3600"`},
		{"no auth_time", lab.Claims{}, acr(hour), weak + `, max_age="3600"`},
		{"auth_time 0", lab.Claims{"auth_time": 0}, acr(hour), weak + `, max_age="3600"`},
		{"auth_time negative", lab.Claims{"auth_time": -1}, acr(hour), weak + `, max_age="3600"`},
		{"auth_time string", lab.Claims{"auth_time": "1800000000"}, acr(hour), weak + `, max_age="3600"`},
		{"auth_time null", lab.Claims{"auth_time": nil}, acr(hour), weak + `, max_age="3600"`},
		{"auth_time huge", lab.Claims{"auth_time": 1e300}, acr(hour), weak + `, max_age="3600"`},

		{"both", lab.Claims{"acr": "mfa", "auth_time": ago(0)}, acr(mfa, hour), ""},
		{"both, neither met", lab.Claims{}, acr(mfa, hour), weak + `, acr_values="phr mfa", max_age="3600"`},
		{"both, the second not met", lab.Claims{"acr": "mfa"}, acr(mfa, hour), weak + `, acr_values="phr mfa", max_age="3600"`},
		{"both, and a scope", lab.Claims{}, acr(popauth.Scope("orders.read"), hour, mfa),
			weak + `, acr_values="phr mfa", max_age="3600", scope="orders.read"`},
		{"what two lists have in common", lab.Claims{"acr": "phr"}, acr(mfa, popauth.ACR("hwk", "mfa")), weak + `, acr_values="mfa"`},
		{"the shorter age", lab.Claims{}, acr(hour, popauth.AuthenticatedWithin(time.Minute), popauth.AuthenticatedWithin(time.Hour)),
			weak + `, max_age="60"`},
		{"any of, by scope", lab.Claims{}, acr(popauth.AnyOf(mfa, popauth.Scope("orders.read"))), ""},
		{"any of, by acr", lab.Claims{"acr": "phr"}, acr(popauth.AnyOf(popauth.Scope("x"), mfa)), ""},
		{"any of, neither", lab.Claims{}, acr(popauth.AnyOf(mfa, popauth.Scope("x"))), weak + `, acr_values="phr mfa"`},
		{"any of, neither, age first", lab.Claims{}, acr(popauth.AnyOf(hour, mfa)), weak + `, max_age="3600"`},
		{"any of, neither, binding first", lab.Claims{}, acr(popauth.AnyOf(popauth.BoundBy("jkt"), mfa)),
			lab.InvalidToken + `, error_description="The access token is not bound to a key"`},
		{"scope before it", lab.Claims{}, acr(popauth.Scope("x"), mfa), lab.LacksScope +
			`, error_description="The access token lacks a scope", scope="x"`},
		{"asked for by a claims policy", lab.Claims{}, acr(popauth.ClaimsPolicy(func(struct{}) error { return popauth.ErrStepUp })), weak},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := lab.Send(g.Authorize(tt.policies...), l.Owner.Request("GET", "/", l.Bound(tt.claims)))
			if tt.want == "" {
				o.Passed(t)
				return
			}
			status := 401
			if strings.HasPrefix(tt.want, lab.LacksScope) {
				status = 403
			}
			o.Refused(t, status, tt.want)
			if len(o.Challenges) != 1 || o.Challenges[0] != tt.want {
				t.Errorf("got  %q\nwant %q", o.Challenges, tt.want)
			}
		})
	}
}

// A thief doesn't learn how well the owner has to authenticate (RFC 9470, section 9).
func TestStepUpComesLast(t *testing.T) {
	l := lab.New(t)
	stage := l.Guard().Authorize(popauth.ACR("mfa"))
	lab.Send(stage, l.Thief.Request("GET", "/", l.Bound())).Refused(t, 401, lab.InvalidToken)
	lab.Send(stage, l.Owner.Request("GET", "/", l.Bound(lab.Claims{"exp": 1}))).Refused(t, 401, lab.InvalidToken)
	lab.Send(stage, l.Owner.Request("GET", "/", "")).Refused(t, 401, "Bearer")
	o := lab.Send(stage, l.Owner.Request("GET", "/", ""))
	if len(o.Challenges) != 1 || o.Challenges[0] != "Bearer" {
		t.Errorf("got %q", o.Challenges)
	}
}

// What can't be read as a whole says nothing, in whichever order it stands.
func TestStepUpReadsAllOrNothing(t *testing.T) {
	l := lab.New(t)
	for payload, passes := range map[string]bool{
		`{"auth_time":1800000000,"acr":"mfa"}`: true, `{"auth_time":1800000000,"acr":5}`: false, `{"acr":5,"auth_time":1800000000}`: false,
		`{"acr":"mfa","auth_time":"x"}`: false,
	} {
		g := l.Guard(func(o *popauth.Options) {
			*o = popauth.Options{Now: o.Now, Verifier: lab.VerifierFunc(func(context.Context, string) (*popauth.Token, error) {
				return popauth.NewToken([]byte(payload))
			})}
		})
		for name, p := range map[string]popauth.Policy{"acr": popauth.ACR("mfa"), "auth_time": popauth.AuthenticatedWithin(time.Hour)} {
			if o := lab.Send(g.Authorize(popauth.AnyIssuer(), p), l.Owner.Request("GET", "/", "x")); o.Ran != passes {
				t.Errorf("%s, %s: got %d, ran %t", payload, name, o.Status, o.Ran)
			}
		}
	}
}

// The log says what is wrong with a token, not what follows from reading a part of it.
func TestStepUpSaysWhy(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	hour := popauth.AuthenticatedWithin(time.Hour)
	for _, tt := range []struct {
		name   string
		claims lab.Claims
		policy popauth.Policy
		says   string
	}{
		{"no acr", lab.Claims{}, popauth.ACR("mfa"), `acr is absent, want "mfa"`},
		{"acr number", lab.Claims{"acr": 5}, popauth.ACR("mfa"), "wrong JSON type"},
		{"no auth_time", lab.Claims{}, hour, "no auth_time"},
		{"auth_time long ago", lab.Claims{"auth_time": 1}, hour, `ago, want `},
	} {
		_, err := g.Check(l.Owner.Request("GET", "/", l.Bound(tt.claims)), tt.policy)
		if !lab.ReasonIs(err, popauth.ErrStepUp) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want it to say %q", tt.name, err, tt.says)
		}
	}
}

// The scheme that was used has the error, the other one is as without.
func TestStepUpScheme(t *testing.T) {
	l := lab.New(t)
	key := popauthtest.NewProofKey(t, "")
	g := l.Guard(func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}
	})
	token := l.Issuer.Token(key.Bound())
	r := l.Owner.Request("GET", "https://api.example.com/", "")
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", key.Proof("GET", "https://api.example.com/", token, lab.Claims{"iat": l.Clock.Now().Unix()}))
	o := lab.Send(g.Authorize(popauth.ACR("mfa")), r)
	o.Refused(t, 401, `DPoP error="insufficient_user_authentication"`)
	if len(o.Challenges) != 2 || o.Challenges[1] != "Bearer" {
		t.Errorf("got %q", o.Challenges)
	}
}

func TestStepUpPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"no value": func() { popauth.ACR() }, "empty value": func() { popauth.ACR("a", "") },
		"value with a space": func() { popauth.ACR("a b") }, "value with a quote": func() { popauth.ACR("ok", `"`) },
		"no time": func() { popauth.AuthenticatedWithin(0) }, "negative": func() { popauth.AuthenticatedWithin(-time.Second) },
		"fraction": func() { popauth.AuthenticatedWithin(1500 * time.Millisecond) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	values := []string{"mfa"}
	policy := popauth.ACR(values...)
	values[0] = "pwd"
	l := lab.New(t)
	lab.Send(l.Guard().Authorize(policy), l.Owner.Request("GET", "/", l.Bound(lab.Claims{"acr": "pwd"}))).Refused(t, 401,
		`Bearer error="insuff`)
}

// A payment needs more than reading does: the client is told what, and comes back with another token.
func ExampleACR() {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		panic(err)
	}
	pay := guard.Authorize(popauth.ACR("phr", "mfa"), popauth.AuthenticatedWithin(5*time.Minute))
	w := httptest.NewRecorder()
	pay(orders).ServeHTTP(w, owner.Request("POST", "/payments", issuer.Token(owner.Bound(), popauthtest.Claims{"acr": "pwd"})))
	_, params, _ := strings.Cut(w.Header().Get("WWW-Authenticate"), "user is needed\", ")
	fmt.Println(w.Code, params)
	show(pay(orders), owner.Request("POST", "/payments", issuer.Token(owner.Bound(), popauthtest.Claims{
		"acr": "mfa", "auth_time": time.Now().Add(-time.Minute).Unix(),
	})))
	// Output:
	// 401 acr_values="phr mfa", max_age="300"
	// 200 orders of client-1
}
