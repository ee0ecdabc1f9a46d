package popclient

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"
)

const askEvery = 10 * time.Second // for the certificate

// generation is one certificate, with the connections that were made with it and the token that is bound to it.
type generation struct {
	client      *MutualTLS
	certificate *tls.Certificate
	transport   *http.Transport
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
	g := &generation{client: m, certificate: c, transport: m.newTransport(c)}
	g.tokens = g.transport
	if m.options.Key != nil {
		g.tokens = &Proofs{Key: m.options.Key, Base: g.transport}
	}
	g.tokens = answers{g.tokens}
	g.credentials = &Credentials{generation: g}
	return g
}

// renewCertificate asks for the certificate if it is time to. One request asks, the others go on.
func (m *MutualTLS) renewCertificate(ctx context.Context) {
	m.mu.Lock()
	age := time.Since(m.asked)
	ask := !m.asking && age >= askEvery
	m.asking = m.asking || ask
	m.mu.Unlock()
	if !ask {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, m.options.Timeout)
	defer cancel()
	c, err := m.readCertificate(bounded)
	if err != nil {
		m.kept(err, ctx.Err() != nil)
		return
	}
	if old, another := m.turn(c); another {
		if old != nil {
			old.transport.CloseIdleConnections()
		}
		m.options.Logger.Info("new client certificate", slog.String("serial", c.Leaf.SerialNumber.Text(16)), slog.Time("expires", c.Leaf.NotAfter))
	}
}

// kept notes why the certificate is still the last one. If that is the end of the request, the next one asks.
func (m *MutualTLS) kept(err error, ended bool) {
	m.mu.Lock()
	m.asking = false
	known := ended || m.failure == err.Error()
	if !ended {
		m.asked, m.failure = time.Now(), err.Error()
	}
	m.mu.Unlock()
	if !known { // with nothing held: a log may be sent by this very client
		m.options.Logger.Warn("client certificate not read, the last one stays in use", slog.String("error", err.Error()))
	}
}

// turn begins a generation, if the certificate is another one, and returns the one that has no more use, if any.
func (m *MutualTLS) turn(c *tls.Certificate) (old *generation, another bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asking, m.asked, m.failure = false, time.Now(), ""
	if slices.EqualFunc(c.Certificate, m.current.certificate.Certificate, slices.Equal) {
		return nil, false
	}
	old = m.current
	m.current = m.newGeneration(c)
	if old.usable(time.Now()) != nil {
		m.previous, old = old, m.previous
	}
	return old, true
}

// retire forgets the generation before the current one.
func (m *MutualTLS) retire(g *generation) {
	m.mu.Lock()
	if m.previous == g {
		m.previous = nil
	}
	m.mu.Unlock()
	g.transport.CloseIdleConnections()
}

// readCertificate holds what the function returns to what a handshake needs: it would fail there, for every request.
func (m *MutualTLS) readCertificate(ctx context.Context) (c *tls.Certificate, err error) {
	defer func() {
		if p := recover(); p != nil { // a request is the wrong one to end by it
			c, err = nil, fmt.Errorf("popclient: Certificate panicked: %v", p)
		}
	}()
	if c, err = m.options.Certificate(ctx); err != nil {
		return nil, err
	}
	return checkCertificate(c)
}

// usable returns the token if it is still good.
func (g *generation) usable(now time.Time) *token {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.good(now)
}

func (g *generation) good(now time.Time) *token {
	if g.token == nil || !now.Before(g.token.expires) {
		return nil
	}
	return g.token
}

// acquire returns a good token, fetching it if there is none; one that will not be good much longer is renewed on the
// side.
func (g *generation) acquire(ctx context.Context) (*token, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	g.mu.Lock()
	now := time.Now()
	t := g.good(now)
	if t != nil && now.Before(t.ahead) {
		g.mu.Unlock()
		return t, nil
	}
	if g.failed != nil && now.Before(g.next) {
		err := g.failed
		g.mu.Unlock()
		if t != nil {
			return t, nil
		}
		return nil, err
	}
	f := g.start()
	g.mu.Unlock()
	if t != nil {
		return t, nil
	}
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// refused takes a token out of use, and tells whether there is, or may be, a better one.
func (g *generation) refused(t *token) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.token != t {
		return true
	}
	if now := time.Now(); !t.again || now.Sub(t.fetched) >= minRefused {
		g.token = nil
		g.again = true
		return true
	}
	return false
}
