package forwardauth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// byURL makes the question one of ingress-nginx.
func byURL(method, url string) func(*http.Request) {
	return func(r *http.Request) {
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Forwarded-") && name != "X-Forwarded-Tls-Client-Cert" {
				delete(r.Header, name)
			}
		}
		r.Header.Set("X-Original-Method", method)
		r.Header.Set("X-Original-Url", url)
	}
}

// One absolute URL says what four headers say elsewhere, and they are a client's own here.
func TestIngressNginx(t *testing.T) {
	l := newLab(t)
	l.o.Headers = forwardauth.IngressNginx()
	var seen *http.Request
	h := l.endpoint().Authorize(popauth.PolicyFunc(func(r *http.Request, _ *popauth.Principal) error {
		seen = r
		return nil
	}))
	const url = "https://api.example.com:8443/orders?page=2"
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		want   error
	}{
		{"as the proxy sends it", func(*http.Request) {}, nil},
		{"the client says the same", header("X-Original-Uri", "/orders?page=2"), nil},
		{"the client says another URI", header("X-Original-Uri", "/admin"), popauth.ErrForwardedRequest},
		{"the client says another URI as well", header("X-Original-Uri", "/orders?page=2", "/admin"), popauth.ErrForwardedRequest},
		{"the client says another scheme", header("X-Original-Proto", "http"), popauth.ErrForwardedRequest},
		{"the client says another host", header("X-Original-Host", "evil.example"), popauth.ErrForwardedRequest},
		{"two URLs", header("X-Original-Url", url, url), popauth.ErrForwardedRequest},
		{"no URL", header("X-Original-Url"), popauth.ErrForwardedRequest},
		{"an empty URL", header("X-Original-Url", ""), popauth.ErrForwardedRequest},
		{"a path", header("X-Original-Url", "/orders"), popauth.ErrForwardedRequest},
		{"no path", header("X-Original-Url", "https://api.example.com"), popauth.ErrForwardedRequest},
		{"no path, a query", header("X-Original-Url", "https://api.example.com?/orders"), popauth.ErrForwardedRequest},
		{"no host", header("X-Original-Url", "https:///orders"), popauth.ErrForwardedRequest},
		{"another scheme", header("X-Original-Url", "ftp://api.example.com/orders"), popauth.ErrForwardedRequest},
		{"a user", header("X-Original-Url", "https://a@api.example.com/orders"), popauth.ErrForwardedRequest},
		{"a URL within", header("X-Original-Url", "https://a.example/x://b.example/orders"), popauth.ErrRequestLine},
		{"no method", header("X-Original-Method"), popauth.ErrForwardedRequest},
	} {
		seen = nil
		got := l.answer(h, l.asked(byURL("DELETE", url), tt.change))
		switch {
		case tt.want != nil:
			if !errors.Is(l.reason, tt.want) || seen != nil {
				t.Errorf("%s: got %d %v, policy asked: %t, want %v", tt.name, got.StatusCode, l.reason, seen != nil, tt.want)
			}
		case seen == nil:
			t.Errorf("%s: got %d %v, want the policy asked", tt.name, got.StatusCode, l.reason)
		case seen.Method != "DELETE" || seen.RequestURI != "/orders?page=2" || seen.Host != "api.example.com:8443" ||
			seen.Header["X-Original-Url"] != nil:
			t.Errorf("%s: got %s %s of %s with %v", tt.name, seen.Method, seen.RequestURI, seen.Host, seen.Header)
		}
	}
}

// Behind ingress-nginx the headers of nginx.conf are the client's own, which X-Original-URL shows.
func TestNginxBehindIngress(t *testing.T) {
	l := newLab(t)
	l.o.Headers = forwardauth.Nginx()
	h := l.endpoint().Authenticate()
	for target, want := range map[string]error{"/orders": nil, "/admin": popauth.ErrRequestLine} {
		got := l.answer(h, l.asked(byURL("GET", "https://api.example.com"+target), header("X-Original-Uri", "/orders"),
			header("X-Original-Proto", "https"), header("X-Original-Host", "api.example.com")))
		if want == nil && got.StatusCode != http.StatusOK || want != nil && !errors.Is(l.reason, want) {
			t.Errorf("%s: got %d %v, want %v", target, got.StatusCode, l.reason, want)
		}
	}
}

// A header by which the answer says who is calling must not come with the question: where the proxy's configuration
// lacks a line for it, the API would get the client's.
func TestIdentityOfClient(t *testing.T) {
	l := newLab(t)
	l.o.Claims = map[string]string{"Tenant-Id": "tenant"}
	h := l.endpoint().Authenticate()
	token := header("Authorization", "Bearer "+l.issuer.Token(l.owner.Bound(), popauthtest.Claims{"tenant": "acme"}))
	for _, tt := range []struct {
		name string
		want error
	}{
		{"Tenant-Id", popauth.ErrForwardedRequest},
		{"TENANT_ID", popauth.ErrForwardedRequest},
		{"tenant~id", popauth.ErrForwardedRequest},
		{"X-Auth-Issuer", popauth.ErrForwardedRequest},
		{"X-Auth-Subject", popauth.ErrForwardedRequest},
		{"X.Auth.Subject", popauth.ErrForwardedRequest},
		{"X-Auth-Client", popauth.ErrForwardedRequest},
		{"X-Auth-Scope", popauth.ErrForwardedRequest},
		{"X-Auth-Binding", popauth.ErrForwardedRequest},
		{"X-Auth-Other", nil},
		{"TenantId", nil},
	} {
		got := l.answer(h, l.asked(token, header(tt.name, "evil")))
		if tt.want == nil && got.StatusCode != http.StatusOK || tt.want != nil && !errors.Is(l.reason, tt.want) {
			t.Errorf("%s: got %d %v, want %v", tt.name, got.StatusCode, l.reason, tt.want)
		}
	}
}
