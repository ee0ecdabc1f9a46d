package forwardauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// ran are the routes whose Handler has answered.
type ran []string

func (r *ran) handler(name string, inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		*r = append(*r, name)
		inner.ServeHTTP(w, req)
	})
}

// routed is the service of three routes, one of which is below another.
func (l *lab) routed(r *ran) http.Handler {
	l.Helper()
	e := l.endpoint()
	s := forwardauth.Site{Endpoint: e, Format: siteFormat(l.o), Secret: secret}
	for path, scope := range map[string]string{"/": "orders.read", "/orders": "orders.read", "/orders/admin": "admin"} {
		s.Routes = append(s.Routes, forwardauth.Route{
			Path: path, Handler: r.handler(path, e.Authorize(popauth.Bound(), popauth.Scope(scope))),
		})
	}
	h, err := s.Handler()
	if err != nil {
		l.Fatal(err)
	}
	return h
}

// The longest route for the original path answers, whatever the path of the question is, and whatever letter case the API may have.
func TestRoutes(t *testing.T) {
	for _, tt := range []struct {
		path, route string
		want        int
		open        popauth.RequestLine
	}{
		{path: "/", route: "/", want: 200}, {path: "/x", route: "/", want: 200}, {path: "/order", route: "/", want: 200},
		{path: "/orders", route: "/orders", want: 200}, {path: "/orders/", route: "/orders", want: 200},
		{path: "/orders/7?x=/orders/admin", route: "/orders", want: 200}, {path: "/orders-internal", route: "/", want: 200},
		{path: "/orders/administrators", route: "/orders", want: 200},
		{path: "/orders/admin", route: "/orders/admin", want: 403}, {path: "/orders/admin/7", route: "/orders/admin", want: 403},
		{path: "/ORDERS/Admin/7", route: "/orders/admin", want: 403}, {path: "/orders/admin?x", route: "/orders/admin", want: 403},
		// What RequestLine refuses, and with it opened, what an API may read as another path.
		{path: "/orders//admin", want: 400}, {path: "/orders/%61dmin", want: 400}, {path: "/orders;x/admin", want: 400},
		{path: "/orders%2Fadmin", want: 400},
		{path: "/orders//admin", want: 400, open: popauth.RequestLine{AllowEmptySegments: true}},
		{path: "/orders//7", route: "/orders", want: 200, open: popauth.RequestLine{AllowEmptySegments: true}},
		{path: "//orders/admin", want: 400, open: popauth.RequestLine{AllowEmptySegments: true}},
		{path: "/orders;x/admin", want: 400, open: popauth.RequestLine{AllowPathParameters: true}},
		{path: "/orders/admin;x", want: 400, open: popauth.RequestLine{AllowPathParameters: true}},
		{path: "/orders/7;x", route: "/orders", want: 200, open: popauth.RequestLine{AllowPathParameters: true}},
		{path: "/orders/%61dmin", want: 400, open: popauth.RequestLine{AllowOtherEncodings: true}},
		{path: "/orders/%7Ex", route: "/orders", want: 200, open: popauth.RequestLine{AllowOtherEncodings: true}},
		{path: "/orders%2Fadmin", want: 400, open: popauth.RequestLine{AllowEncodedSlash: true}},
		{path: "/orders/7%2Fadmin", route: "/orders", want: 200, open: popauth.RequestLine{AllowEncodedSlash: true}},
	} {
		t.Run(tt.path+fmt.Sprint(tt.open), func(t *testing.T) {
			l := newLab(t)
			l.o.Guard.RequestLine = tt.open
			var r ran
			h := l.routed(&r)
			for _, question := range []string{"/auth", "/auth/orders/admin", "/orders/admin", "/"} {
				r = nil
				req := l.asked(header("X-Forwarded-Uri", tt.path))
				req.URL.Path, req.RequestURI = question, question
				answer := l.answer(h, req)
				var want []string
				if tt.route != "" {
					want = []string{tt.route}
				}
				if answer.StatusCode != tt.want || fmt.Sprint([]string(r)) != fmt.Sprint(want) {
					t.Errorf("at %s: got %d by %v, want %d by %v; %v", question, answer.StatusCode, r, tt.want, want, l.reason)
				}
			}
		})
	}
}

// Nobody's question reaches a Handler that isn't the proxy's, or that reports no request, or one for which there is no route.
func TestRoutesRefuse(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		want   popauth.Reason
	}{
		{"another peer", func(r *http.Request) { r.RemoteAddr = "192.0.2.2:1" }, popauth.ErrPeerUntrusted},
		{"no secret", header("X-Proxy-Secret"), popauth.ErrProxySecret},
		{"no report", header("X-Forwarded-Uri"), popauth.ErrForwardedRequest},
		{"two reports", header("X-Forwarded-Uri", "/orders", "/orders"), popauth.ErrForwardedRequest},
		{"a forged identity", header("X-Auth_Subject", "admin"), popauth.ErrForwardedRequest},
		{"no route", header("X-Forwarded-Uri", "/admin"), popauth.ErrForbidden},
	} {
		l := newLab(t)
		e := l.endpoint()
		var r ran
		h, err := forwardauth.Site{
			Endpoint: e, Format: siteFormat(l.o), Secret: secret,
			Routes: []forwardauth.Route{{Path: "/orders", Handler: r.handler("/orders", e.Authenticate())}},
		}.Handler()
		if err != nil {
			t.Fatal(err)
		}
		l.answer(h, l.asked(tt.change))
		if len(r) > 0 || !errors.Is(l.reason, tt.want) {
			t.Errorf("%s: got %v, by %v, want %v", tt.name, l.reason, r, tt.want)
		}
		if l.answer(h, l.asked()).StatusCode != 200 || len(r) != 1 {
			t.Errorf("%s: the proxy's own question: got %v", tt.name, l.reason)
		}
	}
}

// A proxy that hands on one challenge gets all of them on a line, from the service's own refusals, too.
func TestRoutesOneChallenge(t *testing.T) {
	l := newLab(t)
	l.o.Headers.OneChallenge, l.o.Guard.Deny = true, nil
	l.o.Guard.RequestLine.AllowEmptySegments = true
	e := l.endpoint()
	h, err := forwardauth.Site{
		Endpoint: e, Format: siteFormat(l.o), Secret: secret,
		Routes: []forwardauth.Route{{Path: "/orders/admin", Handler: e.Confirm()}},
	}.Handler()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/orders/admin", "/orders//admin", "/orders"} {
		answer := l.answer(h, l.asked(header("Authorization"), header("X-Forwarded-Uri", path)))
		if lines := answer.Header.Values("WWW-Authenticate"); len(lines) > 1 || answer.StatusCode == 200 {
			t.Errorf("%s: got %d %q, want at most one line", path, answer.StatusCode, lines)
		}
	}
}

func TestHandlerProblems(t *testing.T) {
	l := newLab(t)
	e := l.endpoint()
	h := e.Authenticate()
	for _, tt := range []struct {
		name string
		site forwardauth.Site
		want []string
	}{
		{"nothing", forwardauth.Site{}, []string{"Site.Endpoint: none", "Site.Routes: none"}},
		{"an Endpoint that New has not made", forwardauth.Site{Endpoint: &forwardauth.Endpoint{}}, []string{"Site.Endpoint: none"}},
		{"no Handler", forwardauth.Site{Endpoint: e, Format: siteFormat(l.o), Secret: secret, Routes: []forwardauth.Route{{Path: "/a"}}},
			[]string{"/a: no Handler"}},
		{"a route twice", forwardauth.Site{Endpoint: e, Format: siteFormat(l.o), Secret: secret, Routes: []forwardauth.Route{
			{Path: "/a", Handler: h}, {Path: "/A", Handler: h},
		}}, []string{"/A: twice"}},
		{"no secret", forwardauth.Site{Endpoint: e, Format: siteFormat(l.o), Routes: []forwardauth.Route{{Path: "/a", Handler: h}}},
			[]string{"Site.Secret"}},
		{"no format", forwardauth.Site{Endpoint: e, Secret: secret, Routes: []forwardauth.Route{{Path: "/a", Handler: h}}},
			[]string{"reads X-Forwarded-Tls-Client-Cert, which the proxy doesn't set"}},
	} {
		got, err := tt.site.Handler()
		if got != nil || err == nil {
			t.Errorf("%s: got no error", tt.name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", tt.name, err, want)
			}
		}
	}
	for _, path := range []string{"", "orders", "/orders/", "//", "/a//b", "/.", "/a/..", "/a?b", "/a#",
		"/a b", "/a;b", "/a%20b", "/a*", "/ä",
		"/a\n", "/{a}", `/a"`, `/a\`, "/a$", "/a(b"} {
		_, err := forwardauth.Site{Endpoint: e, Format: siteFormat(l.o), Secret: secret,
			Routes: []forwardauth.Route{{Path: path, Handler: h}}}.Handler()
		if err == nil || !strings.Contains(err.Error(), "Site.Routes: got") {
			t.Errorf("%q: got %v, want an error", path, err)
		}
	}
}

// A token for what a route asks passes it: the policies are that route's alone.
func TestRoutesPolicies(t *testing.T) {
	l := newLab(t)
	var r ran
	h := l.routed(&r)
	admin := "Bearer " + l.issuer.Token(l.owner.Bound(), popauthtest.Claims{"scope": "admin"})
	for path, want := range map[string]int{"/orders/admin": 200, "/orders": 403} {
		answer := l.answer(h, l.asked(header("Authorization", admin), header("X-Forwarded-Uri", path)))
		if answer.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, answer.StatusCode, want)
		}
	}
}
