package popauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
)

var ()

func policyFunc(err error) popauth.Policy {
	return popauth.PolicyFunc(func(*http.Request, *popauth.Principal) error { return err })
}

// Each policy sees what the token says, whatever a policy before it has done to its own Principal.
func TestAPolicyChangesNothingForTheNext(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	promote := func(err error) popauth.Policy {
		return popauth.PolicyFunc(func(_ *http.Request, p *popauth.Principal) error {
			p.Scopes = append(p.Scopes, "admin")
			p.Scopes[0] = "admin"
			p.Subject, p.ClientID, p.Issuer = "root", "root", "root"
			p.Bindings[0].Value = "x"
			p.Certificate.Thumbprint = "x"
			return err
		})
	}
	sees := popauth.PolicyFunc(func(_ *http.Request, p *popauth.Principal) error {
		if slices.Contains(p.Scopes, "admin") || p.Subject == "root" || p.Bindings[0].Value == "x" || p.Certificate.Thumbprint == "x" {
			t.Error("a policy sees what another has changed")
		}
		return nil
	})
	for name, policies := range map[string][]popauth.Policy{
		"Scope behind":                    {promote(nil), popauth.Scope("admin")},
		"AnyOf behind":                    {promote(nil), popauth.AnyOf(popauth.Scope("admin"), policyFunc(lab.ErrNo))},
		"in one AnyOf, though it said no": {popauth.AnyOf(promote(lab.ErrNo), popauth.Scope("admin"))},
		"in one AllOf":                    {popauth.AllOf(promote(nil), popauth.Scope("admin"))},
		"Client and Subject":              {promote(nil), popauth.AnyOf(popauth.Client("root"), popauth.Subject("root"))},
		"Issuer":                          {promote(nil), popauth.Issuer("root")},
		"AnyOf in AnyOf": {popauth.AnyOf(popauth.AnyOf(promote(lab.ErrNo), policyFunc(lab.ErrNo)),
			popauth.AllOf(sees, popauth.Scope("admin")))},
	} {
		if o := lab.Send(g.Authorize(policies...), l.Owner.Request("GET", "/", l.Bound())); o.Ran || o.Status != 403 {
			t.Errorf("%s: got %d, ran %t, want 403", name, o.Status, o.Ran)
		}
	}
	lab.Send(g.Authorize(promote(nil), sees, popauth.AnyOf(sees, sees)), l.Owner.Request("GET", "/", l.Bound())).Passed(t)
	var kept *popauth.Principal
	keep := popauth.PolicyFunc(func(_ *http.Request, p *popauth.Principal) error { kept = p; return nil })
	g.Authorize(keep)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		kept.Subject = "root"
		if p, _ := popauth.FromContext(r.Context()); p.Subject == "root" {
			t.Error("the handler sees what a policy has kept")
		}
	})).ServeHTTP(httptest.NewRecorder(), l.Owner.Request("GET", "/", l.Bound()))
}

// Whoever can't tell has not said no.
func TestCantTellIsNotNo(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	details := func(errs ...error) (popauth.Policy, lab.Claims) {
		var all []lab.Claims
		for range errs {
			all = append(all, lab.Claims{"type": "x"})
		}
		n := 0
		return popauth.AuthorizationDetails("x", func(*http.Request, popauth.AuthorizationDetail) error { n++; return errs[n-1] }),
			lab.Claims{"authorization_details": all}
	}
	first, one := details(lab.ErrDown, lab.ErrNo)
	last, two := details(lab.ErrNo, fmt.Errorf("%w: of a lookup", popauth.ErrForbidden), lab.ErrDown)
	yes, three := details(lab.ErrDown, nil)
	claims := func(err error) popauth.Policy { return popauth.ClaimsPolicy(func(struct{}) error { return err }) }
	for _, tt := range []struct {
		name   string
		policy popauth.Policy
		claims lab.Claims
		status int
	}{
		{name: "no", policy: policyFunc(lab.ErrNo), status: 403},
		{name: "network", policy: policyFunc(fmt.Errorf("find tenant: %w", lab.ErrDown)), status: 503},
		{name: "out of time", policy: policyFunc(context.DeadlineExceeded), status: 503},
		{name: "ended", policy: policyFunc(context.Canceled), status: 503},
		{name: "its own word", policy: policyFunc(errors.Join(popauth.ErrScope, context.Canceled)), status: 403},
		{name: "a file that is not there", policy: policyFunc(missingFile()), status: 403},
		{name: "claims, network", policy: claims(lab.ErrDown), status: 503},
		{name: "AnyOf, no then down", policy: popauth.AnyOf(popauth.Scope("admin"), policyFunc(lab.ErrDown)), status: 503},
		{name: "AnyOf, down then no", policy: popauth.AnyOf(policyFunc(lab.ErrDown), popauth.Scope("admin")), status: 503},
		{name: "AnyOf, down then yes", policy: popauth.AnyOf(policyFunc(lab.ErrDown), popauth.Scope("orders.read")), status: 200},
		{name: "AnyOf, both no", policy: popauth.AnyOf(popauth.Scope("admin"), policyFunc(lab.ErrNo)), status: 403},
		{name: "AllOf, down", policy: popauth.AllOf(popauth.Scope("orders.read"), policyFunc(lab.ErrDown)), status: 503},
		{name: "AllOf, no before down", policy: popauth.AllOf(popauth.Scope("admin"), policyFunc(lab.ErrDown)), status: 403},
		{name: "AllOf, all yes", policy: popauth.AllOf(popauth.Scope("orders.read"), policyFunc(nil)), status: 200},
		{name: "details, down then no", policy: first, claims: one, status: 503},
		{name: "details, no then down", policy: last, claims: two, status: 503},
		{name: "details, down then yes", policy: yes, claims: three, status: 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := lab.Send(g.Authorize(tt.policy), l.Owner.Request("GET", "/", l.Bound(tt.claims)))
			if o.Status != tt.status || o.Ran != (tt.status == 200) {
				t.Errorf("got %d, ran %t, want %d", o.Status, o.Ran, tt.status)
			}
		})
	}
}

// What AllOf asks for is what its policies ask for together.
func TestAllOfChallenge(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	all := popauth.AllOf(popauth.Scope("a", "b"), popauth.Scope("b", "c"), popauth.ACR("x", "y"), popauth.ACR("y", "z"),
		popauth.AuthenticatedWithin(60e9), popauth.AuthenticatedWithin(30e9))
	o := lab.Send(g.Authorize(all), l.Owner.Request("GET", "/", l.Bound()))
	o.Refused(t, 403, `Bearer error="insufficient_scope", error_description="The access token lacks a scope", scope="a b c"`)
	o = lab.Send(g.Authorize(all), l.Owner.Request("GET", "/", l.Bound(lab.Claims{"scope": "a b c"})))
	o.Refused(t, 401, `Bearer error="insufficient_user_authentication"`)
	for _, want := range []string{`acr_values="y"`, `max_age="30"`, `scope="a b c"`} {
		if !slices.ContainsFunc(o.Challenges, func(c string) bool { return strings.Contains(c, want) }) {
			t.Errorf("got %q, want %s in it", o.Challenges, want)
		}
	}
}

// Certificates that are named themselves need nobody's word, one of several neither.
func TestThumbprintsInCombination(t *testing.T) {
	l := lab.New(t)
	own, other := clientcert.Thumbprint(l.Thief.Thumbprint()), clientcert.Thumbprint(l.Owner.Thumbprint())
	for _, tt := range []struct {
		name   string
		match  clientcert.Match
		status int
	}{
		{"one of two", clientcert.AnyOf(other, own), 200},
		{"neither", clientcert.AnyOf(other, other), 403},
		{"or a name", clientcert.AnyOf(own, clientcert.DNS("a.example")), 403},
		{"or anybody", clientcert.AnyOf(own, lab.MatchFunc(nil)), 403},
		{"and more", clientcert.AllOf(own, lab.MatchFunc(nil)), 200},
		{"and no", clientcert.AllOf(own, lab.MatchFunc(lab.ErrNo)), 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := lab.Send(clientcert.Require(nil, tt.match), l.Thief.Request("GET", "/", ""))
			if o.Status != tt.status || o.Ran != (tt.status == 200) {
				t.Errorf("got %d, ran %t, want %d", o.Status, o.Ran, tt.status)
			}
		})
	}
}

func missingFile() error {
	_, err := os.Stat("testdata/there is none")
	return err
}

// What AllOf and AnyOf ask for is in the document of Metadata, wherever it stands.
func TestCombinedPoliciesInMetadata(t *testing.T) {
	l := lab.New(t)
	g := l.Guard(func(o *popauth.Options) { o.Resource.ID = "https://api.example.com" })
	detail := func(typ string) popauth.Policy {
		return popauth.AuthorizationDetails(typ, func(*http.Request, popauth.AuthorizationDetail) error { return nil })
	}
	g.Authorize(popauth.AllOf(popauth.Scope("a"), detail("x"),
		popauth.AnyOf(popauth.Scope("b"), popauth.AllOf(popauth.Scope("c"), detail("y")))))
	w := httptest.NewRecorder()
	g.Metadata().ServeHTTP(w, httptest.NewRequest("GET", g.MetadataPath(), http.NoBody))
	for _, want := range []string{`"scopes_supported":["a","b","c"]`, `"authorization_details_types_supported":["x","y"]`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("got %s, want %s in it", w.Body, want)
		}
	}
}
