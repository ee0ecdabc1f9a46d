package popauth_test

import (
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

// lab has what most tests need: an issuer, a client with a certificate, a thief with another, and a clock.
type lab struct {
	testing.TB
	clock        *popauthtest.Clock
	issuer       *popauthtest.Issuer
	ca           *popauthtest.CA
	owner, thief *popauthtest.Client
}

func newLab(tb testing.TB, algorithms ...string) *lab {
	tb.Helper()
	l := &lab{TB: tb, clock: popauthtest.NewClock(time.Unix(1_800_000_000, 0)), issuer: popauthtest.NewIssuer(tb, algorithms...)}
	l.issuer.Now = l.clock.Now
	l.ca = popauthtest.NewCA(tb)
	l.owner = l.ca.Client("owner")
	l.thief = popauthtest.SelfSigned(tb, "thief")
	return l
}

func (l *lab) guard(change ...func(*popauth.Options)) *popauth.Guard {
	l.Helper()
	o := l.issuer.Options()
	for _, c := range change {
		c(&o)
	}
	g, err := popauth.New(o)
	if err != nil {
		l.Fatal(err)
	}
	return g
}

// proofs makes a Confirmer whose proofs are for whatever URL a request names, unless its options say otherwise. It panics with
// what is wrong.
func proofs(o dpop.Options) *dpop.Confirmer {
	if o.BaseURL == "" && o.URL == nil {
		o.URL = dpop.RequestURL
	}
	d, err := dpop.New(o)
	if err != nil {
		panic(err)
	}
	return d
}

// bound is a token of the owner with the scope orders.read.
func (l *lab) bound(claims ...popauthtest.Claims) string {
	l.Helper()
	return l.issuer.Token(append([]popauthtest.Claims{l.owner.Bound(), {"scope": "orders.read"}}, claims...)...)
}

// unbound is the same without cnf.
func (l *lab) unbound(claims ...popauthtest.Claims) string {
	l.Helper()
	return l.issuer.Token(append([]popauthtest.Claims{{"scope": "orders.read"}}, claims...)...)
}

// outcome is what one request came to.
type outcome struct {
	status     int
	challenges []string
	ran        bool
	header     http.Header
	body       string
}

// send serves r by what wrap makes of a spy.
func send(wrap func(http.Handler) http.Handler, r *http.Request) outcome {
	spy := &popauthtest.Spy{}
	w := httptest.NewRecorder()
	wrap(spy).ServeHTTP(w, r)
	return outcome{w.Code, w.Header().Values("WWW-Authenticate"), spy.Ran() > 0, w.Header(), w.Body.String()}
}

// refuse holds an outcome against a refusal with a challenge that starts as given ("" for none).
func (o outcome) refused(tb testing.TB, status int, challenge string) {
	tb.Helper()
	if o.ran {
		tb.Error("the handler ran")
	}
	if o.status != status {
		tb.Errorf("status: got %d, want %d", o.status, status)
	}
	switch {
	case challenge == "" && len(o.challenges) > 0:
		tb.Errorf("challenges: got %q, want none", o.challenges)
	case challenge != "" && (len(o.challenges) == 0 || !strings.HasPrefix(o.challenges[0], challenge)):
		tb.Errorf("challenges: got %q, want one that starts with %q", o.challenges, challenge)
	}
	if o.body != "" {
		tb.Errorf("body: got %q, want none", o.body)
	}
}

func (o outcome) passed(tb testing.TB) {
	tb.Helper()
	if !o.ran || o.status != http.StatusOK || len(o.challenges) > 0 {
		tb.Errorf("got status %d, ran %t, challenges %q, want a pass", o.status, o.ran, o.challenges)
	}
}

const (
	invalidToken   = `Bearer error="invalid_token"`
	invalidRequest = `Bearer error="invalid_request"`
	lacksScope     = `Bearer error="insufficient_scope"`
)

// chain applies stages so that the first is the outermost.
func chain(stages ...func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		for _, s := range slices.Backward(stages) {
			h = s(h)
		}
		return h
	}
}

// byProxy is the source of an API behind a proxy.
func byProxy(format proxy.Format, trust ...proxy.Trust) popauth.CertificateSource {
	source, err := proxy.Certificate(format, trust...)
	if err != nil {
		panic(err)
	}
	return source
}
