package routers_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// difference is where a router's patterns match more paths than matches has it. All routers read the same path then, and
// no rule about request lines can help: whoever guards a pattern in a router outside has to know.
type difference struct {
	router, why string // why is in docs/routers.md, as it stands here
	examples    map[string]string
	route       func(k kind, path string) string // the route that the router takes; "" if it takes that of matches
}

var differences = []difference{
	{"ServeMux", "sends `/admin` to `/admin/`", map[string]string{"/admin": "/admin/"}, slashless},
	{"grpc-gateway", "`**` matches nothing, too", map[string]string{"/admin": "/admin/"}, slashless},
	{"grpc-gateway", "`{id}` matches an empty segment", map[string]string{"/users/": "/users/{id}"}, func(_ kind, path string) string {
		if path == "/users/" {
			return "/users/{id}"
		}
		return ""
	}},
	{"echo", "parameter at the end of a pattern takes slashes", map[string]string{
		"/users/7/": "/users/{id}", "/users/7/x": "/users/{id}",
	}, func(_ kind, path string) string {
		if value, ok := strings.CutPrefix(path, "/users/"); ok && strings.Index(value, "/") > 0 {
			return "/users/{id}"
		}
		return ""
	}},
}

func slashless(k kind, path string) string {
	for _, route := range k.routes {
		if route == path+"/" {
			return route
		}
	}
	return ""
}

// differs is the route that a router is known to take of a path, beside what matches says.
func (k kind) differs(router, path string) string {
	for _, d := range differences {
		if d.router == router && d.route(k, path) != "" {
			return d.route(k, path)
		}
	}
	return ""
}

// Each known difference is one, and the page names it.
func TestKnownDifferences(t *testing.T) {
	page, err := os.ReadFile("../../docs/routers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		k := kinds()[d.router]
		for path, want := range d.examples {
			w := httptest.NewRecorder()
			k.build(k.routes, say).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			got, _, _ := strings.Cut(w.Body.String(), "\n")
			if w.Code == http.StatusTemporaryRedirect {
				got = w.Header().Get("Location")
			}
			if got != want || k.routeOf(path) == want || k.differs(d.router, path) != want {
				t.Errorf("%s takes %q of %s, want %q", d.router, got, path, want)
			}
		}
		if !strings.Contains(strings.Join(strings.Fields(string(page)), " "), d.why) {
			t.Errorf("docs/routers.md doesn't say that %s: %s", d.router, d.why)
		}
	}
}

var patternPaths = []string{
	"/admin", "/admin/", "/admin/x", "/admin/x/", "/users", "/users/", "/users/7", "/users/7/", "/users/7/x", "/close", "/close/",
}

// restrictedRan tells whether a reader, or nobody, has run a handler that is for admins.
func restrictedRan(h http.Handler, path, token string) bool {
	r := httptest.NewRequest("GET", path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	popauth.RequestLine{}.Handler(h).ServeHTTP(w, r)
	return strings.HasPrefix(w.Body.String(), "RAN /") && !strings.HasPrefix(w.Body.String(), "RAN /\n")
}

// Policies at the routes of the innermost router, or outside by whole prefixes with and without the slash, hold for each
// pair of routers. By the same patterns outside as inside they don't, exactly where a difference is known.
func TestNestedPatterns(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	g, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	read, admin := g.Authorize(popauth.Scope("read")), g.Authorize(popauth.Scope("admin"))
	type stage = func(http.Handler) http.Handler
	open := func(next http.Handler) http.Handler { return next }
	ran := func(route string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "RAN "+route+"\n") })
	}
	policy := func(route string, rest stage) stage {
		if route == "/" {
			return rest
		}
		return admin
	}
	prefixes := []string{"/", "/admin", "/admin/", "/users", "/users/", "/close", "/close/"}
	for who, rest := range map[string]stage{issuer.Token(popauthtest.Claims{"scope": "read"}): read, "": open} {
		for out, outside := range kinds() {
			for in, inside := range kinds() {
				plain := inside.build(plainRoutes, ran)
				guarded := inside.build(plainRoutes, func(route string) http.Handler { return policy(route, rest)(ran(route)) })
				around := func(routes []string, h http.Handler, choose func(string, stage) stage) http.Handler {
					return outside.build(routes, func(route string) http.Handler { return choose(route, rest)(h) })
				}
				none := func(string, stage) stage { return open }
				for _, path := range patternPaths {
					if restrictedRan(around(plainRoutes, guarded, none), path, who) {
						t.Errorf("VULNERABLE: %s around %s, policies inside: %s", out, in, path)
					}
					if restrictedRan(around(prefixes, plain, policy), path, who) {
						t.Errorf("VULNERABLE: %s around %s, policies outside by prefixes: %s", out, in, path)
					}
					k := kind{routes: plainRoutes}
					want := k.differs(in, path) != "" && in != "ServeMux" && k.differs(out, path) == ""
					if got := restrictedRan(around(plainRoutes, plain, policy), path, who); got != want {
						t.Errorf("%s around %s, policies outside by pattern: %s: got open: %t, want %t", out, in, path, got, want)
					}
				}
			}
		}
	}
}
