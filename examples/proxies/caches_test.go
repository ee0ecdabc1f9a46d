package proxies_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// caller is who asks through a proxy: with a token, a certificate, both or neither.
type caller struct {
	name   string
	client *popauthtest.Client
	token  string
}

// cachedLane is a proxy that keeps answers where it ends TLS, with an API behind it.
type cachedLane struct {
	*lane
	handler http.Handler // behind popauth
	outer   func(http.Handler) http.Handler
}

var cachingProxies = map[string]string{"nginx": "nginx.conf", "apache": "apache.conf", "haproxy": "haproxy.cfg"}

func newCachedLane(t *testing.T, c *cast, ingress string) *cachedLane {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "caches", cachingProxies[ingress]))
	if err != nil {
		t.Fatal(err)
	}
	l := &cachedLane{lane: &lane{cast: c, kind: kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == ingress })]}}
	o := c.issuer.Options()
	o.Certificate = byProxy(l.format, proxy.TrustPeers(loopback), proxy.TrustSecret("X-Proxy-Secret", secret))
	o.Deny = func(w http.ResponseWriter, _ *http.Request, e *popauth.Error) {
		w.WriteHeader(e.Status())
		_, _ = io.WriteString(w, "refused")
	}
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l.spy = &popauthtest.Spy{Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.handler.ServeHTTP(w, r) })}
	mux := http.NewServeMux()
	mux.Handle("/token/", guard.Confirm(l.spy))
	mux.Handle("/certificate/", clientcert.Require(o.Certificate, clientcert.MatchFunc(l.known))(l.spy))
	outermost := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.outer(mux).ServeHTTP(w, r) })
	l.api = httptest.NewUnstartedServer(outermost)
	l.api.Config.ConnContext = proxy.ConnContext
	l.api.Start()
	t.Cleanup(l.api.Close)
	l.start(t, l.api.Listener.Addr().String(), string(text))
	return l
}

// known lets the owner and the other client pass, whatever the verdict on their chain is.
func (l *cachedLane) known(_ *http.Request, c *popauth.Certificate) error {
	for _, client := range []*popauthtest.Client{l.owner, l.other} {
		if c.Thumbprint == client.Thumbprint() {
			return nil
		}
	}
	return popauth.ErrForbidden
}

// tell asks through the proxy, and names the outcome: status, and the body of a 200.
func (l *cachedLane) tell(t *testing.T, as caller, path string, header http.Header) string {
	t.Helper()
	return through(t, l.cast, l.front, as, http.MethodGet, path, header)
}

func through(t *testing.T, c *cast, p *proxies.Proxy, as caller, method, path string, header http.Header) string {
	t.Helper()
	config := &tls.Config{RootCAs: c.authority.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if as.client != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &as.client.Certificate, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "https://"+strings.Replace(p.Address, "127.0.0.1", "localhost", 1)+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if as.token != "" {
		r.Header.Set("Authorization", "Bearer "+as.token)
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode == http.StatusOK {
		return fmt.Sprintf("200 %s", body)
	}
	return fmt.Sprint(answer.StatusCode)
}

// A cache of nginx, Apache or HAProxy that sits where TLS ends gives nobody what was answered to somebody else.
func TestCaches(t *testing.T) {
	dir := t.TempDir()
	for ingress := range cachingProxies {
		t.Run(ingress, func(t *testing.T) {
			need(t, ingress)
			c := newCast(t)
			c.other = c.authority.Client("other")
			l := newCachedLane(t, c, ingress)
			n := 0
			for _, content := range cachedContents(t, dir) {
				for _, outer := range outsideOfStages {
					for _, route := range []string{"/token/", "/certificate/"} {
						n++
						path := fmt.Sprintf("%s%d.txt", route, n)
						l.handler, l.outer = content.handler(path), outer.wrap
						t.Run(fmt.Sprintf("%s, %s, %s", route, content.name, outer.name),
							func(t *testing.T) { l.exchangeAll(t, route, path) })
					}
				}
			}
			l.servesPublic(t)
			l.keepsPrivate(t)
		})
	}
}

// exchangeAll has a stranger ask first, then the owner, and then everybody who is not the owner.
func (l *cachedLane) exchangeAll(t *testing.T, route, path string) {
	owner, other := caller{name: "owner", client: l.owner}, caller{name: "other", client: l.other}
	strangers := []caller{{name: "nobody"}, {name: "thief's certificate", client: l.thief}}
	refused := "403"
	if route == "/token/" {
		refused = "401"
		owner.token, other.token = l.token(l.owner), l.token(l.other)
		strangers = append(strangers, caller{name: "thief with the token", token: owner.token},
			caller{name: "thief with token and certificate", token: owner.token, client: l.thief})
	}
	ask := func(as caller, want string) {
		t.Helper()
		if got := l.tell(t, as, path, nil); got != want {
			t.Errorf("%s: got %s, want %s", as.name, got, want)
		}
	}
	for _, s := range strangers {
		ask(s, refused)
	}
	ask(owner, "200 for owner")
	ask(owner, "200 for owner")
	for _, s := range strangers {
		ask(s, refused)
	}
	ask(other, "200 for other")
	ask(owner, "200 for owner")
	for _, s := range strangers {
		for name, value := range map[string]string{
			"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT", "If-None-Match": "*", "Range": "bytes=0-2",
		} {
			if got := l.tell(t, s, path, http.Header{name: {value}}); got != refused {
				t.Errorf("%s with %s: got %s, want %s", s.name, name, got, refused)
			}
		}
	}
}

// cachedContent is a handler for the two callers who pass.
type cachedContent struct {
	name    string
	handler func(path string) http.Handler
}

func cachedContents(t *testing.T, dir string) []cachedContent {
	t.Helper()
	old := time.Now().Add(-240 * time.Hour)
	for _, name := range []string{"owner", "other"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("for "+name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
	return []cachedContent{
		{"says nothing", func(string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "for "+whose(r)) })
		}},
		{"files", func(string) http.Handler { // Last-Modified is enough for a cache: RFC 9111, section 4.2.2
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r2 := r.Clone(r.Context())
				r2.URL.Path = "/" + whose(r)
				http.FileServer(http.Dir(dir)).ServeHTTP(w, r2)
			})
		}},
	}
}

// whose is the name of the caller's certificate.
func whose(r *http.Request) string {
	if c, ok := popauth.CertificateFromContext(r.Context()); ok {
		return c.Leaf.Subject.CommonName
	}
	if p, ok := popauth.FromContext(r.Context()); ok && p.Certificate != nil {
		return p.Certificate.Leaf.Subject.CommonName
	}
	return "nobody"
}

// outsideOfStages is what middleware further out says of all answers.
var outsideOfStages = []struct {
	name string
	wrap func(http.Handler) http.Handler
}{
	{"nothing outside", func(next http.Handler) http.Handler { return next }},
	{"kept by what is outside", func(next http.Handler) http.Handler { return saysPublic(next, "X-Accel-Expires", "60") }},
	// http.TimeoutHandler has a header map of its own. What goes past Cache-Control belongs inside of it, not outside.
	{"kept by what is inside of a TimeoutHandler", func(next http.Handler) http.Handler {
		return http.TimeoutHandler(saysPublic(next, "X-Accel-Expires", "60"), time.Minute, "late")
	}},
	{"public outside of a TimeoutHandler", func(next http.Handler) http.Handler {
		return saysPublic(http.TimeoutHandler(next, time.Minute, "late"), "X-Frame-Options", "DENY")
	}},
	{"compressed", middleware.Compress(5, "text/*")},
}

// saysPublic is middleware that says to caches that they may keep everything.
func saysPublic(next http.Handler, name, value string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "public, max-age=60")
		h.Set("Expires", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		h.Set("ETag", `"a"`)
		h.Set(name, value)
		next.ServeHTTP(w, r)
	})
}
