// Package caller calls a handler as an owner, a thief and anonymously, for the tests of unsafe wirings.
package caller

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// World is a Guard, an owner with a token, and a thief who has that token.
type World struct {
	Guard        *popauth.Guard
	Issuer       *popauthtest.Issuer
	Owner, Thief *popauthtest.Client
	Token        string
}

// New makes a World whose owner has the scopes given.
func New(t *testing.T, scope string) *World {
	w := &World{Issuer: popauthtest.NewIssuer(t), Owner: popauthtest.SelfSigned(t, "owner"), Thief: popauthtest.SelfSigned(t, "thief")}
	guard, err := popauth.New(w.Issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	w.Guard = guard
	w.Token = w.Issuer.Token(w.Owner.Bound(), popauthtest.Claims{"scope": scope})
	return w
}

// Answers are the statuses for owner, thief and nobody, and how often the handlers ran for each, by the count given.
func (w *World) Answers(h http.Handler, method, target string, count *int) (statuses, ran [3]int) {
	for i, r := range []*http.Request{
		w.Owner.Request(method, target, w.Token),
		w.Thief.Request(method, target, w.Token),
		(*popauthtest.Client)(nil).Request(method, target, ""),
	} {
		before, answer := *count, httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		statuses[i], ran[i] = answer.Code, *count-before
	}
	return statuses, ran
}
