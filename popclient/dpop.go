package popclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/oauth2"
)

// DPoP is an http.RoundTripper that sends requests with a token under the scheme DPoP and a proof for it (RFC 9449,
// section 7.1). Key and Source are required; one DPoP is for many requests, also at the same time, and must not be
// copied. It remembers the nonces that servers hand out. A request that is refused for want of one is sent again,
// once, with the nonce that came along, unless it has a body without GetBody; http.NewRequest sets GetBody for the
// usual kinds of body. So is one whose proof was refused after Base had sent it twice, as transports do that repeat
// requests: put those above, where each try gets a proof of its own.
//
// A client whose clock is wrong signs proofs that are too old or from the future. Where a proof is refused as
// invalid_dpop_proof, and the Date of that answer differs from this clock by more than two seconds, DPoP sends the request
// again, once, with the time of that Date. If that proof is accepted, DPoP goes by that clock from then on, for this origin
// alone. If it is refused as well, DPoP stays with the clock it had, and tries no other for a minute: a Date may be that of a
// proxy, whose clock isn't what the proof is held against. DPoP believes no answer by plain http, none of a server whose
// certificate the transport has not verified against roots (Response.TLS.VerifiedChains), none out of a cache, and no
// Date that is more than 27 hours from this clock. A server that lies gets proofs for itself that are of another time,
// and nothing else.
//
// A request's own Authorization and DPoP headers are replaced. Nothing is sent if the token's type is not DPoP, unless
// AllowBearer is set and it is Bearer, or by plain http to a host other than this one.
//
// After a redirect by http.Client token and proof go along only if every request so far went to the same origin, or
// to one in Origins; else the request goes on without them. A client that follows redirects in another way has to say
// so in Request.Response, as http.Client does.
type DPoP struct {
	_ [0]func()

	// Key is what the tokens of Source are bound to.
	Key *Key

	// Source supplies the tokens. It should keep them until they expire, as those of oauth2.Config do. No request waits
	// for it longer than the request's context allows, but what hangs goes on to hang: give its http.Client a Timeout.
	Source oauth2.TokenSource

	// Base sends the requests. If nil, http.DefaultTransport. A token for http on this host must not reach a proxy elsewhere:
	// of an *http.Transport that is seen to, if its Proxy always says the same of one URL, and any other has to see to it itself.
	Base http.RoundTripper

	// Origins lists what the tokens are meant for: scheme, host and port, as in https://api.example.com. A request to
	// any other is an error. If nil, every origin that a caller makes a request to.
	Origins []string

	// AllowBearer sends tokens of the type Bearer as what they are, without proof, for clients of servers of which some bind
	// tokens and some don't know how to, as clients of the Model Context Protocol are. Whoever gets hold of such a token can
	// use it. The type is what the authorization server answered: whoever stands in for that server can leave the binding
	// out. If false, such a token is an error, and nothing is sent.
	AllowBearer bool

	nonces nonces

	mu     sync.Mutex
	asking *question // nil: Source isn't asked at the moment
}

var _ http.RoundTripper = (*DPoP)(nil)

var (
	errSource      = errors.New("popclient: DPoP.Source is nil")
	errToken       = errors.New("popclient: the source returned no token")
	errSourceEnded = errors.New("popclient: Source did not return")
	errTokenType   = errors.New("popclient: the token's type is not DPoP")
)

// RoundTrip sends one request, and repeats it once for want of a nonce, and once for another time. The answer is that to the
// last.
func (d *DPoP) RoundTrip(r *http.Request) (*http.Response, error) {
	e := exchange{key: d.Key, base: d.Base, nonces: &d.nonces, own: []string{"Authorization", "DPoP"}, refusal: refusedProof}
	return e.roundTrip(r, func() (err error) {
		meant, err := readOrigins("DPoP", d.Origins)
		if err != nil {
			return err
		}
		if e.origin, e.trusted, err = admit(r, meant); err != nil || !e.trusted {
			return err
		}
		t, err := d.token(r.Context())
		if err == nil {
			e.token, e.bearer = t.AccessToken, strings.EqualFold(t.TokenType, bearer)
		}
		return err
	})
}

// token waits for Source no longer than the request lasts. RFC 9449, section 5: with a type other than DPoP there is no
// proof, and the token isn't bound.
func (d *DPoP) token(ctx context.Context) (*oauth2.Token, error) {
	if d.Source == nil {
		return nil, errSource
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	f := d.ask()
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("popclient: the request ended before Source had a token: %w", context.Cause(ctx))
	}
	t, err := f.token, f.err
	switch {
	case err != nil:
		return nil, err
	case t == nil || t.AccessToken == "":
		return nil, errToken
	case strings.EqualFold(t.TokenType, scheme), strings.EqualFold(t.TokenType, bearer) && d.AllowBearer:
		return t, nil
	case strings.EqualFold(t.TokenType, bearer):
		return nil, fmt.Errorf("%w: it is %.20q: the server has not bound it. Get it through Proofs, and switch DPoP on at the server; "+
			"or set AllowBearer, to go on without", errTokenType, t.TokenType)
	}
	return nil, fmt.Errorf("%w: it is %.20q", errTokenType, t.TokenType)
}

// question is one call of Source, for all who wait: one that hangs holds one goroutine.
type question struct {
	done  chan struct{}
	token *oauth2.Token
	err   error
}

func (d *DPoP) ask() *question {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asking == nil {
		q := &question{done: make(chan struct{}), err: errSourceEnded}
		d.asking = q
		go func() {
			defer func() {
				if p := recover(); p != nil { // it would end the process, not one request
					q.err = fmt.Errorf("popclient: Source panicked: %v", p)
				}
				d.mu.Lock()
				d.asking = nil
				d.mu.Unlock()
				close(q.done)
			}()
			q.token, q.err = d.Source.Token()
		}()
	}
	return d.asking
}

// refusedProof is the error by which an API refuses a proof, or asks for a nonce (RFC 9449, sections 7.1 and 9).
func refusedProof(resp *http.Response) string {
	if resp.StatusCode != http.StatusUnauthorized {
		return ""
	}
	lines := resp.Header.Values("WWW-Authenticate")
	switch {
	case wantsNonce(lines):
		return useNonce
	case challenges(lines, scheme, badProof):
		return badProof
	}
	return ""
}
