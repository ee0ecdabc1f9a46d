package refusals_test

import (
	"errors"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// The standard library's errors forbids a nil among what Unwrap returns: whoever walks the tree calls its Error.
func TestErrorWithoutCause(t *testing.T) {
	cause := errors.New("cause")
	for _, tt := range []struct {
		name string
		err  interface {
			error
			Unwrap() []error
		}
		want []error
		says string
	}{
		{"popauth", &popauth.Error{Reason: popauth.ErrScope}, []error{popauth.ErrScope}, "popauth: scope missing"},
		{"popauth, cause", &popauth.Error{Reason: popauth.ErrScope, Err: cause}, []error{popauth.ErrScope, cause},
			"popauth: scope missing: cause"},
		{"clientauth", &clientauth.Error{Reason: clientauth.ErrTwoMethods}, []error{clientauth.ErrTwoMethods},
			"clientauth: more than one authentication method"},
		{"clientauth, cause", &clientauth.Error{Reason: clientauth.ErrTwoMethods, Err: cause}, []error{clientauth.ErrTwoMethods, cause},
			"clientauth: more than one authentication method: cause"},
	} {
		if got := tt.err.Unwrap(); !slices.Equal(got, tt.want) || tt.err.Error() != tt.says {
			t.Errorf("%s: got %v, %q, want %v, %q", tt.name, got, tt.err, tt.want, tt.says)
		}
	}
}

// Only where it may help to wait is a client told to, and a Reason of somebody else's is answered like ErrTokenInvalid.
func TestErrorRetryAfter(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	for _, tt := range []struct {
		reason popauth.Reason
		status int
		wait   time.Duration
	}{
		{popauth.ErrUnavailable, 503, 5 * time.Second}, {popauth.ErrOverloaded, 503, 5 * time.Second},
		{popauth.ErrProofLimit, 429, 5 * time.Second},
		{popauth.ErrTokenInvalid, 401, 0}, {popauth.ErrForbidden, 403, 0}, {popauth.ErrUndecided, 500, 0},
		{popauth.ErrRequestEnded, 499, 0},
		{"odd", 401, 0}, {"", 401, 0},
	} {
		e := &popauth.Error{Reason: tt.reason}
		if e.Status() != tt.status || e.RetryAfter() != tt.wait {
			t.Errorf("%q: got %d, %v, want %d, %v", tt.reason, e.Status(), e.RetryAfter(), tt.status, tt.wait)
		}
		w := httptest.NewRecorder()
		g.Refuse(w, l.Ask(), e)
		if w.Code != tt.status || (w.Header().Get("Retry-After") != "") != (tt.wait > 0) {
			t.Errorf("%q: got %d, Retry-After %q, want %d", tt.reason, w.Code, w.Header().Get("Retry-After"), tt.status)
		}
	}
}
