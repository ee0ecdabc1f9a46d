package popauth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A name means nothing without the issuer that has given it: a Guard that can have several asks whose it is.
func TestNamesNeedAnIssuer(t *testing.T) {
	l := newTwoIssuers(t)
	acme := l.verifier(l.acme)
	resolve := func(context.Context, string) (popauth.Verifier, error) { return acme, nil }
	verifiers := []struct {
		name     string
		verifier popauth.Verifier
		several  bool
	}{
		{"JWTs", acme, false},
		{"JWTOr of one", popauth.JWTOr(acme, acme), false},
		{"somebody else's that names one", issuingVerifier{acme, []string{l.acme.URL}}, false},
		{"JWTOr of two", popauth.JWTOr(acme, l.verifier(l.globex)), true},
		{"JWTOr with Issuers", popauth.JWTOr(acme, l.issuers(issuers.Options{Verifiers: map[string]popauth.Verifier{l.acme.URL: acme}})), true},
		{"Issuers, one for now", l.issuers(issuers.Options{Verifiers: map[string]popauth.Verifier{l.acme.URL: acme}}), true},
		{"Issuers, two", l.both(), true},
		{"Issuers, resolved", l.issuers(issuers.Options{Resolve: resolve}), true},
		{"somebody else's", verifierFunc(acme.Verify), true},
		{"somebody else's that names two", issuingVerifier{acme, []string{l.acme.URL, l.globex.URL}}, true},
		{"somebody else's that names none", issuingVerifier{acme, nil}, true},
	}
	said := popauth.Issuer(l.acme.URL)
	names := map[string]popauth.Policy{
		"Client": popauth.Client("client-1"), "Subject": popauth.Subject("user-1"), "Scope": popauth.Scope("orders.read"),
		"AnyScope": popauth.AnyScope("orders.read"), "ACR": popauth.ACR("1"),
		"AuthorizationDetails": popauth.AuthorizationDetails("x", func(*http.Request, popauth.AuthorizationDetail) error { return nil }),
		"ClaimsPolicy":         popauth.ClaimsPolicy(func(struct{}) error { return nil }),
		"in an AnyOf":          popauth.AnyOf(popauth.Bound(), popauth.Client("client-1")),
		"in an AnyOf beside":   popauth.AnyOf(said, popauth.Client("client-1")),
		"in an AllOf":          popauth.AllOf(popauth.Bound(), popauth.Client("client-1")),
		"in half an AnyOf":     popauth.AnyOf(popauth.AllOf(said, popauth.Client("client-1")), popauth.AllOf(popauth.Bound(), popauth.Subject("user-1"))),
	}
	others := map[string]popauth.Policy{
		"Bound": popauth.Bound(), "BoundBy": popauth.BoundBy("x5t#S256"), "AuthenticatedWithin": popauth.AuthenticatedWithin(60e9), "Issuer": said,
		"PolicyFunc": popauth.PolicyFunc(func(*http.Request, *popauth.Principal) error { return nil }), "AnyIssuer": popauth.AnyIssuer(),
		"AllOf that says": popauth.AllOf(said, popauth.Client("client-1")),
		"AnyOf that says": popauth.AnyOf(popauth.AllOf(said, popauth.Client("client-1")), popauth.AllOf(popauth.Issuer(l.globex.URL), popauth.Scope("x"))),
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
				p, err := g.Check(l.owner.Request("GET", "/", l.bound()), policies...)
				if got := errors.Is(err, popauth.ErrIssuerUnsaid); got != want || got && p != nil {
					t.Errorf("Check with %s: got %v, %v, want unsaid %t", name, p, err, want)
				}
			}
			for name, policy := range names {
				try(name, v.several, policy)
				try(name+" and Issuer", false, said, policy)
				try(name+" and IssuerFunc", false, policy, popauth.IssuerFunc(func(*http.Request) (string, error) { return l.acme.URL, nil }))
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
	l := newTwoIssuers(t)
	g, err := popauth.New(popauth.Options{Verifier: issuingVerifier{l.both(), []string{l.acme.URL}}})
	if err != nil {
		t.Fatal(err)
	}
	wrap := g.Authorize(popauth.Client("client-1"))
	send(wrap, l.owner.Request("GET", "/", l.acme.Token(l.owner.Bound()))).passed(t)
	send(wrap, l.owner.Request("GET", "/", l.globex.Token(l.owner.Bound()))).refused(t, 401, invalidToken)
}

// Each tenant's issuer names client-1; a route is open to that of one.
func TestNamesOfAnotherIssuer(t *testing.T) {
	l := newTwoIssuers(t)
	g, err := popauth.New(popauth.Options{Verifier: l.both()})
	if err != nil {
		t.Fatal(err)
	}
	tenant := popauth.IssuerFunc(func(r *http.Request) (string, error) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/acme/"):
			return l.acme.URL, nil
		case strings.HasPrefix(r.URL.Path, "/down/"):
			return "", popauth.ErrUnavailable
		}
		return "", nil
	})
	both := popauth.AnyOf(popauth.AllOf(popauth.Issuer(l.acme.URL), popauth.Scope("a")), popauth.AllOf(popauth.Issuer(l.globex.URL), popauth.Scope("g")))
	for _, tt := range []struct {
		name     string
		issuer   *popauthtest.Issuer
		path     string
		policies []popauth.Policy
		scope    string
		status   int
	}{
		{name: "Issuer, its own", issuer: l.acme, policies: []popauth.Policy{popauth.Issuer(l.acme.URL), popauth.Client("client-1")}, status: 200},
		{name: "Issuer, another's", issuer: l.globex, policies: []popauth.Policy{popauth.Issuer(l.acme.URL), popauth.Client("client-1")}, status: 403},
		{name: "Issuer behind the name", issuer: l.globex, policies: []popauth.Policy{popauth.Client("client-1"), popauth.Issuer(l.acme.URL)}, status: 403},
		{name: "one of two", issuer: l.globex, policies: []popauth.Policy{popauth.Issuer(l.acme.URL, l.globex.URL), popauth.Client("client-1")}, status: 200},
		{name: "any", issuer: l.globex, policies: []popauth.Policy{popauth.AnyIssuer(), popauth.Client("client-1")}, status: 200},
		{name: "any, another client", issuer: l.globex, policies: []popauth.Policy{popauth.AnyIssuer(), popauth.Client("client-2")}, status: 403},
		{name: "the route's", issuer: l.acme, path: "/acme/orders", policies: []popauth.Policy{tenant, popauth.Client("client-1")}, status: 200},
		{name: "not the route's", issuer: l.globex, path: "/acme/orders", policies: []popauth.Policy{tenant, popauth.Client("client-1")}, status: 403},
		{name: "a route of nobody", issuer: l.acme, path: "/other/orders", policies: []popauth.Policy{tenant}, status: 403},
		{name: "a route that can't tell", issuer: l.acme, path: "/down/orders", policies: []popauth.Policy{tenant}, status: 503},
		{name: "each its own scope", issuer: l.globex, policies: []popauth.Policy{both}, scope: "g", status: 200},
		{name: "the other's scope", issuer: l.globex, policies: []popauth.Policy{both}, scope: "a", status: 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.path == "" {
				tt.path = "/"
			}
			o := send(g.Authorize(tt.policies...), l.owner.Request("GET", tt.path, tt.issuer.Token(l.owner.Bound(), cnf{"scope": tt.scope})))
			if o.status != tt.status || o.ran != (tt.status == 200) {
				t.Errorf("got %d, ran %t, want %d", o.status, o.ran, tt.status)
			}
		})
	}
	for name, f := range map[string]func(){
		"Issuer of none": func() { popauth.Issuer() }, "Issuer of an empty one": func() { popauth.Issuer("") }, "IssuerFunc of nil": func() { popauth.IssuerFunc(nil) },
		"AllOf of none": func() { popauth.AllOf() }, "AllOf of the zero Policy": func() { popauth.AllOf(popauth.Policy{}) },
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
	l := newTwoIssuers(t)
	acme := l.verifier(l.acme)
	said := []string{l.acme.URL}
	for name, v := range map[string]popauth.Verifier{
		"alone":           issuingVerifier{l.both(), said},
		"in JWTOr":        popauth.JWTOr(issuingVerifier{l.both(), said}, acme),
		"in JWTOr, twice": popauth.JWTOr(popauth.JWTOr(issuingVerifier{l.both(), said}, acme), acme),
	} {
		g, err := popauth.New(popauth.Options{Verifier: v})
		if err != nil {
			t.Fatal(err)
		}
		wrap := g.Authorize(popauth.Client("client-1"))
		said[0] = l.globex.URL // New and JWTOr have copied it
		send(wrap, l.owner.Request("GET", "/", l.globex.Token(l.owner.Bound()))).refused(t, 401, invalidToken)
		o := send(wrap, l.owner.Request("GET", "/", l.acme.Token(l.owner.Bound())))
		if !o.ran {
			t.Errorf("%s: the owner got %d", name, o.status)
		}
		said[0] = l.acme.URL
	}
	// One that passes on what Issuers know says nothing: others may come.
	tenants, err := issuers.New(issuers.Options{Verifiers: map[string]popauth.Verifier{l.acme.URL: acme}})
	if err != nil {
		t.Fatal(err)
	}
	if _, says := any(tenants).(interface{ Issuers() []string }); says {
		t.Error("Issuers say which issuers are all, and Add brings others")
	}
	unsaid := []popauth.Verifier{tenants, popauth.JWTOr(tenants, acme), popauth.JWTOr(acme, verifierFunc(acme.Verify)), issuingVerifier{acme, []string{}}}
	for i, v := range unsaid {
		g, err := popauth.New(popauth.Options{Verifier: v})
		if err != nil {
			t.Fatal(err)
		}
		if !panics(func() { g.Authorize(popauth.Client("client-1")) }) {
			t.Errorf("%d: no panic", i)
		}
		send(g.Confirm, l.owner.Request("GET", "/", l.acme.Token(l.owner.Bound()))).passed(t)
	}
}

// Nobody's issuer is no issuer's.
func TestNoIssuerIsNone(t *testing.T) {
	l := newLab(t)
	nobody := verifierFunc(func(context.Context, string) (*popauth.Token, error) { return popauth.NewToken([]byte(`{"sub":"a"}`)) })
	g, err := popauth.New(popauth.Options{Verifier: nobody})
	if err != nil {
		t.Fatal(err)
	}
	empty := popauth.IssuerFunc(func(*http.Request) (string, error) { return "", nil })
	send(g.Authorize(empty), l.owner.Request("GET", "/", "x")).refused(t, 403, "")
	send(g.Authorize(popauth.AnyIssuer()), l.owner.Request("GET", "/", "x")).passed(t)
}

// The challenge is about the branch of the token's own issuer.
func TestChallengeOfTheOwnIssuersBranch(t *testing.T) {
	l := newTwoIssuers(t)
	g, err := popauth.New(popauth.Options{Verifier: l.both()})
	if err != nil {
		t.Fatal(err)
	}
	either := popauth.AnyOf(popauth.AllOf(popauth.Issuer(l.acme.URL), popauth.ACR("a")), popauth.AllOf(popauth.Issuer(l.globex.URL), popauth.Scope("g")))
	for _, tt := range []struct {
		issuer    *popauthtest.Issuer
		status    int
		challenge string
	}{
		{l.acme, 401, `acr_values="a"`},
		{l.globex, 403, `error="insufficient_scope", error_description="The access token lacks a scope", scope="both g"`},
	} {
		o := send(g.Authorize(popauth.Scope("both"), either), l.owner.Request("GET", "/", tt.issuer.Token(l.owner.Bound(), cnf{"scope": "both"})))
		o.refused(t, tt.status, "Bearer")
		if !strings.Contains(strings.Join(o.challenges, "\n"), tt.challenge) {
			t.Errorf("got %q, want %s in it", o.challenges, tt.challenge)
		}
	}
}
