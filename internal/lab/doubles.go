package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

type Nowhere struct{ popauth.KeySource }

type MemberName string

func (m MemberName) Member() string { return string(m) }

func (m MemberName) Confirm(*http.Request, popauth.Presentation) error { return nil }

type VerifierFunc func(context.Context, string) (*popauth.Token, error)

func (f VerifierFunc) Verify(ctx context.Context, token string) (*popauth.Token, error) {
	return f(ctx, token)
}

type SourceFunc func(*http.Request) (*popauth.Certificate, error)

func (f SourceFunc) Certificate(r *http.Request) (*popauth.Certificate, error) { return f(r) }

func (SourceFunc) Headers() ([]string, error) { return nil, nil }

func Altered(change func(*http.Request)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			change(r)
			next.ServeHTTP(w, r)
		})
	}
}

func Tap(look func(*http.Request)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { look(r); next.ServeHTTP(w, r) })
	}
}

var ErrDown = &net.OpError{Op: "dial", Err: errors.New("connection refused")}

var ErrNo = errors.New("no")

func MatchFunc(err error) clientcert.Match {
	return clientcert.MatchFunc(func(*http.Request, *popauth.Certificate) error { return err })
}

// Observer keeps what it is told.
type Observer struct {
	mu  sync.Mutex
	All []popauth.Observation
	Ctx []context.Context
}

func (o *Observer) Observe(ctx context.Context, seen popauth.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.All, o.Ctx = append(o.All, seen), append(o.Ctx, ctx)
}

// Take returns what was seen since the last time, without the durations, which are checked.
func (o *Observer) Take(tb testing.TB) []string {
	tb.Helper()
	var lines []string
	for _, x := range o.All {
		if measured := x.Duration > 0; measured == (x.Stage == popauth.StageOutside) || x.Duration > time.Minute {
			tb.Errorf("%s took %v", x.Stage, x.Duration)
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %d %s|%s|%s|%s", x.Stage, x.Status, x.Reason, x.Scheme, x.Binding,
			x.Issuer)))
	}
	o.All, o.Ctx = nil, nil
	return lines
}

func Observed(o *popauth.Options) *Observer {
	seen := &Observer{}
	o.Observe = seen.Observe
	return seen
}

// Stub is a ResponseWriter that costs nothing.
type Stub struct {
	Fields http.Header
	Status int
}

func (s *Stub) Header() http.Header { return s.Fields }

func (s *Stub) Write(b []byte) (int, error) { return len(b), nil }

func (s *Stub) WriteHeader(status int) { s.Status = status }

// RequestClaims make a token as long as the usual one.
var RequestClaims = popauthtest.Claims{"scope": "orders.read orders.write profile", "acr": "1"}

// Cache is somebody else's Verifier that returns the Token of another Verifier until its key is withdrawn.
type Cache struct {
	popauth.Verifier
	Tokens    sync.Map
	Asked     atomic.Int32
	Withdrawn atomic.Bool
}

func (c *Cache) Verify(ctx context.Context, token string) (*popauth.Token, error) {
	c.Asked.Add(1)
	if c.Withdrawn.Load() {
		return nil, popauth.ErrTokenKey
	}
	if t, ok := c.Tokens.Load(token); ok {
		return t.(*popauth.Token), nil
	}
	t, err := c.Verifier.Verify(ctx, token)
	if err == nil {
		c.Tokens.Store(token, t)
	}
	return t, err
}

// twoIssuers are two issuers, each of which names a client, a user and a scope like the other's.
type twoIssuers struct {
	*Lab
	Acme, Globex *popauthtest.Issuer
}

func (l twoIssuers) Verifier(i *popauthtest.Issuer) popauth.Verifier {
	l.Helper()
	o := i.Options()
	v, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys, Now: l.Clock.Now})
	if err != nil {
		l.Fatal(err)
	}
	return v
}

func (l twoIssuers) Issuers(o issuers.Options) popauth.Verifier {
	l.Helper()
	v, err := issuers.New(o)
	if err != nil {
		l.Fatal(err)
	}
	return v
}

func (l twoIssuers) Both() popauth.Verifier {
	return l.Issuers(issuers.Options{Verifiers: map[string]popauth.Verifier{l.Acme.URL: l.Verifier(l.Acme),
		l.Globex.URL: l.Verifier(l.Globex)}})
}

func NewTwoIssuers(t *testing.T) twoIssuers {
	l := New(t)
	globex := popauthtest.NewIssuer(t)
	globex.Now = l.Clock.Now
	return twoIssuers{l, l.Issuer, globex}
}

// IssuingVerifier is somebody else's Verifier that says whose tokens it accepts.
type IssuingVerifier struct {
	popauth.Verifier
	All []string
}

func (v IssuingVerifier) Issuers() []string { return v.All }

func Median(s []float64) float64 {
	slices.Sort(s)
	return s[len(s)/2]
}
