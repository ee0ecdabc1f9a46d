package popauth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A name means nothing without the issuer that has given it: a Guard that can have several asks whose it is.
func TestNamesNeedAnIssuer(t *testing.T) {
	l := lab.NewTwoIssuers(t)
	acme := l.Verifier(l.Acme)
	resolve := func(context.Context, string) (popauth.Verifier, error) { return acme, nil }
	verifiers := []struct {
		name     string
		verifier popauth.Verifier
		several  bool
	}{
		{"JWTs", acme, false},
		{"JWTOr of one", popauth.JWTOr(acme, acme), false},
		{"somebody else's that names one", lab.IssuingVerifier{Verifier: acme, All: []string{l.Acme.URL}}, false},
		{"JWTOr of two", popauth.JWTOr(acme, l.Verifier(l.Globex)), true},
		{"JWTOr with Issuers", popauth.JWTOr(acme, l.Issuers(issuers.Options{Verifiers: map[string]popauth.Verifier{l.Acme.URL: acme}})),
			true},
		{"Issuers, one for now", l.Issuers(issuers.Options{Verifiers: map[string]popauth.Verifier{l.Acme.URL: acme}}), true},
		{"Issuers, two", l.Both(), true},
		{"Issuers, resolved", l.Issuers(issuers.Options{Resolve: resolve}), true},
		{"somebody else's", lab.VerifierFunc(acme.Verify), true},
		{"somebody else's that names two", lab.IssuingVerifier{Verifier: acme, All: []string{l.Acme.URL, l.Globex.URL}}, true},
		{"somebody else's that names none", lab.IssuingVerifier{Verifier: acme}, true},
	}
	said := popauth.Issuer(l.Acme.URL)
	names := map[string]popauth.Policy{
		"Client": popauth.Client("client-1"), "Subject": popauth.Subject("user-1"), "Scope": popauth.Scope("orders.read"),
		"AnyScope": popauth.AnyScope("orders.read"), "ACR": popauth.ACR("1"),
		"AuthorizationDetails": popauth.AuthorizationDetails("x", func(*http.Request, popauth.AuthorizationDetail) error { return nil }),
		"ClaimsPolicy":         popauth.ClaimsPolicy(func(struct{}) error { return nil }),
		"in an AnyOf":          popauth.AnyOf(popauth.Bound(), popauth.Client("client-1")),
		"in an AnyOf beside":   popauth.AnyOf(said, popauth.Client("client-1")),
		"in an AllOf":          popauth.AllOf(popauth.Bound(), popauth.Client("client-1")),
		"in half an AnyOf": popauth.AnyOf(popauth.AllOf(said, popauth.Client("client-1")),
			popauth.AllOf(popauth.Bound(), popauth.Subject("user-1"))),
	}
	others := map[string]popauth.Policy{
		"Bound": popauth.Bound(), "BoundBy": popauth.BoundBy("x5t#S256"), "AuthenticatedWithin": popauth.AuthenticatedWithin(60e9),
		"Issuer":     said,
		"PolicyFunc": popauth.PolicyFunc(func(*http.Request, *popauth.Principal) error { return nil }), "AnyIssuer": popauth.AnyIssuer(),
		"AllOf that says": popauth.AllOf(said, popauth.Client("client-1")),
		"AnyOf that says": popauth.AnyOf(popauth.AllOf(said, popauth.Client("client-1")),
			popauth.AllOf(popauth.Issuer(l.Globex.URL), popauth.Scope("x"))),
	}
	for _, v := range verifiers {
		t.Run(v.name, func(t *testing.T) {
			g, err := popauth.New(popauth.Options{Verifier: v.verifier})
			if err != nil {
				t.Fatal(err)
			}
			try := func(name string, want bool, policies ...popauth.Policy) {
				t.Helper()
				if got := panics(func() { g.Authorize(policies...) }); got != want {
					t.Errorf("Authorize with %s: panics %t, want %t", name, got, want)
				}
				p, err := g.Check(l.Owner.Request("GET", "/", l.Bound()), policies...)
				if got := errors.Is(err, popauth.ErrIssuerUnsaid); got != want || got && p != nil {
					t.Errorf("Check with %s: got %v, %v, want unsaid %t", name, p, err, want)
				}
			}
			for name, policy := range names {
				try(name, v.several, policy)
				try(name+" and Issuer", false, said, policy)
				try(name+" and IssuerFunc", false, policy,
					popauth.IssuerFunc(func(*http.Request) (string, error) { return l.Acme.URL, nil }))
				try(name+" and AnyIssuer", false, popauth.AnyIssuer(), policy)
			}
			for name, policy := range others {
				try(name, false, policy)
			}
		})
	}
}

// Where a Verifier says whose tokens it accepts, policies on names rely on it.
func TestVerifierOfOtherIssuers(t *testing.T) {
	l := lab.NewTwoIssuers(t)
	g, err := popauth.New(popauth.Options{Verifier: lab.IssuingVerifier{Verifier: l.Both(), All: []string{l.Acme.URL}}})
	if err != nil {
		t.Fatal(err)
	}
	wrap := g.Authorize(popauth.Client("client-1"))
	lab.Send(wrap, l.Owner.Request("GET", "/", l.Acme.Token(l.Owner.Bound()))).Passed(t)
	lab.Send(wrap, l.Owner.Request("GET", "/", l.Globex.Token(l.Owner.Bound()))).Refused(t, 401, lab.InvalidToken)
}

// Each tenant's issuer names client-1; a route is open to that of one.
func TestNamesOfAnotherIssuer(t *testing.T) {
	l := lab.NewTwoIssuers(t)
	g, err := popauth.New(popauth.Options{Verifier: l.Both()})
	if err != nil {
		t.Fatal(err)
	}
	tenant := popauth.IssuerFunc(func(r *http.Request) (string, error) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/acme/"):
			return l.Acme.URL, nil
		case strings.HasPrefix(r.URL.Path, "/down/"):
			return "", popauth.ErrUnavailable
		}
		return "", nil
	})
	both := popauth.AnyOf(popauth.AllOf(popauth.Issuer(l.Acme.URL), popauth.Scope("a")),
		popauth.AllOf(popauth.Issuer(l.Globex.URL), popauth.Scope("g")))
	for _, tt := range []struct {
		name     string
		issuer   *popauthtest.Issuer
		path     string
		policies []popauth.Policy
		scope    string
		status   int
	}{
		{name: "Issuer, its own", issuer: l.Acme, policies: []popauth.Policy{popauth.Issuer(l.Acme.URL), popauth.Client("client-1")},
			status: 200},
		{name: "Issuer, another's", issuer: l.Globex, policies: []popauth.Policy{popauth.Issuer(l.Acme.URL), popauth.Client("client-1")},
			status: 403},
		{name: "Issuer behind the name", issuer: l.Globex,
			policies: []popauth.Policy{popauth.Client("client-1"), popauth.Issuer(l.Acme.URL)}, status: 403},
		{name: "one of two", issuer: l.Globex, policies: []popauth.Policy{popauth.Issuer(l.Acme.URL, l.Globex.URL),
			popauth.Client("client-1")}, status: 200},
		{name: "any", issuer: l.Globex, policies: []popauth.Policy{popauth.AnyIssuer(), popauth.Client("client-1")}, status: 200},
		{name: "any, another client", issuer: l.Globex, policies: []popauth.Policy{popauth.AnyIssuer(), popauth.Client("client-2")},
			status: 403},
		{name: "the route's", issuer: l.Acme, path: "/acme/orders", policies: []popauth.Policy{tenant, popauth.Client("client-1")},
			status: 200},
		{name: "not the route's", issuer: l.Globex, path: "/acme/orders", policies: []popauth.Policy{tenant, popauth.Client("client-1")},
			status: 403},
		{name: "a route of nobody", issuer: l.Acme, path: "/other/orders", policies: []popauth.Policy{tenant}, status: 403},
		{name: "a route that can't tell", issuer: l.Acme, path: "/down/orders", policies: []popauth.Policy{tenant}, status: 503},
		{name: "each its own scope", issuer: l.Globex, policies: []popauth.Policy{both}, scope: "g", status: 200},
		{name: "the other's scope", issuer: l.Globex, policies: []popauth.Policy{both}, scope: "a", status: 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.path == "" {
				tt.path = "/"
			}
			o := lab.Send(g.Authorize(tt.policies...),
				l.Owner.Request("GET", tt.path, tt.issuer.Token(l.Owner.Bound(), lab.Claims{"scope": tt.scope})))
			if o.Status != tt.status || o.Ran != (tt.status == 200) {
				t.Errorf("got %d, ran %t, want %d", o.Status, o.Ran, tt.status)
			}
		})
	}
	for name, f := range map[string]func(){
		"Issuer of none": func() { popauth.Issuer() }, "Issuer of an empty one": func() { popauth.Issuer("") },
		"IssuerFunc of nil": func() { popauth.IssuerFunc(nil) },
		"AllOf of none":     func() { popauth.AllOf() }, "AllOf of the zero Policy": func() { popauth.AllOf(popauth.Policy{}) },
	} {
		if !panics(f) {
			t.Errorf("%s: no panic", name)
		}
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

// What a Verifier says of its issuers holds wherever it stands, and whatever becomes of what it has said.
func TestWhatAVerifierSaysHolds(t *testing.T) {
	l := lab.NewTwoIssuers(t)
	acme := l.Verifier(l.Acme)
	said := []string{l.Acme.URL}
	for name, v := range map[string]popauth.Verifier{
		"alone":           lab.IssuingVerifier{Verifier: l.Both(), All: said},
		"in JWTOr":        popauth.JWTOr(lab.IssuingVerifier{Verifier: l.Both(), All: said}, acme),
		"in JWTOr, twice": popauth.JWTOr(popauth.JWTOr(lab.IssuingVerifier{Verifier: l.Both(), All: said}, acme), acme),
	} {
		g, err := popauth.New(popauth.Options{Verifier: v})
		if err != nil {
			t.Fatal(err)
		}
		wrap := g.Authorize(popauth.Client("client-1"))
		said[0] = l.Globex.URL // New and JWTOr have copied it
		lab.Send(wrap, l.Owner.Request("GET", "/", l.Globex.Token(l.Owner.Bound()))).Refused(t, 401, lab.InvalidToken)
		o := lab.Send(wrap, l.Owner.Request("GET", "/", l.Acme.Token(l.Owner.Bound())))
		if !o.Ran {
			t.Errorf("%s: the owner got %d", name, o.Status)
		}
		said[0] = l.Acme.URL
	}
	// One that passes on what Issuers know says nothing: others may come.
	tenants, err := issuers.New(issuers.Options{Verifiers: map[string]popauth.Verifier{l.Acme.URL: acme}})
	if err != nil {
		t.Fatal(err)
	}
	if _, says := any(tenants).(interface{ Issuers() []string }); says {
		t.Error("Issuers say which issuers are all, and Add brings others")
	}
	unsaid := []popauth.Verifier{tenants, popauth.JWTOr(tenants, acme), popauth.JWTOr(acme, lab.VerifierFunc(acme.Verify)),
		lab.IssuingVerifier{Verifier: acme, All: []string{}}}
	for i, v := range unsaid {
		g, err := popauth.New(popauth.Options{Verifier: v})
		if err != nil {
			t.Fatal(err)
		}
		if !panics(func() { g.Authorize(popauth.Client("client-1")) }) {
			t.Errorf("%d: no panic", i)
		}
		lab.Send(g.Confirm, l.Owner.Request("GET", "/", l.Acme.Token(l.Owner.Bound()))).Passed(t)
	}
}

// Nobody's issuer is no issuer's.
func TestNoIssuerIsNone(t *testing.T) {
	l := lab.New(t)
	nobody := lab.VerifierFunc(func(context.Context, string) (*popauth.Token, error) { return popauth.NewToken([]byte(`{"sub":"a"}`)) })
	g, err := popauth.New(popauth.Options{Verifier: nobody})
	if err != nil {
		t.Fatal(err)
	}
	empty := popauth.IssuerFunc(func(*http.Request) (string, error) { return "", nil })
	lab.Send(g.Authorize(empty), l.Owner.Request("GET", "/", "x")).Refused(t, 403, "")
	lab.Send(g.Authorize(popauth.AnyIssuer()), l.Owner.Request("GET", "/", "x")).Passed(t)
}

// The challenge is about the branch of the token's own issuer.
func TestChallengeOfTheOwnIssuersBranch(t *testing.T) {
	l := lab.NewTwoIssuers(t)
	g, err := popauth.New(popauth.Options{Verifier: l.Both()})
	if err != nil {
		t.Fatal(err)
	}
	either := popauth.AnyOf(popauth.AllOf(popauth.Issuer(l.Acme.URL), popauth.ACR("a")),
		popauth.AllOf(popauth.Issuer(l.Globex.URL), popauth.Scope("g")))
	for _, tt := range []struct {
		issuer    *popauthtest.Issuer
		status    int
		challenge string
	}{
		{l.Acme, 401, `acr_values="a"`},
		{l.Globex, 403, `error="insufficient_scope", error_description="The access token lacks a scope", scope="both g"`},
	} {
		o := lab.Send(g.Authorize(popauth.Scope("both"), either),
			l.Owner.Request("GET", "/", tt.issuer.Token(l.Owner.Bound(), lab.Claims{"scope": "both"})))
		o.Refused(t, tt.status, "Bearer")
		if !strings.Contains(strings.Join(o.Challenges, "\n"), tt.challenge) {
			t.Errorf("got %q, want %s in it", o.Challenges, tt.challenge)
		}
	}
}
