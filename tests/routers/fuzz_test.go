package routers_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
)

// pieces are what targets are made of: schemes, authorities, slashes, dots, escapes, and segments of the routes.
var pieces = []string{
	"/", "//", "http:", "https://", "://", "foo:", "*", "api.example.com", ":443", "user@", "?a=/../%2f", "#",
	".", "..", "%2e", "%2E%2e", "%2f", "%5C", `\`, ";x", "%3B", "%25", "%00", "+", "%2B",
	"/admin", "/users", "/7", "%61dmin", "/close", "/orders", ":cancel", "%3Acancel", "/$all", "%24all", "/", "é", "%C3%A9", "%c3%a9",
	"a|b", "(1)", "~x", "%7E", "x",
}

// spell makes a target of what fuzzing has come up with: bytes that no target has stand for pieces.
func spell(target []byte) string {
	var b strings.Builder
	for _, c := range target {
		switch {
		case c > ' ' && c < 0x7f:
			b.WriteByte(c)
		case c > ' ':
			b.WriteString(pieces[int(c-0x7f+'!')%len(pieces)])
		default:
			b.WriteString(pieces[c])
		}
	}
	return b.String()
}

// reader is what a router has made of a request: an error, if it is not the route of URL.Path.
type reader struct {
	kind
	router  string // the outer one of two
	handler http.Handler
}

func say(route string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, route+"\n"+r.URL.Path) })
}

// readers are all kinds, alone and each within each.
func readers() map[string]reader {
	all, found := kinds(), map[string]reader{}
	for out, k := range all {
		found[out] = reader{k, out, k.build(k.routes, say)}
	}
	for out, k := range all {
		for in := range all {
			inside := found[in]
			found[out+" around "+in] = reader{k, out, k.build(k.routes, func(route string) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					wrong := inside.misread(r)
					if wrong != "" {
						wrong = " and inside " + wrong
					}
					_, _ = io.WriteString(w, route+wrong+"\n"+r.URL.Path)
				})
			})}
		}
	}
	return found
}

// misread is the route that a router takes for a request, if it is another than that of its path, or for another path.
func (k reader) misread(r *http.Request) string {
	before := r.URL.Path
	w := httptest.NewRecorder()
	k.handler.ServeHTTP(w, r.Clone(r.Context()))
	route, path, _ := strings.Cut(w.Body.String(), "\n")
	if before == "" { // of a whole URL: some redirect to /
		return ""
	}
	if w.Code == http.StatusTemporaryRedirect {
		route, path = w.Header().Get("Location"), before
		route, _, _ = strings.Cut(route, "?") // what a query holds need not parse
		if u, err := url.Parse(route); err == nil {
			route = u.Path
		}
	}
	want := k.routeOf(before)
	if known := k.differs(k.router, before); known != "" {
		want = known
	}
	if (w.Code == http.StatusOK || want == before+"/") && route == want && path == before {
		return ""
	}
	return route + " of " + path + " with " + http.StatusText(w.Code)
}

// FuzzRouters: for each request that net/http reads, popauth refuses it, or it is one path for each router, alone and
// within each other, and but for the known differences one route. SEEDS=none leaves out the seeds.
func FuzzRouters(f *testing.F) {
	all := readers()
	if os.Getenv("SEEDS") != "none" {
		for _, target := range targets {
			f.Add([]byte(strings.ReplaceAll(target, "/v1", "")))
		}
		for target := range honest {
			f.Add([]byte(target))
		}
	}
	for _, path := range patternPaths {
		f.Add([]byte(path))
	}
	f.Fuzz(func(t *testing.T, spelled []byte) {
		line := "GET " + spell(spelled) + " HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(line)))
		if err != nil {
			return
		}
		agree := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for name, k := range all {
				if wrong := k.misread(r); wrong != "" {
					t.Fatalf("%q: %s takes %s, want %s of %s", line, name, wrong, k.routeOf(r.URL.Path), r.URL.Path)
				}
			}
		})
		if (popauth.RequestLine{}).Check(r) == nil {
			agree(nil, r)
			return
		}
		popauth.RequestLine{}.Handler(agree).ServeHTTP(httptest.NewRecorder(), r)
	})
}
