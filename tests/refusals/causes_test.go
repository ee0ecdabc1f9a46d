package refusals_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// joinedError is an error of somebody else's that has joined others, maybe none of them.
type joinedError struct {
	text string
	all  []error
}

func (e joinedError) Error() string   { return e.text }
func (e joinedError) Unwrap() []error { return e.all }

// Whatever a Verifier of the program returns is a line of bounded length in printable ASCII.
func TestCauses(t *testing.T) {
	const hostile = "a\nlevel=ERROR \x1b[31m\xffé"
	long := strings.Repeat("x", 1<<20)
	m := &popauth.Mismatch{What: "aud", Got: "a", Want: "b"}
	for _, tt := range []struct {
		name string
		err  error
		says string
		not  string
	}{
		{name: "a Reason", err: &popauth.Error{Reason: hostile}, says: "code=token_invalid reason=a?level=ERROR ?[31m"},
		{name: "a text", err: errors.New(hostile), says: "error=a?level=ERROR ?[31m"},
		{name: "a long text", err: errors.New(long), says: "error=xxx"},
		{name: "a comparison", err: &popauth.Mismatch{What: hostile, Got: hostile, Want: hostile, Advice: hostile}, says: "want=a?level"},
		{name: "a long comparison", err: &popauth.Mismatch{What: long, Got: long, Want: long, Advice: long}, says: "what=xxx"},
		{name: "a comparison, wrapped", err: fmt.Errorf("tenant 7: %w", m), says: "error=tenant 7 what=aud got=a want=b"},
		{name: "a comparison within", err: fmt.Errorf("%w, of tenant 7", m), says: "error=aud is a, want b, of tenant 7 what=aud"},
		{name: "a comparison alone", err: m, says: "what=aud got=a want=b", not: "error="},
		{name: "no comparison", err: fmt.Errorf("it says %w", noMismatch{}), says: "error=it says nothing"},
		{name: "a nil Error", err: (*popauth.Error)(nil), says: "code=token_invalid"},
		{name: "a nil Error within", err: &popauth.Error{Reason: popauth.ErrTokenInvalid, Err: fmt.Errorf("x: %w", (*popauth.Error)(nil))},
			says: "code=token_invalid"},
		{name: "joined", err: &popauth.Error{Reason: popauth.ErrForbidden, Err: errors.Join(m, errors.New("two"), errors.New("three"),
			errors.New("four"), errors.New("five"))},
			says: "what=aud got=a want=b cause2=[error=two] cause3=[error=three] cause4=[error=four]", not: "five"},
		{name: "joined with a text of its own", err: &popauth.Error{Reason: popauth.ErrForbidden,
			Err: joinedError{"neither", []error{m, errors.New("two")}}}, says: "error=neither", not: "cause2"},
		{name: "joined with none", err: &popauth.Error{Reason: popauth.ErrForbidden, Err: joinedError{"both", []error{nil, m}}},
			says: "error=both", not: "cause2"},
		{name: "joined with nothing", err: &popauth.Error{Reason: popauth.ErrForbidden, Err: joinedError{text: "nothing"}},
			says: "error=nothing"},
		{name: "joined with a nil Error", err: &popauth.Error{Reason: popauth.ErrForbidden, Err: errors.Join(m, (*popauth.Error)(nil))},
			says: "what=aud got=a want=b cause2="},
	} {
		var raw strings.Builder
		g, err := popauth.New(popauth.Options{Verifier: refusingVerifier{tt.err}, Logger: slog.New(rawHandler{&raw})})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/orders", http.NoBody)
		r.Header.Set("Authorization", "Bearer x")
		if out := lab.Send(g.Authenticate, r); out.Ran || out.Status == http.StatusOK {
			t.Errorf("%s: got %d, ran %t", tt.name, out.Status, out.Ran)
		}
		line := raw.String()
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) || len(line) > 9<<10 {
			t.Errorf("%s: got %d bytes: %.600q", tt.name, len(line), line)
		}
		if !strings.Contains(line, tt.says) || tt.not != "" && strings.Contains(line, tt.not) {
			t.Errorf("%s: got %.900s, want %s, and not %q", tt.name, line, tt.says, tt.not)
		}
	}
}

// noMismatch says that it has a comparison, which is nil.
type noMismatch struct{}

func (noMismatch) Error() string { return "nothing" }

// As gives a nil one.
func (noMismatch) As(target any) bool {
	m, ok := target.(**popauth.Mismatch)
	if ok {
		*m = nil
	}
	return ok
}

// unboundOrNone accepts one token, which isn't bound.
type unboundOrNone struct{}

func (unboundOrNone) Verify(_ context.Context, token string) (*popauth.Token, error) {
	if token != "unbound" {
		return nil, popauth.ErrTokenSignature
	}
	return popauth.NewToken([]byte(`{"iss":"https://id.example.com","client_id":"reports"}`))
}

// After a flood the next line says how many were left out, be it of refusals or of unbound tokens, and lines that nobody wanted count
// for nothing.
func TestUnlogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var level slog.LevelVar
		g, err := popauth.New(popauth.Options{
			Verifier: unboundOrNone{}, Binding: popauth.BindingAnnounced, LogPerMinute: 3,
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: &level})),
		})
		if err != nil {
			t.Fatal(err)
		}
		send := func(times int, token string) {
			for range times {
				r := httptest.NewRequest(http.MethodGet, "/orders", http.NoBody)
				r.Header.Set("Authorization", "Bearer "+token)
				lab.Send(g.Authenticate, r)
			}
		}
		level.Set(slog.LevelError)
		send(100, "forged")
		level.Set(slog.LevelInfo)
		send(10, "forged")
		send(10, "unbound")
		got := log.String()
		refused, announced := strings.Count(got, "code=token_signature"), strings.Count(got, "token not bound")
		if refused != 3 || announced != 1 || strings.Contains(got, "unlogged") {
			t.Errorf("got %s", got)
		}
		log.Reset()
		time.Sleep(time.Minute)
		send(1, "forged")
		send(1, "unbound")
		if got := log.String(); strings.Count(got, "unlogged=7") != 1 || strings.Count(got, "unlogged=9") != 1 {
			t.Errorf("a minute later: got %s", got)
		}
	})
}
