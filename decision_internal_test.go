package popauth

import (
	"context"
	"errors"
	"testing"
)

// A decision is as good behind a handler that has looked at the certificate again, if that handler has its place inside of
// what the decision was made behind; and no other is.
func TestDecisionBehindAnotherLook(t *testing.T) {
	look := func(outer *decision) *decision {
		return &decision{finding: finding{outer: outer, by: &station{source: TLSCertificate()}}}
	}
	first := look(nil)
	d := &decision{finding: finding{outer: first, by: &station{}, presented: presented{credentials: 1, extraction: first}}}
	inside, apart := look(d), look(look(nil))
	for name, tt := range map[string]struct {
		now  presented
		want *decision
	}{
		"inside":                     {presented{credentials: 1, extraction: inside}, inside},
		"inside, other credentials":  {presented{credentials: 2, extraction: inside}, nil},
		"behind another first look":  {presented{credentials: 1, extraction: apart}, nil},
		"no look any more":           {presented{credentials: 1}, nil},
		"no look, other credentials": {presented{credentials: 2}, nil},
	} {
		got := d.behind(tt.now, goesByOf(TLSCertificate()))
		if (got == nil) != (tt.want == nil) || got != nil && got.presented.extraction != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

// What a request waited for may have said no more than a Reason.
func TestEndOfAnErrorWithoutCause(t *testing.T) {
	ctx, end := context.WithCancelCause(t.Context())
	end(errors.New("shutting down"))
	e := endOf(ctx, &Error{Reason: ErrUnavailable})
	if got, want := e.Error(), "popauth: "+ErrRequestEnded.Error()+": shutting down"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	e = endOf(ctx, &Error{Reason: ErrUnavailable, Err: errors.New("no answer")})
	if got, want := e.Error(), "popauth: "+ErrRequestEnded.Error()+": no answer"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
