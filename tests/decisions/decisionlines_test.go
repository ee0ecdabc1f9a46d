package decisions_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// A batch answers several times by one decision: no answer shows what another handler does to its header, also in place.
func TestAnswersOfOneDecisionShareNoLines(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	gate := clientcert.Require(nil, clientcert.Thumbprint(l.Owner.Thumbprint()))
	r := l.Owner.Request("GET", "/orders", l.Bound())
	inside := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for name, tt := range map[string]struct {
		outer, inner func(http.Handler) http.Handler
	}{
		"stages":             {g.Authenticate, g.Confirm},
		"RequireCertificate": {popauth.ClientCertificate(popauth.TLSCertificate()), gate},
	} {
		outer := httptest.NewRecorder()
		tt.outer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			first, second := httptest.NewRecorder(), httptest.NewRecorder()
			tt.inner(inside).ServeHTTP(first, r)
			tt.inner(inside).ServeHTTP(second, r)
			for _, line := range []string{"Cache-Control", "Vary"} {
				for _, h := range []http.Header{first.Header(), second.Header()} {
					if len(h[line]) != 1 {
						t.Fatalf("%s: got %s %q", name, line, h[line])
					}
				}
				want := second.Header()[line][0]
				first.Header()[line][0] = "public"
				if got := second.Header()[line][0]; got != want || got == "public" {
					t.Errorf("%s: got %s %q, want %q", name, line, got, want)
				}
				if got := outer.Header()[line][0]; got != want {
					t.Errorf("%s, outside: got %s %q, want %q", name, line, got, want)
				}
			}
		})).ServeHTTP(outer, r)
	}
}

// Several handlers may run for one decision at once: the race detector looks.
func TestOneDecisionForManyAtOnce(t *testing.T) {
	l := lab.New(t)
	g := l.Guard(func(o *popauth.Options) { o.Certificate = popauth.TLSCertificate() })
	d, err := g.Decide(l.Owner.Request("GET", "/orders", l.Bound()))
	if err != nil {
		t.Fatal(err)
	}
	gate := clientcert.Require(nil, clientcert.Thumbprint(l.Owner.Thumbprint()))
	h := lab.Chain(g.Authenticate, gate, l.Guard().Confirm, g.Confirm)(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := g.Recheck(r); err != nil {
				t.Error(err)
			}
			w.Header()["Cache-Control"][0] = "no-store"
		}))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, d.Request.Clone(d.Request.Context())); w.Code != 200 {
				t.Errorf("got %d, want 200", w.Code)
			}
		})
	}
	all.Wait()
}
