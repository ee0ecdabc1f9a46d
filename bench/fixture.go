package bench

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// Algorithms are those that everything is measured with.
var Algorithms = []string{"RS256", "ES256", "EdDSA"}

// Fixture is an issuer with five keys, and its tokens.
type Fixture struct {
	issuer       *popauthtest.Issuer
	other        *popauthtest.Issuer // another one, whose keys have the same names
	owner, thief *popauthtest.Client
}

// NewFixture starts an issuer, which is closed with tb.
func NewFixture(tb popauthtest.TB) *Fixture {
	ca := popauthtest.NewCA(tb)
	return &Fixture{
		// The keys that count are neither the first nor the last in the set.
		issuer: popauthtest.NewIssuer(tb, "ES384", "RS256", "ES256", "EdDSA", "PS256"),
		other:  popauthtest.NewIssuer(tb, Algorithms...),
		owner:  ca.Client("owner"), thief: ca.Client("thief"),
	}
}

// API is what an API that accepts one algorithm knows of the issuer.
func (f *Fixture) API(algorithm string) API {
	return API{
		Algorithm: algorithm, Issuer: f.issuer.URL, JWKSURL: f.issuer.JWKSURL(), JWKS: f.issuer.JWKS(),
		Certificate: f.issuer.Server.Certificate().Raw,
	}
}

// Owner is the client whose certificate the bound tokens name.
func (f *Fixture) Owner() *popauthtest.Client { return f.owner }

// Tokens are new ones in the form of RFC 9068, good for a day.
func (f *Fixture) Tokens(algorithm string, n int, claims ...popauthtest.Claims) []string {
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = f.token(f.issuer, algorithm, claims...)
	}
	return tokens
}

func (f *Fixture) token(by *popauthtest.Issuer, algorithm string, claims ...popauthtest.Claims) string {
	now := time.Now()
	usual := popauthtest.Claims{
		"iss": f.issuer.URL, "aud": Audience, "scope": Scope + " orders.write profile",
		"nbf": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(),
	}
	kid, _, err := f.API(algorithm).Key()
	if err != nil {
		log.Panic(err)
	}
	return by.TokenWith(popauthtest.Claims{"alg": algorithm, "kid": kid}, append([]popauthtest.Claims{usual}, claims...)...)
}

// request is one as a handler gets it from a TLS server.
func request(client *popauthtest.Client, scheme, token string) *http.Request {
	r := client.Request(http.MethodGet, Audience+Path, "")
	if token != "" {
		r.Header.Set("Authorization", scheme+" "+token)
	}
	return r
}

// Requests are one of the owner for each token.
func (f *Fixture) Requests(tokens []string) []*http.Request {
	var requests []*http.Request
	for _, t := range tokens {
		requests = append(requests, request(f.owner, "Bearer", t))
	}
	return requests
}

// handler is what the sides protect. It says that it has run by a status that none of them uses.
var handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(reached) })

const reached = http.StatusNoContent

// writer is a ResponseWriter that keeps nothing but the status, and costs nothing.
type writer struct {
	header http.Header
	status int
}

func (w *writer) Header() http.Header         { return w.header }
func (w *writer) Write(b []byte) (int, error) { return len(b), nil }
func (w *writer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// serve returns what sends the request to a handler and panics unless the answer has this status.
func serve(h http.Handler, status int) func(*http.Request) {
	w := &writer{header: http.Header{}}
	return func(r *http.Request) {
		clear(w.header)
		w.status = 0
		h.ServeHTTP(w, r)
		if w.status != status {
			log.Panicf("status %d, not %d", w.status, status)
		}
	}
}

// protect is the side before the handler.
func (s Side) protect(ctx context.Context, a API) (http.Handler, error) {
	p, err := s.Protect(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", s.Name, a.Algorithm, err)
	}
	return p(handler), nil
}

// Program stands in for the *testing.T of a test.
type Program struct{ cleanup []func() }

// Helper does nothing.
func (p *Program) Helper() {}

// Cleanup keeps f for Close.
func (p *Program) Cleanup(f func()) { p.cleanup = append(p.cleanup, f) }

// Fatalf panics.
func (p *Program) Fatalf(f string, a ...any) { log.Panicf(f, a...) }

// Close does what a test does at its end.
func (p *Program) Close() {
	for len(p.cleanup) > 0 {
		last := len(p.cleanup) - 1
		f := p.cleanup[last]
		p.cleanup = p.cleanup[:last]
		f()
	}
}

func recorded(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}
