package uri

import (
	"net/http"
	"net/url"
	"strings"
)

// The rules that a request target can break (RFC 9112, section 3.2), beside those of its path.
const (
	ConnectForm  Rule = "authority of CONNECT"
	AsteriskForm Rule = "asterisk of OPTIONS"
	OtherForm    Rule = "neither a path nor an http URL with a host"
	Opaque       Rule = "Request.URL without a path"
	LongPath     Rule = "path of more than 8 KiB"
)

// MaxPath bounds the work on one path. RFC 9110, section 4.1, recommends to support 8000 bytes.
const MaxPath = 8 << 10

// Target returns the encoded path that stands in the request line, "/" if a whole URL has none; or the rule that the form
// of the target breaks.
func Target(r *http.Request) (path string, broken Rule) {
	if r.URL == nil {
		return "", Opaque
	}
	if r.RequestURI == "" { // no server has read this request
		if path = r.URL.EscapedPath(); path == "" {
			path = "/"
		}
		return path, ""
	}
	target, _, _ := strings.Cut(r.RequestURI, "?")
	switch {
	case strings.HasPrefix(target, "/"):
		return target, ""
	case target == "": // middleware has stripped all of it: net/http reads no such line
		return "/", ""
	case r.Method == http.MethodConnect:
		return "", ConnectForm
	case target == "*":
		return "", AsteriskForm
	}
	return absolutePath(r, target)
}

// absolutePath is the path of a target that is a whole URL, as to a proxy. net/http has taken Host from it, but not in
// HTTP/2, where a target has no such form (RFC 9113, section 8.3.1).
func absolutePath(r *http.Request, target string) (path string, broken Rule) {
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || r.ProtoMajor > 1 || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", OtherForm
	}
	host, _, slash := strings.Cut(rest, "/")
	if host == "" || r.URL.User != nil || r.URL.Host != host {
		return "", OtherForm
	}
	if !slash {
		return "/", ""
	}
	return rest[len(host):], ""
}

// Base is what stands before the path of a request's URL: scheme and host, both in normal form, and the path prefix that a
// proxy takes away, without a slash at its end.
type Base struct{ Scheme, Host, Prefix string }

// ParseBase reads a URL of scheme, host and path. Its errors name no more of the URL than a log may have.
func ParseBase(base string) (Base, error) {
	u, err := url.Parse(base)
	if err != nil {
		return Base{}, errNoURL
	}
	b := Base{Scheme: strings.ToLower(u.Scheme)}
	b.Host, err = Authority(b.Scheme, u.Host)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return Base{}, &baseError{u.Redacted(), "is not an http or https URL of scheme, host and path"}
	}
	if b.Prefix, err = Path("/" + strings.TrimPrefix(u.EscapedPath(), "/")); err != nil {
		return Base{}, &baseError{u.Redacted(), "has a path that is none: " + err.Error()}
	}
	b.Prefix = strings.TrimSuffix(b.Prefix, "/")
	return b, nil
}

// BaseOf returns what r says of itself, without any header of a proxy: the scheme of its connection, and its Host.
func BaseOf(r *http.Request) (Base, error) {
	b := Base{Scheme: "http"}
	if r.TLS != nil {
		b.Scheme = "https"
	}
	var err error
	b.Host, err = Authority(b.Scheme, r.Host)
	return b, err
}

// anyPath is for callers whose requests have been held against rules of their own; what no rules allow isn't a path here either.
var anyPath = Allowed{EncodedSlash: true, EmptySegment: true, PathParameter: true, OtherEncoding: true}

// URL returns the URL whose EscapedPath is the prefix and the path of r's request line; nil if that is none. It has no dot
// segments, with which it could climb out of the prefix.
func (b Base) URL(r *http.Request) *url.URL {
	raw, broken := Target(r)
	if broken != "" || len(raw) > MaxPath {
		return nil
	}
	if broken, _ := Reading(raw, anyPath); broken != "" {
		return nil
	}
	raw, err := Path(raw)
	if err != nil {
		return nil
	}
	raw = b.Prefix + raw
	path, err := url.PathUnescape(raw)
	if err != nil {
		return nil
	}
	return &url.URL{Scheme: b.Scheme, Host: b.Host, Path: path, RawPath: raw}
}
