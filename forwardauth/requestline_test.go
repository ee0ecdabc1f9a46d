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
)

// A proxy chooses the location, and so the policies, by one reading of the path, and the API its handler by another.
func TestForwardAuthRequestLine(t *testing.T) {
	var log bytes.Buffer
	l := newLab(t)
	l.o.Guard.Logger = slog.New(slog.NewTextHandler(&log, nil))
	asked := false
	policy := popauth.PolicyFunc(func(*http.Request, *popauth.Principal) error { asked = true; return nil })
	strict := l.endpoint().Authorize(policy)
	l.o.AllowPathParameters = true
	parameters := l.endpoint().Authorize(policy)
	l.o.AllowPathParameters, l.o.Guard.RequestLine = false, popauth.RequestLine{AllowEncodedSlash: true, AllowMethodOverride: true}
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
		{"encoded parameter", target("/admin%3Bx/1"), "percent-encoding other", ""},
		{"method override", header("X-Http-Method-Override", "DELETE"), "another method", "slash"},
		{"method override, underscores", header("X_http_method_override", "DELETE"), "another method", "slash"},
		{"method override, X-HTTP-Method", header("X-Http-Method", "DELETE"), "another method", "slash"},
		{"the same method", header("X-Method-Override", "GET"), "", ""},
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
		{"the same URL", header("X-Original-Url", "https://api.example.com/orders?page=2"), "", ""},
		{"the same target", header("X-Rewrite-Url", "/orders?page=2"), "", ""},
		{"question with dots", question("/auth/orders/..%2fadmin"), "dot segment", ""},
		{"question with two slashes", question("/auth//orders"), "empty segment", ""},
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
				t.Errorf("VULNERABLE: got %d %v, asked %t, logged %q, want 400 for %s", got.StatusCode, l.reason, asked, log.String(), tt.rule)
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

// Where the proxy's report says which host a proof is for, New says so.
func TestForwardAuthAnyHost(t *testing.T) {
	own, err := popauth.BaseURL("https://api.example.com")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		id    string
		c     popauth.Confirmer
		warns bool
	}{
		"no name": {"", popauth.DPoP{}, true}, "no name, pointer": {"", &popauth.DPoP{}, true},
		"Resource.ID": {"https://api.example.com", popauth.DPoP{}, false}, "URL": {"", popauth.DPoP{URL: own}, false}, "no DPoP": {"", popauth.MutualTLS{}, false},
	} {
		var log bytes.Buffer
		l := newLab(t)
		l.o.Guard.Logger = slog.New(slog.NewTextHandler(&log, nil))
		l.o.Guard.Resource.ID, l.o.Guard.Confirmers = tt.id, []popauth.Confirmer{tt.c}
		l.endpoint()
		if got := log.String(); strings.Contains(got, "DPoP proofs for any host: X-Forwarded-Host says which") != tt.warns || tt.warns && !strings.Contains(got, "Guard.Resource.ID") {
			t.Errorf("%s: logged %q", name, got)
		}
	}
}

// With a name of its own an endpoint takes proofs for that name only, whatever host the proxy reports.
func TestForwardAuthRequestLineHost(t *testing.T) {
	l := newLab(t)
	token := l.issuer.Token(l.key.Bound())
	l.o.Guard.Resource.ID = "https://api.example.com"
	for _, c := range []popauth.Confirmer{popauth.DPoP{}, &popauth.DPoP{}} {
		l.o.Guard.Confirmers = []popauth.Confirmer{c}
		h := l.endpoint().Confirm()
		for host, want := range map[string]int{"api.example.com": 200, "evil.example": 401} {
			proof := l.key.Proof("GET", "https://"+host+"/orders", token)
			if got := l.answer(h, l.asked(header("X-Forwarded-Host", host), header("Authorization", "DPoP "+token), header("Dpop", proof))); got.StatusCode != want {
				t.Errorf("VULNERABLE: %s: got %d %v, want %d", host, got.StatusCode, l.reason, want)
			}
		}
	}
}
