package thirdparty_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/issuers"
)

// failed is an error of somebody who has declared it as an *Error, and returns it as an error: it isn't nil, and has nothing in it.
var failed *popauth.Error

// nothing is MutualTLS that returns such an error where it has confirmed.
type nothing struct{ popauth.MutualTLS }

func (n nothing) Confirm(r *http.Request, p popauth.Presentation) error {
	if err := n.MutualTLS.Confirm(r, p); err != nil {
		return err
	}
	return failed
}

// An error is never taken for none, be it one with nothing in it, and never ends the request in a panic.
func TestErrorsWithNothingInThem(t *testing.T) {
	w := newWorld(t)
	o := w.issuer.Options()
	o.Revoked = func(context.Context, *popauth.Token) (bool, error) { return false, failed }
	tenants, err := issuers.New(issuers.Options{Resolve: func(context.Context, string) (popauth.Verifier, error) { return w.own, failed }})
	if err != nil {
		t.Fatal(err)
	}
	checked := w.issuer.Options()
	checked.Certificate, err = clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{
		SelfSigned: []string{w.owner.Thumbprint()},
		Check:      func(*http.Request, *popauth.Certificate) error { return failed },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.run(t, []party{
		{name: "Verifier", options: w.verifiedBy(verify(func(ctx context.Context, s string) (*popauth.Token, error) {
			token, _ := w.own.Verify(ctx, s)
			return token, failed
		})), one: 401, two: 401},
		{name: "Verifier, wrapped", options: w.verifiedBy(verify(func(context.Context, string) (*popauth.Token, error) {
			return nil, fmt.Errorf("no: %w", failed)
		})), one: 401, two: 401},
		{name: "Confirmer", options: w.confirmedBy(nothing{}), one: 401, two: 401},
		{name: "CertificateSource", options: w.found(func(r *http.Request) (*popauth.Certificate, error) {
			return &popauth.Certificate{Leaf: leafOf(r)}, failed
		}), one: 400, two: 400},
		{name: "Check", options: checked, one: 403, two: 403},
		{name: "Revoked", options: o, one: 503, two: 503},
		{name: "Resolve", options: w.verifiedBy(tenants), one: 503, two: 503},
	})
	guard, err := popauth.New(w.issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	policy := popauth.PolicyFunc(func(*http.Request, *popauth.Principal) error { return failed })
	if got := status(guard.Authorize(policy)(http.NotFoundHandler()), w.owner.Request("GET", "/orders", w.token)); got != 403 {
		t.Errorf("PolicyFunc: got %d, want 403", got)
	}
	for _, text := range []string{failed.Error(), popauth.Unavailable(t.Context(), failed).Error()} {
		if text == "" {
			t.Error("got an error that says nothing")
		}
	}
}

// changing is a Confirmer that says yes, and another member each time it is asked.
type changing struct {
	yes
	calls *int
	after int
}

func (c changing) Member() string {
	*c.calls++
	if *c.calls <= c.after {
		return c.member
	}
	return "x5t#S256"
}

// A member counts as New has seen it: one that changes takes no other Confirmer's place.
func TestChangingMember(t *testing.T) {
	w := newWorld(t)
	for after := range 12 {
		guard, err := popauth.New(w.confirmedBy(popauth.MutualTLS{}, changing{yes{"other"}, new(int), after}))
		if err != nil {
			continue
		}
		ran := 0
		h := guard.Confirm(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran++ }))
		if got := status(h, w.thief.Request("GET", "/orders", w.token)); got != 401 || ran != 0 {
			t.Errorf("VULNERABLE: after %d calls: got %d, ran %d times, want 401", after, got, ran)
		}
	}
}
