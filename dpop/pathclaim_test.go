package dpop_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A policy on a path's value allows nobody where there is no value, nor where the token has no claim.
func TestPathClaim(t *testing.T) {
	l := lab.New(t)
	spy := &popauthtest.Spy{}
	tenant := l.Guard().Authorize(popauth.PathClaim("tenant", "tenant"))
	inside := http.NewServeMux()
	inside.Handle("GET /{tenant}/orders", tenant(spy))
	plain := http.NewServeMux()
	plain.Handle("GET /{tenant}/orders", spy)
	with := chi.NewRouter()
	with.With(tenant).Get("/{tenant}/orders", spy.ServeHTTP)
	use := chi.NewRouter()
	use.Use(tenant)
	use.Get("/{tenant}/orders", spy.ServeHTTP)
	other := http.NewServeMux()
	other.Handle("GET /{organisation}/orders", tenant(spy))
	for name, h := range map[string]http.Handler{"ServeMux": inside, "chi With": with, "around ServeMux": tenant(plain), "chi Use": use,
		"another name": other} {
		works := name == "ServeMux" || name == "chi With"
		for _, tt := range []struct {
			claims popauthtest.Claims
			ok     bool
		}{
			{popauthtest.Claims{"tenant": "acme"}, works}, {popauthtest.Claims{"tenant": "globex"}, false},
			{popauthtest.Claims{"tenant": ""}, false},
			{popauthtest.Claims{}, false}, {popauthtest.Claims{"tenant": nil}, false},
			{popauthtest.Claims{"tenant": []string{"acme"}}, false}, {popauthtest.Claims{"tenant": 7}, false},
		} {
			w, before := httptest.NewRecorder(), spy.Ran()
			h.ServeHTTP(w, l.Owner.Request("GET", "/acme/orders", l.Bound(tt.claims)))
			if ran := spy.Ran() > before; ran != tt.ok || !ran && w.Code != 403 {
				t.Errorf("%s %v: got %d, ran %t, want %t", name, tt.claims, w.Code, ran, tt.ok)
			}
		}
	}
	mustPanic(t, func() { popauth.PathClaim("", "tenant") })
	mustPanic(t, func() { popauth.PathClaim("tenant", "") })
}

// With one name for two values in the pattern, nobody knows which of them a handler reads.
func TestPathClaimNameTwice(t *testing.T) {
	l := lab.New(t)
	spy := &popauthtest.Spy{}
	tenant := l.Guard().Authorize(popauth.PathClaim("tenant", "tenant"))
	mounted := func(outer, inner string) http.Handler {
		in, out := chi.NewRouter(), chi.NewRouter()
		in.With(tenant).Get(inner, spy.ServeHTTP)
		out.Mount(outer, in)
		return out
	}
	for _, tt := range []struct {
		outer, inner, path string
		ok                 bool
	}{
		{"/{tenant}", "/x/{tenant}", "/globex/x/acme", false},
		{"/{tenant}", "/x/{tenant}", "/acme/x/acme", false},
		{"/{tenant:[a-z]+}", "/x/{tenant:[a-z]+}", "/globex/x/acme", false},
		{"/{tenant}", "/x/{tenants}", "/acme/x/globex", true},
		{"/{other}", "/x/{tenant}", "/globex/x/acme", true},
		{"/{other}", "/x/{tenant}", "/acme/x/globex", false},
	} {
		w, before := httptest.NewRecorder(), spy.Ran()
		mounted(tt.outer, tt.inner).ServeHTTP(w, l.Owner.Request("GET", tt.path, l.Bound(popauthtest.Claims{"tenant": "acme"})))
		if ran := spy.Ran() > before; ran != tt.ok || !ran && w.Code != 403 {
			t.Errorf("%s%s, %s: got %d, ran %t, want %t", tt.outer, tt.inner, tt.path, w.Code, ran, tt.ok)
		}
	}
}

func mustPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	f()
}

// A proof is for this API's own name, whatever the sender's Host; unless RequestURL was chosen.
func TestTargetOwnHost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		dpop  dpop.Options
		other bool // a proof for another host passes with that Host
	}{
		{name: "BaseURL", dpop: dpop.Options{BaseURL: "https://api.example.com"}},
		{name: "RequestURL", dpop: dpop.Options{URL: dpop.RequestURL}, other: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := lab.NewDPoPAPI(t, tt.dpop, func(o *popauth.Options) { o.Deny = nil })
			for _, host := range []string{"api.example.com", "evil.example"} {
				r := a.Request(lab.Fields{"htu": "https://" + host + "/orders"})
				r.Host = host
				before := a.Spy.Ran()
				a.Serve(r)
				if ran := a.Spy.Ran() > before; ran != (tt.other || host == "api.example.com") {
					t.Errorf("VULNERABLE: a proof for %s, Host: %s: ran %t", host, host, ran)
				}
			}
		})
	}
	// An API that publishes its name has no Confirmer that goes by Host by accident: there is none without a URL.
	if d, err := dpop.New(dpop.Options{}); d != nil || err == nil || !strings.Contains(err.Error(), "set BaseURL to this API's own name") {
		t.Errorf("got %v, %v, want an error that says what to set", d, err)
	}
}
