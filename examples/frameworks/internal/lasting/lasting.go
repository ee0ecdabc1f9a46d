// Package lasting tests APIs whose requests last longer than their tokens.
package lasting

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Left is for how long a Lab's token is in force yet.
const Left = 500 * time.Millisecond

// Every is how often an API asks again.
const Every = 50 * time.Millisecond

// Lab is an API, its caller, and a token that is soon over.
type Lab struct {
	Owner, Thief *popauthtest.Client
	Token, Long  string // the second lasts
	Revoked      atomic.Bool
	Subjects     chan string // of those whose news were asked for
	Server       *httptest.Server
}

// New serves what routes makes of a Guard, over TLS.
func New(t *testing.T, routes func(*popauth.Guard) http.Handler) *Lab {
	t.Helper()
	issuer, clock := popauthtest.NewIssuer(t), popauthtest.NewClock(time.Now())
	issuer.Now = clock.Now
	l := &Lab{Owner: popauthtest.SelfSigned(t, "owner"), Thief: popauthtest.SelfSigned(t, "thief"), Subjects: make(chan string, 100)}
	scope := popauthtest.Claims{"scope": "orders.read"}
	l.Token = issuer.Token(l.Owner.Bound(), scope, popauthtest.Claims{"exp": clock.Now().Add(time.Minute).Unix()})
	l.Long = issuer.Token(l.Owner.Bound(), scope, popauthtest.Claims{"exp": clock.Now().Add(time.Hour).Unix()})
	whole := time.Duration(clock.Now().Nanosecond()) // exp has whole seconds
	clock.Advance(time.Minute - whole + 30*time.Second - Left)
	o := issuer.Options()
	o.Now, o.Logger = clock.Now, slog.New(slog.DiscardHandler)
	o.Revoked = func(context.Context, *popauth.Token) (bool, error) { return l.Revoked.Load(), nil }
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l.Server = popauthtest.NewServer(t, routes(guard))
	return l
}

// News has one event for everybody.
func (l *Lab) News(_ context.Context, subject string) <-chan string {
	l.Subjects <- subject
	events := make(chan string, 1)
	events <- "hello " + subject
	return events
}
