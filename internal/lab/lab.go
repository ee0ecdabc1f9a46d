// Package lab has what tests of several packages share: issuers, callers who own a key and thieves who do not, doubles of
// popauth's interfaces, and ways to say what came out.
package lab

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// Lab has what most tests need: an issuer, a client with a certificate, a thief with another, and a clock.
type Lab struct {
	testing.TB
	Clock        *popauthtest.Clock
	Issuer       *popauthtest.Issuer
	CA           *popauthtest.CA
	Owner, Thief *popauthtest.Client
}

func New(tb testing.TB, algorithms ...string) *Lab {
	tb.Helper()
	l := &Lab{TB: tb, Clock: popauthtest.NewClock(time.Unix(1_800_000_000, 0)), Issuer: popauthtest.NewIssuer(tb, algorithms...)}
	l.Issuer.Now = l.Clock.Now
	l.CA = popauthtest.NewCA(tb)
	l.Owner = l.CA.Client("owner")
	l.Thief = popauthtest.SelfSigned(tb, "thief")
	return l
}

func (l *Lab) Guard(change ...func(*popauth.Options)) *popauth.Guard {
	l.Helper()
	o := l.Issuer.Options()
	o.Observe, o.Logger = Note, slog.New(slog.DiscardHandler)
	for _, c := range change {
		c(&o)
	}
	g, err := popauth.New(o)
	if err != nil {
		l.Fatal(err)
	}
	return g
}

// Proofs makes a Confirmer whose proofs are for whatever URL a request names, unless its options say otherwise. It panics with
// what is wrong.
func Proofs(o dpop.Options) *dpop.Confirmer {
	if o.BaseURL == "" && o.URL == nil {
		o.URL = dpop.RequestURL
	}
	d, err := dpop.New(o)
	if err != nil {
		panic(err)
	}
	return d
}

// Bound is a token of the owner with the scope orders.read.
func (l *Lab) Bound(claims ...popauthtest.Claims) string {
	l.Helper()
	return l.Issuer.Token(append([]popauthtest.Claims{l.Owner.Bound(), {"scope": "orders.read"}}, claims...)...)
}

// Unbound is the same without cnf.
func (l *Lab) Unbound(claims ...popauthtest.Claims) string {
	l.Helper()
	return l.Issuer.Token(append([]popauthtest.Claims{{"scope": "orders.read"}}, claims...)...)
}

// Outcome is what one request came to.
type Outcome struct {
	Status     int
	Challenges []string
	Ran        bool
	Header     http.Header
	Body       string
}

// Send serves r by what wrap makes of a spy.
func Send(wrap func(http.Handler) http.Handler, r *http.Request) Outcome {
	spy := &popauthtest.Spy{}
	w := httptest.NewRecorder()
	wrap(spy).ServeHTTP(w, r)
	return Outcome{w.Code, w.Header().Values("WWW-Authenticate"), spy.Ran() > 0, w.Header(), w.Body.String()}
}

// Refused holds an outcome against a refusal with a challenge that starts as given ("" for none).
func (o Outcome) Refused(tb testing.TB, status int, challenge string) {
	tb.Helper()
	if o.Ran {
		tb.Error("the handler ran")
	}
	if o.Status != status {
		tb.Errorf("status: got %d, want %d", o.Status, status)
	}
	switch {
	case challenge == "" && len(o.Challenges) > 0:
		tb.Errorf("challenges: got %q, want none", o.Challenges)
	case challenge != "" && (len(o.Challenges) == 0 || !strings.HasPrefix(o.Challenges[0], challenge)):
		tb.Errorf("challenges: got %q, want one that starts with %q", o.Challenges, challenge)
	}
	if o.Body != "" {
		tb.Errorf("body: got %q, want none", o.Body)
	}
}

func (o Outcome) Passed(tb testing.TB) {
	tb.Helper()
	if !o.Ran || o.Status != http.StatusOK || len(o.Challenges) > 0 {
		tb.Errorf("got status %d, ran %t, challenges %q, want a pass", o.Status, o.Ran, o.Challenges)
	}
}

// Is holds an outcome against a status: a pass, or a refusal without a challenge.
func (o Outcome) Is(tb testing.TB, status int) {
	tb.Helper()
	if status == http.StatusOK {
		o.Passed(tb)
	} else {
		o.Refused(tb, status, "")
	}
}

// What a challenge of popauth begins with.
const (
	InvalidToken   = `Bearer error="invalid_token"`
	InvalidRequest = `Bearer error="invalid_request"`
	LacksScope     = `Bearer error="insufficient_scope"`
)

// Chain applies stages so that the first is the outermost.
func Chain(stages ...func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		for _, s := range slices.Backward(stages) {
			h = s(h)
		}
		return h
	}
}

// ByProxy is the source of an API behind a proxy.
func ByProxy(format proxy.Format, trust ...proxy.Trust) popauth.CertificateSource {
	source, err := proxy.Certificate(format, trust...)
	if err != nil {
		panic(err)
	}
	return source
}
