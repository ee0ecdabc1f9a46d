package forwardauth_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

const secret = "shared by the proxy and the service"

var proxyPeer = []proxy.Trust{
	proxy.TrustPeers(netip.MustParsePrefix("192.0.2.1/32")), proxy.TrustSecret("X-Proxy-Secret", secret),
}

// lab is an endpoint behind Traefik's headers, unless configured otherwise.
type lab struct {
	testing.TB
	issuer *popauthtest.Issuer
	owner  *popauthtest.Client
	key    *popauthtest.ProofKey
	o      forwardauth.Options
	reason error
}

func newLab(tb testing.TB) *lab {
	l := &lab{TB: tb, issuer: popauthtest.NewIssuer(tb), owner: popauthtest.SelfSigned(tb, "owner"),
		key: popauthtest.NewProofKey(tb, "ES256")}
	l.o = forwardauth.Options{Guard: l.issuer.Options(), Headers: forwardauth.Traefik(), Proxy: trusted(proxyPeer...)}
	l.o.Guard.Certificate = byProxy(proxy.Traefik(), proxyPeer...)
	l.o.Guard.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs(dpop.Options{URL: forwardauth.OriginalURL})}
	l.o.Guard.Deny = func(w http.ResponseWriter, _ *http.Request, e *popauth.Error) {
		l.reason = e
		w.WriteHeader(e.Status())
	}
	return l
}

// proofs panics with what is wrong.
func proofs(o dpop.Options) *dpop.Confirmer {
	d, err := dpop.New(o)
	if err != nil {
		panic(err)
	}
	return d
}

func (l *lab) endpoint() *forwardauth.Endpoint {
	l.Helper()
	e, err := forwardauth.New(l.o)
	if err != nil {
		l.Fatal(err)
	}
	return e
}

// asked is what Traefik asks about GET https://api.example.com/orders?page=2 of the owner, as its ForwardAuth and
// passTLSClientCert send it (https://doc.traefik.io/traefik/middlewares/http/forwardauth/).
func (l *lab) asked(change ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://auth.internal/auth/orders.read", http.NoBody)
	r.RemoteAddr = "192.0.2.1:4711"
	for name, value := range map[string]string{
		"X-Forwarded-Method": "GET", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.example.com",
		"X-Forwarded-Uri": "/orders?page=2", "X-Forwarded-For": "198.51.100.7", "X-Forwarded-Port": "443",
		"X-Proxy-Secret": secret, "X-Forwarded-Tls-Client-Cert": base64.StdEncoding.EncodeToString(l.owner.Certificate.Certificate[0]),
		"Authorization": "Bearer " + l.issuer.Token(l.owner.Bound(), popauthtest.Claims{"scope": "orders.read"}),
	} {
		r.Header.Set(name, value)
	}
	for _, c := range change {
		c(r)
	}
	return r
}

func (l *lab) answer(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	l.reason = nil
	h.ServeHTTP(w, r)
	if identified := w.Header().Get("X-Auth-Issuer") != ""; identified != (w.Code == http.StatusOK) {
		l.Errorf("got %d with %v", w.Code, w.Header())
	}
	return w.Result()
}

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		if r.Header[name] = values; values == nil {
			delete(r.Header, name)
		}
	}
}

func TestForwardAuthRequest(t *testing.T) {
	l := newLab(t)
	h := l.endpoint().Authorize(popauth.Bound(), popauth.Scope("orders.read"))
	long := "/" + strings.Repeat("a", 16<<10)
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		want   error
	}{
		{"as the proxy sends it", func(*http.Request) {}, nil},
		{"POST of it", func(r *http.Request) { r.Method = http.MethodPost }, nil},
		{"another address", func(r *http.Request) { r.RemoteAddr = "192.0.2.2:1" }, popauth.ErrPeerUntrusted},
		{"another address, no secret", func(r *http.Request) { r.RemoteAddr = "192.0.2.2:1"; delete(r.Header, "X-Proxy-Secret") },
			popauth.ErrPeerUntrusted},
		{"no secret", header("X-Proxy-Secret"), popauth.ErrProxySecret},
		{"another secret", header("X-Proxy-Secret", "0123456789abcdef"), popauth.ErrProxySecret},
		{"no method", header("X-Forwarded-Method"), popauth.ErrForwardedRequest},
		{"empty method", header("X-Forwarded-Method", ""), popauth.ErrForwardedRequest},
		{"two methods", header("X-Forwarded-Method", "GET", "GET"), popauth.ErrForwardedRequest},
		{"two methods on a line", header("X-Forwarded-Method", "GET, GET"), popauth.ErrForwardedRequest},
		{"space in the method", header("X-Forwarded-Method", "GET X"), popauth.ErrForwardedRequest},
		{"tab after the method", header("X-Forwarded-Method", "GET\t"), popauth.ErrForwardedRequest},
		{"umlaut in the method", header("X-Forwarded-Method", "GÄT"), popauth.ErrForwardedRequest},
		{"DEL in the method", header("X-Forwarded-Method", "GET\x7f"), popauth.ErrForwardedRequest},
		{"long method", header("X-Forwarded-Method", strings.Repeat("G", 65)), popauth.ErrForwardedRequest},
		{"no URI", header("X-Forwarded-Uri"), popauth.ErrForwardedRequest},
		{"two URIs", header("X-Forwarded-Uri", "/orders", "/orders"), popauth.ErrForwardedRequest},
		{"empty URI", header("X-Forwarded-Uri", ""), popauth.ErrForwardedRequest},
		{"absolute URI", header("X-Forwarded-Uri", "https://api.example.com/orders"), popauth.ErrForwardedRequest},
		{"asterisk", header("X-Forwarded-Uri", "*"), popauth.ErrForwardedRequest},
		{"space in the URI", header("X-Forwarded-Uri", "/orders 1"), popauth.ErrForwardedRequest},
		{"umlaut in the URI", header("X-Forwarded-Uri", "/ü"), popauth.ErrForwardedRequest},
		{"fragment in the URI", header("X-Forwarded-Uri", "/orders#x"), popauth.ErrForwardedRequest},
		{"broken escape", header("X-Forwarded-Uri", "/%zz"), popauth.ErrForwardedRequest},
		{"long URI", header("X-Forwarded-Uri", long), popauth.ErrForwardedRequest},
		{"no scheme", header("X-Forwarded-Proto"), popauth.ErrForwardedRequest},
		{"a WebSocket", header("X-Forwarded-Proto", "wss"), nil},
		{"another scheme", header("X-Forwarded-Proto", "ftp"), popauth.ErrForwardedRequest},
		{"two schemes", header("X-Forwarded-Proto", "https", "http"), popauth.ErrForwardedRequest},
		{"no host", header("X-Forwarded-Host"), popauth.ErrForwardedRequest},
		{"two hosts", header("X-Forwarded-Host", "api.example.com", "evil.example"), popauth.ErrForwardedRequest},
		{"two hosts on a line", header("X-Forwarded-Host", "api.example.com, evil.example"), popauth.ErrForwardedRequest},
		{"host with a path", header("X-Forwarded-Host", "api.example.com/x"), popauth.ErrForwardedRequest},
		{"token in the URI too", header("X-Forwarded-Uri", "/orders?access_token=x"), popauth.ErrCredentialsMalformed},
		{"no certificate", header("X-Forwarded-Tls-Client-Cert"), popauth.ErrCertificateMissing},
		{"two certificate headers", header("X-Forwarded-Tls-Client-Cert", "AAAA", "AAAA"), popauth.ErrCertificateMalformed},
		{"no token", header("Authorization"), popauth.ErrCredentialsMissing},
		{"two tokens", header("Authorization", "Bearer a", "Bearer a"), popauth.ErrCredentialsMalformed},
	} {
		got := l.answer(h, l.asked(tt.change))
		if tt.want == nil && (got.StatusCode != http.StatusOK || got.Header.Get("Cache-Control") != "no-store") ||
			tt.want != nil && (!errors.Is(l.reason, tt.want) || got.StatusCode == http.StatusOK) {
			t.Errorf("%s: got %d %v, want %v", tt.name, got.StatusCode, l.reason, tt.want)
		}
	}
}

// A proof is for the method and the URL that the caller used, not for those of the question.
func TestForwardAuthProof(t *testing.T) {
	l := newLab(t)
	h := l.endpoint().Confirm()
	l.o.Guard.Confirmers = []popauth.Confirmer{proofs(dpop.Options{BaseURL: "https://public.example"})}
	configured := l.endpoint().Confirm()
	token := l.issuer.Token(l.key.Bound())
	for _, tt := range []struct {
		name, method, target string
		h                    http.Handler
		change               func(*http.Request)
		want                 error
	}{
		{name: "the request", method: "GET", target: "https://api.example.com/orders", h: h},
		{name: "with its port", method: "GET", target: "https://api.example.com:443/orders", h: h},
		{name: "the method of the question", method: "GET", target: "https://api.example.com/orders", h: h,
			change: header("X-Forwarded-Method", "POST"), want: popauth.ErrProofTarget},
		{name: "the original method", method: "POST", target: "https://api.example.com/orders", h: h,
			change: header("X-Forwarded-Method", "POST")},
		{name: "a method in lower case", method: "GET", target: "https://api.example.com/orders", h: h,
			change: header("X-Forwarded-Method", "get"), want: popauth.ErrRequestLine},
		{name: "the URL of the question", method: "GET", target: "http://auth.internal/auth/orders.read", h: h,
			want: popauth.ErrProofTarget},
		{name: "another path", method: "GET", target: "https://api.example.com/order", h: h, want: popauth.ErrProofTarget},
		{name: "an encoded slash", method: "GET", target: "https://api.example.com/a/b", h: h,
			change: header("X-Forwarded-Uri", "/a%2Fb"), want: popauth.ErrRequestLine},
		{name: "two slashes", method: "GET", target: "https://evil.example/orders", h: h,
			change: header("X-Forwarded-Uri", "//evil.example/orders"), want: popauth.ErrRequestLine},
		{name: "another host", method: "GET", target: "https://api.example.com/orders", h: h,
			change: header("X-Forwarded-Host", "evil.example"), want: popauth.ErrProofTarget},
		{name: "another scheme", method: "GET", target: "https://api.example.com/orders", h: h,
			change: header("X-Forwarded-Proto", "http"), want: popauth.ErrProofTarget},
		{name: "the configured base", method: "GET", target: "https://public.example/orders", h: configured},
		{name: "another than the configured", method: "GET", target: "https://api.example.com/orders", h: configured,
			want: popauth.ErrProofTarget},
	} {
		r := l.asked(header("Authorization", "DPoP "+token), header("Dpop", l.key.Proof(tt.method, tt.target, token)))
		if tt.change != nil {
			tt.change(r)
		}
		got := l.answer(tt.h, r)
		if tt.want == nil && got.StatusCode != http.StatusOK || tt.want != nil && !errors.Is(l.reason, tt.want) {
			t.Errorf("%s: got %d %v, want %v", tt.name, got.StatusCode, l.reason, tt.want)
		}
	}
}

func TestForwardAuthIdentity(t *testing.T) {
	l := newLab(t)
	l.o.Claims = map[string]string{"x-auth-tenant": "tenant"}
	h := l.endpoint().Authenticate()
	for _, tt := range []struct {
		claims popauthtest.Claims
		want   []string // subject, client, scope, tenant; nil: refused
	}{
		{popauthtest.Claims{"sub": "alice", "client_id": "batch", "scope": "a b", "tenant": "acme"},
			[]string{"alice", "batch", "a b", "acme"}},
		{popauthtest.Claims{"sub": "", "client_id": "", "scope": ""}, []string{"", "", "", ""}},
		{popauthtest.Claims{"sub": "a b,c%d\r\nX: y", "client_id": "ü", "scope": "a,b %20", "tenant": "\x00\x7f"},
			[]string{"a%20b%2Cc%25d%0D%0AX:%20y", "%C3%BC", "a%2Cb %2520", "%00%7F"}},
		{popauthtest.Claims{"tenant": 7}, nil},
		{popauthtest.Claims{"tenant": []string{"acme"}}, nil},
	} {
		token := l.issuer.Token(tt.claims, l.owner.Bound())
		got := l.answer(h, l.asked(header("Authorization", "Bearer "+token)))
		if tt.want == nil {
			if got.StatusCode != http.StatusForbidden || !errors.Is(l.reason, popauth.ErrForbidden) || got.Header["X-Auth-Tenant"] != nil {
				t.Errorf("%v: got %d %v", tt.claims, got.StatusCode, got.Header)
			}
			continue
		}
		want := append([]string{l.issuer.URL, "x5t#S256"}, tt.want...)
		var have []string
		for _, name := range []string{"X-Auth-Issuer", "X-Auth-Binding", "X-Auth-Subject", "X-Auth-Client", "X-Auth-Scope",
			"X-Auth-Tenant"} {
			lines := got.Header[name]
			if len(lines) != 1 {
				t.Fatalf("%v: %s: got %q, want one line", tt.claims, name, lines)
			}
			have = append(have, lines[0])
		}
		if !slices.Equal(have, want) {
			t.Errorf("%v: got %q, want %q", tt.claims, have, want)
		}
		plain, err := url.PathUnescape(have[2])
		if sub, _ := tt.claims["sub"].(string); err != nil || plain != sub {
			t.Errorf("got %q, %v, want %q", plain, err, sub)
		}
	}
	// A bearer token has no binding.
	if got := l.answer(h, l.asked(header("Authorization", "Bearer "+l.issuer.Token()))); got.StatusCode != http.StatusOK ||
		got.Header.Get("X-Auth-Binding") != "" {
		t.Errorf("a bearer token: got %d %v", got.StatusCode, got.Header)
	}
	if got := l.answer(l.endpoint().Confirm(), l.asked(header("Authorization", "Bearer "+
		l.issuer.Token()))); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a bearer token, Confirm: got %d", got.StatusCode)
	}
}

// The connection's own certificate is that of the proxy.
func TestForwardAuthProxyCertificate(t *testing.T) {
	l := newLab(t)
	l.o.Guard.Certificate = nil
	own := func(r *http.Request) {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{l.owner.Certificate.Leaf}}
		leaf, err := x509.ParseCertificate(l.owner.Certificate.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		r.TLS.PeerCertificates[0] = leaf
	}
	if got := l.answer(l.endpoint().Confirm(), l.asked(own)); got.StatusCode != http.StatusUnauthorized ||
		!errors.Is(l.reason, popauth.ErrCertificateMissing) {
		t.Errorf("got %d %v", got.StatusCode, l.reason)
	}
	l.o.Guard.Certificate = byProxy(proxy.Traefik(), proxyPeer...)
	if got := l.answer(l.endpoint().Confirm(), l.asked(own)); got.StatusCode != http.StatusOK {
		t.Errorf("Guard.Certificate: got %d %v", got.StatusCode, l.reason)
	}
}

// A source whose rules don't know the proxy finds the certificate of the connection: nobody is the proxy by its certificate.
func TestProxysCertificateIsNobodys(t *testing.T) {
	l := newLab(t)
	l.o.Guard.Certificate = byProxy(proxy.Traefik(), proxy.TrustPeers(netip.MustParsePrefix("198.51.100.0/24")),
		proxy.TrustSecret("X-Proxy-Secret", secret))
	leaf, err := x509.ParseCertificate(l.owner.Certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	own := func(r *http.Request) {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{leaf}}
	}
	got := l.answer(l.endpoint().Confirm(), l.asked(own))
	if got.StatusCode != http.StatusForbidden || !errors.Is(l.reason, popauth.ErrPeerUntrusted) ||
		!strings.Contains(fmt.Sprint(l.reason), "proxy's own") {
		t.Errorf("got %d %v, want 403, %v and what to change", got.StatusCode, l.reason, popauth.ErrPeerUntrusted)
	}
}

// Policies see the original request, without the proxy's report of it.
func TestForwardAuthPolicy(t *testing.T) {
	l := newLab(t)
	var got *http.Request
	h := l.endpoint().Authorize(popauth.PolicyFunc(func(r *http.Request, _ *popauth.Principal) error {
		got = r
		return nil
	}))
	l.answer(h, l.asked(header("X-Forwarded-Method", "PUT"), header("X-Forwarded-Host", "API.example.com:8443")))
	if got == nil || got.Method != "PUT" || got.URL.Path != "/orders" || got.URL.Query().Get("page") != "2" ||
		got.RequestURI != "/orders?page=2" || got.Host != "api.example.com:8443" || got.Header.Get("X-Forwarded-Uri") != "" {
		t.Errorf("got %+v", got)
	}
}

// Each question is observed once for each stage, and one that is no question at all once.
// The question has a body and a form of its own, and policies are about the original request.
func TestForwardAuthNoBody(t *testing.T) {
	l := newLab(t)
	h := l.endpoint().Authorize(popauth.PolicyFunc(func(r *http.Request, _ *popauth.Principal) error {
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) > 0 || r.ContentLength != 0 || r.TransferEncoding != nil {
			t.Errorf("got %q, %v, length %d, %q, want no body", body, err, r.ContentLength, r.TransferEncoding)
		}
		if r.Form != nil || r.PostForm != nil || r.MultipartForm != nil || r.Pattern != "" {
			t.Errorf("got form %v, %v, %v, pattern %q, want none", r.Form, r.PostForm, r.MultipartForm, r.Pattern)
		}
		if got := r.FormValue("tenant"); got != "original" {
			t.Errorf("got %q, want what the original query says", got)
		}
		return nil
	}))
	mux := http.NewServeMux()
	mux.HandleFunc("POST /auth/", func(w http.ResponseWriter, r *http.Request) {
		if got := r.FormValue("tenant"); got != "question" { // as middleware that looks for a token in a form
			t.Errorf("got %q of the question", got)
		}
		r.Body = io.NopCloser(strings.NewReader("tenant=question"))
		h.ServeHTTP(w, r)
	})
	r := l.asked(header("X-Forwarded-Uri", "/orders?tenant=original"), header("Content-Type", "application/x-www-form-urlencoded"))
	r.Method, r.Body, r.ContentLength, r.TransferEncoding = http.MethodPost, io.NopCloser(strings.NewReader("tenant=question")), 15,
		[]string{"chunked"}
	if answer := l.answer(mux, r); answer.StatusCode != http.StatusOK {
		t.Errorf("got %d, %v, want 200", answer.StatusCode, l.reason)
	}
}

// A claim that is null is no string: the API would take it for a token without the claim.
func TestForwardAuthClaims(t *testing.T) {
	l := newLab(t)
	l.o.Claims = map[string]string{"X-Auth-Tenant": "tenant"}
	h := l.endpoint().Authenticate()
	for _, tt := range []struct {
		name   string
		tenant any
		status int
		want   string
	}{
		{"absent", popauthtest.Omit, 200, ""},
		{"string", "a", 200, "a"},
		{"empty", "", 200, ""},
		{"null", nil, 403, ""},
		{"number", 1, 403, ""},
		{"true", true, 403, ""},
		{"list", []string{"a"}, 403, ""},
		{"object", map[string]string{"a": "b"}, 403, ""},
	} {
		token := l.issuer.Token(l.owner.Bound(), popauthtest.Claims{"scope": "orders.read", "tenant": tt.tenant})
		answer := l.answer(h, l.asked(header("Authorization", "Bearer "+token)))
		if answer.StatusCode != tt.status || answer.Header.Get("X-Auth-Tenant") != tt.want {
			t.Errorf("%s: got %d, %q, want %d, %q", tt.name, answer.StatusCode, answer.Header.Get("X-Auth-Tenant"), tt.status, tt.want)
		}
	}
}

func TestForwardAuthObserved(t *testing.T) {
	l := newLab(t)
	var got []string
	l.o.Guard.Observe = func(_ context.Context, o popauth.Observation) {
		got = append(got, string(o.Stage)+" "+string(o.Reason))
	}
	h := l.endpoint().Authorize(popauth.Scope("orders.read"))
	for _, tt := range []struct {
		change func(*http.Request)
		want   []string
	}{
		{func(*http.Request) {}, []string{"authenticate ", "authorize "}},
		{header("Authorization"), []string{"authenticate no credentials"}},
		{header("X-Forwarded-Uri"), []string{"outside " + string(popauth.ErrForwardedRequest)}},
		{header("X-Proxy-Secret"), []string{"outside " + string(popauth.ErrProxySecret)}},
		{func(r *http.Request) { r.RemoteAddr = "192.0.2.2:1" }, []string{"outside " + string(popauth.ErrPeerUntrusted)}},
	} {
		got = nil
		if l.answer(h, l.asked(tt.change)); !slices.Equal(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// Whatever the endpoint says, a proxy is not to keep it, and handlers further out have no say.
func TestForwardAuthNotKept(t *testing.T) {
	l := newLab(t)
	l.o.Claims = map[string]string{"X-Auth-Tenant": "scp"}
	for name, tt := range map[string]struct {
		r      *http.Request
		deny   int
		status int
	}{
		"passes":        {l.asked(), 0, 200},
		"no token":      {l.asked(header("Authorization")), 0, 401},
		"not the proxy": {l.asked(func(r *http.Request) { r.RemoteAddr = "192.0.2.2:1" }), 0, 403},
		"no report":     {l.asked(header("X-Forwarded-Uri")), 0, 400},
		"early data":    {l.asked(header("Early-Data", "1")), 0, 425},
		"a claim": {l.asked(header("Authorization",
			"Bearer "+l.issuer.Token(l.owner.Bound(), popauthtest.Claims{"scope": "orders.read", "scp": []string{"a"}}))), 0, 403},
		"Deny says 200":       {l.asked(header("Authorization")), 200, 401},
		"Deny says unchanged": {l.asked(header("Authorization")), 304, 401},
	} {
		l.o.Guard.Deny = func(w http.ResponseWriter, _ *http.Request, e *popauth.Error) {
			w.Header().Set("Cache-Control", "public, max-age=60")
			w.WriteHeader(cmp.Or(tt.deny, e.Status()))
		}
		h := l.endpoint().Authorize(popauth.Scope("orders.read"))
		answer := l.answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=60")
			w.Header().Set("X-Accel-Expires", "60")
			h.ServeHTTP(w, r)
		}), tt.r)
		if got := answer.Header; answer.StatusCode != tt.status || len(got["Cache-Control"]) != 1 ||
			got.Get("Cache-Control") != "no-store" || got.Get("X-Accel-Expires") != "" {
			t.Errorf("%s: got %d %v, want %d, no-store", name, answer.StatusCode, got, tt.status)
		}
	}
}

func TestForwardAuthChallenges(t *testing.T) {
	l := newLab(t)
	for _, tt := range []struct {
		headers forwardauth.Headers
		want    int
	}{{forwardauth.Traefik(), 2}, {forwardauth.Caddy(), 2}, {forwardauth.Nginx(), 1}} {
		l.o.Headers = tt.headers
		r := l.asked(header("Authorization", "Bearer x"))
		for from, to := range map[string]string{"Method": "Method", "Uri": "Uri", "Proto": "Proto", "Host": "Host"} {
			r.Header.Set("X-Original-"+to, r.Header.Get("X-Forwarded-"+from))
		}
		lines := l.answer(l.endpoint().Confirm(), r).Header.Values("WWW-Authenticate")
		all := strings.Join(lines, ", ")
		if len(lines) != tt.want || !strings.HasPrefix(all, `Bearer error="invalid_token"`) || !strings.Contains(all, `, DPoP algs="`) {
			t.Errorf("%s: got %q, want %d lines", tt.headers.Method, lines, tt.want)
		}
		r.Header.Del(tt.headers.Method)
		answer := l.answer(l.endpoint().Confirm(), r)
		if lines, ok := answer.Header["Www-Authenticate"]; answer.StatusCode != http.StatusBadRequest || ok {
			t.Errorf("%s: got %d with %q, want 400 without a challenge", tt.headers.Method, answer.StatusCode, lines)
		}
	}
}

// trusted is the proxy that these rules describe.
func trusted(trust ...proxy.Trust) *proxy.TrustedPeer {
	peer, err := proxy.Trusted(trust...)
	if err != nil {
		panic(err)
	}
	return peer
}

// byProxy is the source of an API behind a proxy.
func byProxy(format proxy.Format, trust ...proxy.Trust) popauth.CertificateSource {
	source, err := proxy.Certificate(format, trust...)
	if err != nil {
		panic(err)
	}
	return source
}
