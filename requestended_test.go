package popauth_test

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
	"github.com/seed-171ab058/popauth/popauthtest"
)

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
			ctx, end := context.WithTimeoutCause(ctx, 20*time.Millisecond, popauth.ErrRequestEnded)
			return ctx, func() { <-ctx.Done(); end() }
		}},
	{name: "a time limit of this side", reason: popauth.ErrUnavailable, status: 503, level: "WARN",
		begin: func(ctx context.Context) (context.Context, func()) {
			ctx, end := context.WithTimeout(ctx, 20*time.Millisecond)
			return ctx, func() { <-ctx.Done(); end() }
		}},
}

// waiting is everything that a Guard may wait for. What is asked calls asked, and answers when the context has ended.
func waiting(l *lab, asked func()) map[string]func(*popauth.Options) {
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
			v, err := popauth.NewIssuers(popauth.IssuersOptions{Resolve: func(context.Context, string) (popauth.Verifier, error) {
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
			s, err := popauth.Verified(popauth.TLSCertificate(), popauth.Verification{Roots: l.ca.Pool(),
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

func keysAt(l *lab, asked func()) *popauth.RemoteKeys {
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{URL: hangingServer(l, asked), AllowLoopbackHTTP: true, Now: l.clock.Now})
	if err != nil {
		l.Fatal(err)
	}
	return keys
}

func introspectionAt(l *lab, asked func()) *popauth.Introspection {
	return l.introspection(func(o *popauth.IntrospectionOptions) {
		o.Endpoint, o.AllowLoopbackHTTP = hangingServer(l, asked), true
	})
}

// A client that goes away is no outage, wherever its request waits. A time limit that this side has set is one.
func TestRequestThatEnds(t *testing.T) {
	l := newLab(t)
	token := l.bound()
	for name := range waiting(l, nil) {
		for _, end := range ends {
			t.Run(name+": "+end.name, func(t *testing.T) {
				ctx, stop := end.begin(t.Context())
				asked := func() { go stop() }
				var log bytes.Buffer
				var seen *observer
				g := l.guard(waiting(l, asked)[name], func(o *popauth.Options) {
					seen, o.Logger = observed(o), slog.New(slog.NewTextHandler(&log, nil))
				})
				o := send(g.Confirm, l.owner.Request("GET", "/", token).WithContext(ctx))
				if o.ran {
					t.Error("VULNERABLE: the handler ran")
				}
				if got := seen.all; len(got) != 1 || got[0].Reason != end.reason || got[0].Status != end.status || o.status != end.status {
					t.Errorf("got %d %+v, want %d %s", o.status, got, end.status, end.reason)
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

// The same for what DPoP asks, in an API and at a token endpoint, and for policies, Recheck and RequireCertificate.
func TestRequestThatEndsElsewhere(t *testing.T) {
	l := newLab(t)
	key := popauthtest.NewProofKey(t, "ES256")
	key.Now = l.clock.Now
	for _, end := range ends {
		for name, ask := range endings {
			x := &ending{lab: l, key: key, status: end.status}
			x.ctx, x.stop = end.begin(t.Context())
			err := ask(x)
			x.stop()
			if !reasonIs(err, end.reason) {
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
	*lab
	key    *popauthtest.ProofKey
	ctx    context.Context
	stop   func()
	status int
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
	return x.guard(func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, c} })
}

func (x *ending) proven(token string) *http.Request {
	r := httptest.NewRequest("GET", "https://example.com/", nil)
	r.Header.Set("DPoP", x.key.Proof("GET", "https://example.com/", token))
	if token != "" {
		r.Header.Set("Authorization", "DPoP "+token)
	}
	return r.WithContext(x.ctx)
}

func (x *ending) plain() *http.Request {
	return x.owner.Request("GET", "/", x.bound()).WithContext(x.ctx)
}

func (x *ending) memory() *popauth.ReplayMemory {
	m, err := popauth.NewReplayMemory(popauth.ReplayMemoryOptions{Now: x.clock.Now})
	if err != nil {
		x.Fatal(err)
	}
	return m
}

var endings = map[string]func(*ending) error{
	"a ReplayStore": func(x *ending) error {
		_, err := x.with(popauth.DPoP{Replay: hangingStore(x.hang)}).Check(x.proven(x.issuer.Token(x.key.Bound())))
		return err
	},
	"nonces": func(x *ending) error {
		_, err := x.with(popauth.DPoP{Nonces: hangingNonces(x.hang)}).Check(x.proven(x.issuer.Token(x.key.Bound())))
		return err
	},
	"replay memory": func(x *ending) error {
		_ = x.hang(x.ctx)
		_, err := x.memory().Use(x.ctx, "k", "i", x.clock.Now().Add(time.Hour))
		return err
	},
	"replay memory of a Guard": func(x *ending) error {
		g := x.with(popauth.DPoP{Replay: x.memory()})
		if _, err := g.Check(x.owner.Request("GET", "/", x.bound())); err != nil { // has the keys
			x.Fatal(err)
		}
		_ = x.hang(x.ctx)
		_, err := g.Check(x.proven(x.issuer.Token(x.key.Bound())))
		return err
	},
	"ProveKey": func(x *ending) error {
		_, err := popauth.DPoP{Replay: hangingStore(x.hang)}.ProveKey(http.Header{}, x.proven(""), x.clock.Now())
		return err
	},
	"a policy": func(x *ending) error {
		_, err := x.with(popauth.DPoP{}).Check(x.plain(), x.policy())
		return err
	},
	"any of two policies": func(x *ending) error {
		_, err := x.with(popauth.DPoP{}).Check(x.plain(), popauth.AnyOf(x.policy(), popauth.Scope("none")))
		return err
	},
	"Recheck": func(x *ending) (err error) {
		g := x.with(popauth.DPoP{})
		g.Confirm(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, err = g.Recheck(r, x.policy()) })).
			ServeHTTP(httptest.NewRecorder(), x.plain())
		return err
	},
	"what Recheck asks": func(x *ending) (err error) {
		rechecked := false
		g := x.guard(func(o *popauth.Options) {
			o.Revoked = func(ctx context.Context, _ *popauth.Token) (bool, error) {
				if !rechecked {
					return false, nil
				}
				return false, x.hang(ctx)
			}
		})
		g.Confirm(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			rechecked = true
			_, err = g.Recheck(r)
		})).ServeHTTP(httptest.NewRecorder(), x.plain())
		return err
	},
	"CheckCertificate": func(x *ending) error {
		_, err := popauth.CheckCertificate(x.plain(), hangingSource(x.outage))
		return err
	},
	"a policy on certificates": func(x *ending) error {
		s, err := popauth.Verified(popauth.TLSCertificate(), popauth.Verification{Roots: x.ca.Pool()})
		if err != nil {
			x.Fatal(err)
		}
		_, err = popauth.CheckCertificate(x.plain(), s, x.policy())
		return err
	},
	"Refuse": func(x *ending) (err error) {
		g := x.guard(func(o *popauth.Options) {
			o.Deny = func(_ http.ResponseWriter, _ *http.Request, e *popauth.Error) { err = e }
		})
		w := httptest.NewRecorder()
		g.Refuse(w, x.plain(), x.outage(x.ctx))
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
	l := newLab(t)
	var seen *observer
	g := l.guard(func(o *popauth.Options) {
		seen = observed(o)
		o.Revoked = func(context.Context, *popauth.Token) (bool, error) { return false, context.Canceled }
	})
	o := send(g.Confirm, l.owner.Request("GET", "/", l.bound()))
	if o.ran || o.status != 503 || len(seen.all) != 1 || seen.all[0].Reason != popauth.ErrUnavailable {
		t.Errorf("got %+v, %+v", o, seen.all)
	}
}

// A refusal for a reason of its own stays what it is when the request ends meanwhile.
func TestRefusalOfRequestThatEnds(t *testing.T) {
	l := newLab(t)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	for name, tt := range map[string]struct {
		r    *http.Request
		want popauth.Reason
	}{
		"no credentials": {r: httptest.NewRequest("GET", "/", nil), want: popauth.ErrCredentialsMissing},
		"thief":          {r: l.thief.Request("GET", "/", l.bound()), want: popauth.ErrCertificateMismatch},
		"expired":        {r: l.owner.Request("GET", "/", l.bound(cnf{"exp": l.clock.Now().Unix() - 3600})), want: popauth.ErrTokenExpired},
	} {
		warm := l.guard()
		_, _ = warm.Check(l.owner.Request("GET", "/", l.bound()))
		if _, err := warm.Check(tt.r.WithContext(ctx)); !reasonIs(err, tt.want) {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
}

// The end of a request refuses nothing by itself: what nobody has to be asked about is decided as ever.
func TestEndedRequestThatWaitsForNothing(t *testing.T) {
	l := newLab(t)
	g := l.guard()
	if _, err := g.Check(l.ask()); err != nil { // has the keys
		t.Fatal(err)
	}
	for _, end := range ends {
		ctx, stop := end.begin(t.Context())
		stop()
		if p, err := g.Check(l.ask().WithContext(ctx)); err != nil || p == nil {
			t.Errorf("%s: got %v, want a principal", end.name, err)
		}
		if _, err := g.Check(l.thief.Request("GET", "/", l.bound()).WithContext(ctx)); !reasonIs(err, popauth.ErrCertificateMismatch) {
			t.Errorf("%s: a thief: got %v, want %s", end.name, err, popauth.ErrCertificateMismatch)
		}
	}
}
