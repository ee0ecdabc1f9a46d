// Package thirdparty_test has Verifiers, Confirmers, CertificateSources and KeySources of somebody else's, who is clumsy or
// hostile: none of them lets a thief in.
package thirdparty_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// world has an owner, and a thief who has the owner's tokens. A certificate of the same name is all that the two have in common.
type world struct {
	issuer       *popauthtest.Issuer
	owner, thief *popauthtest.Client
	token        string           // bound to the owner's certificate
	two          string           // bound to that, and in another way
	own          popauth.Verifier // of the issuer's tokens
}

func newWorld(t *testing.T) *world {
	w := &world{issuer: popauthtest.NewIssuer(t), owner: popauthtest.SelfSigned(t, "owner"), thief: popauthtest.SelfSigned(t, "owner")}
	w.token = w.issuer.Token(w.owner.Bound())
	w.two = w.issuer.Token(popauthtest.Claims{"cnf": map[string]string{"x5t#S256": w.owner.Thumbprint(), "other": "a"}})
	o := w.issuer.Options()
	var err error
	if w.own, err = popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys}); err != nil {
		t.Fatal(err)
	}
	return w
}

// verifiedBy returns options whose tokens are verified by v.
func (w *world) verifiedBy(v popauth.Verifier) popauth.Options {
	return popauth.Options{Verifier: v}
}

// found returns options by which certificates are found by a function of somebody else's.
func (w *world) found(find func(*http.Request) (*popauth.Certificate, error)) popauth.Options {
	o := w.issuer.Options()
	o.Certificate = popauth.CertificateFunc(find)
	return o
}

// confirmedBy returns options with these Confirmers.
func (w *world) confirmedBy(list ...popauth.Confirmer) popauth.Options {
	o := w.issuer.Options()
	o.Confirmers = list
	return o
}

// leafOf is the certificate of the request's connection; nil if there is none.
func leafOf(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

// panics is the answer to a request in which the third party panics, as net/http's server recovers it.
const panics = 0

// party is one of somebody else's, and what the owner gets: with the token of one binding and with that of two.
type party struct {
	name     string
	options  popauth.Options
	one, two int
}

// run has the owner get what is wanted. Of thief and nobody a handler never runs.
func (w *world) run(t *testing.T, list []party) {
	for _, tt := range list {
		t.Run(tt.name, func(t *testing.T) {
			guard, err := popauth.New(tt.options)
			if err != nil {
				t.Fatal(err)
			}
			spy := &popauthtest.Spy{}
			authenticate := guard.Authenticate(spy)
			h := guard.Confirm(authenticate)
			for token, want := range map[string]int{w.token: tt.one, w.two: tt.two} {
				if got := status(authenticate, w.owner.Request("GET", "/orders", token)); got != want {
					t.Errorf("owner, not confirmed: got %d, want %d", got, want)
				}
				before := spy.Ran()
				if got := status(h, w.owner.Request("GET", "/orders", token)); got != want || (spy.Ran() > before) != (want == 200) {
					t.Errorf("owner: got %d, ran %d times, want %d", got, spy.Ran()-before, want)
				}
				before = spy.Ran()
				for name, as := range map[string]*popauthtest.Client{"thief": w.thief, "nobody": nil} {
					if got := status(h, as.Request("GET", "/orders", token)); got >= 200 && got < 400 || spy.Ran() != before {
						t.Errorf("VULNERABLE: %s: got %d, ran %d times, want a refusal", name, got, spy.Ran()-before)
					}
				}
			}
		})
	}
}

func status(h http.Handler, r *http.Request) (status int) {
	defer func() {
		if p := recover(); p != nil {
			status = panics
		}
	}()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	return answer.Code
}

// The owner passes with what is ours, so that the refusals below are no accident.
func TestNobodyElse(t *testing.T) {
	w := newWorld(t)
	w.run(t, []party{
		{name: "Options", options: w.issuer.Options(), one: 200, two: 401},
		{name: "Verifier", options: w.verifiedBy(w.own), one: 200, two: 401},
		{name: fmt.Sprintf("%T", popauth.MutualTLS{}), options: w.confirmedBy(popauth.MutualTLS{}), one: 200, two: 401},
	})
}
