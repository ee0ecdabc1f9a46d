package requestline_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/internal/uri"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// routes are served by each router of FuzzRequestLine; a trailing slash stands for all below.
var routes = []string{"/admin/", "/close", "/orders:cancel/", "/$all/", "/café/", "/a|b", "/"}

func say(route string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, route+"\n"+r.URL.Path) })
}

// within answers for both routers, so that one that chooses another route than that inside shows.
func within(route string, inside http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner := httptest.NewRecorder()
		inside.ServeHTTP(inner, r)
		if inner.Code != 200 {
			w.WriteHeader(inner.Code)
			return
		}
		if got, _, _ := strings.Cut(inner.Body.String(), "\n"); got != route {
			_, _ = io.WriteString(w, route+" outside of "+got+"\n")
			return
		}
		_, path, _ := strings.Cut(inner.Body.String(), "\n")
		_, _ = io.WriteString(w, route+"\n"+path)
	})
}

func serveMux(h func(string) http.Handler) http.Handler {
	m := http.NewServeMux()
	for _, route := range routes {
		m.Handle((&url.URL{Path: route}).EscapedPath(), h(route))
	}
	return m
}

func chiMux(h func(string) http.Handler) http.Handler {
	c := chi.NewRouter()
	for _, route := range routes {
		pattern := route
		if strings.HasSuffix(route, "/") {
			pattern += "*"
		}
		c.Handle(pattern, h(route))
	}
	return c
}

// routeOf is the route of a path, decoded once.
func routeOf(p string) string {
	for _, route := range routes {
		if p == route || strings.HasSuffix(route, "/") && strings.HasPrefix(p, route) {
			return route
		}
	}
	return ""
}

// upstream is a transport that reads the request which a proxy sends, as a server does.
type upstream struct{ seen *http.Request }

func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return nil, err
	}
	var err error
	if u.seen, err = http.ReadRequest(bufio.NewReader(&b)); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
}

// pieces are what targets are made of: schemes, authorities, slashes, dots, escapes, and segments of the routes.
var pieces = []string{
	"/", "//", "http:", "https://", "://", "foo:", "*", "api.example.com", ":443", "user@", "?a=/../%2f", "#",
	".", "..", "%2e", "%2E%2e", "%2f", "%5C", `\`, ";x", "%3B", "%25", "%00",
	"/admin", "%61dmin", "/close", "/orders", ":cancel", "%3Acancel", "/$all", "%24all", "/caf", "\u00e9", "%C3%A9", "%c3%a9", "a|b",
	"(1)", "~x", "%7E", "x",
}

// spell makes a target of what fuzzing has come up with. Bytes that no target has stand for pieces, so that a change of
// one byte is one of the grammar, and a seed reads as it is.
func spell(target []byte) string {
	var b strings.Builder
	for _, c := range target {
		if c > ' ' && c < 0x7f {
			b.WriteByte(c)
			continue
		}
		if c > ' ' {
			c -= 0x7f - '!'
		}
		b.WriteString(pieces[int(c)%len(pieces)])
	}
	return b.String()
}

// unspelled is the inverse of spell, for seeds.
func unspelled(tb testing.TB, target string) []byte {
	tb.Helper()
	b := []byte(strings.ReplaceAll(target, "\u00e9", string(rune(slices.Index(pieces, "\u00e9")))))
	if got := spell(b); got != target {
		tb.Fatalf("seed %q is spelled %q", target, got)
	}
	return b
}

// FuzzRequestLine: for each request that net/http reads, popauth refuses it, or it is one method and one path for
// ServeMux and chi, alone and nested, for a reverse proxy and who is behind it, for a file server, for who decodes and
// then cleans, for who decodes twice, for DPoP, for policies, and for forwardauth. SEEDS=none leaves out the seeds, to
// see how long finding takes.
func FuzzRequestLine(f *testing.F) {
	issuer := popauthtest.NewIssuer(lab.FuzzTB{TB: f})
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		f.Fatal(err)
	}
	token := "Bearer " + issuer.Token()
	var seen *http.Request
	policy := popauth.PolicyFunc(func(r *http.Request, _ *popauth.Principal) error { seen = r; return nil })
	peer, err := proxy.Trusted(proxy.TrustPeers(netip.MustParsePrefix("192.0.2.1/32")))
	if err != nil {
		f.Fatal(err)
	}
	endpoint, err := forwardauth.New(forwardauth.Options{Guard: issuer.Options(), Headers: forwardauth.Traefik(), Proxy: peer})
	if err != nil {
		f.Fatal(err)
	}
	ask := endpoint.Authorize(policy)
	mux, c := serveMux(say), chiMux(say)
	readers := map[string]http.Handler{
		"ServeMux": mux, "chi": c,
		"ServeMux around chi": serveMux(func(s string) http.Handler { return within(s, c) }),
		"chi around ServeMux": chiMux(func(s string) http.Handler { return within(s, mux) }),
		"chi around chi":      chiMux(func(s string) http.Handler { return within(s, c) }),
	}
	if os.Getenv("SEEDS") != "none" {
		for _, tt := range twoReadings {
			f.Add("GET", unspelled(f, tt.target), "")
		}
		for target := range oneReading {
			f.Add("POST", unspelled(f, target), "")
		}
		f.Add("POST", []byte("/orders"), "DELETE")
		f.Add("POST", []byte("/orders"), "post")
	}
	f.Add("GET", []byte("/close"), "")
	f.Fuzz(func(t *testing.T, method string, spelled []byte, override string) {
		target := spell(spelled)
		line := method + " " + target + " HTTP/1.1\r\nHost: api.example.com\r\n"
		if override != "" {
			line += "X-HTTP-Method-Override: " + override + "\r\n"
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(line + "\r\n")))
		if err != nil || method == http.MethodHead {
			return
		}
		r.RemoteAddr = "192.0.2.1:1"
		seen = nil
		guarded := r.Clone(t.Context())
		guarded.Header.Set("Authorization", token)
		_, refused := guard.Check(guarded, policy)
		question := httptest.NewRequest("GET", "/auth", nil)
		question.RemoteAddr = "192.0.2.1:1"
		question.Header = http.Header{"Authorization": {token}, "X-Forwarded-Method": {r.Method}, "X-Forwarded-Uri": {r.RequestURI},
			"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {r.Host}}
		if override != "" {
			question.Header["X-Http-Method-Override"] = r.Header["X-Http-Method-Override"]
		}
		if refused != nil {
			if seen != nil {
				t.Fatalf("%q: a policy was asked about what is refused", line)
			}
			// Handler passes on what it can decode: then the readers agree inside of it.
			inside := httptest.NewRecorder()
			popauth.RequestLine{}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, d *http.Request) {
				agree(t, line, d, readers)
			})).ServeHTTP(inside, r)
			if ask.ServeHTTP(inside, question); seen != nil && strings.HasPrefix(target, "/") && (popauth.RequestLine{}).Check(r) != nil {
				t.Fatalf("%q: forwardauth allows what popauth refuses: %v", line, refused)
			}
			return
		}
		if seen == nil || seen.URL.Path != r.URL.Path && seen.URL.Path+r.URL.Path != "/" || seen.Method != r.Method {
			t.Fatalf("%q: the policy saw %v", line, seen)
		}
		for _, value := range r.Header["X-Http-Method-Override"] {
			if value != "" && strings.ToUpper(value) != r.Method { // as grpc-gateway writes it
				t.Fatalf("%q: %s is %s for grpc-gateway", line, r.Method, value)
			}
		}
		agree(t, line, r, readers)
		seen = nil
		if ask.ServeHTTP(httptest.NewRecorder(), question); seen != nil && (seen.Method != r.Method || seen.URL.Path != r.URL.Path) {
			t.Fatalf("%q: forwardauth sees %s %q, popauth %s %q", line, seen.Method, seen.URL.Path, r.Method, r.URL.Path)
		}
	})
}

// agree asserts that all read r.URL.Path.
func agree(t *testing.T, line string, r *http.Request, readers map[string]http.Handler) {
	t.Helper()
	own := dpop.RequestURL(r)
	p := r.URL.Path
	if p == "" {
		p = "/"
	}
	if own != nil && own.Path != p { // nil, for a Host that is none, refuses every proof
		t.Fatalf("%q: DPoP is for %v, the path is %q", line, own, p)
	}
	for name, h := range readers {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.Clone(t.Context()))
		if r.Method == http.MethodConnect && w.Code != 200 || w.Code == 405 {
			continue // chi knows the methods that there are
		}
		route, path, _ := strings.Cut(w.Body.String(), "\n")
		if w.Code == 307 && (r.URL.Path == "" || routeOf(p+"/") != routeOf(p)) {
			continue // ServeMux sends /admin to /admin/, and a whole URL without a path to /
		}
		if route != routeOf(p) || path != r.URL.Path {
			t.Fatalf("%q: %s takes the route %q of %q (%d), want %q of %q", line, name, route, path, w.Code, routeOf(p), p)
		}
	}
	trailing := func(s string) string { return strings.TrimSuffix(s, "/") }
	if got := path.Clean(p); trailing(got) != trailing(p) {
		t.Fatalf("%q: a file server takes %q for %q", line, p, got)
	}
	if got, err := url.PathUnescape(p); err == nil && got != p {
		t.Fatalf("%q: who decodes twice takes %q for %q", line, p, got)
	}
	if strings.ContainsAny(p, "\x00\r\n\\") {
		t.Fatalf("%q: %q has what programs cut at or take for a slash", line, p)
	}
	base, _ := url.Parse("http://upstream.example")
	for name, rewrite := range map[string]func(*httputil.ProxyRequest){
		"a proxy":               func(p *httputil.ProxyRequest) { p.SetURL(base) },
		"a proxy with SentPath": func(p *httputil.ProxyRequest) { p.SetURL(base); p.Out.URL.RawPath = popauth.SentPath(p.In) },
	} {
		up := &upstream{}
		w := httptest.NewRecorder()
		(&httputil.ReverseProxy{Rewrite: rewrite, Transport: up}).ServeHTTP(w, r.Clone(t.Context()))
		if up.seen == nil {
			continue // it sent nothing
		}
		if up.seen.URL.Path != p || up.seen.Method != r.Method {
			t.Fatalf("%q: behind %s it is %s %q, want %s %q", line, name, up.seen.Method, up.seen.URL.Path, r.Method, p)
		}
		came, _, _ := strings.Cut(r.RequestURI, "?")
		sent, _, _ := strings.Cut(up.seen.RequestURI, "?")
		if encoded := uri.Sendable(came); strings.HasPrefix(came, "/") && strings.HasSuffix(name, "SentPath") && sent != encoded {
			t.Fatalf("%q: behind %s it is %q, want %q", line, name, sent, encoded)
		}
	}
}
