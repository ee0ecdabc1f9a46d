package decisions_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A decision counts for the certificate that it was made on: a handler in between may have found another one for the same
// request and connection.
func TestDecisionOfAnotherCertificate(t *testing.T) {
	l := lab.New(t)
	current := l.Owner
	find := popauth.ClientCertificate(lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) {
		leaf, err := x509.ParseCertificate(current.Certificate.Certificate[0])
		return &popauth.Certificate{Leaf: leaf}, err
	}))
	g := l.Guard()
	swap := func(to *popauthtest.Client) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				current = to
				next.ServeHTTP(w, r)
			})
		}
	}
	for _, stage := range []func(http.Handler) http.Handler{g.Authenticate, g.Confirm, g.Authorize(popauth.Scope("orders.read"))} {
		request := func() *http.Request {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+l.Bound())
			return r
		}
		current = l.Owner
		lab.Send(lab.Chain(find, g.Authenticate, swap(l.Owner), find, stage), request()).Passed(t)
		current = l.Owner
		lab.Send(lab.Chain(find, g.Authenticate, swap(l.Thief), find, stage), request()).Refused(t, 401, lab.InvalidToken)
	}
}

// What NewContext puts on top of a decision hides it from handlers, not from the Guard: a proof is good for one use.
func TestDecisionUnderStandIn(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	hide := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(popauth.NewContext(r.Context(), &popauth.Principal{Subject: "stand-in"})))
		})
	}
	lab.Send(lab.Chain(a.Guard.Authenticate, hide, a.Guard.Confirm, a.Guard.Authorize(popauth.BoundBy("jkt"))), a.Request()).Passed(t)
	lab.Send(lab.Chain(a.Guard.Authenticate, hide, hide, a.Guard.Confirm), a.Request()).Passed(t)
	var subject string
	inner := a.Guard.Confirm(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, _ := popauth.FromContext(r.Context())
		subject = p.Subject
	}))
	w := httptest.NewRecorder()
	lab.Chain(a.Guard.Authenticate, hide)(inner).ServeHTTP(w, a.Request())
	if w.Code != 200 || subject == "stand-in" {
		t.Errorf("got %d, subject %q, want that of the token behind a stage", w.Code, subject)
	}
}

// Whoever prints a context of a request doesn't print the token.
func TestDecisionIsNotPrinted(t *testing.T) {
	l := lab.New(t)
	token := l.Bound()
	h := l.Guard().Confirm(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, r.Context()); strings.Contains(text, token[:40]) || strings.Contains(text, "orders.read") {
				t.Errorf("%s: got the token in %q", verb, text)
			}
		}
	}))
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, l.Owner.Request("GET", "/", token)); w.Code != 200 {
		t.Errorf("got %d, want 200", w.Code)
	}
}

// A decision counts behind a handler that has found the certificate of the same request, and not where the request was
// another connection's in between.
func TestDecisionBehindAnotherConnection(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.Certificate = popauth.TLSCertificate() })
	certificate := popauth.ClientCertificate(popauth.TLSCertificate())
	connection := func(c *tls.ConnectionState, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.WithContext(r.Context())
			r.TLS = c
			next.ServeHTTP(w, r)
		})
	}
	r := a.Request()
	a.Handler = certificate(a.Guard.Confirm(certificate(a.Guard.Confirm(a.Spy))))
	a.Accept(t, r)
	r = a.Request()
	other := *r.TLS
	other.PeerCertificates = []*x509.Certificate{popauthtest.SelfSigned(t, "mallory").Certificate.Leaf}
	a.Handler = certificate(a.Guard.Confirm(connection(&other, certificate(connection(r.TLS, certificate(a.Guard.Confirm(a.Spy)))))))
	before := a.Spy.Ran()
	if w := a.Serve(r); w.Code != http.StatusUnauthorized || a.Spy.Ran() != before {
		t.Errorf("VULNERABLE: got %d, ran %d: the decision about another connection", w.Code, a.Spy.Ran()-before)
	}
}
