package issuers

import (
	"context"
	"testing"

	"github.com/seed-171ab058/popauth"
)

// preparing is somebody else's Verifier that says its issuers, and needs something before it can decide.
type preparing struct{ is bool }

func (preparing) Verify(context.Context, string) (*popauth.Token, error) {
	return nil, popauth.ErrTokenInvalid
}

func (preparing) Issuers() []string          { return []string{"https://id.example.com"} }
func (p preparing) Ready() bool              { return p.is }
func (preparing) Load(context.Context) error { return popauth.ErrUnavailable }
func (preparing) Size() int64                { return 7 }

// Behind JWTOr, which holds each of its Verifiers to the issuers that it says, what a Verifier can do is found all the same.
func TestPartsBehindJWTOr(t *testing.T) {
	v := popauth.JWTOr(preparing{is: true}, preparing{})
	if ready(v) {
		t.Error("one of two is not ready, and both pass for it")
	}
	if err := succeed(t.Context(), v); err == nil {
		t.Error("one of two can't be made ready: got no error")
	}
	if got := sizeOf(v); got != 14 {
		t.Errorf("got %d bytes, want those of both, 14", got)
	}
	if !ready(popauth.JWTOr(preparing{is: true}, preparing{is: true})) {
		t.Error("both are ready, and don't pass for it")
	}
}
