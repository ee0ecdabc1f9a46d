package requestline_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// twoReadings are targets that programs read differently, and the rule that each breaks.
var twoReadings = []struct{ target, rule string }{
	{"/x/../private/s.txt", "dot segment"},
	{"/./private/s.txt", "dot segment"},
	{"/private/..", "dot segment"},
	{"/x/%2e%2E/private/s.txt", "dot segment"},
	{"/x/.%2e/private/s.txt", "dot segment"},
	{"/x/..;a/private/s.txt", "dot segment"},
	{"/x/..%3ba/private/s.txt", "dot segment"},
	{"/x/..%2fprivate/s.txt", "dot segment"},
	{"/x/..%5cprivate/s.txt", "dot segment"},
	{"//private/s.txt", "empty segment"},
	{"/private//s.txt", "empty segment"},
	{"/private/s.txt//", "empty segment"},
	{"/%2fprivate/s.txt", "empty segment"},
	{"/private%2fs.txt", "encoded slash"},
	{"/private%2Fs.txt", "encoded slash"},
	{`/private\s.txt`, "backslash"},
	{"/private%5Cs.txt", "backslash"},
	{"/private/s.txt%00", "encoded control character"},
	{"/private/s.txt%0a", "encoded control character"},
	{"/private/s.txt%7F", "encoded control character"},
	{"/%2570rivate/s.txt", "encoded percent sign"},
	{"/%70rivate/s.txt", "percent-encoding other than net/url's own"},
	{"/private/%73.txt", "percent-encoding other than net/url's own"},
	{"/orders%3Acancel", "percent-encoding other than net/url's own"},
	{"/%40me", "percent-encoding other than net/url's own"},
	{"/%c3%a9", "percent-encoding other than net/url's own"},
	{"/%C3%A9/(1)", "percent-encoding other than net/url's own"},
	{"/private;x/s.txt", "path parameter"},
	{"/private/s.txt;jsessionid=1", "path parameter"},
	{"/private/s.txt#x", "character that no path has"},
	{"http:/admin/purge://x/close", "neither a path nor an http URL with a host"},
	{"http:a://b/close", "neither a path nor an http URL with a host"},
	{"a://api.example.com/close", "neither a path nor an http URL with a host"},
	{"http:///close", "neither a path nor an http URL with a host"},
	{"http://user@api.example.com/close", "neither a path nor an http URL with a host"},
	{"foo:x://b/close", "neither a path nor an http URL with a host"},
	{"https://api.example.com/x/../close", "dot segment"},
}

// oneReading are targets that all read alike, with their path.
var oneReading = map[string]string{
	"/": "/", "/orders": "/orders", "/orders/": "/orders/", "/orders?a=/../%2f//": "/orders", "/a%20b": "/a b", "/%C3%A9": "/é", "/é": "/é",
	"/.well-known/x": "/.well-known/x", "/...": "/...", "/a..b/c..": "/a..b/c..", "/a(1)!*'": "/a(1)!*'", "/a=1,2": "/a=1,2",
	"/orders:cancel": "/orders:cancel", "/@me/$x+y&z": "/@me/$x+y&z", "/100%25": "/100%", "/a%3Fb%23c": "/a?b#c", "/a|b": "/a|b",
	"/~a":                             "/~a",
	"http://api.example.com/orders?x": "/orders", "HTTPS://api.example.com": "", "http://api.example.com?a=b": "",
}

// asServed is a GET of this target, as net/http hands it to a handler.
func asServed(tb testing.TB, target string, of *http.Request) *http.Request {
	tb.Helper()
	r := of.Clone(of.Context())
	r.Method, r.RequestURI = http.MethodGet, target
	u, err := url.ParseRequestURI(target)
	if err != nil {
		tb.Skip("net/http refuses it")
	}
	if r.URL = u; u.Host != "" {
		r.Host = u.Host
	}
	return r
}

// Every stage refuses a request with two readings before it looks at credentials, for every kind of token, and says why.
func TestRequestLineStages(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	l := lab.New(t)
	key := popauthtest.NewProofKey(t, "")
	key.Now = l.Clock.Now
	g := l.Guard(func(o *popauth.Options) {
		o.Logger, o.LogPerMinute = logger, -1
		o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}
	})
	dpopToken := l.Issuer.Token(key.Bound(), popauthtest.Claims{"scope": "orders.read"})
	credentials := map[string]func(path string) *http.Request{
		"bearer":      func(string) *http.Request { return l.Owner.Request("GET", "/", l.Unbound()) },
		"certificate": func(string) *http.Request { return l.Owner.Request("GET", "/", l.Bound()) },
		"DPoP": func(path string) *http.Request {
			r := l.Owner.Request("GET", "/", "")
			r.Host = "api.example.com"
			r.Header.Set("Authorization", "DPoP "+dpopToken)
			r.Header.Set("DPoP", key.Proof("GET", "https://api.example.com"+path, dpopToken))
			return r
		},
	}
	// The proof a thief would choose: for the path that some reader sees.
	proofs := []string{"/close", "/s.txt", "/private/s.txt"}
	stages := map[string]func(http.Handler) http.Handler{
		"Authenticate": g.Authenticate, "Confirm": g.Confirm, "Authorize": g.Authorize(popauth.Scope("orders.read")),
		"RequireCertificate":         clientcert.Require(nil, clientcert.Thumbprint(l.Owner.Thumbprint())),
		"RequireCertificate, source": clientcert.Require(popauth.TLSCertificate(), clientcert.Thumbprint(l.Owner.Thumbprint())),
	}
	for _, tt := range twoReadings {
		for kind, request := range credentials {
			for _, proof := range proofs {
				t.Run(kind+" "+tt.target+" "+proof, func(t *testing.T) {
					r := asServed(t, tt.target, request(proof))
					for name, stage := range stages {
						log.Reset()
						if o := lab.Send(stage, r); o.Ran || o.Status != 400 {
							t.Errorf("VULNERABLE: %s: got %d, ran %t, want 400", name, o.Status, o.Ran)
						}
						if got := log.String(); !strings.HasPrefix(name, "Require") &&
							(!strings.Contains(got, tt.rule) || !strings.Contains(got, string(popauth.ErrRequestLine))) {
							t.Errorf("%s: logged %q, want the rule %q", name, got, tt.rule)
						}
					}
					for name, err := range map[string]error{
						"Check": second(g.Check(r)), "Recheck": second(g.Recheck(r)),
						"CheckCertificate":   second(clientcert.Check(r, nil)),
						"RecheckCertificate": second(clientcert.Recheck(r)),
						"RequestLine.Check":  popauth.RequestLine{}.Check(r),
					} {
						if !errors.Is(err, popauth.ErrRequestLine) || !strings.Contains(err.Error(), tt.rule) {
							t.Errorf("%s: got %v, want %s", name, err, tt.rule)
						}
					}
				})
			}
		}
	}
	for target, path := range oneReading {
		for kind, request := range credentials {
			t.Run(kind+" "+target, func(t *testing.T) {
				written := path // as the client signs it
				if strings.HasPrefix(target, "/") {
					written, _, _ = strings.Cut(target, "?")
				}
				for name, stage := range stages {
					if kind == "bearer" && name == "Confirm" {
						continue
					}
					r := asServed(t, target, request(written))
					if lab.Send(stage, r).Passed(t); path != r.URL.Path {
						t.Errorf("%s: got %q, want %q", target, r.URL.Path, path)
					}
				}
			})
		}
	}
}

func second[T any](_ T, err error) error { return err }

// CONNECT and OPTIONS * name no resource.
func TestRequestLineForms(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	for _, tt := range []struct{ method, target, rule string }{
		{"CONNECT", "api.example.com:443", "authority of CONNECT"},
		{"OPTIONS", "*", "asterisk of OPTIONS"},
		{"GET", "*", "asterisk of OPTIONS"},
	} {
		r := l.Owner.Request(tt.method, "/", l.Bound())
		r.RequestURI, r.URL = tt.target, &url.URL{Host: tt.target}
		lab.Send(g.Confirm, r).Refused(t, 400, "")
		if err := (popauth.RequestLine{}).Check(r); err == nil || !strings.Contains(err.Error(), tt.rule) {
			t.Errorf("%s %s: got %v, want %s", tt.method, tt.target, err, tt.rule)
		}
	}
	for _, u := range []*url.URL{nil, {Opaque: "x", Path: "/"}} {
		r := l.Owner.Request("GET", "/", l.Bound())
		r.URL = u
		lab.Send(g.Confirm, r).Refused(t, 400, "")
	}
	// HTTP/2 has no absolute-form.
	r := asServed(t, "https://evil.example/orders", l.Owner.Request("GET", "/", l.Bound()))
	r.ProtoMajor = 2
	lab.Send(g.Confirm, r).Refused(t, 400, "")
	r.ProtoMajor, r.URL.Host = 1, "api.example.com"
	lab.Send(g.Confirm, r).Refused(t, 400, "")
}

// What middleware outside has made of Request.URL is what the line says, or its rest behind a prefix.
func TestRequestLineRewritten(t *testing.T) {
	l := lab.New(t)
	strict, loose := l.Guard(), l.Guard(func(o *popauth.Options) { o.RequestLine.AllowRewrittenURL = true })
	for _, tt := range []struct {
		target, path, raw string
		ok                bool
	}{
		{"/api/orders/1", "/api/orders/1", "", true},
		{"/api/orders/1", "/orders/1", "", true},   // StripPrefix("/api")
		{"/api/orders/1", "orders/1", "", true},    // StripPrefix("/api/")
		{"/api/orders/1", "", "", true},            // all of it
		{"?page=2", "", "", true},                  // as middleware strips the line, too
		{"?page=2", "/", "", true},                 //
		{"?page=2", "/admin", "", false},           //
		{"/api/caf%C3%A9/a%20b", "/a b", "", true}, //
		{"/api/a(1)", "/a(1)", "/a(1)", true},      //
		{"/api/orders/1", "rders/1", "", false},    // not at the border of a segment
		{"/api/orders/1", "/admin/1", "", false},   //
		{"/api/orders/1", "/api/orders/1/", "", false},
		{"/api/orders/1", "/v1/api/orders/1", "", false},
		{"/api/orders/1", "/orders/1", "/admin/1", false},
		{"/api/x(1)", "(1)", "%281%29", false}, // not at the border of a segment, either
		{"/api/x%281%29", "(1)", "%281%29", false},
		{"/api/a%20b", "/a b", "/admin%2F1", false},
		{"/api/a%20b", "/admin", "/a%20b", false},
	} {
		r := l.Owner.Request("GET", "/", l.Bound())
		r.RequestURI, r.URL = tt.target, &url.URL{Path: tt.path, RawPath: tt.raw}
		if tt.ok {
			lab.Send(strict.Confirm, r).Passed(t)
		} else {
			lab.Send(strict.Confirm, r).Refused(t, 400, "")
			if err := (popauth.RequestLine{}).Check(r); err == nil ||
				!strings.Contains(err.Error(), "Request.URL is not what the request line says") {
				t.Errorf("%s: got %v", tt.path, err)
			}
		}
		if read, err := url.PathUnescape(tt.raw); tt.raw == "" || err == nil && read == tt.path {
			lab.Send(loose.Confirm, r).Passed(t)
		} else { // chi goes by RawPath, ServeMux by Path
			lab.Send(loose.Confirm, r).Refused(t, 400, "")
		}
	}
	for path, raw := range map[string]string{"/x/../admin": "", "//admin": "", "/admin": "/%61dmin", "/a/admin": "/a%2Fadmin",
		"x/../admin": "", "/a|admin": "/a|%61dmin"} {
		r := l.Owner.Request("GET", "/orders", l.Bound())
		r.URL.Path, r.URL.RawPath = path, raw
		lab.Send(loose.Confirm, r).Refused(t, 400, "")
	}
	// A router that has gone by the escaped path must not be contradicted by one that sees none.
	r := asServed(t, "/%70rivate", l.Owner.Request("GET", "/", l.Bound()))
	r.URL.RawPath = ""
	lab.Send(strict.Confirm, r).Refused(t, 400, "")
	lab.Send(l.Guard(func(o *popauth.Options) { o.RequestLine.AllowOtherEncodings = true }).Confirm, r).Refused(t, 400, "")
}

// Each opening opens its rule and no other.
func TestRequestLineAllow(t *testing.T) {
	l := lab.New(t)
	openings := map[string]popauth.RequestLine{
		"encoded slash": {AllowEncodedSlash: true}, "empty segment": {AllowEmptySegments: true},
		"percent-encoding other than net/url's own": {AllowOtherEncodings: true}, "path parameter": {AllowPathParameters: true},
	}
	for rule, line := range openings {
		g := l.Guard(func(o *popauth.Options) { o.RequestLine = line })
		for _, tt := range twoReadings {
			t.Run(rule+" "+tt.target, func(t *testing.T) {
				r := asServed(t, tt.target, l.Owner.Request("GET", "/", l.Bound()))
				outer := line.Handler(clientcert.Require(nil,
					clientcert.Thumbprint(l.Owner.Thumbprint()))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
				w := httptest.NewRecorder()
				outer.ServeHTTP(w, r)
				o := lab.Send(g.Confirm, r)
				if tt.rule == rule && tt.target != "/%2fprivate/s.txt" {
					if o.Passed(t); w.Code != 200 {
						t.Errorf("RequireCertificate: got %d, want 200", w.Code)
					}
				} else {
					o.Refused(t, 400, "")
					if want := 400; tt.rule != "percent-encoding other than net/url's own" && w.Code != want {
						t.Errorf("RequireCertificate: got %d, want %d", w.Code, want)
					}
				}
			})
		}
	}
}

func TestRequestLineMethodOverride(t *testing.T) {
	var log bytes.Buffer
	l := lab.New(t)
	g := l.Guard(func(o *popauth.Options) { o.Logger, o.LogPerMinute = slog.New(slog.NewTextHandler(&log, nil)), -1 })
	open := l.Guard(func(o *popauth.Options) { o.RequestLine.AllowMethodOverride = true })
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		for _, values := range [][]string{{"DELETE"}, {"delete"}, {"POST", "DELETE"}, {"DELETE", "POST"}, {"POST, DELETE"}} {
			r := l.Owner.Request("POST", "/orders", l.Bound())
			r.Header[http.CanonicalHeaderKey(name)] = values
			log.Reset()
			lab.Send(g.Confirm, r).Refused(t, 400, "")
			if !strings.Contains(log.String(), "header with another method than the request") {
				t.Errorf("%s: logged %q", name, log.String())
			}
			lab.Send(clientcert.Require(nil, clientcert.Thumbprint(l.Owner.Thumbprint())), r).Refused(t, 400, "")
			lab.Send(open.Confirm, r).Passed(t)
		}
		for _, same := range []string{"POST", ""} { // as after an override outside
			r := l.Owner.Request("POST", "/orders", l.Bound())
			r.Header.Set(name, same)
			lab.Send(g.Confirm, r).Passed(t)
		}
	}
}

// No decision is inherited by another method or another path, whoever makes a request of the first one.
func TestDecisionIsForOneLine(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.RequestLine.AllowRewrittenURL = true })
	for name, change := range map[string]func(*http.Request){
		"method":      func(r *http.Request) { r.Method = "DELETE" },
		"target":      func(r *http.Request) { lab.Retarget(r, "/admin") },
		"URL":         func(r *http.Request) { r.URL.Path = "/admin" },
		"handmade":    func(r *http.Request) { lab.Retarget(r, "/admin"); r.RequestURI = "" },
		"empty line":  func(r *http.Request) { r.RequestURI = "" },
		"method, new": func(r *http.Request) { *r = *r.Clone(r.Context()); r.Method = "PUT" },
	} {
		t.Run(name, func(t *testing.T) {
			spy := &popauthtest.Spy{}
			var rechecked error
			inner := a.Guard.Confirm(spy)
			h := a.Guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				u := *r.URL
				r.URL = &u
				change(r)
				_, rechecked = a.Guard.Recheck(r)
				inner.ServeHTTP(w, r)
			}))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, a.Request())
			if spy.Ran() != 0 || w.Code != 401 || !errors.Is(rechecked, popauth.ErrUndecided) {
				t.Errorf("VULNERABLE: got %d, ran %d, Recheck %v: the decision about another request", w.Code, spy.Ran(), rechecked)
			}
		})
	}
}

var folders = fstest.MapFS{"public.txt": {Data: []byte("PUBLIC")}, "private/s.txt": {Data: []byte("SECRET")}}

// Policies by folder over a catch-all: the folder's file is served under the folder's policy only, whatever the spelling.
func TestRequestLineCatchAll(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	read, admin := g.Authorize(popauth.Scope("orders.read")), g.Authorize(popauth.Scope("admin"))
	fs := http.FileServerFS(folders)
	backend := httptest.NewServer(fs)
	t.Cleanup(backend.Close)
	to, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	gateway := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	handlers := map[string]http.Handler{}
	for name, inside := range map[string]http.Handler{"FileServer": fs, "ReverseProxy": gateway} {
		mux := http.NewServeMux()
		mux.Handle("/", read(inside))
		mux.Handle("/private/", admin(inside))
		c := chi.NewRouter()
		c.With(read).Handle("/*", inside)
		c.With(admin).Handle("/private/*", inside)
		twice := chi.NewRouter()
		twice.Use(g.Confirm)
		twice.With(read).Get("/{dir}/{file}", func(w http.ResponseWriter, r *http.Request) {
			dir, _ := url.PathUnescape(chi.URLParam(r, "dir"))
			file, _ := url.PathUnescape(chi.URLParam(r, "file"))
			http.ServeFileFS(w, r, folders, dir+"/"+file)
		})
		twice.With(admin).Get("/private/{file}", inside.ServeHTTP)
		handlers["ServeMux "+name], handlers["chi "+name], handlers["chi parameters "+name] = mux, c, twice
		// Where the catch-all is public, only Handler helps.
		open := http.NewServeMux()
		open.Handle("/", inside)
		open.Handle("/private/", admin(inside))
		openChi := chi.NewRouter()
		openChi.Handle("/*", inside)
		openChi.With(admin).Handle("/private/*", inside)
		handlers["Handler, public ServeMux "+name] = popauth.RequestLine{}.Handler(open)
		handlers["Handler, public chi "+name] = popauth.RequestLine{}.Handler(openChi)
	}
	for name, h := range handlers {
		for _, target := range append([]struct{ target, rule string }{{"/private/s.txt", ""}}, twoReadings...) {
			t.Run(name+" "+target.target, func(t *testing.T) {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, asServed(t, target.target, l.Owner.Request("GET", "/", l.Bound())))
				if strings.Contains(w.Body.String(), "SECRET") {
					t.Errorf("VULNERABLE: %s: got %d %q without the scope", target.target, w.Code, w.Body)
				}
			})
		}
	}
}

// Handler decodes for everybody inside what needs no encoding, and a proof stays for what was sent.
func TestRequestLineHandler(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	c := chi.NewRouter()
	seen := ""
	c.With(a.Guard.Confirm).Get("/users/{user}", func(_ http.ResponseWriter, r *http.Request) {
		seen = chi.URLParam(r, "user") + " " + r.URL.EscapedPath()
		a.Spy.ServeHTTP(httptest.NewRecorder(), r)
	})
	a.Handler = popauth.RequestLine{}.Handler(http.StripPrefix("/v1", c))
	for target, want := range map[string]string{
		"/v1/users/%7Ealice":            "~alice /users/~alice",
		"/v1/users/alice%40example.com": "alice@example.com /users/alice@example.com",
		"/v1/users/caf%c3%a9":           "café /users/caf%C3%A9",
		"/v1/users/report%20(1)":        "report (1) /users/report%20%281%29",
		"/v1/users/alice":               "alice /users/alice",
		"/v1/%75sers/alice":             "alice /users/alice",
	} {
		seen = ""
		r := a.Key.Request("GET", "https://api.example.com"+target, a.Token)
		lab.Retarget(r, target)
		if a.Accept(t, r); seen != want {
			t.Errorf("%s: got %q, want %q", target, seen, want)
		}
		r = a.Key.Request("GET", "https://api.example.com"+target, a.Token, lab.Fields{"htu": "https://api.example.com/v1/users/bob"})
		lab.Retarget(r, target)
		a.RefuseProof(t, r, popauth.ErrProofTarget)
	}
	var log bytes.Buffer
	spy := &popauthtest.Spy{}
	logged := popauth.RequestLine{Logger: slog.New(slog.NewTextHandler(&log, nil)), LogPerMinute: -1}.Handler(spy)
	for _, tt := range twoReadings {
		if strings.HasPrefix(tt.rule, "percent-encoding") {
			continue
		}
		t.Run(tt.target, func(t *testing.T) {
			log.Reset()
			w := httptest.NewRecorder()
			logged.ServeHTTP(w, asServed(t, tt.target, httptest.NewRequest("GET", "/", nil)))
			if w.Code != 400 || spy.Ran() != 0 || !strings.Contains(log.String(), tt.rule) {
				t.Errorf("got %d, ran %d, logged %q", w.Code, spy.Ran(), log.String())
			}
		})
	}
	// What was decoded for one request line is not decoded for another.
	h := popauth.RequestLine{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lab.Retarget(r, "/%70rivate")
		r.URL.RawPath = ""
		a.Guard.Authenticate(spy).ServeHTTP(w, r)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, asServed(t, "/%41", httptest.NewRequest("GET", "/", nil)))
	if w.Code != 400 || spy.Ran() != 0 {
		t.Errorf("VULNERABLE: got %d, ran %d", w.Code, spy.Ran())
	}
	defer func() {
		if recover() == nil {
			t.Error("nil handler: no panic")
		}
	}()
	popauth.RequestLine{}.Handler(nil)
}

// Over the wire: whatever net/http accepts, the handler of another route doesn't run for a proof of /close.
func TestRequestLineOverTheWire(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	say := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "RAN "+s) })
	}
	mux := http.NewServeMux()
	c := chi.NewRouter()
	for pattern, h := range map[string]http.Handler{"/admin/": say("admin"), "/accounts/{id}/close": say("accounts"),
		"/close": say("close"), "/": say("root")} {
		mux.Handle(pattern, h)
		if pattern == "/admin/" {
			pattern = "/admin/*"
		}
		c.Handle(pattern, h)
	}
	for name, h := range map[string]http.Handler{"ServeMux": mux, "chi": c} {
		server := httptest.NewServer(a.Guard.Confirm(h))
		t.Cleanup(server.Close)
		host := server.Listener.Addr().String()
		for _, target := range []string{"/close", "/admin/../close", "/admin/%2e%2e/close", "/accounts/%2e%2e/close", "/x/../close",
			"http:a://b/close", "http:a://b/close/../close", "foo:x://b/close", "http:/admin/purge://x/close", "a://" + host + "/close"} {
			status, body := rawBody(t, server, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: DPoP %s\r\nDPoP: "+
				"%s\r\nConnection: close\r\n\r\n",
				target, host, a.Token, a.Key.Proof("GET", "http://"+host+"/close", a.Token)))
			if target == "/close" && body != "RAN close" || target != "/close" && (status != 400 || strings.Contains(body, "RAN")) {
				t.Errorf("VULNERABLE: %s: %s: got %d %q", name, target, status, body)
			}
		}
	}
}

func rawBody(t *testing.T, server *httptest.Server, request string) (int, string) {
	t.Helper()
	resp := lab.RawResponse(t, server, request)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// A proof without a token, as to a token endpoint, is for one reading, too.
func TestRequestLineProveKey(t *testing.T) {
	key := popauthtest.NewProofKey(t, "")
	d := lab.Proofs(dpop.Options{})
	for target, ok := range map[string]bool{"/token": true, "/%74oken": false} {
		r := asServed(t, target, key.Request("POST", "https://id.example.com/token", ""))
		r.Header.Set("DPoP", key.Proof("GET", "https://id.example.com/token", ""))
		if _, err := d.ProveKey(http.Header{}, r, time.Now()); ok != (err == nil) || !ok && !errors.Is(err, popauth.ErrRequestLine) {
			t.Errorf("%s: got %v", target, err)
		}
	}
}
