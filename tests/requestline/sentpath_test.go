package requestline_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// honest are targets as clients write them, and the path that each router's handler sees.
var honest = map[string]string{
	"/users/alice":                  "/users/alice",
	"/users/alice%40example.com":    "/users/alice@example.com", // encodeURIComponent
	"/users/12%3A30":                "/users/12:30",
	"/users/a%2Bb":                  "/users/a+b",
	"/users/a+b":                    "/users/a+b",
	"/users/%7Ealice":               "/users/~alice",
	"/users/~alice":                 "/users/~alice",
	"/users/report%20(1)":           "/users/report (1)",
	"/users/report%20%281%29":       "/users/report (1)",
	"/users/J%C3%BCrgen%20M":        "/users/Jürgen M",
	"/users/j%c3%bcrgen!*'":         "/users/jürgen!*'",
	"/users/a%2Cb%3D1%26%24":        "/users/a,b=1&$",
	"/users/100%25":                 "/users/100%",
	"/users/what%3F%23":             "/users/what?#",
	"/users/%61lice?x=%2F..//":      "/users/alice",
	"/users/%F0%9F%98%80%20%5B1%5D": "/users/😀 [1]",
	"/users/a|b%40c":                "/users/a|b@c", // characters that a URI can't have, and clients send
	"/users/{a}^`%40":               "/users/{a}^`@",
	"/users/\"<a>\"%40":             "/users/\"<a>\"@",
	"/users/é%40":                   "/users/é@",
	"/users/a|b":                    "/users/a|b",
}

// Through a gateway that has a Handler around it, an API's DPoP proof counts for the path as the client has sent it.
func TestSentPath(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{BaseURL: "https://api.example.com"})
	b := lab.NewDPoPAPI(t, dpop.Options{BaseURL: "https://api.example.com/v1"})
	seen := ""
	run := func(a *lab.DPoPAPI) *httptest.Server {
		a.Handler = popauth.RequestLine{}.Handler(a.Guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = r.URL.Path
			a.Spy.ServeHTTP(w, r)
		})))
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.Handler.ServeHTTP(w, r) }))
		t.Cleanup(server.Close)
		return server
	}
	proxy := func(to *httptest.Server, change func(*httputil.ProxyRequest)) http.Handler {
		u, err := url.Parse(to.URL)
		if err != nil {
			t.Fatal(err)
		}
		return &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			if p.SetURL(u); change != nil {
				change(p)
			}
		}}
	}
	asSent := func(p *httputil.ProxyRequest) { p.Out.URL.RawPath = popauth.SentPath(p.In) }
	whole, stripped := run(a), run(b)
	mux, c := http.NewServeMux(), chi.NewRouter()
	mux.Handle("/users/", proxy(whole, asSent))
	mux.Handle("/v1/users/", http.StripPrefix("/v1", proxy(stripped, asSent)))
	mux.Handle("/re/", proxy(whole, func(p *httputil.ProxyRequest) { // another path than was sent
		p.Out.URL.Path = "/users/bob"
		asSent(p)
	}))
	c.Handle("/users/*", proxy(whole, asSent))
	c.Handle("/v1/users/*", http.StripPrefix("/v1", proxy(stripped, asSent)))
	for name, router := range map[string]http.Handler{"ServeMux": mux, "chi": c} {
		gateway := httptest.NewServer(popauth.RequestLine{}.Handler(router))
		t.Cleanup(gateway.Close)
		for target, want := range honest {
			for prefix, api := range map[string]*lab.DPoPAPI{"": a, "/v1": b} {
				t.Run(name+" "+prefix+target, func(t *testing.T) {
					seen = ""
					sent, _, _ := strings.Cut(prefix+target, "?")
					if status := through(t, gateway, prefix+target, api, sent); status != 200 || seen != want {
						t.Errorf("got %d, path %q, want 200, %q: %v", status, seen, want, api.Last)
					}
					before := api.Spy.Ran()
					if status := through(t, gateway, prefix+target, api, prefix+"/users/mallory"); status != 401 ||
						api.Spy.Ran() != before {
						t.Errorf("VULNERABLE: got %d for a proof of another path", status)
					}
				})
			}
		}
	}
	gateway := httptest.NewServer(popauth.RequestLine{}.Handler(mux))
	t.Cleanup(gateway.Close)
	before := a.Spy.Ran()
	if status := through(t, gateway, "/re/%40", a, "/re/%40"); status != 401 || a.Spy.Ran() != before {
		t.Errorf("VULNERABLE: got %d: what the proxy sends is not what it has chosen", status)
	}
	// Without it, what the proxy makes of the path isn't what the proof is for: refused.
	plain := httptest.NewServer(popauth.RequestLine{}.Handler(proxy(whole, nil)))
	t.Cleanup(plain.Close)
	if status := through(t, plain, "/users/a%40b", a, "/users/a%40b"); status != 401 || a.Spy.Ran() != before {
		t.Errorf("got %d, want 401", status)
	}
}

// through sends a GET of target with a proof for another path, as api's client, and returns the status.
func through(t *testing.T, gateway *httptest.Server, target string, api *lab.DPoPAPI, proof string) int {
	t.Helper()
	status, _ := rawBody(t, gateway, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: DPoP %s\r\nDPoP: "+
		"%s\r\nConnection: close\r\n\r\n",
		target, api.Token, api.Key.Proof("GET", "https://api.example.com"+proof, api.Token)))
	return status
}

// It is no spelling of a path that the request line doesn't have.
func TestSentPathOf(t *testing.T) {
	for _, tt := range []struct{ line, path, raw, want string }{
		{"/api/a%40b", "/api/a@b", "", "/api/a%40b"},
		{"/api/a%40b?x=1", "/a@b", "", "/a%40b"},
		{"/api/a%40b", "/api/a@b", "/api/a%40b", "/api/a%40b"},
		{"http://api.example.com/a%40b", "/a@b", "", "/a%40b"},
		{"/api/a|b%40c", "/a|b@c", "", "/a%7Cb%40c"},
		{"/api/é%40", "/é@", "", "/%C3%A9%40"},
		{"/api/\xff%40", "/\xff@", "", "/%FF%40"},
		{"/api/a[1]!*'(2)%40", "/a[1]!*'(2)@", "", "/a[1]!*'(2)%40"},
		{"/api/a%2Fb%40", "/a/b@", "/a%2Fb@", "/a%2Fb%40"},
		{"/api/a%40b", "/admin", "", ""},
		{"/api/a%40b", "i/a@b", "", ""},
		{"/api/a%40b", "/admin", "/api/a%40b", ""},
		{"foo:x://b/admin", "/admin", "", ""},
		{"", "/a@b", "", "/a@b"},
		{"", "/a@b", "/a%40b", "/a%40b"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI, r.URL = tt.line, &url.URL{Path: tt.path, RawPath: tt.raw}
		if strings.HasPrefix(tt.line, "http") {
			r.URL.Host = "api.example.com"
		}
		if got := popauth.SentPath(r); got != tt.want {
			t.Errorf("%s, URL.Path %s: got %q, want %q", tt.line, tt.path, got, tt.want)
		}
	}
	if got := popauth.SentPath(&http.Request{}); got != "" {
		t.Errorf("no URL: got %q", got)
	}
}
