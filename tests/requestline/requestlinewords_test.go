package requestline_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A semicolon is refused in both spellings, before credentials are looked at, and allowed in both.
func TestRequestLinePathParameters(t *testing.T) {
	allowing := popauth.RequestLine{AllowPathParameters: true}
	l := lab.New(t)
	for _, target := range []string{
		"/admin;x/users", "/admin%3Bx/users", "/admin%3bx/users", "/admin/users;jsessionid=1", "/;/admin", "/admin/%3B",
	} {
		spy := &popauthtest.Spy{}
		r := asServed(t, target, l.Owner.Request("GET", "/", l.Bound()))
		for name, h := range map[string]http.Handler{
			"Guard": l.Guard().Confirm(spy), "Handler": popauth.RequestLine{}.Handler(spy),
			"other openings": popauth.RequestLine{AllowEncodedSlash: true, AllowEmptySegments: true,
				AllowOtherEncodings: true}.Handler(spy),
		} {
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != 400 || spy.Ran() != 0 {
				t.Errorf("VULNERABLE: %s, %s: got %d, ran %d, want 400", name, target, w.Code, spy.Ran())
			}
		}
		if err := (popauth.RequestLine{}).Check(r); err == nil || !strings.Contains(err.Error(), "path parameter") {
			t.Errorf("%s: got %v, want the rule", target, err)
		}
		w := httptest.NewRecorder()
		if allowing.Handler(l.Guard().Confirm(spy)).ServeHTTP(w, r); spy.Ran() != 1 {
			t.Errorf("%s: got %d, want a pass", target, w.Code)
		}
	}
}

// A server behind that puts methods in upper case runs DELETE for delete, under the policies of all others.
func TestRequestLineMethodLetters(t *testing.T) {
	l := lab.New(t)
	for method, ok := range map[string]bool{
		"GET": true, "VERSION-CONTROL": true, "M-SEARCH": true, "X1": true, "": true,
		"delete": false, "Get": false, "gET": false, "DELETe": false, "PO ST": false, "DELETE\r\nX: y": false, "PO\u017fT": false,
	} {
		spy := &popauthtest.Spy{}
		for name, h := range map[string]http.Handler{
			"Guard": l.Guard().Confirm(spy), "Handler": popauth.RequestLine{}.Handler(spy),
			"RequireCertificate":   clientcert.Require(nil, clientcert.Thumbprint(l.Owner.Thumbprint()))(spy),
			"override is allowed":  popauth.RequestLine{AllowMethodOverride: true}.Handler(spy),
			"rewriting is allowed": popauth.RequestLine{AllowRewrittenURL: true}.Handler(spy),
		} {
			r := l.Owner.Request("GET", "/orders", l.Bound())
			r.Method = method
			w, before := httptest.NewRecorder(), spy.Ran()
			if h.ServeHTTP(w, r); (spy.Ran() > before) != ok || !ok && w.Code != 400 {
				t.Errorf("VULNERABLE: %s: %q: got %d, ran %d, want a pass: %t", name, method, w.Code, spy.Ran()-before, ok)
			}
		}
	}
}

// The error of an override names the header, and the same method in other letters is no override.
func TestRequestLineOverrideLetters(t *testing.T) {
	of := func(name, value string) error {
		r := httptest.NewRequest("PATCH", "/orders", nil)
		r.Header[name] = []string{value}
		return popauth.RequestLine{}.Check(r)
	}
	for _, value := range []string{"patch", "Patch", "PATCH", ""} {
		if err := of("X-Http-Method-Override", value); err != nil {
			t.Errorf("%q: got %v, want none", value, err)
		}
	}
	for _, name := range []string{"", "X", "X-Http-Metho"} { // net/http passes on no empty one, but adapters may
		if err := of(name, "PUT"); err != nil {
			t.Errorf("%q: got %v, want none", name, err)
		}
	}
	for _, name := range []string{"X-Http-Method-Override", "X_HTTP.Method"} {
		for _, value := range []string{"PUT", "patc", "patch ", "PATCHx", "PATC\u0268"} {
			if err := of(name, value); err == nil || !strings.Contains(err.Error(), name+`: "`) {
				t.Errorf("VULNERABLE: %s: %q: got %v, want an error that names the header", name, value, err)
			}
		}
	}
}

// Where an encoded slash is allowed it stays one for everybody, beside whatever else a name has. What net/url would write
// otherwise is decoded in URL.RawPath, and a DPoP proof stays for what was sent.
func TestRequestLineEncodedSlashIsKept(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	line := popauth.RequestLine{AllowEncodedSlash: true}
	var seen *http.Request
	inner := chi.NewRouter()
	inner.With(a.Guard.Confirm).Get("/{name}", func(_ http.ResponseWriter, r *http.Request) {
		seen = r
		a.Spy.ServeHTTP(httptest.NewRecorder(), r)
	})
	outer := chi.NewRouter()
	outer.Handle("/projects/{name}", http.StripPrefix("/projects", inner))
	a.Handler = line.Handler(outer)
	for target, want := range map[string]struct{ raw, check string }{ // check: the rule for a Guard without a Handler
		"/projects/group%2Fname":          {"/group%2Fname", ""},
		"/projects/group%2fname":          {"/group%2fname", ""},
		"/projects/group%2Fmy%20name":     {"/group%2Fmy%20name", ""},
		"/projects/J%C3%BCrgen%2Fx":       {"/J%C3%BCrgen%2Fx", ""},
		"/projects/a(1)%2Fb":              {"/a(1)%2Fb", ""},
		"/projects/group%2Fa%40b":         {"/group%2Fa@b", "percent-encoding other"},
		"/%70rojects/group%2fa%7Eb":       {"/group%2Fa~b", "percent-encoding other"},
		"/projects/caf%c3%a9%2F(1)":       {"/caf%C3%A9%2F%281%29", "percent-encoding other"},
		"/projects/a|b%2Fc":               {"/a%7Cb%2Fc", "percent-encoding other"},
		"/projects/é%2Fc":                 {"/%C3%A9%2Fc", "percent-encoding other"},
		"/projects/a%2Fb%2Fc%3A%2F%C3%A9": {"/a%2Fb%2Fc:%2F%C3%A9", "percent-encoding other"},
		"/projects/%2540%2Fx":             {"", "encoded percent sign"},
		"/projects/a%2F..%2Fb%40":         {"", "dot segment"},
		"/projects/a%2F%2Fb%40":           {"", "empty segment"},
	} {
		r := a.Key.Request("GET", "https://api.example.com"+target, a.Token, lab.Fields{"htu": "https://api.example.com" + target})
		lab.Retarget(r, target)
		if err := line.Check(r); (err == nil) != (want.check == "") || err != nil && !strings.Contains(err.Error(), want.check) {
			t.Errorf("%s: Check: got %v, want %q", target, err, want.check)
		}
		seen = nil
		w := a.Serve(r)
		if want.raw == "" {
			if w.Code != 400 || seen != nil {
				t.Errorf("VULNERABLE: %s: got %d", target, w.Code)
			}
			continue
		}
		if seen == nil {
			t.Errorf("%s: got %d, want 200: %v", target, w.Code, a.Last)
			continue
		}
		if seen.URL.RawPath != want.raw || seen.URL.EscapedPath() != want.raw || seen.RequestURI != target {
			t.Errorf("%s: got RawPath %q, escaped %q, line %q, want %q", target, seen.URL.RawPath, seen.URL.EscapedPath(),
				seen.RequestURI, want.raw)
		}
		if sent := popauth.SentPath(seen); sameName(t, "/projects"+sent) != sameName(t, target) {
			t.Errorf("%s: SentPath: got %q", target, sent)
		}
		r = a.Key.Request("GET", "https://api.example.com"+target, a.Token, lab.Fields{"htu": "https://api.example.com/projects/bob"})
		lab.Retarget(r, target)
		a.RefuseProof(t, r, popauth.ErrProofTarget)
	}
}

// sameName is what two spellings have in common: the decoded path, with encoded slashes told apart.
func sameName(t *testing.T, path string) string {
	t.Helper()
	plain, err := url.PathUnescape(strings.NewReplacer("%2F", "\x00", "%2f", "\x00").Replace(path))
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// Nobody inside may make a plain slash of an encoded one, or bring another encoding back.
func TestRequestLineEncodedSlashChangedInside(t *testing.T) {
	l := lab.New(t)
	for name, raw := range map[string]string{
		"dropped": "", "plain": "/admin/y/x@", "as sent": "/admin/y%2Fx%40", "another": "/admin/y%2Fz@", "moved": "/admin%2Fy/x@",
	} {
		for guard, line := range map[string]popauth.RequestLine{"strict": {}, "rewritten": {AllowRewrittenURL: true}} {
			spy := &popauthtest.Spy{}
			g := l.Guard(func(o *popauth.Options) { o.RequestLine = line })
			h := popauth.RequestLine{AllowEncodedSlash: true}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				u := *r.URL
				u.RawPath = raw
				r.URL = &u
				g.Confirm(spy).ServeHTTP(w, r)
			}))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, asServed(t, "/admin/y%2Fx%40", l.Owner.Request("GET", "/", l.Bound())))
			want := guard == "rewritten" && name != "as sent" && name != "another" // that is a rewriting
			if (spy.Ran() == 1) != want || !want && w.Code != 400 {
				t.Errorf("VULNERABLE: %s, %s: got %d, ran %d, want a pass: %t", guard, name, w.Code, spy.Ran(), want)
			}
		}
	}
}

// A log never has a query, a fragment or userinfo, whatever the rule.
func TestRequestLineLogsNoSecrets(t *testing.T) {
	var log bytes.Buffer
	line := popauth.RequestLine{Logger: slog.New(slog.NewTextHandler(&log, nil)), LogPerMinute: -1}
	l := lab.New(t)
	g := l.Guard(func(o *popauth.Options) { o.Logger, o.LogPerMinute = line.Logger, -1 })
	rewritten := l.Guard(func(o *popauth.Options) {
		o.Logger, o.LogPerMinute, o.RequestLine.AllowRewrittenURL = line.Logger, -1, true
	})
	for _, tt := range []struct{ line, path, raw string }{
		{"http://user:hunter2@api/x?access_token=hunter2", "/x", ""},
		{"http://user:hun/ter2@api/x", "/x", ""},
		{"foo:user:hunter2@api/x", "/x", ""},
		{"user:hunter2@api:443", "", ""},
		{"//user:hunter2@api/x?access_token=hunter2", "//user:hunter2@api/x", ""},
		{"/a//b?access_token=hunter2", "/a//b", ""},
		{"/x#access_token=hunter2", "/x#access_token=hunter2", ""},
		{"http://api/x#access_token=hunter2", "/x#access_token=hunter2", ""},
		{"foo:x#hunter2", "/x", ""},
		{"foo:x?hunter2", "/x", ""},
		{"*?hunter2", "*", ""},
		{"/x", "/y?access_token=hunter2", ""},
		{"/x", "/y?access_token=hunter2", "/y?access_token=hunter2"},
		{"/x", "/y", "/z#hunter2"},
	} {
		u := &url.URL{Path: tt.path, RawPath: tt.raw}
		if strings.HasPrefix(tt.line, "http://") {
			u.Host = "api"
		}
		spy := &popauthtest.Spy{}
		for name, h := range map[string]http.Handler{"Handler": line.Handler(spy), "Guard": g.Confirm(spy),
			"rewritten": rewritten.Confirm(spy)} {
			log.Reset()
			r := l.Owner.Request("GET", "/", l.Bound())
			r.RequestURI, r.URL = tt.line, u
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got := log.String(); strings.Contains(got, "hunter") || strings.Contains(got, "ter2") || got == "" && name != "rewritten" {
				t.Errorf("%s: %s: logged %q", name, tt.line, got)
			}
		}
	}
}

// Behind a proxy is a server that cuts parameters off, as those in Java do, and puts methods in upper case: nobody reaches
// what the policies of this side are for by another spelling, with a token or a proof for all else.
func TestRequestLineBehindProxy(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{BaseURL: "https://api.example.com"})
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		segments := strings.Split(r.URL.Path, "/")
		for i := range segments {
			segments[i], _, _ = strings.Cut(segments[i], ";")
		}
		_, _ = io.WriteString(w, "RAN "+strings.ToUpper(r.Method)+" "+strings.Join(segments, "/"))
	}))
	t.Cleanup(behind.Close)
	to, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(to)
		p.Out.URL.RawPath = popauth.SentPath(p.In)
	}}
	admin := a.Guard.Authorize(popauth.Scope("admin"))(proxy)
	mux, c := http.NewServeMux(), chi.NewRouter()
	mux.Handle("/admin/users", admin)
	mux.Handle("DELETE /orders", admin)
	mux.Handle("/", a.Guard.Confirm(proxy))
	c.Handle("/admin/users", admin)
	c.Method("DELETE", "/orders", admin)
	c.Handle("/*", a.Guard.Confirm(proxy))
	for name, router := range map[string]http.Handler{"ServeMux": mux, "chi": c, "ServeMux, no Handler": mux} {
		if !strings.Contains(name, "no Handler") {
			router = popauth.RequestLine{}.Handler(router)
		}
		server := httptest.NewServer(router)
		t.Cleanup(server.Close)
		for _, tt := range []struct {
			method, target string
			status         int
		}{
			{"GET", "/orders", 200}, {"GET", "/admin/users", 403}, {"DELETE", "/orders", 403},
			{"GET", "/admin;x/users", 400}, {"GET", "/admin%3Bx/users", 400}, {"GET", "/admin/users;jsessionid=1", 400},
			{"GET", "/;/admin/users", 400}, {"delete", "/orders", 400}, {"Delete", "/orders", 400},
		} {
			status, body := rawBody(t, server, tt.method+" "+tt.target+" HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n"+
				"Authorization: DPoP "+a.Token+"\r\nDPoP: "+a.Key.Proof(tt.method, "https://api.example.com"+tt.target, a.Token)+"\r\n\r\n")
			if ran := strings.HasPrefix(body, "RAN"); ran != (tt.status == 200) ||
				status != tt.status && !(status == 405 && name == "chi") {
				t.Errorf("VULNERABLE: %s: %s %s: got %d %q, want %d", name, tt.method, tt.target, status, body, tt.status)
			}
		}
	}
}
