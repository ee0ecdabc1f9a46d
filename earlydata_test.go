package popauth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Early data proves nothing: whoever has seen it pass can send it again.
func TestEarlyData(t *testing.T) {
	l := newLab(t)
	g := l.guard()
	own := clientcert.Thumbprint(l.owner.Thumbprint())
	stages := map[string]func(http.Handler) http.Handler{
		"Authenticate": g.Authenticate, "Confirm": g.Confirm, "Authorize": g.Authorize(popauth.Scope("orders.read")),
		"RequireCertificate": clientcert.Require(nil, own), "behind ClientCertificate": chain(popauth.ClientCertificate(popauth.TLSCertificate()), g.Confirm),
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
			r := l.owner.Request("GET", "/", l.bound())
			tt.change(r)
			o := send(wrap, r)
			if !tt.early {
				o.passed(t)
				continue
			}
			o.refused(t, http.StatusTooEarly, "")
			if len(o.challenges) > 0 {
				t.Errorf("%s, %s: got the challenges %q", name, tt.name, o.challenges)
			}
		}
		r := l.owner.Request("GET", "/", l.bound())
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
	send(g.Confirm, r).refused(t, http.StatusTooEarly, "")
}

// A proof that came in early data is not used up.
func TestEarlyDataUsesNoProof(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	r := a.request()
	r.Header.Set("Early-Data", "1")
	if w := send(a.guard.Confirm, r); w.status != http.StatusTooEarly || a.store.len() != 0 {
		t.Errorf("got %d, %d proofs used", w.status, a.store.len())
	}
	r.Header.Del("Early-Data")
	send(a.guard.Confirm, r).passed(t)
}
