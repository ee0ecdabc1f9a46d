package uri

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

type untoldKey struct{}

// Untold is for a function that returns a request's URL, and is about to return none: what it was for, where somebody asks. It holds
// nothing that a sender chose.
func Untold(r *http.Request, why string) {
	if at, ok := r.Context().Value(untoldKey{}).(*string); ok {
		*at = why
	}
}

// WhyUntold asks a function that has returned no URL for a request once more, for what it was for; nil if it doesn't say.
func WhyUntold(r *http.Request, f func(*http.Request) *url.URL) error {
	var why string
	if f(r.WithContext(context.WithValue(r.Context(), untoldKey{}, &why))); why != "" {
		return errors.New(why)
	}
	return nil
}
