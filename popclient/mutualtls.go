package popclient

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

// MutualTLS is an http.RoundTripper for a client that authenticates by its certificate: it obtains tokens from the
// authorization server by the grant client_credentials (RFC 8705, section 2), and sends requests with them and with the
// certificate that they are bound to (section 3). Make it with [NewMutualTLS]. One is for many requests, also at the
// same time, and no goroutine stays behind it. It decides nothing by what is in a token.
//
// A token is fetched when the first request needs it, by one fetch for all who wait, and renewed ahead of its expiry;
// while that fails, the old one is used until ten seconds before its end, or a tenth of its life if that is less. One
// without expires_in counts as valid for five minutes. After a failure there is a pause of a second, then twice that and
// so on up to half a minute, in which requests that have no token fail at once.
//
// A new certificate takes effect without a restart. Token, certificate and connections belong together: a token is sent
// on connections that were made with the certificate that it was obtained with, and on no others. Until the new
// certificate has its first token, the old one serves on if it has a good one and hasn't expired itself, and no request
// waits. A certificate that can't be read, such as one whose key is not there yet, leaves the last one in use, and so does
// one whose time has not come, or is over, while the last one is valid; that is by this machine's clock. The same
// certificate with another key, such as a new session with a PKCS#11 token, is signed with by that key from then on.
//
// A request waits for Certificate where the last answer can't be relied on: after 20 seconds without a request, or when the
// certificate has expired; or where there is no token yet. It waits for no longer than Timeout, nor than half of the time
// that its context leaves, and goes on with the last one then. Once Certificate has failed or was too late, it is asked
// beside the requests until it succeeds; only with an expired certificate a request waits a second.
//
// An answer with the status 401 and the error invalid_token gets a fresh token, and the request is sent again, once,
// unless it has a body without GetBody. If that is refused as well, the answer is the caller's. A token that was itself
// fetched because of a refusal is replaced after 10 seconds at the earliest. The refused token is not sent to that API
// any more; others get it until there is another.
//
// No request waits for anything longer than its context allows. A server that asks for it by Retry-After is left alone,
// for ten minutes at most.
//
// A proxy that is reached over TLS is shown no certificate.
//
// A request's own Authorization and DPoP headers are replaced. Nothing is sent without TLS, except with Key to this
// host. After a redirect by http.Client token and certificate go along only if every request so far went to the same
// origin, or to one in Origins; else the request goes on without them.
//
// The zero MutualTLS and the nil one return an error for every request.
type MutualTLS struct {
	options MutualTLSOptions
	issuer  *discovery.Issuer // nil if the token endpoint is given
	origins []string
	nonces  nonces // of APIs, for Key

	serverIDs *serverIDs // nil: servers are verified by their names

	authenticate authenticator // at the token endpoint; add is nil if the certificate does
	secrets      atomic.Int32  // calls of its Source
	clocks       nonces        // of token endpoints, for assertions

	// stranger sends what must not have the certificate.
	stranger *http.Transport

	endpoint endpoint

	journal journal

	mu       sync.Mutex
	current  *generation
	previous *generation // in use until current has a token; nil without need
	retired  retired
	asked    time.Time // for the certificate
	asking   *asking   // nil: the function has returned
	failure  string    // of the certificate, as it was logged last
	audience string    // of the tokens, as it was logged last; "" if it is as asked for

	unanswered bool // the function has failed, or was too late
}

var _ http.RoundTripper = (*MutualTLS)(nil)

var (
	errNotMade = errors.New("popclient: a MutualTLS that NewMutualTLS has not made")
	errNoTLS   = errors.New("popclient: http, and a token that is bound to a TLS certificate")
)

// RoundTrip sends one request, or more as described at MutualTLS. The answer is that to the last.
func (m *MutualTLS) RoundTrip(r *http.Request) (*http.Response, error) {
	if m == nil || m.stranger == nil {
		closeBody(r.Body)
		return nil, errNotMade
	}
	origin, trusted, err := m.admit(r)
	if err != nil {
		closeBody(r.Body)
		return nil, err
	}
	if !trusted {
		return m.send(r, &exchange{base: m.stranger, nonces: &m.nonces})
	}
	c, err := m.grant(r.Context(), origin)
	if err != nil {
		closeBody(r.Body)
		return nil, err
	}
	resp, err := m.send(r, m.exchange(origin, c))
	if err != nil || !m.refused(resp) || !c.generation.refused(c.token, origin) {
		return resp, err
	}
	body, ok := replay(r)
	if !ok {
		return resp, nil // but the next request gets a fresh token
	}
	discard(resp)
	if c, err = m.grant(r.Context(), origin); err != nil {
		closeBody(body)
		return nil, err
	}
	again := r.WithContext(r.Context())
	again.Body = body
	if resp, err = m.send(again, m.exchange(origin, c)); err != nil {
		return nil, err
	}
	resp.Request = r
	return resp, nil
}

// admit is that of DPoP with one more condition: without TLS there is no certificate that a token could be bound to.
func (m *MutualTLS) admit(r *http.Request) (origin string, trusted bool, err error) {
	origin, trusted, err = admit(r, m.origins)
	if err == nil && trusted && m.options.Key == nil && r.URL.Scheme != "https" {
		if r.Response == nil {
			return "", false, errNoTLS
		}
		return "", false, nil
	}
	return origin, trusted, err
}

// exchange is one with token and certificate.
func (m *MutualTLS) exchange(origin string, c grant) *exchange {
	return &exchange{
		key: m.options.Key, nonces: &m.nonces, refusal: refusedProof, base: c.generation.transport,
		origin: origin, trusted: true, token: c.token.access, bearer: m.options.Key == nil,
	}
}

func (m *MutualTLS) send(r *http.Request, e *exchange) (*http.Response, error) {
	e.own = []string{"Authorization", "DPoP"}
	return e.roundTrip(r, func() error { return nil })
}

// refused tells whether an API wants another token (RFC 6750, section 3.1).
func (m *MutualTLS) refused(resp *http.Response) bool {
	return resp.StatusCode == http.StatusUnauthorized &&
		challenges(resp.Header.Values("WWW-Authenticate"), m.scheme(), "invalid_token")
}

// scheme is also the type that tokens have to have.
func (m *MutualTLS) scheme() string {
	if m.options.Key != nil {
		return scheme
	}
	return bearer
}

// CloseIdleConnections closes the connections that are not in use, as http.Client.CloseIdleConnections wants it. More
// requests may follow.
func (m *MutualTLS) CloseIdleConnections() {
	if m == nil || m.stranger == nil {
		return
	}
	m.mu.Lock()
	all := slices.DeleteFunc([]*generation{m.current, m.previous}, func(g *generation) bool { return g == nil })
	retired := slices.Clone(m.retired)
	m.mu.Unlock()
	m.stranger.CloseIdleConnections()
	retired.closeIdle()
	for _, g := range all {
		g.transport.CloseIdleConnections()
	}
}

// grant is a token and the certificate that it was granted to.
type grant struct {
	generation *generation
	token      *token
}

// grant returns that of the certificate as it is now. Until that has its first token, the one before serves, if its
// token is still good: nobody waits for what is new while the old serves.
func (m *MutualTLS) grant(ctx context.Context, origin string) (grant, error) {
	if err := m.awaitCertificate(ctx); err != nil {
		return grant{}, err
	}
	current, previous := m.generations()
	if previous != nil && previous.over() {
		m.retire(previous)
		previous = nil
	}
	if previous != nil {
		if t := current.held(origin); t != nil {
			m.retire(previous)
			return grant{current, t}, nil
		}
		if t := previous.last(origin); t != nil {
			return grant{previous, t}, nil
		}
		if !previous.usable() {
			m.retire(previous)
		}
	}
	t, err := current.acquire(ctx, origin)
	if err != nil {
		return grant{}, err
	}
	return grant{current, t}, nil
}

func (m *MutualTLS) generations() (current, previous *generation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current, m.previous
}
