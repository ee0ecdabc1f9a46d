package forwardauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/forwardauth"
)

// The question is the request: its method, host, path and query count, and nothing that a client says of them.
func TestExtAuthz(t *testing.T) {
	l := newLab(t)
	l.o.Headers = forwardauth.ExtAuthz("/auth/")
	var seen *http.Request
	h := l.endpoint().Authorize(popauth.Bound(), popauth.PolicyFunc(func(r *http.Request, _ *popauth.Principal) error {
		seen = r
		return nil
	}))
	asked := func(method, target, host string) *http.Request {
		r := l.asked()
		r.Method, r.RequestURI, r.Host = method, target, host
		if u, err := url.ParseRequestURI(target); err == nil {
			r.URL = u
		}
		return r
	}
	forged := http.Header{
		"X-Original-Method": {"DELETE"}, "X-Original-Uri": {"/admin"}, "X-Original-Host": {"evil.example"}, "X-Original-Proto": {"http"},
		"X-Forwarded-Method": {"DELETE"}, "X-Forwarded-Uri": {"/admin"}, "X-Forwarded-Host": {"evil.example"},
		"X-Forwarded-Proto": {"http"},
	}
	for _, tt := range []struct {
		name, method, target, host string
		header                     http.Header
		want                       error
		url                        string // of the original
	}{
		{name: "a path and a query", method: "GET", target: "/auth/orders.read/orders?page=2", host: "api.example.com",
			url: "GET https://api.example.com/orders?page=2"},
		{name: "the root", method: "GET", target: "/auth/orders.read/", host: "api.example.com", url: "GET https://api.example.com/"},
		{name: "another method and a port", method: "DELETE", target: "/auth/orders.write/a/b", host: "api.example.com:8443",
			url: "DELETE https://api.example.com:8443/a/b"},
		{name: "a path like the question's", method: "GET", target: "/auth/x/auth/y/z", host: "a.example",
			url: "GET https://a.example/auth/y/z"},
		{name: "what a client says", method: "GET", target: "/auth/orders.read/orders", host: "api.example.com", header: forged,
			url: "GET https://api.example.com/orders"},
		{name: "another path", method: "GET", target: "/orders", host: "a.example", want: popauth.ErrForwardedRequest},
		{name: "no name", method: "GET", target: "/auth//orders", host: "a.example", want: popauth.ErrRequestLine},
		{name: "the name alone", method: "GET", target: "/auth/orders.read", host: "a.example", want: popauth.ErrForwardedRequest},
		{name: "a slash in the query alone", method: "GET", target: "/auth/orders.read?x=/orders", host: "a.example",
			want: popauth.ErrForwardedRequest},
		{name: "a name with an escape", method: "GET", target: "/auth/orders%2eread/orders", host: "a.example",
			want: popauth.ErrRequestLine},
		{name: "dot segments", method: "GET", target: "/auth/orders.read/../orders.admin/x", host: "a.example",
			want: popauth.ErrRequestLine},
		{name: "absolute", method: "GET", target: "http://a.example/auth/orders.read/x", host: "a.example",
			want: popauth.ErrForwardedRequest},
		{name: "an asterisk", method: "OPTIONS", target: "*", host: "a.example", want: popauth.ErrRequestLine},
		{name: "no host", method: "GET", target: "/auth/orders.read/orders", want: popauth.ErrForwardedRequest},
		{name: "another method in a header", method: "GET", target: "/auth/orders.read/orders", host: "a.example",
			header: http.Header{"X-Http-Method-Override": {"DELETE"}}, want: popauth.ErrRequestLine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen = nil
			r := asked(tt.method, tt.target, tt.host)
			for name, values := range tt.header {
				r.Header[name] = values
			}
			answer := l.answer(h, r)
			if tt.want != nil {
				if !errors.Is(l.reason, tt.want) || seen != nil {
					t.Errorf("got %v, %d, want %v", l.reason, answer.StatusCode, tt.want)
				}
				return
			}
			if answer.StatusCode != http.StatusOK || seen == nil {
				t.Fatalf("got %d, %v", answer.StatusCode, l.reason)
			}
			u := forwardauth.OriginalURL(seen)
			got := seen.Method + " " + u.Scheme + "://" + seen.Host + seen.RequestURI
			if got != tt.url {
				t.Errorf("got %s, want %s", got, tt.url)
			}
		})
	}
}

// A name that is empty is none, also where empty segments are allowed.
func TestExtAuthzWithoutName(t *testing.T) {
	l := newLab(t)
	l.o.Headers, l.o.Guard.RequestLine.AllowEmptySegments = forwardauth.ExtAuthz("/auth/"), true
	r := l.asked()
	r.RequestURI, r.URL.Path, r.Host = "/auth//orders", "/auth//orders", "api.example.com"
	answer := l.answer(l.endpoint().Confirm(), r)
	if !errors.Is(l.reason, popauth.ErrForwardedRequest) {
		t.Errorf("got %d, %v", answer.StatusCode, l.reason)
	}
}
