package bench

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// A side that lets everything pass, one that answers and lets pass, and one that refuses everything are found out.
func TestHoldFindsWrongAnswers(t *testing.T) {
	f := NewFixture(t)
	questions := f.TokenQuestions("ES256")
	for name, middleware := range map[string]func(http.Handler) http.Handler{
		"open": func(next http.Handler) http.Handler { return next },
		"leaking": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				next.ServeHTTP(w, r)
			})
		},
		"shut": func(http.Handler) http.Handler { return http.NotFoundHandler() },
		"down": func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		},
	} {
		side := Side{Name: name, Protect: func(context.Context, API) (func(http.Handler) http.Handler, error) { return middleware, nil }}
		_, err := hold([]Side{side}, f.API("ES256"), questions)
		question := map[bool]string{true: "good", false: "garbage"}[name == "shut"]
		if err == nil || !strings.Contains(err.Error(), name+", ES256, "+question+":") {
			t.Errorf("%s: got %v, want an error about %s", name, err, question)
		}
	}
}
