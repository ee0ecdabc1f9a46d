// Package discovery fetches what an issuer publishes about itself: its metadata (RFC 8414; OpenID Connect Discovery
// 1.0) and the documents that it names. A forged redirect, URL or size of an answer gains an attacker nothing.
package discovery

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode"
)

// MaxDocument bounds a document, in bytes.
const MaxDocument = 1 << 20

const maxRedirects = 3

// Plain is where URLs may lead by http. Everything may be https.
type Plain int

// The rules, from the strictest.
const (
	NoHTTP       Plain = iota
	LoopbackHTTP       // hosts that are written as a loopback address, or localhost
	PrivateHTTP        // and hosts whose address is inside of a network, which shows when it is dialled: see Client.Get
)

// Loopback is LoopbackHTTP if that is allowed.
func Loopback(allowed bool) Plain {
	if allowed {
		return LoopbackHTTP
	}
	return NoHTTP
}

// ParseURL accepts https URLs of a host and a path, and http ones as far as that is allowed.
func ParseURL(s string, plain Plain) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case len(s) > maxURL:
		return nil, fmt.Errorf("a URL of %d bytes, more than %d", len(s), maxURL)
	case err != nil:
		return nil, errors.New("no URL")
	case u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return nil, errors.New("no URL of host and path")
	case !isASCII(u.Hostname()):
		// net/http maps it (UTS #46) after this: full-width digits are an address, U+3002 is a dot.
		return nil, fmt.Errorf("host %.128q is not in ASCII: write it in its A-label form, xn--…", u.Hostname())
	case u.Scheme == "https":
		return u, nil
	case u.Scheme == "http" && plain >= LoopbackHTTP && IsLoopback(u.Hostname()):
		return u, nil
	case u.Scheme == "http" && plain == PrivateHTTP && !isPublic(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("not https but %.16q: http passes for a loopback address alone, where AllowLoopbackHTTP is set, "+
		"and for keys at a private one where AllowPrivateHTTP is", u.Scheme)
}

// isPublic tells whether a host is written as an address outside of networks.
func isPublic(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && !IsInside(a)
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

// ParseIssuer is ParseURL for an issuer, which has no query (OpenID Connect Discovery 1.0, section 3; RFC 8414,
// section 2).
func ParseIssuer(s string, plain Plain) (*url.URL, error) {
	u, err := ParseURL(s, plain)
	if err == nil && (u.RawQuery != "" || u.ForceQuery) {
		return nil, errors.New("has a query")
	}
	return u, err
}

// ParseMember is ParseURL for a URL that the issuer's metadata names: one that is not less protected than the issuer,
// nor inside of where the issuer isn't.
func ParseMember(s string, issuer *url.URL, plain Plain) (*url.URL, error) {
	u, err := ParseURL(s, plain)
	if err != nil {
		return nil, err
	}
	if u.Scheme != issuer.Scheme && u.Scheme == "http" || isInternal(u.Hostname()) && !isInternal(issuer.Hostname()) {
		return nil, errors.New("less protected than the issuer, or inside of where it isn't")
	}
	return u, nil
}

// maxURL bounds what is kept of a URL that somebody else has written.
const maxURL = 2 << 10

// IsLoopback tells whether a host is localhost or a loopback address.
func IsLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && a.IsLoopback()
}

// Locations are where an issuer's metadata may be, in the order in which to ask: OpenID Connect Discovery 1.0, section
// 4; RFC 8414, section 3; its section 5, for the name of OpenID Connect; and behind the path, as servers do whose
// framework gives them no other place. Without a path they are two.
func Locations(issuer *url.URL) []*url.URL {
	const openID, oauth = ".well-known/openid-configuration", ".well-known/oauth-authorization-server"
	root := &url.URL{Scheme: issuer.Scheme, Host: issuer.Host, Path: "/"}
	path := strings.TrimRight(issuer.EscapedPath(), "/")
	all := []*url.URL{root.JoinPath(path, openID), root.JoinPath(oauth, path)}
	if path == "" {
		return all
	}
	return append(all, root.JoinPath(openID, path), root.JoinPath(path, oauth))
}

// CheckRedirect is one for http.Client that keeps requests on their origin, and then asks own, if that is not nil.
func CheckRedirect(own func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		first := via[0].URL
		if len(via) > maxRedirects || next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
			return errors.New("redirect to another origin, or too many")
		}
		if own != nil {
			return own(next, via)
		}
		return nil
	}
}
