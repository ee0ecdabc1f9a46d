package popauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-171ab058/popauth/internal/uri"
)

var (
	errMethod = errors.New("proof for another method")
	errURI    = errors.New("proof for another URI")
	errOwnURI = errors.New("the request's own URI can't be told")
)

// RequestURL returns the URL of a request as its client sent it to this process, without query: scheme and port of
// the connection, the host that the request names, and the escaped path of the request line, which routers and
// http.StripPrefix leave alone. It returns nil if there is no such URL, as with a Host header that is more than a host
// and a port. It reads no forwarded header.
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

// withPath makes a URL whose EscapedPath is prefix and the path of r's request line. That one is normalised alone, so
// that its dot segments can't climb out of the prefix.
func withPath(r *http.Request, scheme, host, prefix string) *url.URL {
	raw, ok := requestPath(r)
	if !ok {
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

// requestPath is the escaped path that stands in the request line (RFC 9112, section 3.2), "/" if there is none. What
// looks like a fragment is part of it: a server doesn't get one, and takes # for any other character.
func requestPath(r *http.Request) (string, bool) {
	line := r.RequestURI
	if line == "" { // no server has read this request
		line = r.URL.EscapedPath()
		if line == "" {
			line = "/"
		}
	}
	line, _, _ = strings.Cut(line, "?")
	if !strings.HasPrefix(line, "/") {
		// absolute-form: net/http has taken Host from it. OPTIONS * and CONNECT name no resource.
		_, rest, ok := strings.Cut(line, "://")
		if !ok {
			return "", false
		}
		_, path, _ := strings.Cut(rest, "/")
		line = "/" + path
	}
	return line, true
}

// method is the request's; net/http lets a request that no server has read leave out GET.
func method(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
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
	if err != nil || got != want {
		return "", &Error{Reason: ErrProofTarget, Err: errURI}
	}
	return want, nil
}
