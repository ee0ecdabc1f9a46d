package popclient

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync"
	"time"
)

// generation is one certificate, with the connections that were made with it and the token that is bound to it.
type generation struct {
	client      *MutualTLS
	certificate *tls.Certificate
	key         *certificateKey
	transport   *connections
	tokens      http.RoundTripper // to the token endpoint, with proofs if the client has a Key
	credentials *Credentials

	mu     sync.Mutex
	token  *token
	flight *flight
	again  bool          // the next token is fetched because the last one was refused
	failed error         // of the last fetch
	pause  time.Duration // after it
	next   time.Time     // no fetch before, if the last one failed
}

func (m *MutualTLS) newGeneration(c *tls.Certificate) *generation {
	g := &generation{client: m, certificate: c, key: newCertificateKey(c, m.options.Timeout)}
	g.transport = m.wrapped(m.newConnections(g.present))
	g.tokens = g.transport
	if m.authenticate.add != nil { // below Proofs: what is repeated for a nonce is authenticated anew
		g.tokens = authenticated{g.tokens, m.options.ClientID, m.authenticate, &m.clocks}
	}
	if m.options.Key != nil {
		g.tokens = &Proofs{Key: m.options.Key, Base: g.tokens}
	}
	g.tokens = answers{agent{g.tokens}, m.options.BearerAliases}
	g.credentials = &Credentials{generation: g}
	return g
}

// present returns the certificate for one handshake, with the key as it is now.
func (g *generation) present(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c := *g.certificate
	c.PrivateKey = handshakeKey{info.Context(), g.key}
	return &c, nil
}

// over tells whether the certificate has expired.
func (g *generation) over() bool { return time.Now().After(g.certificate.Leaf.NotAfter) }

// retire forgets the generation before the current one.
func (m *MutualTLS) retire(g *generation) {
	m.mu.Lock()
	if m.previous == g {
		m.previous = nil
		m.retired.add(g.transport)
	}
	m.mu.Unlock()
	g.transport.CloseIdleConnections()
}

// usable tells whether the generation has a token that is still good somewhere.
func (g *generation) usable() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.token != nil && g.token.good(time.Now())
}

// held returns the token if it is good for the origin, and sees to it that there will be another in time.
func (g *generation) held(origin string) *token {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	t := g.token
	if t == nil || !t.good(now) {
		t = nil
	}
	if (t == nil || !now.Before(t.ahead) || len(t.refused) > 0) && !g.paused(now) {
		g.start()
	}
	if t == nil || !t.from(origin) {
		return nil
	}
	return t
}

// last returns the token if it is good for the origin, and fetches no other: the certificate is the former one.
func (g *generation) last(origin string) *token {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.token == nil || !g.token.good(time.Now()) || !g.token.from(origin) {
		return nil
	}
	return g.token
}

// paused tells whether it is too early for another fetch. The caller holds mu.
func (g *generation) paused(now time.Time) bool { return g.failed != nil && now.Before(g.next) }

// resting tells whether it is too early for another fetch.
func (g *generation) resting() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.paused(time.Now())
}

// acquire returns a token that is good for the origin, fetching it if there is none; one that will not be good much
// longer is renewed on the side.
func (g *generation) acquire(ctx context.Context, origin string) (*token, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if t := g.held(origin); t != nil {
		return t, nil
	}
	g.mu.Lock()
	f, err := g.flight, g.failed
	if f == nil && !g.paused(time.Now()) { // it has landed meanwhile, or the pause has ended
		if t := g.token; t != nil && t.good(time.Now()) && t.from(origin) {
			g.mu.Unlock()
			return t, nil
		}
		f = g.start()
	}
	g.mu.Unlock()
	if f == nil {
		return nil, err
	}
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// refused takes a token out of use for an origin, and tells whether there is, or may be, a better one.
func (g *generation) refused(t *token, origin string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.token != t || !t.from(origin) {
		return true
	}
	if now := time.Now(); t.again && now.Sub(t.fetched) < minRefused {
		return false
	}
	if len(t.refused) >= maxOrigins {
		t.refused = t.refused[:0] // and again by who refuses it again
	}
	t.refused = append(t.refused, origin)
	g.again = true
	return true
}
