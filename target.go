package popauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/seed-171ab058/popauth/internal/uri"
)

var (
	errOwnURI = errors.New("the request's own URI can't be told")
)

// RequestURL returns the URL of a request as its client sent it to this process, without query: scheme and port of
// the connection, the host that the request names, and the escaped path of the request line, which routers and
// http.StripPrefix leave alone. It returns nil if there is no such URL, as with a Host header that is more than a host
// and a port, or with a path that no RequestLine allows. It reads no forwarded header.
//
// The host is the sender's: a proof that a client made for https://other.example/orders passes where a sender writes
// Host: other.example. Where another server could get hold of proofs and tokens for this API, name the own host by
// BaseURL or Resource.ID.
func RequestURL(r *http.Request) *url.URL {
	base, err := uri.BaseOf(r)
	if err != nil {
		return nil
	}
	return base.URL(r)
}

// withOwnHost gives a DPoP without URL the scheme and host of the API's own name, if it has one. The path of the name
// isn't taken away by a proxy, so it isn't a prefix.
func withOwnHost(c Confirmer, id string) Confirmer {
	d, ok := dpopOf(c)
	if !ok || d.URL != nil {
		return c
	}
	u, err := url.Parse(id)
	if err != nil || u.Host == "" {
		return c
	}
	if own, err := BaseURL(u.Scheme + "://" + u.Host); err == nil {
		d.URL = own
	}
	return d
}

// anyHost tells that a DPoP goes by the sender's Host, and nobody has chosen that.
func anyHost(confirmers []Confirmer) bool {
	return slices.ContainsFunc(confirmers, func(c Confirmer) bool {
		d, ok := dpopOf(c)
		return ok && d.URL == nil
	})
}

func dpopOf(c Confirmer) (DPoP, bool) {
	switch d := c.(type) {
	case DPoP:
		return d, true
	case *DPoP:
		if d != nil {
			return *d, true
		}
	}
	return DPoP{}, false
}

// BaseURL returns a function for DPoP.URL of an API that is behind a proxy: a request's URL is base with the path of
// the request line, as this process got it, at its end. Base has a scheme, a host and the path prefix that the proxy
// takes away, if it does; nothing of it comes from a request.
func BaseURL(base string) (func(*http.Request) *url.URL, error) {
	own, err := uri.ParseBase(base)
	if err != nil {
		return nil, fmt.Errorf("popauth: BaseURL: %w", err)
	}
	return own.URL, nil
}

// sameTarget tells whether a proof that is good for the one request is good for the other.
func (d DPoP) sameTarget(a, b *http.Request) bool {
	find := d.URL
	if find == nil {
		find = RequestURL
	}
	u, v := find(a), find(b)
	return u != nil && v != nil && u.String() == v.String()
}

// target compares htu with own, query and fragment ignored, and returns their normal form.
func (p proof) target(own *url.URL) (string, error) {
	if own == nil {
		return "", &Error{Reason: ErrProofTarget, Err: errOwnURI}
	}
	want, err := uri.Join(own.Scheme, own.Host, own.EscapedPath())
	if err != nil {
		return "", &Error{Reason: ErrProofTarget, Err: errOwnURI}
	}
	got, err := uri.Normalize(p.uri)
	if err != nil {
		return "", &Error{Reason: ErrProofTarget, Err: fmt.Errorf("proof for another URI: %+.100q is none", p.uri)}
	}
	if got != want {
		return "", &Error{Reason: ErrProofTarget, Err: fmt.Errorf("proof for another URI: %+.100q, the request's is %+.100q", got, want)}
	}
	return want, nil
}
