package forwardauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// nonced makes a Confirmer that asks for nonces.
func nonced(t *testing.T) *dpop.Confirmer {
	t.Helper()
	d, err := dpop.New(dpop.Options{
		BaseURL: "https://api.example.com",
		Nonces:  dpop.StatelessNonces{Secrets: [][]byte{[]byte("at least 32 bytes of a secret to make nonces")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A proxy that has been told to hand nonces on, and any with proofs that need none, is no mistake.
func TestNoncesHandedOn(t *testing.T) {
	handing := forwardauth.IngressNginx()
	handing.DropsNonces = false
	plain, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]struct {
		headers forwardauth.Headers
		proofs  *dpop.Confirmer
	}{"handed on": {handing, nonced(t)}, "no nonces": {forwardauth.IngressNginx(), plain}, "nginx": {forwardauth.Nginx(), nonced(t)}} {
		l := newLab(t)
		l.o.Headers, l.o.Guard.Confirmers = o.headers, []popauth.Confirmer{popauth.MutualTLS{}, o.proofs}
		if _, err := forwardauth.New(l.o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestForwardAuthOptions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*forwardauth.Options)
		want   []string // of the error
	}{
		{"nothing", func(o *forwardauth.Options) { *o = forwardauth.Options{} },
			[]string{"Headers.Method", "Headers.URI", "Headers.Scheme", "Headers.Host", "Options.Proxy", "Options.Guard"}},
		{"no Proxy", func(o *forwardauth.Options) { o.Proxy = nil }, []string{"Options.Proxy: nil: nobody may ask; proxy.Trusted"}},
		{"none in it", func(o *forwardauth.Options) { o.Proxy = (*proxy.TrustedPeer)(nil) }, []string{"Options.Proxy: nil"}},
		{"a header twice", func(o *forwardauth.Options) { o.Headers.URI = o.Headers.Method }, []string{"Headers.URI"}},
		{"an underscore", func(o *forwardauth.Options) { o.Headers.URI = "X_Original_URI" }, []string{"Headers.URI"}},
		{"Authorization", func(o *forwardauth.Options) { o.Headers.Method = "authorization" }, []string{"Headers.Method"}},
		{"a URL and its parts", func(o *forwardauth.Options) { o.Headers.URL = "X-Original-URL" },
			[]string{"Headers.URL: stands in place of"}},
		{"a URL with an underscore", func(o *forwardauth.Options) {
			o.Headers = forwardauth.Headers{Method: "X-Original-Method", URL: "X_URL"}
		}, []string{"Headers.URL"}},
		{"a path and headers", func(o *forwardauth.Options) { o.Headers.Path = "/auth/" }, []string{"Headers.Path: the question is"}},
		{"a path without its end", func(o *forwardauth.Options) { o.Headers = forwardauth.ExtAuthz("/auth") },
			[]string{"Headers.Path: got"}},
		{"a relative path", func(o *forwardauth.Options) { o.Headers = forwardauth.ExtAuthz("auth/") }, []string{"Headers.Path: got"}},
		{"a path with an empty segment", func(o *forwardauth.Options) { o.Headers = forwardauth.ExtAuthz("/auth//") },
			[]string{"Headers.Path: got"}},
		{"a path with dots", func(o *forwardauth.Options) { o.Headers = forwardauth.ExtAuthz("/auth/../") }, []string{"Headers.Path: got"}},
		{"a path with an escape", func(o *forwardauth.Options) { o.Headers = forwardauth.ExtAuthz("/a%75th/") },
			[]string{"Headers.Path: got"}},
		{"nonces behind a proxy that drops them", func(o *forwardauth.Options) {
			o.Headers, o.Guard.Confirmers = forwardauth.IngressNginx(), []popauth.Confirmer{popauth.MutualTLS{}, nonced(t)}
		}, []string{"Options.Headers: the proxy hands on no DPoP-Nonce"}},
		{"the connection's certificate", func(o *forwardauth.Options) {
			o.Guard.Certificate = popauth.TLSCertificate()
		}, []string{"Guard: Certificate"}},
		{"the caller's certificate", func(o *forwardauth.Options) {
			o.Guard.Certificate = popauth.CallerCertificate()
		}, []string{"Guard: Certificate"}},
		{"the connection's certificate, verified", func(o *forwardauth.Options) {
			o.Guard.Certificate = verified(t, popauth.TLSCertificate())
		}, []string{"Guard: Certificate"}},
		{"the caller's certificate, verified twice", func(o *forwardauth.Options) {
			o.Guard.Certificate = verified(t, verified(t, popauth.CallerCertificate()))
		}, []string{"Guard: Certificate"}},
		{"a claim under another's name", func(o *forwardauth.Options) { o.Claims = map[string]string{"x-auth-subject": "name"} },
			[]string{"Options.Claims"}},
		{"a claim under no name", func(o *forwardauth.Options) { o.Claims = map[string]string{"X_Tenant": "tenant"} },
			[]string{"Options.Claims"}},
		{"an empty claim", func(o *forwardauth.Options) { o.Claims = map[string]string{"X-Tenant": ""} }, []string{"Options.Claims"}},
		{"a claim's header twice", func(o *forwardauth.Options) { o.Claims = map[string]string{"X-Tenant": "a", "x-tenant": "b"} },
			[]string{"Options.Claims"}},
		{"the guard's", func(o *forwardauth.Options) { o.Guard.Leeway = -1 }, []string{"Options.Guard: popauth: Options.Leeway"}},
	} {
		l := newLab(t)
		tt.change(&l.o)
		e, err := forwardauth.New(l.o)
		if e != nil || err == nil {
			t.Errorf("%s: got %v, %v", tt.name, e, err)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", tt.name, err, want)
			}
		}
	}
}

// What New has accepted it has copied.
func TestForwardAuthOptionsCopied(t *testing.T) {
	l := newLab(t)
	confirmers := l.o.Guard.Confirmers
	dpop := confirmers[1]
	l.endpoint()
	if !slices.Equal(confirmers, []popauth.Confirmer{popauth.MutualTLS{}, dpop}) {
		t.Error("New has changed its caller's list")
	}
}

func FuzzForwardAuthRequest(f *testing.F) {
	l := newLab(f)
	var seen *http.Request
	h := l.endpoint().Authorize(popauth.PolicyFunc(func(r *http.Request, _ *popauth.Principal) error {
		seen = r
		return nil
	}))
	f.Add("GET", "/orders?page=2", "https", "api.example.com")
	f.Add("get", "//a/../b#c", "http", "[::1]:8080")
	f.Add("", "https://x/", "ws", "a,b")
	question := l.asked()
	l.answer(h, question) // the issuer, which is made for f, isn't asked again
	f.Fuzz(func(t *testing.T, method, target, scheme, host string) {
		r := question.Clone(t.Context())
		for name, value := range map[string]string{"Method": method, "Uri": target, "Proto": scheme, "Host": host} {
			r.Header.Set("X-Forwarded-"+name, value)
		}
		seen = nil
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch {
		case (w.Code == http.StatusOK) != (seen != nil):
			t.Fatalf("got %d, policy asked: %t", w.Code, seen != nil)
		case seen == nil:
		case scheme == "ws" || scheme == "wss":
		case seen.Method != method || seen.RequestURI != target || !strings.HasPrefix(target, "/") || seen.URL.Host != "" ||
			seen.URL.Scheme != "" || strings.ContainsAny(seen.Host, "/?#@ ,") || scheme != "http" && scheme != "https":
			t.Errorf("%q %q %q %q: got %+v", method, target, scheme, host, seen)
		}
	})
}

// An Endpoint beside the proxy that asks it.
func ExampleNew() {
	tb := &example{}
	defer tb.close()
	issuer := popauthtest.NewIssuer(tb)
	guard := issuer.Options() // in a service: popauth.Options{Issuer: …, Audience: …}
	guard.Certificate, _ = proxy.Certificate(proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"), proxyPeer...)
	peer, _ := proxy.Trusted(proxyPeer...)
	endpoint, err := forwardauth.New(forwardauth.Options{Guard: guard, Headers: forwardauth.Nginx(), Proxy: peer})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/auth/orders.read", endpoint.Authorize(popauth.Bound(), popauth.Scope("orders.read")))
	mux.Handle("/auth/orders.write", endpoint.Authorize(popauth.Bound(), popauth.Scope("orders.write")))

	// Not the proxy.
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/auth/orders.read", http.NoBody))
	fmt.Println(w.Code)
	// Output: 400
}

type example struct{ cleanup []func() }

func (e *example) Helper()                      {}
func (e *example) Cleanup(f func())             { e.cleanup = append(e.cleanup, f) }
func (e *example) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (e *example) close() {
	for _, f := range e.cleanup {
		f()
	}
}

func verified(t *testing.T, s popauth.CertificateSource) popauth.CertificateSource {
	t.Helper()
	v, err := clientcert.Verified(s, clientcert.Verification{Roots: popauthtest.NewCA(t).Pool()})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A handler around the Endpoint may have decided about the proxy's question, which is the request of its connection.
func TestForwardAuthInsideOfAnotherStation(t *testing.T) {
	l := newLab(t)
	h := popauth.ClientCertificate(popauth.TLSCertificate())(l.endpoint().Confirm())
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, l.asked()); w.Code != http.StatusOK {
		t.Errorf("got %d, %v, want 200", w.Code, l.reason)
	}
	// Another question with the context of this one is not of the proxy's connection.
	popauth.ClientCertificate(popauth.TLSCertificate())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w := httptest.NewRecorder()
		if l.endpoint().Confirm().ServeHTTP(w, l.asked().WithContext(r.Context())); w.Code == http.StatusOK {
			t.Errorf("VULNERABLE: got %d for another request's context", w.Code)
		}
	})).ServeHTTP(httptest.NewRecorder(), l.asked())
}

// No claim is told in a header in which the proxy tells something else: each request that it asks about has that.
func TestClaimsInHeadersOfTheProxy(t *testing.T) {
	for _, name := range []string{"X-Proxy-Secret", "x-forwarded-uri", "X-Forwarded-Method", "X-Forwarded-Tls-Client-Cert"} {
		l := newLab(t)
		l.o.Claims = map[string]string{name: "tenant"}
		if _, err := forwardauth.New(l.o); err == nil || !strings.Contains(err.Error(), "forwardauth: Options.Claims: "+name) {
			t.Errorf("%s: got %v, want a problem of Claims", name, err)
		}
	}
}
