package popauth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
)

func TestPolicies(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	type tenant struct {
		Tenant string `json:"tenant"`
	}
	ofA := popauth.ClaimsPolicy(func(c tenant) error {
		if c.Tenant != "a" {
			return errors.New("another tenant")
		}
		return nil
	})
	path := popauth.PolicyFunc(func(r *http.Request, p *popauth.Principal) error {
		if r.URL.Path != "/"+p.Subject {
			return errors.New("not the caller's own")
		}
		return nil
	})
	const forbidden = ""
	scope := func(s string) string {
		return lab.LacksScope + `, error_description="The access token lacks a scope", scope="` + s + `"`
	}
	for _, tt := range []struct {
		name      string
		claims    lab.Claims
		policies  []popauth.Policy
		status    int
		challenge string
	}{
		{"scope", lab.Claims{"scope": "a b"}, []popauth.Policy{popauth.Scope("a")}, 200, ""},
		{"all scopes", lab.Claims{"scope": "a b c"}, []popauth.Policy{popauth.Scope("a", "c")}, 200, ""},
		{"one of two scopes", lab.Claims{"scope": "a b"}, []popauth.Policy{popauth.Scope("a", "c")}, 403, scope("a c")},
		{"two policies", lab.Claims{"scope": "b"}, []popauth.Policy{popauth.Scope("a"), popauth.Scope("b"), popauth.AnyScope("c", "a")},
			403, scope("a b c")},
		{"no scope claim", lab.Claims{"scope": lab.Omit}, []popauth.Policy{popauth.Scope("a")}, 403, scope("a")},
		{"empty scope", lab.Claims{"scope": ""}, []popauth.Policy{popauth.Scope("a")}, 403, scope("a")},
		{"scope of other case", lab.Claims{"scope": "A"}, []popauth.Policy{popauth.Scope("a")}, 403, scope("a")},
		{"prefix of the scope", lab.Claims{"scope": "orders"}, []popauth.Policy{popauth.Scope("orders.read")}, 403, scope("orders.read")},
		{"scope behind two spaces", lab.Claims{"scope": " x  a "}, []popauth.Policy{popauth.Scope("a")}, 200, ""},
		{"scope behind a tab", lab.Claims{"scope": "x\ta"}, []popauth.Policy{popauth.Scope("a")}, 403, scope("a")},
		{"scope array", lab.Claims{"scope": []string{"x", "a"}}, []popauth.Policy{popauth.Scope("a")}, 200, ""},
		{"two scopes in one element", lab.Claims{"scope": []string{"x a"}}, []popauth.Policy{popauth.Scope("a")}, 403, scope("a")},
		{"scp string", lab.Claims{"scope": lab.Omit, "scp": "x a"}, []popauth.Policy{popauth.Scope("a")}, 200, ""},
		{"scp array", lab.Claims{"scope": lab.Omit, "scp": []string{"x", "a"}}, []popauth.Policy{popauth.Scope("a")}, 200, ""},
		{"scope before scp", lab.Claims{"scope": "", "scp": "a"}, []popauth.Policy{popauth.Scope("a")}, 403, scope("a")},
		{"any scope", lab.Claims{"scope": "b"}, []popauth.Policy{popauth.AnyScope("a", "b")}, 200, ""},
		{"none of the scopes", lab.Claims{"scope": "c"}, []popauth.Policy{popauth.AnyScope("a", "b")}, 403, scope("a b")},
		{"client", lab.Claims{"client_id": "x"}, []popauth.Policy{popauth.Client("y", "x")}, 200, ""},
		{"another client", lab.Claims{"client_id": "x"}, []popauth.Policy{popauth.Client("y")}, 403, forbidden},
		{"no client", lab.Claims{"client_id": lab.Omit}, []popauth.Policy{popauth.Client("y")}, 403, forbidden},
		{"subject", lab.Claims{"sub": "x"}, []popauth.Policy{popauth.Subject("x")}, 200, ""},
		{"another subject", lab.Claims{"sub": "x"}, []popauth.Policy{popauth.Subject("X")}, 403, forbidden},
		{"bound", lab.Claims{}, []popauth.Policy{popauth.Bound()}, 200, ""},
		{"unbound", lab.Claims{"cnf": lab.Omit}, []popauth.Policy{popauth.Bound()}, 401, lab.InvalidToken},
		{"bound by", lab.Claims{}, []popauth.Policy{popauth.BoundBy("x5t#S256")}, 200, ""},
		{"bound in another way", lab.Claims{}, []popauth.Policy{popauth.BoundBy("jkt")}, 401, lab.InvalidToken},
		{"bound in one way of two", lab.Claims{}, []popauth.Policy{popauth.BoundBy("x5t#S256", "jkt")}, 401, lab.InvalidToken},
		{"any of, first", lab.Claims{"scope": "a"}, []popauth.Policy{popauth.AnyOf(popauth.Scope("a"), popauth.Client("x"))}, 200, ""},
		{"any of, second", lab.Claims{"client_id": "x"}, []popauth.Policy{popauth.AnyOf(popauth.Scope("a"), popauth.Client("x"))}, 200, ""},
		{"any of, neither", lab.Claims{}, []popauth.Policy{popauth.AnyOf(popauth.Scope("a"), popauth.Client("x"))}, 403, scope("a")},
		{"any of, neither, client first", lab.Claims{}, []popauth.Policy{popauth.AnyOf(popauth.Client("x"), popauth.Scope("a"))}, 403,
			forbidden},
		{"claims", lab.Claims{"tenant": "a"}, []popauth.Policy{ofA}, 200, ""},
		{"other claims", lab.Claims{"tenant": "b"}, []popauth.Policy{ofA}, 403, forbidden},
		{"claim of another case", lab.Claims{"Tenant": "a"}, []popauth.Policy{ofA}, 403, forbidden},
		{"claim of another type", lab.Claims{"tenant": 5}, []popauth.Policy{ofA}, 403, forbidden},
		{"claims policy with a reason", lab.Claims{},
			[]popauth.Policy{popauth.ClaimsPolicy(func(tenant) error { return popauth.ErrUnavailable })}, 503, ""},
		{"request", lab.Claims{"sub": "orders"}, []popauth.Policy{path}, 200, ""},
		{"another's request", lab.Claims{"sub": "x"}, []popauth.Policy{path}, 403, forbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := lab.Send(g.Authorize(tt.policies...), l.Owner.Request("GET", "/orders", l.Issuer.Token(l.Owner.Bound(), tt.claims)))
			if tt.status == 200 {
				o.Passed(t)
				return
			}
			o.Refused(t, tt.status, tt.challenge)
		})
	}
}

// Authorize copies its policies: changing the slice afterwards opens nothing.
func TestPoliciesAreCopied(t *testing.T) {
	l := lab.New(t)
	policies := []popauth.Policy{popauth.Scope("admin")}
	read := l.Guard().Authorize(policies...)
	policies[0] = popauth.Scope("orders.read")
	lab.Send(read, l.Owner.Request("GET", "/", l.Bound())).Refused(t, 403, lab.LacksScope)

	either := []popauth.Policy{popauth.Scope("admin")}
	any1 := popauth.AnyOf(either...)
	either[0] = popauth.Scope("orders.read")
	lab.Send(l.Guard().Authorize(any1), l.Owner.Request("GET", "/", l.Bound())).Refused(t, 403, lab.LacksScope)
}

func TestClaims(t *testing.T) {
	l := lab.New(t)
	type own struct {
		Tenant string   `json:"tenant"`
		Roles  []string `json:"roles"`
	}
	p, err := l.Guard().Check(l.Owner.Request("GET", "/", l.Bound(lab.Claims{"tenant": "a", "roles": []string{"x"}})))
	if err != nil {
		t.Fatal(err)
	}
	got, err := popauth.Claims[own](p)
	if err != nil || got.Tenant != "a" || len(got.Roles) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	all, err := popauth.Claims[map[string]any](p)
	if err != nil || all["tenant"] != "a" {
		t.Errorf("got %v, %v", all, err)
	}
	if got, err := popauth.Claims[struct {
		Tenant int `json:"tenant"`
	}](p); err == nil || got.Tenant != 0 {
		t.Errorf("another type: got %v, %v, want an error", got, err)
	}
	for name, p := range map[string]*popauth.Principal{"nil": nil, "made by hand": {}} {
		if _, err := popauth.Claims[own](p); err == nil || !strings.Contains(err.Error(), "a principal without a token") {
			t.Errorf("%s: got %v, want it to say that there is no token", name, err)
		}
	}
}

func TestFromContext(t *testing.T) {
	if p, ok := popauth.FromContext(context.Background()); ok || p != nil {
		t.Errorf("got %v, %t", p, ok)
	}
	mine := &popauth.Principal{Subject: "me"}
	ctx := popauth.NewContext(context.Background(), mine)
	mine.Subject = "changed"
	if p, ok := popauth.FromContext(ctx); !ok || p.Subject != "me" {
		t.Errorf("got %v, %t", p, ok)
	}
	ctx = popauth.NewContext(ctx, &popauth.Principal{Subject: "you"})
	if p, _ := popauth.FromContext(ctx); p.Subject != "you" {
		t.Errorf("got %v, want the last", p)
	}
}
