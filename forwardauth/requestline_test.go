package forwardauth_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/forwardauth"
)

// A proxy chooses the location, and so the policies, by one reading of the path, and the API its handler by another.
func TestForwardAuthRequestLine(t *testing.T) {
	var log bytes.Buffer
	l := newLab(t)
	l.o.Guard.Logger = slog.New(slog.NewTextHandler(&log, nil))
	asked := false
	policy := popauth.PolicyFunc(func(*http.Request, *popauth.Principal) error { asked = true; return nil })
	strict := l.endpoint().Authorize(policy)
	l.o.Guard.RequestLine = popauth.RequestLine{AllowPathParameters: true}
	parameters := l.endpoint().Authorize(policy)
	l.o.Guard.RequestLine = popauth.RequestLine{AllowEncodedSlash: true, AllowMethodOverride: true}
	slash := l.endpoint().Authorize(policy)
	l.o.Guard.RequestLine = popauth.RequestLine{AllowOtherEncodings: true}
	encodings := l.endpoint().Authorize(policy)
	target := func(s string) func(*http.Request) { return header("X-Forwarded-Uri", s) }
	question := func(s string) func(*http.Request) {
		return func(r *http.Request) {
			q := httptest.NewRequest("GET", s, nil)
			r.URL, r.RequestURI = q.URL, s
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		rule   string // "" passes
		opened string // passes with
	}{
		{"plain", target("/orders/1"), "", ""},
		{"with what net/url encodes", target("/orders/caf%C3%A9%20x?a=%2F..//"), "", ""},
		{"encoded slash, dots", target("/admin/users/..%2f..%2forders"), "dot segment", ""},
		{"encoded dots", target("/admin/users/%2e%2e/%2e%2e/orders"), "dot segment", ""},
		{"dots", target("/orders/../admin"), "dot segment", ""},
		{"dots with a parameter", target("/orders/..;/admin"), "dot segment", ""},
		{"dots with an encoded parameter", target("/orders/..%3b/admin"), "dot segment", ""},
		{"two slashes", target("//orders"), "empty segment", ""},
		{"encoded slash", target("/orders%2f..x"), "encoded slash", "slash"},
		{"NUL", target("/orders%00"), "encoded control character", ""},
		{"line break", target("/orders%0d%0aX:"), "encoded control character", ""},
		{"backslash", target("/orders\\..\\admin"), "backslash", ""},
		{"encoded letter", target("/ord%65rs"), "percent-encoding other", "encodings"},
		{"encoded at sign", target("/users/a%40b"), "AllowOtherEncodings", "encodings"},
		{"encoded twice", target("/%256frders"), "encoded percent sign", ""},
		{"parameter", target("/admin;x/1"), "path parameter", "parameters"},
		{"encoded parameter", target("/admin%3Bx/1"), "path parameter", ""},
		{"method in lower case", header("X-Forwarded-Method", "delete"), "no token in upper case", ""},
		{"method in mixed case", header("X-Forwarded-Method", "Get"), "no token in upper case", ""},
		{"own method", header("X-Forwarded-Method", "VERSION-CONTROL"), "", ""},
		{"method override", header("X-Http-Method-Override", "DELETE"), "another method", "slash"},
		{"method override, underscores", header("X_http_method_override", "DELETE"), "another method", "slash"},
		{"method override, X-HTTP-Method", header("X-Http-Method", "DELETE"), "another method", "slash"},
		{"the same method", header("X-Method-Override", "GET"), "", ""},
		{"the same method in lower case", header("X-Method-Override", "get"), "", ""},
		{"override with the original's method", func(r *http.Request) {
			header("X-Forwarded-Method", "POST")(r)
			header("X-Http-Method-Override", "POST")(r)
		}, "", ""},
		{"override with the question's method", func(r *http.Request) {
			header("X-Forwarded-Method", "POST")(r)
			header("X-Http-Method-Override", "GET")(r)
		}, "another method", "slash"},
		{"another URL", header("X-Original-Url", "/admin"), "another URL", ""},
		{"another URL, underscores", header("X_original_url", "/admin"), "another URL", ""},
		{"another URL, rewrite", header("X-Rewrite-Url", "/admin"), "another URL", ""},
		{"another URL, with ~", header("X~rewrite~url", "/admin"), "another URL", ""},
		{"another URL, mixed", header("X|original-Url", "/admin"), "another URL", ""},
		{"another method, with ~", header("X~http~method~override", "DELETE"), "another method", "slash"},
		{"the same URL", header("X-Original-Url", "https://api.example.com/orders?page=2"), "", ""},
		{"the same target", header("X-Rewrite-Url", "/orders?page=2"), "", ""},
		{"question with dots", question("/auth/orders/..%2fadmin"), "dot segment", ""},
		{"question with two slashes", question("/auth//orders"), "empty segment", ""},
		{"question with a parameter", question("/auth/orders;x"), "path parameter", "parameters"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log.Reset()
			asked = false
			got := l.answer(strict, l.asked(tt.change))
			if tt.rule == "" {
				if got.StatusCode != 200 || !asked {
					t.Errorf("got %d %v, want 200", got.StatusCode, l.reason)
				}
				return
			}
			if got.StatusCode != 400 || asked || !errors.Is(l.reason, popauth.ErrRequestLine) || !strings.Contains(log.String(), tt.rule) {
				t.Errorf("VULNERABLE: got %d %v, asked %t, logged %q, want 400 for %s", got.StatusCode, l.reason, asked, log.String(),
					tt.rule)
			}
			for name, h := range map[string]http.Handler{"parameters": parameters, "slash": slash, "encodings": encodings} {
				want := 400
				if tt.opened == name {
					want = 200
				}
				if got := l.answer(h, l.asked(tt.change)); got.StatusCode != want {
					t.Errorf("%s: got %d %v, want %d", name, got.StatusCode, l.reason, want)
				}
			}
		})
	}
}

// By OriginalURL the proxy's report says which host a proof is for; by BaseURL the API does.
func TestForwardAuthAnyHost(t *testing.T) {
	for name, tt := range map[string]struct {
		dpop dpop.Options
		want map[string]int // by the host that the proxy reports, with a proof for that
	}{
		"OriginalURL": {dpop.Options{URL: forwardauth.OriginalURL}, map[string]int{"api.example.com": 200, "evil.example": 200}},
		"BaseURL":     {dpop.Options{BaseURL: "https://api.example.com"}, map[string]int{"api.example.com": 200, "evil.example": 401}},
		// the proxy asks by http
		"RequestURL": {dpop.Options{URL: dpop.RequestURL}, map[string]int{"api.example.com": 401, "evil.example": 401}},
	} {
		l := newLab(t)
		l.o.Guard.Confirmers = []popauth.Confirmer{proofs(tt.dpop)}
		h, token := l.endpoint().Confirm(), l.issuer.Token(l.key.Bound())
		for host, want := range tt.want {
			proof := l.key.Proof("GET", "https://"+host+"/orders", token)
			if got := l.answer(h, l.asked(header("X-Forwarded-Host", host), header("Authorization", "DPoP "+token),
				header("Dpop", proof))); got.StatusCode != want {
				t.Errorf("%s, %s: got %d %v, want %d", name, host, got.StatusCode, l.reason, want)
			}
		}
	}
	if u := forwardauth.OriginalURL(httptest.NewRequest("GET", "https://api.example.com/orders", nil)); u != nil {
		t.Errorf("a request of no Endpoint: got %v", u)
	}
}

// With a name of its own an endpoint takes proofs for that name only, whatever host the proxy reports.
func TestForwardAuthRequestLineHost(t *testing.T) {
	l := newLab(t)
	token := l.issuer.Token(l.key.Bound())
	l.o.Guard.Resource.ID = "https://api.example.com"
	for _, d := range []dpop.Options{{BaseURL: "https://api.example.com"}} {
		l.o.Guard.Confirmers = []popauth.Confirmer{proofs(d)}
		h := l.endpoint().Confirm()
		for host, want := range map[string]int{"api.example.com": 200, "evil.example": 401} {
			proof := l.key.Proof("GET", "https://"+host+"/orders", token)
			if got := l.answer(h, l.asked(header("X-Forwarded-Host", host), header("Authorization", "DPoP "+token),
				header("Dpop", proof))); got.StatusCode != want {
				t.Errorf("VULNERABLE: %s: got %d %v, want %d", host, got.StatusCode, l.reason, want)
			}
		}
	}
}

// What a client puts into a header of the kind is logged without query, fragment and userinfo, and so is the original
// request's target.
func TestForwardAuthLogsNoSecrets(t *testing.T) {
	var log bytes.Buffer
	l := newLab(t)
	l.o.Guard.Logger = slog.New(slog.NewTextHandler(&log, nil))
	h := l.endpoint().Confirm()
	for name, tt := range map[string]struct{ target, header, value string }{
		"query":               {"/cb?code=hunter2", "X-Original-Url", "/cb?code=hunter2&x"},
		"other path":          {"/cb?code=hunter2", "X_rewrite.Url", "/admin?code=hunter2"},
		"userinfo":            {"/orders", "X-Original-Url", "http://user:hunter2@api/x"},
		"userinfo, no scheme": {"/orders", "X-Original-Url", "user:hunter2@api/x"},
		"fragment":            {"/orders", "X-Original-Url", "/orders#access_token=hunter2"},
		"target, parameter":   {"/a;b?access_token=hunter2", "X-Other", ""},
		"target, fragment":    {"/a#access_token=hunter2", "X-Other", ""},
		"target, userinfo":    {"//user:hunter2@api/x?t=hunter2", "X-Other", ""},
		"target, whole":       {"https://user:hunter2@api.example.com/orders?t=hunter2", "X-Other", ""},
	} {
		log.Reset()
		r := l.asked(header("X-Forwarded-Uri", tt.target))
		r.Header[tt.header] = []string{tt.value}
		got := l.answer(h, r)
		if line := log.String(); got.StatusCode != 400 || line == "" || strings.Contains(line, "hunter2") {
			t.Errorf("%s: got %d, logged %q", name, got.StatusCode, line)
		}
	}
}
