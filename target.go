package popauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

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
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	host, err := uri.Authority(scheme, r.Host)
	if err != nil {
		return nil
	}
	return withPath(r, scheme, host, "")
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
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("popauth: BaseURL: not a URL")
	}
	scheme := strings.ToLower(u.Scheme)
	host, err := uri.Authority(scheme, u.Host)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, fmt.Errorf("popauth: BaseURL: %q is not an http or https URL of scheme, host and path", u.Redacted())
	}
	prefix, err := uri.Path("/" + strings.TrimPrefix(u.EscapedPath(), "/"))
	if err != nil {
		return nil, fmt.Errorf("popauth: BaseURL: path of %q: %w", u.Redacted(), err)
	}
	prefix = strings.TrimSuffix(prefix, "/")
	return func(r *http.Request) *url.URL { return withPath(r, scheme, host, prefix) }, nil
}

// openLine is for callers that have rules of their own; what no RequestLine allows isn't a path here either.
var openLine = RequestLine{AllowEncodedSlash: true, AllowEmptySegments: true, AllowPathParameters: true, AllowOtherEncodings: true}

// withPath makes a URL whose EscapedPath is prefix and the path of r's request line. It has no dot segments, with which
// it could climb out of the prefix.
func withPath(r *http.Request, scheme, host, prefix string) *url.URL {
	raw, rule := linePath(r)
	if rule != "" || openLine.brokenPath(raw, false) != nil {
		return nil
	}
	raw, err := uri.Path(raw)
	if err != nil {
		return nil
	}
	raw = prefix + raw
	path, err := url.PathUnescape(raw)
	if err != nil {
		return nil
	}
	return &url.URL{Scheme: scheme, Host: host, Path: path, RawPath: raw}
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
