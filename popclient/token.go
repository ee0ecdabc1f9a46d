package popclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

// token is one that a generation holds.
type token struct {
	access  string
	fetched time.Time
	ahead   time.Time // from when it is renewed
	expires time.Time // from when it isn't used any more
	end     time.Time // from when it isn't valid any more
	again   bool      // it was fetched because the one before was refused
	refused []string  // by these origins; guarded by the generation's mu
}

// good tells whether there is time left, also after a sleep of the machine, in which the monotonic clock stands still.
func (t *token) good(now time.Time) bool {
	return now.Before(t.expires) && now.Round(0).Before(t.expires.Round(0))
}

// from tells whether the token is of use at an origin. It has been withdrawn, or one API can't read it: the others may
// go on with it until there is another.
func (t *token) from(origin string) bool { return !slices.Contains(t.refused, origin) }

const (
	unknownLifetime = 5 * time.Minute // of a token without expires_in
	maxAhead        = time.Minute
	maxMargin       = 10 * time.Second // for the way to the API

	// minRefused is the least age of a token that was fetched because the one before was refused, for another one to be
	// fetched because it is refused as well: an API that refuses all of them would have one fetched for each request.
	minRefused = 10 * time.Second

	firstPause = time.Second
	maxPause   = 30 * time.Second
)

// newToken sets the times of a token that has just come. Its life is counted from when it was asked for: it may have
// begun at any time since.
func newToken(t *oauth2.Token, asked time.Time, again bool) *token {
	lifetime := unknownLifetime
	if !t.Expiry.IsZero() {
		lifetime = time.Until(t.Expiry)
	}
	expires := asked.Add(lifetime - min(maxMargin, lifetime/10))
	return &token{
		access: t.AccessToken, fetched: asked, again: again,
		ahead: expires.Add(-spread(min(maxAhead, lifetime/5))), expires: expires, end: asked.Add(lifetime),
	}
}

// spread takes up to a fifth off, so that clients that began together don't go on together.
func spread(d time.Duration) time.Duration {
	return d - rand.N(d/5+1) //nolint:gosec // protects nothing
}

// flight is one fetch for all who wait.
type flight struct {
	done  chan struct{}
	token *token
	err   error
}

// start returns the fetch in flight, and begins one if there is none. The caller holds mu.
func (g *generation) start() *flight {
	if g.flight == nil {
		g.flight = &flight{done: make(chan struct{})}
		go g.fly(g.flight)
	}
	return g.flight
}

// fly fetches in a context of its own, so that no request's end spoils it for the others.
func (g *generation) fly(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), g.client.options.Timeout)
	defer cancel()
	now := time.Now()
	var t *oauth2.Token
	f.err = errors.New("popclient: the fetch of a token did not end")
	defer func() {
		if p := recover(); p != nil { // it would end the process, not one request
			f.err = fmt.Errorf("popclient: the fetch of a token panicked: %v", p)
		}
		g.landed(f, t, now)
	}()
	t, f.err = g.fetch(ctx)
}

func (g *generation) landed(f *flight, t *oauth2.Token, asked time.Time) {
	g.mu.Lock()
	g.failed, g.flight = f.err, nil
	if f.err == nil {
		f.token = newToken(t, asked, g.again)
		g.token, g.again, g.pause = f.token, false, 0
	} else {
		g.pause = min(max(2*g.pause, firstPause), maxPause)
		g.next = time.Now().Add(max(spread(g.pause), wanted(f.err)))
	}
	g.mu.Unlock()
	close(f.done)
	if f.err != nil {
		g.client.journal.add(slog.LevelWarn, "no new access token", slog.String("error", f.err.Error()))
	}
}

// withoutQuery takes the query of a configured URL out of what is logged: some have a key there.
func withoutQuery(err error) error {
	wrapped, ok := errors.AsType[*url.Error](err)
	if !ok {
		return err
	}
	at, _, cut := strings.Cut(wrapped.URL, "?")
	if cut {
		at += "?…"
	}
	return &url.Error{Op: wrapped.Op, URL: at, Err: wrapped.Err}
}

// wanted is how long whoever has failed wants to be left alone.
func wanted(err error) time.Duration {
	if l, ok := errors.AsType[leftAlone](err); ok {
		return time.Until(l.until)
	}
	if no, ok := errors.AsType[refusal](err); ok {
		return no.after
	}
	return discovery.Pause(err, time.Now())
}

// fetch asks the token endpoint by the grant client_credentials (RFC 6749, section 4.4), with the certificate as the
// client's authentication (RFC 8705, section 2) if there is no other.
func (g *generation) fetch(ctx context.Context) (*oauth2.Token, error) {
	m := g.client
	at, err := m.endpoint.find(ctx, agent{g.transport}, m.issuer, m.options)
	if err != nil {
		return nil, err
	}
	if err = m.endpoint.alone(at); err != nil {
		return nil, err
	}
	if err = m.endpoint.takes(m.options.Key); err != nil {
		m.endpoint.forget() // the list may have changed
		return nil, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: g.tokens})
	config := clientcredentials.Config{
		ClientID: m.options.ClientID, TokenURL: at, Scopes: m.options.Scopes, EndpointParams: m.options.Params,
		AuthStyle: oauth2.AuthStyleInParams, // RFC 8705, section 2: client_id in the body, and no secret anywhere
	}
	t, err := config.Token(ctx)
	if err != nil {
		m.endpoint.forget() // it may have moved
		err = fmt.Errorf("popclient: token: %w%s", withoutQuery(err), g.presented(err))
		m.endpoint.leave(at, err)
		return nil, err
	}
	if !strings.EqualFold(t.TokenType, m.scheme()) {
		return nil, fmt.Errorf("popclient: token: its type is not %s%s", m.scheme(), m.otherType(t.TokenType))
	}
	m.compareAudience(t.AccessToken)
	return t, nil
}

// otherType says what came, and what to change. There is no going on with it: a token that isn't bound is anybody's.
func (m *MutualTLS) otherType(typ string) string {
	switch {
	case m.options.Key != nil && strings.EqualFold(typ, bearer):
		return fmt.Sprintf(": it is %.20q: the server has not bound it to Key. Switch DPoP on there for this client; "+
			"or leave Key out, if the server binds tokens to the certificate", typ)
	case m.options.Key == nil && strings.EqualFold(typ, scheme):
		return fmt.Sprintf(": it is %.20q: set Key, to whose proofs the server binds tokens", typ)
	}
	return fmt.Sprintf(": it is %.20q", typ)
}

// presented says by which certificate a client was, that the server doesn't know: there are servers that want the leaf
// alone, others the chain.
func (g *generation) presented(err error) string {
	no, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok || no.ErrorCode != "invalid_client" || g.client.authenticate.add != nil {
		return ""
	}
	c := g.certificate
	return fmt.Sprintf("; %d certificate(s) to present, the first with the subject %.200q, of %.200q",
		len(c.Certificate), c.Leaf.Subject.String(), c.Leaf.Issuer.String())
}
