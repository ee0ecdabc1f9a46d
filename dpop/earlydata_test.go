package dpop_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Early data proves nothing: whoever has seen it pass can send it again.
func TestEarlyData(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	own := clientcert.Thumbprint(l.Owner.Thumbprint())
	stages := map[string]func(http.Handler) http.Handler{
		"Authenticate": g.Authenticate, "Confirm": g.Confirm, "Authorize": g.Authorize(popauth.Scope("orders.read")),
		"RequireCertificate":       clientcert.Require(nil, own),
		"behind ClientCertificate": lab.Chain(popauth.ClientCertificate(popauth.TLSCertificate()), g.Confirm),
	}
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		early  bool
	}{
		{"a complete handshake", func(*http.Request) {}, false},
		{"one that isn't", func(r *http.Request) { r.TLS.HandshakeComplete = false }, true},
		{"marked", func(r *http.Request) { r.Header.Set("Early-Data", "1") }, true},
		{"marked otherwise", func(r *http.Request) { r.Header.Set("Early-Data", "0") }, true},
		{"marked with nothing", func(r *http.Request) { r.Header["Early-Data"] = []string{""} }, true},
	} {
		for name, wrap := range stages {
			r := l.Owner.Request("GET", "/", l.Bound())
			tt.change(r)
			o := lab.Send(wrap, r)
			if !tt.early {
				o.Passed(t)
				continue
			}
			o.Refused(t, http.StatusTooEarly, "")
			if len(o.Challenges) > 0 {
				t.Errorf("%s, %s: got the challenges %q", name, tt.name, o.Challenges)
			}
		}
		r := l.Owner.Request("GET", "/", l.Bound())
		tt.change(r)
		if _, err := g.Check(r); errors.Is(err, popauth.ErrEarlyData) != tt.early {
			t.Errorf("Check, %s: got %v", tt.name, err)
		}
		if _, err := clientcert.Check(r, nil, own); errors.Is(err, popauth.ErrEarlyData) != tt.early {
			t.Errorf("CheckCertificate, %s: got %v", tt.name, err)
		}
	}
	// No token, no proof is looked at: a stranger's mark costs nothing, and a stolen token isn't suspected.
	r := (*popauthtest.Client)(nil).Request("GET", "/", strings.Repeat("x", 1000))
	r.Header.Set("Early-Data", "1")
	lab.Send(g.Confirm, r).Refused(t, http.StatusTooEarly, "")
}

// A proof that came in early data is not used up.
func TestEarlyDataUsesNoProof(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	r := a.Request()
	r.Header.Set("Early-Data", "1")
	if w := lab.Send(a.Guard.Confirm, r); w.Status != http.StatusTooEarly || a.Store.Len() != 0 {
		t.Errorf("got %d, %d proofs used", w.Status, a.Store.Len())
	}
	r.Header.Del("Early-Data")
	lab.Send(a.Guard.Confirm, r).Passed(t)
}
