package mcpsession

import (
	"net/http"
	"time"

	"github.com/seed-171ab058/popauth"
)

// recheck reports whether the decision that let a request pass still holds.
func (e *endpoint) recheck(r *http.Request) error {
	p, ok := popauth.FromContext(r.Context())
	if !ok || !p.ExpiresAt.IsZero() && time.Now().After(p.ExpiresAt) {
		return popauth.ErrTokenExpired
	}
	return nil
}
