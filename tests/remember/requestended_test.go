package remember_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// limit is long enough for a busy machine to come to where a request waits, and no longer.
const limit = 100 * time.Millisecond

// ends are the ways in which a request's context ends before the decision, and what each is: the caller's doing, or a limit
// that this side has set.
var ends = []struct {
	name   string
	begin  func(context.Context) (context.Context, func())
	reason popauth.Reason
	status int
	level  string
}{
	{name: "the client goes away", reason: popauth.ErrRequestEnded, status: 499, level: "INFO",
		begin: func(ctx context.Context) (context.Context, func()) { return context.WithCancel(ctx) }},
	{name: "the server ends it with a cause", reason: popauth.ErrRequestEnded, status: 499, level: "INFO",
		begin: func(ctx context.Context) (context.Context, func()) {
			ctx, end := context.WithCancelCause(ctx)
			return ctx, func() { end(errors.New("shutting down")) }
		}},
	{name: "a time limit that the client has chosen", reason: popauth.ErrRequestEnded, status: 499, level: "INFO",
		begin: func(ctx context.Context) (context.Context, func()) {
			ctx, end := context.WithTimeoutCause(ctx, limit, popauth.ErrRequestEnded)
			return ctx, func() { <-ctx.Done(); end() }
		}},
	{name: "a time limit of this side", reason: popauth.ErrUnavailable, status: 503, level: "WARN",
		begin: func(ctx context.Context) (context.Context, func()) {
			ctx, end := context.WithTimeout(ctx, limit)
			return ctx, func() { <-ctx.Done(); end() }
		}},
}

// waiting is everything that a Guard may wait for. What is asked calls asked, and answers when the context has ended.
func waiting(l *lab.Lab, asked func()) map[string]func(*popauth.Options) {
	hang := func(ctx context.Context) error {
		asked()
		<-ctx.Done()
		return ctx.Err()
	}
	outage := func(ctx context.Context) error { return &popauth.Error{Reason: popauth.ErrUnavailable, Err: hang(ctx)} }
	return map[string]func(*popauth.Options){
		"keys": func(o *popauth.Options) { o.Keys = keysAt(l, asked) },
		"introspection": func(o *popauth.Options) {
			o.Verifier, o.Issuer, o.Audience, o.Keys = introspectionAt(l, asked), "", nil, nil
		},
		"the resolution of issuers": func(o *popauth.Options) {
			over := make(chan struct{}) // its context doesn't end with the request
			l.Cleanup(func() { close(over) })
			v, err := issuers.New(issuers.Options{Resolve: func(context.Context, string) (popauth.Verifier, error) {
				asked()
				<-over
				return nil, context.Canceled
			}})
			if err != nil {
				l.Fatal(err)
			}
			o.Verifier, o.Issuer, o.Audience, o.Keys = v, "", nil, nil
		},
		"a Verifier": func(o *popauth.Options) {
			o.Verifier, o.Issuer, o.Audience, o.Keys = hangingVerifier(outage), "", nil, nil
		},
		"Revoked": func(o *popauth.Options) {
			o.Revoked = func(ctx context.Context, _ *popauth.Token) (bool, error) { return false, hang(ctx) }
		},
		"the certificate's Revoked": func(o *popauth.Options) {
			s, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{Roots: l.CA.Pool(),
				Revoked: func(ctx context.Context, _ []*x509.Certificate) (bool, error) { return false, hang(ctx) }})
			if err != nil {
				l.Fatal(err)
			}
			o.Certificate = s
		},
		"a CertificateSource": func(o *popauth.Options) { o.Certificate = hangingSource(outage) },
		"a Confirmer":         func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{hangingConfirmer(outage)} },
	}
}

type hangingVerifier func(context.Context) error

func (v hangingVerifier) Verify(ctx context.Context, _ string) (*popauth.Token, error) {
	return nil, v(ctx)
}
func (hangingVerifier) Issuers() []string { return []string{"https://id.example.com"} }

type hangingSource func(context.Context) error

func (s hangingSource) Certificate(r *http.Request) (*popauth.Certificate, error) {
	return nil, s(r.Context())
}
func (hangingSource) Headers() ([]string, error) { return nil, nil }

type hangingConfirmer func(context.Context) error

func (hangingConfirmer) Member() string { return "x5t#S256" }
func (c hangingConfirmer) Confirm(r *http.Request, _ popauth.Presentation) error {
	return c(r.Context())
}

// hangingServer calls asked with each request, and answers none until the test ends.
func hangingServer(tb testing.TB, asked func()) string {
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked()
		<-over
	}))
	tb.Cleanup(func() {
		close(over)
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

func keysAt(l *lab.Lab, asked func()) *popauth.RemoteKeys {
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{URL: hangingServer(l, asked), AllowLoopbackHTTP: true, Now: l.Clock.Now})
	if err != nil {
		l.Fatal(err)
	}
	return keys
}

func introspectionAt(l *lab.Lab, asked func()) *introspection.Verifier {
	return l.Introspection(func(o *introspection.Options) {
		o.Endpoint, o.AllowLoopbackHTTP = hangingServer(l, asked), true
	})
}

// A client that goes away is no outage, wherever its request waits. A time limit that this side has set is one.
func TestRequestThatEnds(t *testing.T) {
	l := lab.New(t)
	token := l.Bound()
	for name := range waiting(l, nil) {
		for _, end := range ends {
			t.Run(name+": "+end.name, func(t *testing.T) {
				ctx, stop := end.begin(t.Context())
				asked := func() { go stop() }
				var log bytes.Buffer
				var seen *lab.Observer
				g := l.Guard(waiting(l, asked)[name], func(o *popauth.Options) {
					seen, o.Logger = lab.Observed(o), slog.New(slog.NewTextHandler(&log, nil))
				})
				o := lab.Send(g.Confirm, l.Owner.Request("GET", "/", token).WithContext(ctx))
				if o.Ran {
					t.Error("VULNERABLE: the handler ran")
				}
				if got := seen.All; len(got) != 1 || got[0].Reason != end.reason || got[0].Status != end.status || o.Status != end.status {
					t.Errorf("got %d %+v, want %d %s", o.Status, got, end.status, end.reason)
				}
				if !strings.Contains(log.String(), "level="+end.level+` msg="request refused"`) {
					t.Errorf("got %s, want level %s", &log, end.level)
				}
			})
		}
	}
}

type hangingStore func(context.Context) error

func (s hangingStore) Use(ctx context.Context, _, _ string, _ time.Time) (bool, error) {
	return false, s(ctx)
}

type hangingNonces func(context.Context) error

func (n hangingNonces) Check(ctx context.Context, _ string, _ time.Time) (bool, string, error) {
	return false, "", n(ctx)
}

// The same for what DPoP asks, in an API and at a token endpoint, and for policies, Recheck and clientcert.Require.
func TestRequestThatEndsElsewhere(t *testing.T) {
	l := lab.New(t)
	key := popauthtest.NewProofKey(t, "ES256")
	key.Now = l.Clock.Now
	for _, end := range ends {
		for name, ask := range endings {
			x := &ending{Lab: l, key: key, status: end.status, begin: end.begin}
			err := ask(x)
			x.stop()
			if !lab.ReasonIs(err, end.reason) {
				t.Errorf("%s: %s: got %v, want %s", name, end.name, err, end.reason)
			}
			if end.reason == popauth.ErrRequestEnded && errors.Is(err, popauth.ErrUnavailable) {
				t.Errorf("%s: %s: %v is an outage for errors.Is", name, end.name, err)
			}
		}
	}
}

// ending is a request whose context ends as soon as hang is called.
type ending struct {
	*lab.Lab
	key    *popauthtest.ProofKey
	begin  func(context.Context) (context.Context, func())
	begun  context.Context
	stop   func()
	status int
}

// ctx begins when it is first asked for: a limit on it is no limit on what a Guard needs first.
func (x *ending) ctx() context.Context {
	if x.begun == nil {
		x.begun, x.stop = x.begin(x.Context())
	}
	return x.begun
}

func (x *ending) hang(ctx context.Context) error {
	go x.stop()
	<-ctx.Done()
	return ctx.Err()
}

func (x *ending) policy() popauth.Policy {
	return popauth.PolicyFunc(func(r *http.Request, _ *popauth.Principal) error { return x.hang(r.Context()) })
}

func (x *ending) with(c popauth.Confirmer) *popauth.Guard {
	return x.Guard(func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, c} })
}

func (x *ending) proven(token string) *http.Request {
	r := httptest.NewRequest("GET", "https://example.com/", nil)
	r.Header.Set("DPoP", x.key.Proof("GET", "https://example.com/", token))
	if token != "" {
		r.Header.Set("Authorization", "DPoP "+token)
	}
	return r.WithContext(x.ctx())
}

// fetchKeys lets a Guard have all that it needs.
func (x *ending) fetchKeys(g *popauth.Guard) {
	if _, err := g.Check(x.Owner.Request("GET", "/", x.Bound())); err != nil {
		x.Fatal(err)
	}
}

func (x *ending) plain() *http.Request {
	return x.Owner.Request("GET", "/", x.Bound()).WithContext(x.ctx())
}

func (x *ending) memory() *dpop.ReplayMemory {
	m, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{Now: x.Clock.Now})
	if err != nil {
		x.Fatal(err)
	}
	return m
}

var endings = map[string]func(*ending) error{
	"a ReplayStore": func(x *ending) error {
		_, err := x.with(lab.Proofs(dpop.Options{Replay: hangingStore(x.hang)})).Check(x.proven(x.Issuer.Token(x.key.Bound())))
		return err
	},
	"nonces": func(x *ending) error {
		_, err := x.with(lab.Proofs(dpop.Options{Nonces: hangingNonces(x.hang)})).Check(x.proven(x.Issuer.Token(x.key.Bound())))
		return err
	},
	"replay memory": func(x *ending) error {
		_ = x.hang(x.ctx())
		_, err := x.memory().Use(x.ctx(), "k", "i", x.Clock.Now().Add(time.Hour))
		return err
	},
	"replay memory of a Guard": func(x *ending) error {
		g := x.with(lab.Proofs(dpop.Options{Replay: x.memory()}))
		x.fetchKeys(g)
		_ = x.hang(x.ctx())
		_, err := g.Check(x.proven(x.Issuer.Token(x.key.Bound())))
		return err
	},
	"ProveKey": func(x *ending) error {
		_, err := lab.Proofs(dpop.Options{Replay: hangingStore(x.hang)}).ProveKey(http.Header{}, x.proven(""), x.Clock.Now())
		return err
	},
	"a policy": func(x *ending) error {
		_, err := x.with(lab.Proofs(dpop.Options{})).Check(x.plain(), x.policy())
		return err
	},
	"any of two policies": func(x *ending) error {
		_, err := x.with(lab.Proofs(dpop.Options{})).Check(x.plain(), popauth.AnyOf(x.policy(), popauth.Scope("none")))
		return err
	},
	"Recheck": func(x *ending) (err error) {
		g := x.with(lab.Proofs(dpop.Options{}))
		x.fetchKeys(g)
		g.Confirm(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, err = g.Recheck(r, x.policy()) })).
			ServeHTTP(httptest.NewRecorder(), x.plain())
		return err
	},
	"what Recheck asks": func(x *ending) (err error) {
		rechecked := false
		g := x.Guard(func(o *popauth.Options) {
			o.Revoked = func(ctx context.Context, _ *popauth.Token) (bool, error) {
				if !rechecked {
					return false, nil
				}
				return false, x.hang(ctx)
			}
		})
		x.fetchKeys(g)
		g.Confirm(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			rechecked = true
			_, err = g.Recheck(r)
		})).ServeHTTP(httptest.NewRecorder(), x.plain())
		return err
	},
	"CheckCertificate": func(x *ending) error {
		_, err := clientcert.Check(x.plain(), hangingSource(x.outage))
		return err
	},
	"a policy on certificates": func(x *ending) error {
		s, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{Roots: x.CA.Pool()})
		if err != nil {
			x.Fatal(err)
		}
		_, err = clientcert.Check(x.plain(), s, clientcert.MatchFunc(func(r *http.Request, _ *popauth.Certificate) error {
			return x.hang(r.Context())
		}))
		return err
	},
	"Refuse": func(x *ending) (err error) {
		g := x.Guard(func(o *popauth.Options) {
			o.Deny = func(_ http.ResponseWriter, _ *http.Request, e *popauth.Error) { err = e }
		})
		w := httptest.NewRecorder()
		g.Refuse(w, x.plain(), x.outage(x.ctx()))
		if w.Code != x.status {
			x.Errorf("Refuse: got %d, want %d", w.Code, x.status)
		}
		return err
	},
}

// outage is what a source of the program says that has waited for something.
func (x *ending) outage(ctx context.Context) error {
	return &popauth.Error{Reason: popauth.ErrUnavailable, Err: x.hang(ctx)}
}

// An outage that comes to light while nobody has gone stays one, whatever its error wraps.
func TestOutageThatWrapsCanceled(t *testing.T) {
	l := lab.New(t)
	var seen *lab.Observer
	g := l.Guard(func(o *popauth.Options) {
		seen = lab.Observed(o)
		o.Revoked = func(context.Context, *popauth.Token) (bool, error) { return false, context.Canceled }
	})
	o := lab.Send(g.Confirm, l.Owner.Request("GET", "/", l.Bound()))
	if o.Ran || o.Status != 503 || len(seen.All) != 1 || seen.All[0].Reason != popauth.ErrUnavailable {
		t.Errorf("got %+v, %+v", o, seen.All)
	}
}

// A refusal for a reason of its own stays what it is when the request ends meanwhile.
func TestRefusalOfRequestThatEnds(t *testing.T) {
	l := lab.New(t)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	for name, tt := range map[string]struct {
		r    *http.Request
		want popauth.Reason
	}{
		"no credentials": {r: httptest.NewRequest("GET", "/", nil), want: popauth.ErrCredentialsMissing},
		"thief":          {r: l.Thief.Request("GET", "/", l.Bound()), want: popauth.ErrCertificateMismatch},
		"expired": {r: l.Owner.Request("GET", "/", l.Bound(lab.Claims{"exp": l.Clock.Now().Unix() - 3600})),
			want: popauth.ErrTokenExpired},
	} {
		warm := l.Guard()
		_, _ = warm.Check(l.Owner.Request("GET", "/", l.Bound()))
		if _, err := warm.Check(tt.r.WithContext(ctx)); !lab.ReasonIs(err, tt.want) {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
}

// The end of a request refuses nothing by itself: what nobody has to be asked about is decided as ever.
func TestEndedRequestThatWaitsForNothing(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	if _, err := g.Check(l.Ask()); err != nil { // has the keys
		t.Fatal(err)
	}
	for _, end := range ends {
		ctx, stop := end.begin(t.Context())
		stop()
		if p, err := g.Check(l.Ask().WithContext(ctx)); err != nil || p == nil {
			t.Errorf("%s: got %v, want a principal", end.name, err)
		}
		if _, err := g.Check(l.Thief.Request("GET", "/", l.Bound()).WithContext(ctx)); !lab.ReasonIs(err, popauth.ErrCertificateMismatch) {
			t.Errorf("%s: a thief: got %v, want %s", end.name, err, popauth.ErrCertificateMismatch)
		}
	}
}
