package popauth_test

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

type nowhere struct{ popauth.KeySource }

type member string

func (m member) Member() string { return string(m) }

func (m member) Confirm(*http.Request, popauth.Presentation) error { return nil }

type verifierFunc func(context.Context, string) (*popauth.Token, error)

func (f verifierFunc) Verify(ctx context.Context, token string) (*popauth.Token, error) {
	return f(ctx, token)
}

type sourceFunc func(*http.Request) (*popauth.Certificate, error)

func (f sourceFunc) Certificate(r *http.Request) (*popauth.Certificate, error) { return f(r) }

func (sourceFunc) Headers() ([]string, error) { return nil, nil }

func altered(change func(*http.Request)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			change(r)
			next.ServeHTTP(w, r)
		})
	}
}

func tap(look func(*http.Request)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { look(r); next.ServeHTTP(w, r) })
	}
}

var errDown = &net.OpError{Op: "dial", Err: errors.New("connection refused")}

var errNo = errors.New("no")

func matchFunc(err error) clientcert.Match {
	return clientcert.MatchFunc(func(*http.Request, *popauth.Certificate) error { return err })
}

// observer keeps what it is told.
type observer struct {
	mu  sync.Mutex
	all []popauth.Observation
	ctx []context.Context
}

func (o *observer) observe(ctx context.Context, seen popauth.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all, o.ctx = append(o.all, seen), append(o.ctx, ctx)
}

// take returns what was seen since the last time, without the durations, which are checked.
func (o *observer) take(tb testing.TB) []string {
	tb.Helper()
	var lines []string
	for _, x := range o.all {
		if measured := x.Duration > 0; measured == (x.Stage == popauth.StageOutside) || x.Duration > time.Minute {
			tb.Errorf("%s took %v", x.Stage, x.Duration)
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %d %s|%s|%s|%s", x.Stage, x.Status, x.Reason, x.Scheme, x.Binding, x.Issuer)))
	}
	o.all, o.ctx = nil, nil
	return lines
}

func observed(o *popauth.Options) *observer {
	seen := &observer{}
	o.Observe = seen.observe
	return seen
}

// stub is a ResponseWriter that costs nothing.
type stub struct {
	header http.Header
	status int
}

func (s *stub) Header() http.Header { return s.header }

func (s *stub) Write(b []byte) (int, error) { return len(b), nil }

func (s *stub) WriteHeader(status int) { s.status = status }

// requestClaims make a token as long as the usual one.
var requestClaims = popauthtest.Claims{"scope": "orders.read orders.write profile", "acr": "1"}

// cache is somebody else's Verifier that returns the Token of another Verifier until its key is withdrawn.
type cache struct {
	popauth.Verifier
	tokens    sync.Map
	asked     atomic.Int32
	withdrawn atomic.Bool
}

func (c *cache) Verify(ctx context.Context, token string) (*popauth.Token, error) {
	c.asked.Add(1)
	if c.withdrawn.Load() {
		return nil, popauth.ErrTokenKey
	}
	if t, ok := c.tokens.Load(token); ok {
		return t.(*popauth.Token), nil
	}
	t, err := c.Verifier.Verify(ctx, token)
	if err == nil {
		c.tokens.Store(token, t)
	}
	return t, err
}

// twoIssuers are two issuers, each of which names a client, a user and a scope like the other's.
type twoIssuers struct {
	*lab
	acme, globex *popauthtest.Issuer
}

func (l twoIssuers) verifier(i *popauthtest.Issuer) popauth.Verifier {
	l.Helper()
	o := i.Options()
	v, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys, Now: l.clock.Now})
	if err != nil {
		l.Fatal(err)
	}
	return v
}

func (l twoIssuers) issuers(o issuers.Options) popauth.Verifier {
	l.Helper()
	v, err := issuers.New(o)
	if err != nil {
		l.Fatal(err)
	}
	return v
}

func (l twoIssuers) both() popauth.Verifier {
	return l.issuers(issuers.Options{Verifiers: map[string]popauth.Verifier{l.acme.URL: l.verifier(l.acme), l.globex.URL: l.verifier(l.globex)}})
}

func newTwoIssuers(t *testing.T) twoIssuers {
	l := newLab(t)
	globex := popauthtest.NewIssuer(t)
	globex.Now = l.clock.Now
	return twoIssuers{l, l.issuer, globex}
}

// issuingVerifier is somebody else's Verifier that says whose tokens it accepts.
type issuingVerifier struct {
	popauth.Verifier
	all []string
}

func (v issuingVerifier) Issuers() []string { return v.all }

func median(s []float64) float64 {
	slices.Sort(s)
	return s[len(s)/2]
}
