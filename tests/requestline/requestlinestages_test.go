package requestline_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Each rule's error says what to change, and a log line has room for it, however long what came is.
func TestRequestLineErrorSaysWhatToChange(t *testing.T) {
	cures := map[string]string{
		"percent-encoding other":      "RequestLine.Handler around all routers decodes it, AllowOtherEncodings lets it be",
		"encoded slash":               "RequestLine.AllowEncodedSlash",
		"empty segment":               "RequestLine.AllowEmptySegments",
		"dot segment":                 "the client has to send another path",
		"backslash":                   "the client has to send another path",
		"encoded control character":   "the client has to send another path",
		"encoded percent sign":        "the client has to send another path",
		"character that no path has":  "the client has to send another path",
		"neither a path nor":          "the client has to send a path",
		"asterisk of OPTIONS":         "the client has to send a path",
		"authority of CONNECT":        "the client has to send a path",
		"without a path":              "give Request.URL a Path",
		"not what the request line":   "RequestLine.AllowRewrittenURL",
		"has lost the RawPath":        "RequestLine.Handler around all routers decodes",
		"no spelling of its Path":     `set RawPath to ""`,
		"header with another method":  "RequestLine.AllowMethodOverride",
		"more than 8 KiB":             "the client has to send a shorter path",
		"no token in upper case":      "the client has to send the method in upper case",
		"path parameter":              "RequestLine.AllowPathParameters",
		"does not begin with a slash": "set Request.RequestURI before http.StripPrefix",
	}
	var log bytes.Buffer
	l := lab.New(t)
	change := func(o *popauth.Options) { o.Logger, o.LogPerMinute = slog.New(slog.NewTextHandler(&log, nil)), -1 }
	strict, loose := l.Guard(change), l.Guard(change, func(o *popauth.Options) { o.RequestLine.AllowRewrittenURL = true })
	other := l.Guard(change, func(o *popauth.Options) { o.RequestLine.AllowOtherEncodings = true })
	check := func(g *popauth.Guard, r *http.Request) {
		t.Helper()
		log.Reset()
		lab.Send(g.Confirm, r).Refused(t, 400, "")
		line := log.String()
		if strings.Contains(line, `, \"\":`) {
			t.Errorf("logged %q, a comparison with nothing", line)
		}
		for rule, cure := range cures {
			if strings.Contains(line, rule) {
				if delete(cures, rule); !strings.Contains(line, strings.ReplaceAll(cure, `"`, `\"`)) {
					t.Errorf("logged %q, want %q", line, cure)
				}
				return
			}
		}
		for _, tt := range twoReadings {
			if strings.Contains(line, tt.rule) {
				return
			}
		}
		t.Errorf("logged %q, want a rule", line)
	}
	long := "/" + strings.Repeat("ü\"", 90)
	for _, tt := range twoReadings {
		target := tt.target
		if strings.HasPrefix(target, "/") && target != "/private/.." && !strings.HasSuffix(target, "//") {
			target += long
		}
		check(strict, asServed(t, target, l.Owner.Request("GET", "/", l.Bound())))
	}
	of := func(line, path, raw string) *http.Request {
		r := l.Owner.Request("GET", "/", l.Bound())
		r.RequestURI, r.URL = line, &url.URL{Path: path, RawPath: raw}
		return r
	}
	check(strict, of("*", "*", ""))
	check(strict, of("/orders"+long, "/admin"+long, ""))
	check(other, of("/orders%40", "/orders@", ""))
	check(strict, of("", "orders", ""))
	check(loose, of("/orders", "/a"+long, "/b"+long))
	connect, opaque, override := of("api.example.com:443", "", ""), of("/orders", "/orders", ""), of("/orders", "/orders", "")
	connect.Method, opaque.URL.Opaque = http.MethodConnect, "x"
	override.Header.Set("X-HTTP-Method", "DELETE"+long)
	check(strict, connect)
	check(strict, opaque)
	check(strict, override)
	lower := of("/orders", "/orders", "")
	lower.Method = "delete" + strings.Repeat("x", 90)
	check(strict, lower)
	deep := "/" + strings.Repeat("a", 8<<10)
	check(strict, of(deep, deep, ""))
	lab.Send(strict.Confirm, of(deep[:8<<10]+"?"+deep, deep[:8<<10], "")).Passed(t)
	for rule := range cures {
		t.Errorf("%s: not tried, or said otherwise", rule)
	}
}

// A proof opens all stages of a Guard, with http.StripPrefix between two of them.
func TestRequestLineStripPrefixBetweenStages(t *testing.T) {
	for name, line := range map[string]popauth.RequestLine{"strict": {}, "AllowRewrittenURL": {AllowRewrittenURL: true}} {
		for _, target := range []string{"/api/orders", "/api", "/api/", "/api/users/a%40b"} {
			for _, prefix := range []string{"/api", "/api/"} {
				for _, adapter := range []bool{false, true} {
					t.Run(fmt.Sprint(name, target, prefix, adapter), func(t *testing.T) {
						a := lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.RequestLine = line })
						a.Handler = popauth.RequestLine{}.Handler(a.Guard.Authenticate(http.StripPrefix(prefix, a.Guard.Confirm(a.Spy))))
						r := a.Key.Request("GET", "https://api.example.com"+target, a.Token)
						if lab.Retarget(r, target); adapter {
							r.RequestURI = ""
						}
						if !strings.HasPrefix(target, prefix) {
							return
						}
						a.Accept(t, r)
					})
				}
			}
		}
	}
}

// A request without RequestURI, as adapters make it, has the reading of its URL, or is refused: without a Handler around
// it, http.StripPrefix takes the path that a proof is for.
func TestRequestLineWithoutRequestURI(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	request := func() *http.Request {
		r := a.Key.Request("GET", "https://api.example.com/api/orders", a.Token)
		r.RequestURI = ""
		return r
	}
	a.Handler = a.Guard.Confirm(a.Spy)
	a.Accept(t, request())
	a.Handler = http.StripPrefix("/api", a.Guard.Confirm(a.Spy))
	a.RefuseProof(t, request(), popauth.ErrProofTarget)
	thief := request()
	thief.Header.Set("DPoP", a.Key.Proof("GET", "https://api.example.com/orders", a.Token))
	a.Handler = popauth.RequestLine{}.Handler(http.StripPrefix("/api", a.Guard.Confirm(a.Spy)))
	a.RefuseProof(t, thief, popauth.ErrProofTarget)
	a.Handler = http.StripPrefix("/api/", a.Guard.Confirm(a.Spy))
	a.RefuseLine(t, request())
	// A decision is for its URL, which the stage has made the request line.
	a.Handler = a.Guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := *r.URL
		u.Path = "/admin"
		r.URL = &u
		a.Guard.Confirm(a.Spy).ServeHTTP(w, r)
	}))
	w := httptest.NewRecorder()
	if a.Handler.ServeHTTP(w, request()); w.Code != 400 || a.Spy.Ran() != 1 {
		t.Errorf("VULNERABLE: got %d, ran %d: the decision about another URL", w.Code, a.Spy.Ran())
	}
	for _, u := range []*url.URL{nil, {Path: "orders"}, {Path: "//orders"}, {Path: "/../orders"}, {Path: "/orders", Opaque: "x"},
		{Path: "/a/x", RawPath: "/a%2Fx"}} {
		r := request()
		r.URL = u
		a.Handler = popauth.RequestLine{}.Handler(a.Guard.Confirm(a.Spy))
		w := httptest.NewRecorder()
		if a.Handler.ServeHTTP(w, r); w.Code != 400 || a.Spy.Ran() != 1 {
			t.Errorf("%v: got %d, ran %d, want 400", u, w.Code, a.Spy.Ran())
		}
	}
}

// Middleware that changes the request line inside of a stage, or of a Handler, takes neither the decision nor the
// openings along.
func TestRequestLineChangedInside(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	change := func(line string, both bool, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if both {
				lab.Retarget(r, line)
			}
			r.RequestURI = line
			next.ServeHTTP(w, r)
		})
	}
	for name, tt := range map[string]struct {
		h      func(http.Handler) http.Handler
		target string
		status int
	}{
		"RequestURI alone": {func(h http.Handler) http.Handler { return a.Guard.Confirm(change("/admin", false, h)) }, "/orders", 400},
		"both":             {func(h http.Handler) http.Handler { return a.Guard.Confirm(change("/admin", true, h)) }, "/orders", 401},
		"slash removed":    {func(h http.Handler) http.Handler { return a.Guard.Confirm(change("/orders", true, h)) }, "/orders/", 401},
		"openings": {func(h http.Handler) http.Handler {
			return popauth.RequestLine{AllowEmptySegments: true}.Handler(change("/x//admin", true, h))
		}, "/orders//1", 400},
		"decoded": {func(h http.Handler) http.Handler {
			return popauth.RequestLine{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.RequestURI = "/%61dmin"
				r.URL = &url.URL{Path: "/admin"}
				h.ServeHTTP(w, r)
			}))
		}, "/%6Frders", 400},
		"RawPath put back": {func(h http.Handler) http.Handler {
			return popauth.RequestLine{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				u := *r.URL
				u.RawPath = r.RequestURI
				r.URL = &u
				h.ServeHTTP(w, r)
			}))
		}, "/%6Frders", 400},
	} {
		r := a.Key.Request("GET", "https://api.example.com"+tt.target, a.Token)
		lab.Retarget(r, tt.target)
		w, before := httptest.NewRecorder(), a.Spy.Ran()
		if tt.h(a.Guard.Confirm(a.Spy)).ServeHTTP(w, r); w.Code != tt.status || a.Spy.Ran() != before {
			t.Errorf("VULNERABLE: %s: got %d, ran %d, want %d", name, w.Code, a.Spy.Ran()-before, tt.status)
		}
	}
}

// Every opening of a Handler counts for the Guards inside, and those of Handlers outside of each other add up.
func TestRequestLineOpeningsInside(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	rewrite := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u := *r.URL
			u.Path, u.RawPath = "/v2"+u.Path, ""
			r.URL = &u
			next.ServeHTTP(w, r)
		})
	}
	none := func(next http.Handler) http.Handler { return next }
	for name, tt := range map[string]struct {
		line    popauth.RequestLine
		target  string
		change  func(http.Handler) http.Handler
		headers http.Header
	}{
		"AllowEncodedSlash":   {popauth.RequestLine{AllowEncodedSlash: true}, "/a%2Fb", none, nil},
		"AllowEmptySegments":  {popauth.RequestLine{AllowEmptySegments: true}, "/a//b", none, nil},
		"AllowPathParameters": {popauth.RequestLine{AllowPathParameters: true}, "/a;b", none, nil},
		"AllowOtherEncodings": {popauth.RequestLine{AllowOtherEncodings: true}, "/a%40b", none, nil},
		"AllowRewrittenURL":   {popauth.RequestLine{AllowRewrittenURL: true}, "/orders", rewrite, nil},
		"AllowMethodOverride": {popauth.RequestLine{AllowMethodOverride: true}, "/orders", none, http.Header{"X-Http-Method": {"DELETE"}}},
	} {
		for wrapping, h := range map[string]func(http.Handler) http.Handler{
			"Handler": func(next http.Handler) http.Handler { return tt.line.Handler(tt.change(next)) },
			"strict inside": func(next http.Handler) http.Handler {
				return tt.line.Handler(tt.change(popauth.RequestLine{}.Handler(next)))
			},
			"another inside": func(next http.Handler) http.Handler {
				return tt.line.Handler(tt.change(popauth.RequestLine{AllowEmptySegments: true}.Handler(next)))
			},
			"none": func(next http.Handler) http.Handler { return tt.change(next) },
		} {
			t.Run(name+" "+wrapping, func(t *testing.T) {
				spy := &popauthtest.Spy{}
				r := l.Owner.Request("GET", "/", l.Bound())
				lab.Retarget(r, tt.target)
				for header, values := range tt.headers {
					r.Header[header] = values
				}
				w := httptest.NewRecorder()
				h(g.Confirm(spy)).ServeHTTP(w, r)
				if want := wrapping != "none"; (spy.Ran() == 1) != want || !want && w.Code != 400 {
					t.Errorf("got %d, ran %d, want a pass: %t", w.Code, spy.Ran(), want)
				}
			})
		}
	}
}

// What a Guard, or a Handler, opens itself is open inside of a Handler that opens or decodes something else, too.
func TestRequestLineOpeningsOfOneself(t *testing.T) {
	l := lab.New(t)
	change := func(f func(*http.Request)) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				u, h := *r.URL, r.Header.Clone()
				r.URL, r.Header = &u, h
				f(r)
				next.ServeHTTP(w, r)
			})
		}
	}
	for name, tt := range map[string]struct {
		line   popauth.RequestLine
		change func(http.Handler) http.Handler
	}{
		"AllowRewrittenURL": {popauth.RequestLine{AllowRewrittenURL: true}, change(func(r *http.Request) { r.URL.Path = "/v2/orders" })},
		"AllowMethodOverride": {popauth.RequestLine{AllowMethodOverride: true},
			change(func(r *http.Request) { r.Header.Set("X-HTTP-Method", "DELETE") })},
	} {
		for kind, outer := range map[string]popauth.RequestLine{"decodes": {}, "opens": {AllowEmptySegments: true}} {
			for _, inner := range []popauth.RequestLine{{}, tt.line} {
				spy := &popauthtest.Spy{}
				g := l.Guard(func(o *popauth.Options) { o.RequestLine = inner })
				r := l.Owner.Request("GET", "/", l.Bound())
				lab.Retarget(r, map[string]string{"decodes": "/%6Frders", "opens": "//orders"}[kind])
				w := httptest.NewRecorder()
				outer.Handler(tt.change(g.Confirm(spy))).ServeHTTP(w, r)
				if want := reflect.DeepEqual(inner, tt.line); (spy.Ran() == 1) != want || !want && w.Code != 400 {
					t.Errorf("%s, Handler %s: got %d, ran %d, want a pass: %t", name, kind, w.Code, spy.Ran(), want)
				}
			}
			spy := &popauthtest.Spy{}
			r := l.Owner.Request("GET", "/", l.Bound())
			lab.Retarget(r, map[string]string{"decodes": "/%6Frders", "opens": "//orders"}[kind])
			w := httptest.NewRecorder()
			outer.Handler(tt.line.Handler(tt.change(l.Guard().Confirm(spy)))).ServeHTTP(w, r)
			if spy.Ran() != 1 {
				t.Errorf("%s, Handler in one that %s: got %d, want a pass", name, kind, w.Code)
			}
		}
	}
}

// What a Handler further out allows leaves a decision for its path, too.
func TestRequestLineRewrittenInsideHandler(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	rewrite := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := *r.URL
		u.Path = "/admin"
		r.URL = &u
		a.Guard.Confirm(a.Spy).ServeHTTP(w, r)
	})
	a.Handler = popauth.RequestLine{AllowRewrittenURL: true}.Handler(a.Guard.Confirm(rewrite))
	if w := a.Serve(a.Request()); w.Code != http.StatusUnauthorized || a.Spy.Ran() != 0 {
		t.Errorf("VULNERABLE: got %d, ran %d: the decision about another path", w.Code, a.Spy.Ran())
	}
}
