package dpop_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// TestTarget compares htu with the target of the request line.
func TestTarget(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.RequestLine.AllowPathParameters = true })
	const site = "https://resource.example.org"
	for _, test := range []struct {
		htu, target string
		same        bool
	}{
		{site + "/admin", "/admin", true},
		{site + "/%61dmin", "/admin", true},
		{site + "/a/../admin", "/admin", true},
		{"https://Resource.Example.ORG/admin", "/admin", true},
		{"HTTPS://resource.example.org/admin", "/admin", true},
		{"http://resource.example.org/admin", "/admin", false},
		{site + "/admin", "/Admin", false},
		{site + "/Admin", "/admin", false},
		{site + "/admin", "/admin/", false},
		{site + "/admin/", "/admin", false},
		{site + ":443/admin", "/admin", true},
		{site + ":8443/admin", "/admin", false},
		{site + "/a%41", "/aA", true},
		{site + "/%7euser", "/~user", true},
		{site + "/a%2Fb", "/a/b", false},
		{site + "/a b", "/a%20b", false},
		{site + "/a%20b", "/a%20b", true},
		{site + "/a+b", "/a%20b", false},
		{site + "/caf%c3%a9", "/caf%C3%A9", true},
		{site + "/café", "/caf%C3%A9", true},
		{site + "/admin#frag", "/admin", true},
		{site + "/admin?q=1#frag", "/admin?q=2", true},
		{site + "/admin", "/admin?q=1", true},
		{site + "?foo=bar", "/?other=val", true},
		{site, "/", true},
		{site + "/", "/", true},
		{site + "/a/..%2Fadmin", "/admin", false},
		{"https://evil.example.com/steal", "/https:/evil.example.com/steal", false},
		{site + "/admin", "/admin;v=1", false},
		{site + "/admin;v=1", "/admin;v=1", true},
		{site + "/admin%00", "/admin", false},
		{site + "/admin", "/admin%23x", false},
		{site + "/admin", "/admin%3Fx", false},
		{"https://user:pass@resource.example.org/admin", "/admin", false},
		{"https://resource.example.org@evil.example.com/admin", "/admin", false},
		{"https://resource.example.org./admin", "/admin", false},
		{"//resource.example.org/admin", "/admin", false},
		{"/admin", "/admin", false},
		{`https:\\resource.example.org\admin`, "/admin", false},
		{"https://resource.example.org\t/admin", "/admin", false},
		// absolute-form, RFC 9112, section 3.2.2
		{site + "/admin", site + "/admin?q=1", true},
		{site + "/admin", site + "/user", false},
		{site + "/", site, true},
		{"https://evil.example.com/admin", site + "/admin", false},
	} {
		t.Run(test.htu+" "+test.target, func(t *testing.T) {
			r := httptest.NewRequest("GET", test.target, nil)
			if !strings.Contains(test.target[:1], "h") {
				r.Host = "resource.example.org"
			}
			r.TLS = &tls.ConnectionState{HandshakeComplete: true}
			r.Header.Set("Authorization", "DPoP "+a.Token)
			r.Header.Set("DPoP", a.Key.Proof("GET", test.htu, a.Token, lab.Fields{"htu": test.htu}))
			if test.same {
				a.Accept(t, r)
			} else {
				a.RefuseProof(t, r, popauth.ErrProofTarget)
			}
		})
	}
}

// What looks like a fragment in a request line is a part of the path for net/http; a proof for the path before it
// must not open what is behind it.
func TestTargetWithHash(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	r := a.Request()
	r.RequestURI = "/orders#/../admin"
	a.RefuseLine(t, r)
	for _, line := range []string{"*", "api.example.com:443", "/or ders", "/%zz", "/%"} {
		r := a.Request()
		r.RequestURI = line
		a.RefuseLine(t, r)
	}
}

func TestTargetMethods(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	a.RefuseLine(t, a.Key.Request("custom", lab.DPoPURL, a.Token))
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "CUSTOM"} {
		a.Accept(t, a.Key.Request(method, lab.DPoPURL, a.Token))
		if method != "POST" {
			a.RefuseProof(t, a.Key.Request(method, lab.DPoPURL, a.Token, lab.Fields{"htm": "POST"}), popauth.ErrProofTarget)
		}
	}
	r := a.Request() // as a handler's own test may make one
	r.Method, r.RequestURI = "", ""
	a.Accept(t, r)
	r = a.Key.Request("GET", "https://api.example.com", a.Token)
	r.RequestURI, r.URL = "", &url.URL{}
	a.Accept(t, r)
}

func TestTargetHost(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	for _, host := range []string{
		"resource.com", "resource.com:8443", "[::1]:3000", "resource.com.", "my_service:8080", "ho~st", "resource.com:65535",
		"RESOURCE.com", "192.0.2.1", "resource.com:443", "resource.com:",
	} {
		r := a.Request(lab.Fields{"htu": "https://" + host + "/orders"})
		r.Host = host
		a.Accept(t, r)
	}
	for _, host := range []string{
		"resource.com/intendedPath?", "resource.com/intendedPath#", "resource.com//evil", "https://resource.com",
		"user:pass@resource.com", "resource.com:notaport", "resource.com:99999", "", "resource.com/orders?", "resource.com?",
		"resource.com#", "resource.com\\", "resource.com,evil.com", "resource.com evil.com", "resource%2ecom", "[::1", "[::1]x",
		"[fe80::1%25eth0]", ":443", "ho!st",
	} {
		for _, htu := range []string{"https://" + host + "/orders", "https://resource.com/orders", "https://resource.com/intendedPath"} {
			r := a.Request(lab.Fields{"htu": htu})
			r.Host = host
			a.RefuseProof(t, r, popauth.ErrProofTarget)
		}
	}
}

// Nothing that a client can send in a header moves the URL.
func TestTargetIgnoresForwardedHeaders(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	for name, value := range map[string]string{
		"X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/admin",
		"X-Forwarded-Uri": "/admin", "X-Original-Url": "/admin", "X-Rewrite-Url": "/admin", "X-Http-Method-Override": "GET",
		"X-Forwarded-Method": "PUT", "X-Forwarded-Port": "80", "Forwarded": "host=evil.example.com;proto=http",
	} {
		r := a.Request()
		r.Header.Set(name, value)
		a.Accept(t, r)
		for _, moved := range []lab.Fields{{"htu": "https://evil.example.com/orders"}, {"htu": "http://api.example.com/orders"},
			{"htu": "https://api.example.com/admin/orders"}, {"htu": "https://api.example.com/admin"}, {"htm": "PUT"}} {
			r := a.Request(moved)
			r.Header.Set(name, value)
			a.RefuseProof(t, r, popauth.ErrProofTarget)
		}
	}
}

// The proof is for what the client has asked, whatever routers have made of r.URL since.
func TestTargetBehindRouters(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	guarded := a.Handler
	mux := http.NewServeMux()
	mux.Handle("/api/", http.StripPrefix("/api", guarded))
	inner := chi.NewRouter()
	inner.Use(a.Guard.Authenticate)
	inner.Get("/orders/{id}", a.Spy.ServeHTTP)
	inner.Get("/orders", a.Spy.ServeHTTP)
	outer := chi.NewRouter()
	outer.Mount("/api", inner)
	stripped := chi.NewRouter()
	stripped.Mount("/api", http.StripPrefix("/api", inner))
	for name, h := range map[string]http.Handler{"StripPrefix": mux, "chi.Mount": outer, "both": stripped} {
		t.Run(name, func(t *testing.T) {
			a.Handler = h
			for _, path := range []string{"/api/orders", "/api/orders?a=1", "/api/orders/a%20b"} {
				a.Accept(t, a.Key.Request("GET", "https://api.example.com"+path, a.Token))
			}
			a.RefuseProof(t, a.Key.Request("GET", "https://api.example.com/api/orders", a.Token, lab.Fields{"htu": lab.DPoPURL}),
				popauth.ErrProofTarget)
		})
	}
}

func TestTargetOverTheWire(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	send := func(t *testing.T, server *httptest.Server, proto int, target string, want int) {
		t.Helper()
		r, err := http.NewRequest("GET", target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "DPoP "+a.Token)
		r.Header.Set("DPoP", a.Key.Proof("GET", target, a.Token))
		client := server.Client()
		if server.TLS != nil {
			client = (*popauthtest.Client)(nil).HTTP(server)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want || resp.ProtoMajor != proto {
			t.Errorf("%s: got %d by HTTP/%d, want %d by HTTP/%d", target, resp.StatusCode, resp.ProtoMajor, want, proto)
		}
	}
	for _, proto := range []int{1, 2} {
		server := popauthtest.NewServer(t, a.Handler, func(c *tls.Config) {
			if proto == 1 {
				c.NextProtos = []string{"http/1.1"}
			}
		})
		for _, target := range []string{"/orders", "/orders?a=1", "/a%20b%3Fc", "/~a/b,c", "", "/a|b"} {
			send(t, server, proto, server.URL+target, http.StatusOK)
		}
	}
	plain := httptest.NewServer(a.Handler)
	t.Cleanup(plain.Close)
	send(t, plain, 1, plain.URL+"/orders", http.StatusOK)

	// absolute-form, as to a proxy, with a Host that says something else: it doesn't count (RFC 9112, section 3.2.2).
	resp := rawExchange(t, plain, fmt.Sprintf("GET http://api.example.com/orders?a HTTP/1.1\r\nHost: evil.example.com\r\n"+
		"Authorization: DPoP %s\r\nDPoP: %s\r\nConnection: close\r\n\r\n", a.Token,
		a.Key.Proof("GET", "http://api.example.com/orders", a.Token)))
	if resp.StatusCode != http.StatusOK {
		t.Errorf("absolute-form: got %d", resp.StatusCode)
	}
	ran := a.Spy.Ran()
	for _, request := range []string{
		"GET /targetPath HTTP/1.1\r\nHost: resource.com/intendedPath?\r\n",
		"GET /targetPath HTTP/1.1\r\nHost: resource.com/intendedPath#\r\n",
		"GET /targetPath HTTP/1.1\r\nHost: resource.com\r\nHost: resource.com/intendedPath?\r\n",
		"GET /targetPath HTTP/1.0\r\n",
		"GET http://resource.com/intendedPath?/../targetPath HTTP/1.1\r\nHost: x@resource.com\r\n",
		"GET //resource.com/intendedPath HTTP/1.1\r\nHost: evil.example.com\r\n",
	} {
		for _, htu := range []string{"http://resource.com/targetPath", "https://resource.com/intendedPath"} {
			resp := rawExchange(t, plain, request+fmt.Sprintf("Authorization: DPoP %s\r\nDPoP: %s\r\nConnection: close\r\n\r\n",
				a.Token, a.Key.Proof("GET", htu, a.Token)))
			if resp.StatusCode < 400 || a.Spy.Ran() != ran {
				t.Errorf("VULNERABLE: %q with a proof for %s: got %d", request, htu, resp.StatusCode)
			}
		}
	}
}

// rawExchange sends bytes that http.Client wouldn't.
func rawExchange(t *testing.T, server *httptest.Server, request string) *http.Response {
	t.Helper()
	resp := lab.RawResponse(t, server, request)
	resp.Body.Close()
	return resp
}
