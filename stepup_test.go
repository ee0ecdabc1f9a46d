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
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestStepUp(t *testing.T) {
	l := newLab(t)
	g := l.guard()
	ago := func(d time.Duration) float64 { return float64(l.clock.Now().Add(-d).Unix()) }
	const weak = `Bearer error="insufficient_user_authentication", error_description="A stronger or more recent authentication of the user is needed"`
	acr := func(p ...popauth.Policy) []popauth.Policy { return p }
	mfa, hour := popauth.ACR("phr", "mfa"), popauth.AuthenticatedWithin(time.Hour)
	leeway := 30 * time.Second
	for _, tt := range []struct {
		name     string
		claims   cnf
		policies []popauth.Policy
		want     string // the challenge; "" for a pass
	}{
		{"preferred acr", cnf{"acr": "phr"}, acr(mfa), ""},
		{"other acr", cnf{"acr": "mfa"}, acr(mfa), ""},
		{"weaker acr", cnf{"acr": "pwd"}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"no acr", cnf{}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"empty acr", cnf{"acr": ""}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"acr of other case", cnf{"acr": "MFA"}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"two in one acr", cnf{"acr": "phr mfa"}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"acr array", cnf{"acr": []string{"mfa"}}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"acr number", cnf{"acr": 1}, acr(popauth.ACR("1")), weak + `, acr_values="1"`},
		{"acr null", cnf{"acr": nil}, acr(popauth.ACR("null")), weak + `, acr_values="null"`},
		{"claim of other case beside", cnf{"acr": "mfa", "ACR": "pwd"}, acr(mfa), weak + `, acr_values="phr mfa"`},
		{"acr by a URI", cnf{"acr": "urn:mace:incommon:iap:silver"}, acr(popauth.ACR("urn:mace:incommon:iap:silver")), ""},

		{"just now", cnf{"auth_time": ago(0)}, acr(hour), ""},
		{"as long ago as may be", cnf{"auth_time": ago(time.Hour + leeway)}, acr(hour), ""},
		{"too long ago", cnf{"auth_time": ago(time.Hour + leeway + time.Second)}, acr(hour), weak + `, max_age="3600"`},
		{"as far ahead as may be", cnf{"auth_time": ago(-leeway)}, acr(hour), ""},
		{"in the future", cnf{"auth_time": ago(-leeway - time.Second)}, acr(hour), weak + `, max_age="3600"`},
		{"no auth_time", cnf{}, acr(hour), weak + `, max_age="3600"`},
		{"auth_time 0", cnf{"auth_time": 0}, acr(hour), weak + `, max_age="3600"`},
		{"auth_time negative", cnf{"auth_time": -1}, acr(hour), weak + `, max_age="3600"`},
		{"auth_time string", cnf{"auth_time": "1800000000"}, acr(hour), weak + `, max_age="3600"`},
		{"auth_time null", cnf{"auth_time": nil}, acr(hour), weak + `, max_age="3600"`},
		{"auth_time huge", cnf{"auth_time": 1e300}, acr(hour), weak + `, max_age="3600"`},

		{"both", cnf{"acr": "mfa", "auth_time": ago(0)}, acr(mfa, hour), ""},
		{"both, neither met", cnf{}, acr(mfa, hour), weak + `, acr_values="phr mfa", max_age="3600"`},
		{"both, the second not met", cnf{"acr": "mfa"}, acr(mfa, hour), weak + `, acr_values="phr mfa", max_age="3600"`},
		{"both, and a scope", cnf{}, acr(popauth.Scope("orders.read"), hour, mfa), weak + `, acr_values="phr mfa", max_age="3600", scope="orders.read"`},
		{"what two lists have in common", cnf{"acr": "phr"}, acr(mfa, popauth.ACR("hwk", "mfa")), weak + `, acr_values="mfa"`},
		{"the shorter age", cnf{}, acr(hour, popauth.AuthenticatedWithin(time.Minute), popauth.AuthenticatedWithin(time.Hour)), weak + `, max_age="60"`},
		{"any of, by scope", cnf{}, acr(popauth.AnyOf(mfa, popauth.Scope("orders.read"))), ""},
		{"any of, by acr", cnf{"acr": "phr"}, acr(popauth.AnyOf(popauth.Scope("x"), mfa)), ""},
		{"any of, neither", cnf{}, acr(popauth.AnyOf(mfa, popauth.Scope("x"))), weak + `, acr_values="phr mfa"`},
		{"any of, neither, age first", cnf{}, acr(popauth.AnyOf(hour, mfa)), weak + `, max_age="3600"`},
		{"any of, neither, binding first", cnf{}, acr(popauth.AnyOf(popauth.BoundBy("jkt"), mfa)), invalidToken + `, error_description="The access token is not bound to a key"`},
		{"scope before it", cnf{}, acr(popauth.Scope("x"), mfa), lacksScope + `, error_description="The access token lacks a scope", scope="x"`},
		{"asked for by a claims policy", cnf{}, acr(popauth.ClaimsPolicy(func(struct{}) error { return popauth.ErrStepUp })), weak},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := send(g.Authorize(tt.policies...), l.owner.Request("GET", "/", l.bound(tt.claims)))
			if tt.want == "" {
				o.passed(t)
				return
			}
			status := 401
			if strings.HasPrefix(tt.want, lacksScope) {
				status = 403
			}
			o.refused(t, status, tt.want)
			if len(o.challenges) != 1 || o.challenges[0] != tt.want {
				t.Errorf("got  %q\nwant %q", o.challenges, tt.want)
			}
		})
	}
}

// A thief doesn't learn how well the owner has to authenticate (RFC 9470, section 9).
func TestStepUpComesLast(t *testing.T) {
	l := newLab(t)
	stage := l.guard().Authorize(popauth.ACR("mfa"))
	send(stage, l.thief.Request("GET", "/", l.bound())).refused(t, 401, invalidToken)
	send(stage, l.owner.Request("GET", "/", l.bound(cnf{"exp": 1}))).refused(t, 401, invalidToken)
	send(stage, l.owner.Request("GET", "/", "")).refused(t, 401, "Bearer")
	o := send(stage, l.owner.Request("GET", "/", ""))
	if len(o.challenges) != 1 || o.challenges[0] != "Bearer" {
		t.Errorf("got %q", o.challenges)
	}
}

// What can't be read as a whole says nothing, in whichever order it stands.
func TestStepUpReadsAllOrNothing(t *testing.T) {
	l := newLab(t)
	for payload, passes := range map[string]bool{
		`{"auth_time":1800000000,"acr":"mfa"}`: true, `{"auth_time":1800000000,"acr":5}`: false, `{"acr":5,"auth_time":1800000000}`: false,
		`{"acr":"mfa","auth_time":"x"}`: false,
	} {
		g := l.guard(func(o *popauth.Options) {
			*o = popauth.Options{Now: o.Now, Verifier: verifierFunc(func(context.Context, string) (*popauth.Token, error) {
				return popauth.NewToken([]byte(payload))
			})}
		})
		for name, p := range map[string]popauth.Policy{"acr": popauth.ACR("mfa"), "auth_time": popauth.AuthenticatedWithin(time.Hour)} {
			if o := send(g.Authorize(popauth.AnyIssuer(), p), l.owner.Request("GET", "/", "x")); o.ran != passes {
				t.Errorf("%s, %s: got %d, ran %t", payload, name, o.status, o.ran)
			}
		}
	}
}

// The log says what is wrong with a token, not what follows from reading a part of it.
func TestStepUpSaysWhy(t *testing.T) {
	l := newLab(t)
	g := l.guard()
	hour := popauth.AuthenticatedWithin(time.Hour)
	for _, tt := range []struct {
		name   string
		claims cnf
		policy popauth.Policy
		says   string
	}{
		{"no acr", cnf{}, popauth.ACR("mfa"), "another acr"},
		{"acr number", cnf{"acr": 5}, popauth.ACR("mfa"), "wrong JSON type"},
		{"no auth_time", cnf{}, hour, "no auth_time"},
		{"auth_time long ago", cnf{"auth_time": 1}, hour, "auth_time too long ago"},
	} {
		_, err := g.Check(l.owner.Request("GET", "/", l.bound(tt.claims)), tt.policy)
		if !reasonIs(err, popauth.ErrStepUp) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want it to say %q", tt.name, err, tt.says)
		}
	}
}

// The scheme that was used has the error, the other one is as without.
func TestStepUpScheme(t *testing.T) {
	l := newLab(t)
	key := popauthtest.NewProofKey(t, "")
	g := l.guard(func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs(dpop.Options{})}
	})
	token := l.issuer.Token(key.Bound())
	r := l.owner.Request("GET", "https://api.example.com/", "")
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", key.Proof("GET", "https://api.example.com/", token, cnf{"iat": l.clock.Now().Unix()}))
	o := send(g.Authorize(popauth.ACR("mfa")), r)
	o.refused(t, 401, `DPoP error="insufficient_user_authentication"`)
	if len(o.challenges) != 2 || o.challenges[1] != "Bearer" {
		t.Errorf("got %q", o.challenges)
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
	l := newLab(t)
	send(l.guard().Authorize(policy), l.owner.Request("GET", "/", l.bound(cnf{"acr": "pwd"}))).refused(t, 401, `Bearer error="insuff`)
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
