package popclient

import (
	"bytes"
	"io"
	"net/http"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

// Proofs is an http.RoundTripper for requests to an authorization server, which bind the token that it issues to Key
// (RFC 9449, section 5): each gets a proof, and keeps its own Authorization, if any. Give golang.org/x/oauth2 a client
// with it under oauth2.HTTPClient. In all else it is like [DPoP]: nonces, the clock, the retries, plain http and redirects.
//
// A retry repeats the body. An authorization server that takes a client assertion only once, and has done so before
// it asks for a nonce, refuses it; the nonce is remembered for the next request.
type Proofs struct {
	_ [0]func()

	// Key is what tokens will be bound to.
	Key *Key

	// Base sends the requests. If nil, http.DefaultTransport.
	Base http.RoundTripper

	nonces nonces
}

var _ http.RoundTripper = (*Proofs)(nil)

// RoundTrip sends one request, and repeats it once for want of a nonce, and once for another time. The answer is that to the
// last.
func (p *Proofs) RoundTrip(r *http.Request) (*http.Response, error) {
	e := exchange{key: p.Key, base: p.Base, nonces: &p.nonces, own: []string{"DPoP"}, refusal: refusedToken}
	return e.roundTrip(r, func() (err error) {
		e.origin, e.trusted, err = admit(r, nil)
		return err
	})
}

// maxAnswer is how much of an answer is looked at.
const maxAnswer = 64 << 10

// refusedToken is the error by which an authorization server refuses a proof, or asks for a nonce (RFC 9449, sections 5
// and 8).
func refusedToken(resp *http.Response) string {
	if resp.StatusCode != http.StatusBadRequest {
		return ""
	}
	if code := errorOf(resp); code == useNonce || code == badProof {
		return code
	}
	return ""
}

// refusedClient is the error by which an authorization server refuses an assertion (RFC 7521, section 4.2.1), which may have
// been too old or of the future.
func refusedClient(resp *http.Response) string {
	if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusUnauthorized {
		return ""
	}
	if code := errorOf(resp); code == badClient {
		return code
	}
	return ""
}

// errorOf is the error of an answer; "" if it has none that can be read. The body can be read after it as before.
func errorOf(resp *http.Response) string {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // an error comes again for whoever reads on
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(b), resp.Body), resp.Body}
	code, err := discovery.MemberOf(b, "error")
	if err != nil {
		return ""
	}
	return code
}
