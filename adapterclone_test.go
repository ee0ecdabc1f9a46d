package popauth_test

import (
	"net/http"
	"net/http/cgi" //nolint:gosec // of Go 1.6.3 and later
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
)

// Adapters of CGI and of clouds make requests without RequestURI, and middleware clones them. Each is still the one that it
// was, and its proof is used once.
func TestACloneOfAnAdaptersRequest(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	request := func(target string) *http.Request {
		proven := a.request()
		r, err := cgi.RequestFromMap(map[string]string{
			"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "api.example.com", "REQUEST_URI": target, "HTTPS": "on",
			"HTTP_AUTHORIZATION": proven.Header.Get("Authorization"), "HTTP_DPOP": proven.Header.Get("DPoP"),
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Body = http.NoBody
		return r
	}
	cloned := altered(func(*http.Request) {})
	for name, h := range map[string]func(http.Handler) http.Handler{
		"stages":            chain(a.guard.Authenticate, cloned, a.guard.Confirm),
		"a source outside":  chain(popauth.ClientCertificate(popauth.TLSCertificate()), cloned, a.guard.Confirm),
		"Handler outside":   chain(popauth.RequestLine{}.Handler, cloned, a.guard.Authenticate, cloned, a.guard.Confirm),
		"Decide":            chain(decided(a.guard), cloned, a.guard.Confirm),
		"clones of a clone": chain(a.guard.Authenticate, cloned, cloned, a.guard.Confirm, cloned, a.guard.Authorize(popauth.Bound())),
	} {
		r := request("/orders?page=2")
		w, before := httptest.NewRecorder(), a.spy.Ran()
		if h(a.spy).ServeHTTP(w, r); w.Code != 200 || a.spy.Ran() != before+1 {
			t.Errorf("%s: got %d: %v", name, w.Code, a.last)
		}
		if h(a.spy).ServeHTTP(httptest.NewRecorder(), r); a.spy.Ran() != before+1 {
			t.Errorf("VULNERABLE: %s: the proof passed again", name)
		}
	}
	// What a handler makes of the same line is another request.
	inner := clientcert.Require(nil)(a.spy)
	popauth.ClientCertificate(popauth.TLSCertificate())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w := httptest.NewRecorder()
		if inner.ServeHTTP(w, request("/orders?page=2").WithContext(r.Context())); w.Code != 500 {
			t.Errorf("VULNERABLE: another request: got %d, want 500", w.Code)
		}
	})).ServeHTTP(httptest.NewRecorder(), request("/orders?page=2"))
}

func decided(g *popauth.Guard) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d, err := g.Decide(r)
			if err != nil {
				g.Refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, d.Request)
		})
	}
}
