package forwardauth_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// What a door of somebody else's tells an API is what an Endpoint tells it, header by header.
func TestIdentity(t *testing.T) {
	l := newLab(t)
	l.o.Claims = map[string]string{"X-Auth-Tenant": "tenant"}
	identity, err := forwardauth.NewIdentity(l.o.Claims)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"X-Auth-Binding", "X-Auth-Client", "X-Auth-Issuer", "X-Auth-Scope", "X-Auth-Subject", "X-Auth-Tenant"}
	if got := identity.Names(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	guard, err := popauth.New(l.issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	token := l.issuer.Token(popauthtest.Claims{"sub": "a, b%", "client_id": "ü", "scope": "x y", "tenant": "acme"})
	p, err := guard.Check((*popauthtest.Client)(nil).Request("GET", "/orders", token))
	if err != nil {
		t.Fatal(err)
	}
	got, err := identity.Header(p)
	for name, value := range map[string]string{
		"X-Auth-Issuer": l.issuer.URL, "X-Auth-Subject": "a%2C%20b%25", "X-Auth-Client": "%C3%BC", "X-Auth-Scope": "x y",
		"X-Auth-Binding": "", "X-Auth-Tenant": "acme",
	} {
		if err != nil || !slices.Equal(got[name], []string{value}) {
			t.Errorf("%s: got %q, %v, want %q", name, got[name], err, value)
		}
	}
	// A public route's API sees nobody, and not what the client says.
	nobody, err := identity.Header(nil)
	for _, name := range want {
		if err != nil || !slices.Equal(nobody[name], []string{""}) {
			t.Errorf("%s of nobody: got %q, %v, want one that is empty", name, nobody[name], err)
		}
	}
	for _, name := range []string{"X-Auth-Subject", "x-auth-subject", "X_Auth_Subject", "X.Auth.Tenant"} {
		if err := identity.Check(http.Header{name: {"admin"}}); !errors.Is(err, popauth.ErrForwardedRequest) {
			t.Errorf("VULNERABLE: the client's own %s: got %v, want %v", name, err, popauth.ErrForwardedRequest)
		}
	}
	if err := identity.Check(http.Header{"X-Other": {"1"}}); err != nil {
		t.Errorf("another header: got %v", err)
	}
}

// The zero Identity lets nothing pass.
func TestZeroIdentity(t *testing.T) {
	var zero forwardauth.Identity
	if _, err := zero.Header(nil); !errors.Is(err, popauth.ErrUnconfigured) {
		t.Errorf("Header: got %v, want %v", err, popauth.ErrUnconfigured)
	}
	if err := zero.Check(nil); !errors.Is(err, popauth.ErrUnconfigured) {
		t.Errorf("Check: got %v, want %v", err, popauth.ErrUnconfigured)
	}
}

// A header that a program on the way takes off, writes anew or acts on is none to tell an API a claim in: each request has it, and
// would be refused, or a claim would set a cookie or end a connection.
func TestIdentityInTakenHeaders(t *testing.T) {
	for _, name := range []string{
		"Authorization", "dpop", "Host", "Connection", "Transfer-Encoding", "Content-Length", "Set-Cookie", "WWW-Authenticate",
		"X-Forwarded-For", "Early-Data",
	} {
		if i, err := forwardauth.NewIdentity(map[string]string{name: "tenant"}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, %v, want an error", name, i, err)
		}
	}
}
