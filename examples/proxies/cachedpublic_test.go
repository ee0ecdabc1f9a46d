package proxies_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
)

// A cache asks the API with the method that policies and proofs are about.
func TestCachesHead(t *testing.T) {
	for ingress := range cachingProxies {
		t.Run(ingress, func(t *testing.T) {
			need(t, ingress)
			c := newCast(t)
			c.other = c.authority.Client("other")
			l := newCachedLane(t, c, ingress)
			l.outer = func(next http.Handler) http.Handler { return next }
			owner := caller{name: "owner", client: l.owner, token: l.token(l.owner)}
			for _, inner := range []func(http.Handler) http.Handler{l.outer, popauth.PublicAnswers(time.Minute)} {
				for _, path := range []string{"/token/head", "/certificate/head"} {
					method := make(chan string, 1)
					l.handler = inner(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						method <- r.Method
						_, _ = io.WriteString(w, "for owner")
					}))
					if got := through(t, c, l.front, owner, http.MethodHead, path, nil); got != "200 " {
						t.Errorf("%s, HEAD: got %s, want 200", path, got)
					}
					select {
					case got := <-method:
						if got != http.MethodHead {
							t.Errorf("%s: the API saw %s, want HEAD", path, got)
						}
					default:
						t.Errorf("%s: the API saw nothing, want HEAD", path)
					}
					if got := l.tell(t, owner, path, nil); got != "200 for owner" {
						t.Errorf("%s, GET after HEAD: got %s, want the body", path, got)
					}
				}
			}
		})
	}
}

// servesPublic is that the cache is on: what is for everybody, everybody gets from it.
func (l *cachedLane) servesPublic(t *testing.T) {
	l.outer = func(next http.Handler) http.Handler { return next }
	l.handler = popauth.PublicAnswers(time.Minute)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "schema")
	}))
	for path, owner := range map[string]caller{
		"/certificate/schema": {name: "owner", client: l.owner},
		"/token/schema":       {name: "owner", client: l.owner, token: l.token(l.owner)},
	} {
		before := l.spy.Ran()
		if got := l.tell(t, owner, path, nil); got != "200 schema" {
			t.Fatalf("%s, owner: got %s", path, got)
		}
		want := "200 schema"
		if l.name == "apache" && strings.HasPrefix(path, "/token/") {
			want = "401" // httpd keeps no answer to a request with Authorization
		}
		if got := l.tell(t, caller{}, path, nil); got != want || l.spy.Ran() != before+1 {
			t.Errorf("%s, nobody: got %s, the handler ran %d times, want %s, once: is the cache on?", path, got, l.spy.Ran()-before, want)
		}
	}
}

// keepsPrivate is that of a route for everybody nobody gets an error, or a cookie, out of the cache.
func (l *cachedLane) keepsPrivate(t *testing.T) {
	schema := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "schema") })
	plain := func(next http.Handler) http.Handler { return next }
	session := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("Set-Cookie", "sid=secret")
			next.ServeHTTP(w, r)
		})
	}
	for _, tt := range []struct {
		name    string
		handler http.Handler
		outer   func(http.Handler) http.Handler
		first   string
	}{
		{"an error", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "down", http.StatusServiceUnavailable)
		}), plain, "503"},
		{"no such file", http.FileServer(http.Dir(t.TempDir())), plain, "404"},
		{"a redirect", http.RedirectHandler("/login", http.StatusMovedPermanently), plain, "301"},
		{"a cookie of the handler's", session(schema), plain, "200 schema"},
		{"a cookie from outside", schema, session, "200 schema"},
		{"a panic", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("down") }), recovering, "500"},
	} {
		for path, owner := range map[string]caller{
			"/certificate/": {name: "owner", client: l.owner}, "/token/": {name: "owner", client: l.owner, token: l.token(l.owner)},
		} {
			path += strings.ReplaceAll(tt.name, " ", "-")
			l.outer, l.handler = tt.outer, popauth.PublicAnswers(time.Minute)(tt.handler)
			if got := l.tell(t, owner, path, nil); got != tt.first {
				t.Errorf("%s, %s: got %s, want %s", path, tt.name, got, tt.first)
			}
			l.outer, l.handler = plain, popauth.PublicAnswers(time.Minute)(schema)
			before := l.spy.Ran()
			if got := l.tell(t, owner, path, nil); got != "200 schema" || l.spy.Ran() != before+1 {
				t.Errorf("%s after %s: got %s, the handler ran %d times, want schema, from the API", path, tt.name, got, l.spy.Ran()-before)
			}
		}
	}
}

func recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
