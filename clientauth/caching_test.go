package clientauth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// outside is a handler further out that announces what everybody may keep.
func outside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Cache-Control": "public, max-age=60", "CDN-Cache-Control": "max-age=60", "Expires": "Fri, 01 Jan 2100 00:00:00 GMT",
			"ETag": `"a"`, "Content-Encoding": "br", "Content-Length": "7",
		} {
			w.Header().Set(name, value)
		}
		next.ServeHTTP(w, r)
	})
}

// Refusals are kept by nobody, and what Deny makes of one is a refusal.
func TestRefusalIsNotKept(t *testing.T) {
	ca := popauthtest.NewCA(t)
	clients := clientauth.Static{"a": {thumbprint(t, ca.Client("a"))}}
	early := header("Early-Data", "1")
	for name, tt := range map[string]struct {
		deny   func(http.ResponseWriter, *http.Request, *clientauth.Error)
		change []func(*http.Request)
		status int
	}{
		"WriteError":             {nil, nil, 401},
		"WriteError, early data": {nil, []func(*http.Request){early}, 425},
		"nothing":                {func(http.ResponseWriter, *http.Request, *clientauth.Error) {}, nil, 401},
		"200": {func(w http.ResponseWriter, _ *http.Request, _ *clientauth.Error) {
			w.Header().Set("Cache-Control", "public, max-age=60")
			w.WriteHeader(200)
		}, nil, 401},
		"200, early data": {func(w http.ResponseWriter, _ *http.Request, _ *clientauth.Error) { w.WriteHeader(200) },
			[]func(*http.Request){early}, 425},
		"not modified": {func(w http.ResponseWriter, r *http.Request, _ *clientauth.Error) {
			http.ServeContent(w, r, "a.txt", time.Unix(1, 0), strings.NewReader("refused"))
		}, []func(*http.Request){header("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"), header("Range", "bytes=0-1")}, 401},
	} {
		a := newAuth(t, clientauth.Options{Clients: clients, Deny: tt.deny})
		spy := &popauthtest.Spy{}
		w := httptest.NewRecorder()
		outside(a.Handler(spy)).ServeHTTP(w, post(&popauthtest.Client{}, "client_id=a", tt.change...))
		if w.Code != tt.status || spy.Ran() > 0 {
			t.Errorf("%s: got %d, ran %d, want %d", name, w.Code, spy.Ran(), tt.status)
		}
		kept(t, name, w.Header(), "no-store")
		if name == "not modified" && w.Body.String() != "refused" {
			t.Errorf("%s: got %q, want all of it", name, w.Body)
		}
	}
	zero := httptest.NewRecorder()
	outside(new(clientauth.Authenticator).Handler(&popauthtest.Spy{})).ServeHTTP(zero, post(ca.Client("a"), "client_id=a"))
	kept(t, "zero", zero.Header(), "no-store")

	w := httptest.NewRecorder()
	spy := &popauthtest.Spy{}
	outside(newAuth(t, clientauth.Options{Clients: clients}).Handler(spy)).ServeHTTP(w, post(ca.Client("a"), "client_id=a"))
	if spy.Ran() != 1 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Expires") != "" {
		t.Errorf("passed on: got %q, ran %d, want no-store", w.Header(), spy.Ran())
	}
}

// A Deny that says public and panics leaves nothing for a recoverer further out to send with its 500.
func TestDenyPanics(t *testing.T) {
	a := newAuth(t, clientauth.Options{
		Clients: clientauth.Static{"a": {thumbprint(t, popauthtest.NewCA(t).Client("a"))}},
		Deny: func(w http.ResponseWriter, _ *http.Request, _ *clientauth.Error) {
			outside(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("deny") })).ServeHTTP(w, nil)
		},
	})
	spy := &popauthtest.Spy{}
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if got := recover(); got != "deny" {
				t.Errorf("got panic %v, want that of Deny", got)
			}
			w.WriteHeader(http.StatusInternalServerError)
		}()
		a.Handler(spy).ServeHTTP(w, post(&popauthtest.Client{}, "client_id=a"))
	}()
	if w.Code != 500 || spy.Ran() > 0 {
		t.Errorf("got %d, ran %d, want 500", w.Code, spy.Ran())
	}
	kept(t, "panic", w.Header(), "no-store")
}

func kept(t *testing.T, name string, h http.Header, want string) {
	t.Helper()
	if len(h["Cache-Control"]) != 1 || h.Get("Cache-Control") != want {
		t.Errorf("%s: got Cache-Control %q, want %s", name, h["Cache-Control"], want)
	}
	for _, field := range []string{"CDN-Cache-Control", "Expires", "ETag", "Last-Modified"} {
		if h.Get(field) != "" {
			t.Errorf("%s: got %s: %s", name, field, h.Get(field))
		}
	}
	if h.Get("Content-Encoding") != "" {
		t.Errorf("%s: got Content-Encoding: %s", name, h.Get("Content-Encoding"))
	}
}
