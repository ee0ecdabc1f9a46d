package dpop_test

import (
	"net/http"
	"net/http/cgi" //nolint:gosec // of Go 1.6.3 and later
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// Adapters of CGI and of clouds make requests without RequestURI, and middleware clones them. Each is still the one that it
// was, and its proof is used once.
func TestACloneOfAnAdaptersRequest(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	request := func(target string) *http.Request {
		proven := a.Request()
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
	cloned := lab.Altered(func(*http.Request) {})
	for name, h := range map[string]func(http.Handler) http.Handler{
		"stages":            lab.Chain(a.Guard.Authenticate, cloned, a.Guard.Confirm),
		"a source outside":  lab.Chain(popauth.ClientCertificate(popauth.TLSCertificate()), cloned, a.Guard.Confirm),
		"Handler outside":   lab.Chain(popauth.RequestLine{}.Handler, cloned, a.Guard.Authenticate, cloned, a.Guard.Confirm),
		"Decide":            lab.Chain(decided(a.Guard), cloned, a.Guard.Confirm),
		"clones of a clone": lab.Chain(a.Guard.Authenticate, cloned, cloned, a.Guard.Confirm, cloned, a.Guard.Authorize(popauth.Bound())),
	} {
		r := request("/orders?page=2")
		w, before := httptest.NewRecorder(), a.Spy.Ran()
		if h(a.Spy).ServeHTTP(w, r); w.Code != 200 || a.Spy.Ran() != before+1 {
			t.Errorf("%s: got %d: %v", name, w.Code, a.Last)
		}
		if h(a.Spy).ServeHTTP(httptest.NewRecorder(), r); a.Spy.Ran() != before+1 {
			t.Errorf("VULNERABLE: %s: the proof passed again", name)
		}
	}
	// What a handler makes of the same line is another request.
	inner := clientcert.Require(nil)(a.Spy)
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
