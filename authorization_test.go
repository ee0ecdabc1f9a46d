package popauth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
)

func TestPolicies(t *testing.T) {
	l := newLab(t)
	g := l.guard()
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
		return lacksScope + `, error_description="The access token lacks a scope", scope="` + s + `"`
	}
	for _, tt := range []struct {
		name      string
		claims    cnf
		policies  []popauth.Policy
		status    int
		challenge string
	}{
		{"scope", cnf{"scope": "a b"}, []popauth.Policy{popauth.Scope("a")}, 200, ""},
		{"all scopes", cnf{"scope": "a b c"}, []popauth.Policy{popauth.Scope("a", "c")}, 200, ""},
		{"one of two scopes", cnf{"scope": "a b"}, []popauth.Policy{popauth.Scope("a", "c")}, 403, scope("a c")},
		{"two policies", cnf{"scope": "b"}, []popauth.Policy{popauth.Scope("a"), popauth.Scope("b"), popauth.AnyScope("c", "a")}, 403, scope("a b c")},
		{"no scope claim", cnf{"scope": omit}, []popauth.Policy{popauth.Scope("a")}, 403, scope("a")},
		{"empty scope", cnf{"scope": ""}, []popauth.Policy{popauth.Scope("a")}, 403, scope("a")},
		{"scope of other case", cnf{"scope": "A"}, []popauth.Policy{popauth.Scope("a")}, 403, scope("a")},
		{"prefix of the scope", cnf{"scope": "orders"}, []popauth.Policy{popauth.Scope("orders.read")}, 403, scope("orders.read")},
		{"scope behind two spaces", cnf{"scope": " x  a "}, []popauth.Policy{popauth.Scope("a")}, 200, ""},
		{"scope behind a tab", cnf{"scope": "x\ta"}, []popauth.Policy{popauth.Scope("a")}, 403, scope("a")},
		{"scope array", cnf{"scope": []string{"x", "a"}}, []popauth.Policy{popauth.Scope("a")}, 200, ""},
		{"two scopes in one element", cnf{"scope": []string{"x a"}}, []popauth.Policy{popauth.Scope("a")}, 403, scope("a")},
		{"scp string", cnf{"scope": omit, "scp": "x a"}, []popauth.Policy{popauth.Scope("a")}, 200, ""},
		{"scp array", cnf{"scope": omit, "scp": []string{"x", "a"}}, []popauth.Policy{popauth.Scope("a")}, 200, ""},
		{"scope before scp", cnf{"scope": "", "scp": "a"}, []popauth.Policy{popauth.Scope("a")}, 403, scope("a")},
		{"any scope", cnf{"scope": "b"}, []popauth.Policy{popauth.AnyScope("a", "b")}, 200, ""},
		{"none of the scopes", cnf{"scope": "c"}, []popauth.Policy{popauth.AnyScope("a", "b")}, 403, scope("a b")},
		{"client", cnf{"client_id": "x"}, []popauth.Policy{popauth.Client("y", "x")}, 200, ""},
		{"another client", cnf{"client_id": "x"}, []popauth.Policy{popauth.Client("y")}, 403, forbidden},
		{"no client", cnf{"client_id": omit}, []popauth.Policy{popauth.Client("y")}, 403, forbidden},
		{"subject", cnf{"sub": "x"}, []popauth.Policy{popauth.Subject("x")}, 200, ""},
		{"another subject", cnf{"sub": "x"}, []popauth.Policy{popauth.Subject("X")}, 403, forbidden},
		{"bound", cnf{}, []popauth.Policy{popauth.Bound()}, 200, ""},
		{"unbound", cnf{"cnf": omit}, []popauth.Policy{popauth.Bound()}, 401, invalidToken},
		{"bound by", cnf{}, []popauth.Policy{popauth.BoundBy("x5t#S256")}, 200, ""},
		{"bound in another way", cnf{}, []popauth.Policy{popauth.BoundBy("jkt")}, 401, invalidToken},
		{"bound in one way of two", cnf{}, []popauth.Policy{popauth.BoundBy("x5t#S256", "jkt")}, 401, invalidToken},
		{"any of, first", cnf{"scope": "a"}, []popauth.Policy{popauth.AnyOf(popauth.Scope("a"), popauth.Client("x"))}, 200, ""},
		{"any of, second", cnf{"client_id": "x"}, []popauth.Policy{popauth.AnyOf(popauth.Scope("a"), popauth.Client("x"))}, 200, ""},
		{"any of, neither", cnf{}, []popauth.Policy{popauth.AnyOf(popauth.Scope("a"), popauth.Client("x"))}, 403, scope("a")},
		{"any of, neither, client first", cnf{}, []popauth.Policy{popauth.AnyOf(popauth.Client("x"), popauth.Scope("a"))}, 403, forbidden},
		{"claims", cnf{"tenant": "a"}, []popauth.Policy{ofA}, 200, ""},
		{"other claims", cnf{"tenant": "b"}, []popauth.Policy{ofA}, 403, forbidden},
		{"claim of another case", cnf{"Tenant": "a"}, []popauth.Policy{ofA}, 403, forbidden},
		{"claim of another type", cnf{"tenant": 5}, []popauth.Policy{ofA}, 403, forbidden},
		{"claims policy with a reason", cnf{}, []popauth.Policy{popauth.ClaimsPolicy(func(tenant) error { return popauth.ErrUnavailable })}, 503, ""},
		{"request", cnf{"sub": "orders"}, []popauth.Policy{path}, 200, ""},
		{"another's request", cnf{"sub": "x"}, []popauth.Policy{path}, 403, forbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := send(g.Authorize(tt.policies...), l.owner.Request("GET", "/orders", l.issuer.Token(l.owner.Bound(), tt.claims)))
			if tt.status == 200 {
				o.passed(t)
				return
			}
			o.refused(t, tt.status, tt.challenge)
		})
	}
}

// Authorize copies its policies: changing the slice afterwards opens nothing.
func TestPoliciesAreCopied(t *testing.T) {
	l := newLab(t)
	policies := []popauth.Policy{popauth.Scope("admin")}
	read := l.guard().Authorize(policies...)
	policies[0] = popauth.Scope("orders.read")
	send(read, l.owner.Request("GET", "/", l.bound())).refused(t, 403, lacksScope)

	either := []popauth.Policy{popauth.Scope("admin")}
	any1 := popauth.AnyOf(either...)
	either[0] = popauth.Scope("orders.read")
	send(l.guard().Authorize(any1), l.owner.Request("GET", "/", l.bound())).refused(t, 403, lacksScope)
}

func TestClaims(t *testing.T) {
	l := newLab(t)
	type own struct {
		Tenant string   `json:"tenant"`
		Roles  []string `json:"roles"`
	}
	p, err := l.guard().Check(l.owner.Request("GET", "/", l.bound(cnf{"tenant": "a", "roles": []string{"x"}})))
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
