package interop_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync/atomic"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Routes of an API.
const (
	confirmed     = "/confirmed"     // for bound tokens alone
	authenticated = "/authenticated" // for bearer tokens too
)

// api is an API of the test's on a TLS listener, that asks for certificates and verifies none.
type api struct {
	*httptest.Server
	spy        *popauthtest.Spy
	challenged atomic.Int32 // refusals for want of a nonce
	callers    map[*popauthtest.Client]*http.Client
	streams    []*stream
}

// reasonHeader names what a test wants to know and no client is told: why its request was refused.
const reasonHeader = "Test-Reason"

// api starts one whose certificate is of the test's authority. Without a policy it asks for the scope orders.read.
func (s *authorizationServer) api(o popauth.Options, policies ...popauth.Policy) *api {
	s.Helper()
	if policies == nil {
		policies = []popauth.Policy{popauth.Scope("orders.read")}
	}
	if o.Confirmers == nil {
		proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
		if err != nil {
			s.Fatal(err)
		}
		o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	}
	a := &api{spy: &popauthtest.Spy{}, callers: map[*popauthtest.Client]*http.Client{}}
	o.Deny = func(w http.ResponseWriter, _ *http.Request, e *popauth.Error) {
		if e.Reason == popauth.ErrNonceRequired {
			a.challenged.Add(1)
		}
		w.Header().Set(reasonHeader, e.Reason.Error())
		w.WriteHeader(e.Status())
	}
	guard, err := popauth.New(o)
	if err != nil {
		s.Fatal(err)
	}
	read := guard.Authorize(policies...)(a.spy)
	mux := http.NewServeMux()
	mux.Handle(confirmed, guard.Confirm(read))
	mux.Handle(authenticated, guard.Authenticate(read))
	mux.Handle("/{tenant}"+confirmed, guard.Confirm(read))
	a.Server = popauthtest.NewServer(s, mux, func(c *tls.Config) { c.Certificates = []tls.Certificate{s.certificate} })
	return a
}

// caller is one who has this certificate. Its connections last, since a handshake takes longer than a request.
func (a *api) caller(client *popauthtest.Client) *http.Client {
	if a.callers[client] == nil {
		a.callers[client] = client.HTTP(a.Server)
	}
	return a.callers[client]
}

// outcome is what one request came to.
type outcome struct {
	status int
	ran    bool
	reason popauth.Reason
	code   string // the error of the first challenge that has one
}

// get sends a request, and finds out whether it has reached the handler.
func (a *api) get(tb testing.TB, client *http.Client, r *http.Request) outcome {
	tb.Helper()
	before := a.spy.Ran()
	resp, err := client.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	resp.Body.Close()
	o := outcome{status: resp.StatusCode, ran: a.spy.Ran() > before, reason: popauth.Reason(resp.Header.Get(reasonHeader))}
	for _, challenge := range resp.Header.Values("WWW-Authenticate") {
		if m := errorCode.FindStringSubmatch(challenge); m != nil {
			o.code = m[1]
			break
		}
	}
	return o
}

var errorCode = regexp.MustCompile(`error="([a-z_]+)"`)

// wanted is the outcome of a request that is refused for this reason, or passes if there is none.
func wanted(reason popauth.Reason) outcome {
	switch reason {
	case "":
		return outcome{status: http.StatusOK, ran: true}
	case popauth.ErrUnavailable:
		return outcome{http.StatusServiceUnavailable, false, reason, ""}
	case popauth.ErrProofMissing, popauth.ErrProofMalformed, popauth.ErrProofSignature, popauth.ErrProofTarget,
		popauth.ErrProofTime, popauth.ErrProofToken, popauth.ErrProofReplayed:
		return outcome{http.StatusUnauthorized, false, reason, "invalid_dpop_proof"}
	}
	return outcome{http.StatusUnauthorized, false, reason, "invalid_token"}
}

// use sends a token as bearer, from one who has this certificate.
func (a *api) use(tb testing.TB, client *popauthtest.Client, token string) outcome {
	tb.Helper()
	return a.at(tb, confirmed, client, token)
}

// at sends it to this path.
func (a *api) at(tb testing.TB, path string, client *popauthtest.Client, token string) outcome {
	tb.Helper()
	r, err := http.NewRequest(http.MethodGet, a.URL+path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return a.get(tb, a.caller(client), r)
}

// want wants the same to be refused for this reason, or to pass if there is none.
func (a *api) want(tb testing.TB, client *popauthtest.Client, token, what string, reason popauth.Reason) {
	tb.Helper()
	if got, want := a.use(tb, client, token), wanted(reason); got != want {
		tb.Errorf("%s:\ngot  %+v\nwant %+v", what, got, want)
	}
}
