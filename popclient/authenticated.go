package popclient

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
)

// Authenticated is an http.RoundTripper that authenticates a client at an authorization server's endpoints: by a secret,
// or by a JWT that is made anew for each request. It serves every flow of golang.org/x/oauth2, such as
// the exchange of a code and the refresh. Where tokens are to be bound to a key, put it below [Proofs], so that a
// request that is repeated for a nonce gets an assertion of its own; where they are to be bound to a certificate, let Base
// present it.
//
// What golang.org/x/oauth2 has added itself is replaced. Leave its ClientSecret empty, and set AuthStyleInParams: else it
// tries two styles, and sends a refused code twice.
type Authenticated struct {
	_ [0]func()

	// ClientID is what the client is registered as. It is required. A request of another client is an error.
	ClientID string

	// Authentication is how the client authenticates. It is required.
	Authentication ClientAuthentication

	// Endpoints are the URLs to authenticate at, to the letter: the token endpoint, and those for pushed authorization
	// requests and revocation, if they are used. There has to be one. Requests to other URLs go on as they are.
	Endpoints []string

	// Base sends the requests. If nil, http.DefaultTransport.
	Base http.RoundTripper

	clocks  nonces
	secrets atomic.Int32 // calls of a Source
}

var _ http.RoundTripper = (*Authenticated)(nil)

var (
	errEndpoints  = errors.New("popclient: Authenticated.Endpoints is empty: name the token endpoint")
	errRedirected = errors.New("popclient: an endpoint that the client authenticates at was redirected to: no server may choose that")
	errLedAway    = errors.New("popclient: an endpoint that the client authenticates at redirects: what the form has, such as a code " +
		"or a refresh token, is not for others. Name the endpoint that it redirects to, if that is right")
	errForm = errors.New("popclient: a request to a token endpoint has to be a POST of application/x-www-form-urlencoded")
)

// RoundTrip sends one request, with authentication if it is to one of Endpoints.
func (a *Authenticated) RoundTrip(r *http.Request) (*http.Response, error) {
	base := a.Base
	if base == nil {
		base = http.DefaultTransport
	}
	by, here, err := a.prepare(r)
	if err != nil {
		closeBody(r.Body)
		return nil, err
	}
	if !here {
		return base.RoundTrip(r)
	}
	return authenticated{base: base, clientID: a.ClientID, by: by, clocks: &a.clocks}.RoundTrip(r)
}

// prepare tells whether a request is to one of Endpoints.
func (a *Authenticated) prepare(r *http.Request) (by authenticator, here bool, err error) {
	switch {
	case len(a.Endpoints) == 0:
		return by, false, errEndpoints
	case a.ClientID == "":
		return by, false, errors.New("popclient: Authenticated.ClientID is empty")
	case a.Authentication == nil:
		return by, false, errors.New("popclient: Authenticated.Authentication is nil")
	case r.URL == nil:
		return by, false, errURL
	}
	if by, err = completed(a.Authentication, a.ClientID, "", &a.secrets); err != nil {
		return by, false, fmt.Errorf("popclient: Authenticated.Authentication: %w", err)
	}
	here = slices.Contains(a.Endpoints, r.URL.String())
	switch {
	case !here && a.ledAway(r):
		return by, false, errLedAway
	case here && r.Response != nil:
		return by, false, errRedirected
	}
	return by, here, nil
}

// ledAway tells whether one of the endpoints is among those that have redirected to here: after 307 and 308 http.Client
// sends the form once more.
func (a *Authenticated) ledAway(r *http.Request) bool {
	for r != nil && r.Response != nil {
		if r = r.Response.Request; r != nil && r.URL != nil && slices.Contains(a.Endpoints, r.URL.String()) {
			return true
		}
	}
	return false
}

// authenticated is Authenticated for requests to one endpoint.
type authenticated struct {
	base     http.RoundTripper
	clientID string
	by       authenticator
	clocks   *nonces // of servers, for assertions
}

// RoundTrip implements http.RoundTripper. A secret in plain text is kept from proxies elsewhere, as tokens are.
func (a authenticated) RoundTrip(r *http.Request) (*http.Response, error) {
	e := exchange{key: a.by.key, base: a.base, nonces: a.clocks, refusal: refusedClient, authenticate: a.sign, trusted: true}
	if a.by.key == nil {
		e.refusal = func(*http.Response) string { return "" }
	}
	return e.roundTrip(r, func() (err error) {
		e.origin, err = originOf(r.URL)
		return err
	})
}

// sign returns r with authentication.
func (a authenticated) sign(r *http.Request, by clock) (*http.Request, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" || r.Method != http.MethodPost || r.Body == nil {
		return nil, errForm
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("popclient: a token request of more than %d bytes", maxAnswer)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errForm // the error of net/url quotes what may be secret
	}
	signed := r.WithContext(r.Context())
	signed.Header = r.Header.Clone()
	if err := a.by.replace(r.Context(), a.clientID, signed.Header, form, by); err != nil {
		return nil, err
	}
	closeBody(r.Body)
	text := []byte(form.Encode())
	signed.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	signed.Body, _ = signed.GetBody()
	signed.ContentLength, signed.TransferEncoding = int64(len(text)), nil
	return signed, nil
}
