package popclient

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// exchange is one request on its way, with the one that repeats it.
type exchange struct {
	key    *Key
	base   http.RoundTripper
	nonces *nonces

	// own are the headers that a request can't bring along itself.
	own []string

	// refusal is the error of a response by which a proof is refused, use_dpop_nonce or invalid_dpop_proof, or an assertion,
	// invalid_client; else "".
	refusal func(*http.Response) string

	// authenticate takes the place of token and proof; nil if there are those.
	authenticate func(*http.Request, clock) (*http.Request, error)

	origin  string
	trusted bool   // may carry credentials
	token   string // "" for a proof alone
	bearer  bool   // the token goes without proof: the connection is its proof

	sent   *atomic.Int32 // how often the last proof was sent; nil without one
	signed time.Time     // when that was, by the client's clock

	repeated bool // the request
	renonced bool // for a nonce
	anew     bool // for a proof that had been sent twice
	tried    bool // the last clock is another one than that of this origin's last requests
}

// roundTrip has prepare find out the rest, and closes the body whatever comes of it, as an http.RoundTripper must.
func (e *exchange) roundTrip(r *http.Request, prepare func() error) (*http.Response, error) {
	if e.base == nil {
		e.base = http.DefaultTransport
	}
	var said known
	chosen, signed, err := r, r, prepare()
	if err == nil {
		chosen, err = e.direct(r)
	}
	if err == nil {
		said, e.tried = e.nonces.begin(e.origin)
		signed, err = e.sign(chosen, r.Body, said)
	}
	if err != nil {
		closeBody(r.Body)
		return nil, err
	}
	resp, err := e.base.RoundTrip(signed)
	if err != nil {
		return nil, err
	}
	if e.trusted && !e.bearer {
		if resp, err = e.answered(chosen, resp, said); err != nil {
			return nil, err
		}
	}
	// The one without credentials, for logs, and for the next redirect.
	resp.Request = r
	return resp, nil
}

// answered looks after what a response says of nonce and clock, and repeats the request while there is reason to: once for
// each reason.
func (e *exchange) answered(r *http.Request, resp *http.Response, sent known) (*http.Response, error) {
	for {
		next, again := e.learn(resp, sent)
		if !again {
			return resp, nil
		}
		body, ok := replay(r)
		if !ok {
			e.postpone(sent, next)
			return resp, nil
		}
		signed, err := e.sign(r, body, next)
		if err != nil {
			closeBody(body)
			resp.Body.Close()
			return nil, err
		}
		discard(resp)
		e.repeated = true
		if resp, err = e.base.RoundTrip(signed); err != nil {
			return nil, err
		}
		sent = next
	}
}

// learn remembers what a response says, and tells whether the same request, sent with that, may come to something else.
func (e *exchange) learn(resp *http.Response, sent known) (next known, again bool) {
	next = sent
	code := e.refusal(resp)
	if nonce := newNonce(resp.Header); nonce != "" {
		next.nonce = nonce
		e.nonces.keep(e.origin, func(k *known) { k.nonce = nonce })
	}
	switch {
	case code == "":
		e.settle(resp, sent.clock)
	case code == useNonce: // which says nothing of the proof's time
		again = next.nonce != sent.nonce && !e.renonced
		e.renonced = true
	case e.usedBefore() && !e.anew: // the first of these has used it up, and the same request gets a proof of its own
		e.anew, again = true, true
	default:
		next.clock, again = e.another(resp, sent)
	}
	return next, again
}

// sign returns r with this body and with credentials, if it may have them. It is no deep copy: trailers are filled in
// by the caller while the body is read.
func (e *exchange) sign(r *http.Request, body io.ReadCloser, said known) (*http.Request, error) {
	signed := r.WithContext(e.counted(r.Context()))
	signed.Body = body
	if signed.Header = r.Header.Clone(); signed.Header == nil {
		signed.Header = http.Header{}
	}
	maps.DeleteFunc(signed.Header, func(name string, _ []string) bool {
		// Whatever way they are written: the base would send two.
		return slices.ContainsFunc(e.own, func(own string) bool { return strings.EqualFold(name, own) })
	})
	if !e.trusted {
		return signed, nil
	}
	if e.authenticate != nil {
		e.signed = e.key.now()
		return e.authenticate(signed, said.clock)
	}
	if e.bearer {
		signed.Header.Set("Authorization", bearer+" "+e.token)
		return signed, nil
	}
	method, host := r.Method, r.Host
	if method == "" {
		method = http.MethodGet
	}
	if host == "" {
		host = r.URL.Host
	}
	e.signed = e.key.now()
	proof, err := e.key.proveWithin(r.Context(), occasion{method, r.URL, host, e.token, said.nonce, said.clock})
	if err != nil {
		return nil, err
	}
	signed.Header.Set("DPoP", proof)
	if e.token != "" {
		signed.Header.Set("Authorization", scheme+" "+e.token)
	}
	return signed, nil
}

// replay returns the body once more, if there is a way.
func replay(r *http.Request) (io.ReadCloser, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r.Body, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	return body, err == nil
}

// counted counts how often what is below sends the request: a transport that repeats it on another connection, as
// net/http's own does, sends one proof twice.
func (e *exchange) counted(ctx context.Context) context.Context {
	if !e.trusted || e.bearer || e.authenticate != nil {
		return ctx
	}
	e.sent = new(atomic.Int32)
	sent := e.sent
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Add(1) }})
}

// usedBefore tells whether the last proof was sent more than once.
func (e *exchange) usedBefore() bool { return e.sent != nil && e.sent.Load() > 1 && e.token != "" }

var errProxy = errors.New("popclient: http without TLS to this host, and a proxy that is not on it")

// direct refuses to hand a token in plain text to a proxy elsewhere, which http.ProxyURL does for this host too. Where the
// choice can be kept, it goes with the request that is returned.
func (e *exchange) direct(r *http.Request) (*http.Request, error) {
	if !e.trusted || r.URL.Scheme == "https" {
		return r, nil
	}
	var proxy *url.URL
	var err error
	switch t := e.base.(type) {
	case *http.Transport:
		if t.Proxy != nil {
			proxy, err = t.Proxy(r)
		}
	case *connections:
		if t.proxy != nil {
			r, proxy, err = t.choose(r)
		}
	}
	if err == nil && proxy != nil && !loopback(proxy.Hostname()) {
		err = errProxy
	}
	return r, err
}

// drainTime is what reading an answer to its end may take: about what a new connection does.
const drainTime = 200 * time.Millisecond

// discard reads an answer to its end, so that the connection is good for the next request, unless that takes longer
// than a new one. One that net/http decompresses is not read: its Close waits for a Read that is under way.
func discard(resp *http.Response) {
	if resp.Uncompressed {
		resp.Body.Close()
		return
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // whatever it was, it is not the answer
		resp.Body.Close()
	}()
	late := time.NewTimer(drainTime)
	defer late.Stop()
	select {
	case <-drained:
	case <-late.C:
		go resp.Body.Close() // which ends the Read; a transport of another make may have it wait for that
	}
}

func closeBody(body io.Closer) {
	if body != nil {
		body.Close()
	}
}
