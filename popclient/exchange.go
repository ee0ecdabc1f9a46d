package popclient

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// exchange is one request on its way, with the one that repeats it.
type exchange struct {
	key    *Key
	base   http.RoundTripper
	nonces *nonces

	// own are the headers that a request can't bring along itself.
	own []string

	// again tells whether a response asks for the same request with a nonce.
	again func(*http.Response) bool

	origin  string
	trusted bool   // may carry credentials
	token   string // "" for a proof alone
	bearer  bool   // the token goes without proof: the connection is its proof
}

// roundTrip has prepare find out the rest, and closes the body whatever comes of it, as an http.RoundTripper must.
func (e *exchange) roundTrip(r *http.Request, prepare func() error) (*http.Response, error) {
	if e.base == nil {
		e.base = http.DefaultTransport
	}
	var nonce string
	signed, err := r, prepare()
	if err == nil {
		nonce = e.nonces.of(e.origin)
		signed, err = e.sign(r, r.Body, nonce)
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
		if resp, err = e.answered(r, resp, nonce); err != nil {
			return nil, err
		}
	}
	// The one without credentials, for logs, and for the next redirect.
	resp.Request = r
	return resp, nil
}

// answered looks after the nonce in a response, and repeats the request if there is reason to.
func (e *exchange) answered(r *http.Request, resp *http.Response, sent string) (*http.Response, error) {
	next := newNonce(resp.Header)
	if next == "" {
		return resp, nil
	}
	e.nonces.keep(e.origin, next)
	if next == sent || !e.again(resp) {
		return resp, nil
	}
	body, ok := replay(r)
	if !ok {
		return resp, nil
	}
	signed, err := e.sign(r, body, next)
	if err != nil {
		closeBody(body)
		resp.Body.Close()
		return nil, err
	}
	discard(resp)
	if resp, err = e.base.RoundTrip(signed); err != nil {
		return nil, err
	}
	if next = newNonce(resp.Header); next != "" {
		e.nonces.keep(e.origin, next)
	}
	return resp, nil
}

// sign returns r with this body and with credentials, if it may have them. It is no deep copy: trailers are filled in
// by the caller while the body is read.
func (e *exchange) sign(r *http.Request, body io.ReadCloser, nonce string) (*http.Request, error) {
	signed := r.WithContext(r.Context())
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
	proof, err := e.key.prove(method, r.URL, host, e.token, nonce)
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

// discard reads an answer to its end, so that the connection is good for the next request, unless that takes longer
// than a new one.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // whatever it was, it is not the answer
	resp.Body.Close()
}

func closeBody(body io.Closer) {
	if body != nil {
		body.Close()
	}
}
