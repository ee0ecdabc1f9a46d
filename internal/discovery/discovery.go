// Package discovery fetches what an issuer publishes about itself: its metadata (RFC 8414; OpenID Connect Discovery
// 1.0) and the documents that it names. Whoever can bend a redirect, a URL or the size of an answer gains nothing.
package discovery

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// MaxDocument bounds a document, in bytes.
const MaxDocument = 1 << 20

const maxRedirects = 3

// ParseURL accepts https URLs of a host and a path, and http ones of loopback if that is allowed.
func ParseURL(s string, loopbackHTTP bool) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("no URL")
	case u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return nil, errors.New("no URL of host and path")
	case u.Scheme == "https":
		return u, nil
	case u.Scheme == "http" && loopbackHTTP && IsLoopback(u.Hostname()):
		return u, nil
	}
	return nil, errors.New("not https")
}

// ParseIssuer is ParseURL for an issuer, which has no query (OpenID Connect Discovery 1.0, section 3; RFC 8414,
// section 2).
func ParseIssuer(s string, loopbackHTTP bool) (*url.URL, error) {
	u, err := ParseURL(s, loopbackHTTP)
	if err == nil && (u.RawQuery != "" || u.ForceQuery) {
		return nil, errors.New("has a query")
	}
	return u, err
}

// ParseMember is ParseURL for a URL that the issuer's metadata names: one that is not less protected than the issuer,
// nor inside of where the issuer isn't.
func ParseMember(s string, issuer *url.URL, loopbackHTTP bool) (*url.URL, error) {
	u, err := ParseURL(s, loopbackHTTP)
	if err != nil {
		return nil, err
	}
	if u.Scheme != issuer.Scheme && u.Scheme == "http" || isInternal(u.Hostname()) && !isInternal(issuer.Hostname()) {
		return nil, errors.New("less protected than the issuer, or inside of where it isn't")
	}
	return u, nil
}

// IsLoopback tells whether a host is localhost or a loopback address.
func IsLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && a.IsLoopback()
}

func isInternal(host string) bool {
	a, err := netip.ParseAddr(host)
	return IsLoopback(host) || err == nil && (a.IsPrivate() || !a.IsGlobalUnicast())
}

// Locations are where an issuer's metadata may be, in the order in which to ask: OpenID Connect Discovery 1.0, section
// 4, and RFC 8414, section 3.
func Locations(issuer *url.URL) []*url.URL {
	root := &url.URL{Scheme: issuer.Scheme, Host: issuer.Host, Path: "/"}
	path := strings.TrimRight(issuer.EscapedPath(), "/")
	return []*url.URL{
		root.JoinPath(path, ".well-known/openid-configuration"),
		root.JoinPath(".well-known/oauth-authorization-server", path),
	}
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

// Read gets a document of bounded size. Only 200 is an answer, and 304, then without a document, if the request has
// If-None-Match. The client's CheckRedirect should be the one of this package.
func Read(client *http.Client, r *http.Request) ([]byte, *http.Response, error) {
	r.Header.Set("Accept", "application/json, application/jwk-set+json")
	r.Header.Set("Cache-Control", "no-cache") // a cache on the way would hide a rotation
	answer, err := client.Do(r)               //nolint:gosec // G704: the URL is the configuration's, or has been through ParseMember
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = answer.Body.Close() }() // nothing of it is needed any more
	if answer.StatusCode == http.StatusNotModified && r.Header.Get("If-None-Match") != "" {
		return nil, answer, nil
	}
	if answer.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("status %d", answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, MaxDocument+1))
	if err != nil {
		return nil, nil, err
	}
	if len(body) > MaxDocument {
		return nil, nil, fmt.Errorf("more than %d bytes", MaxDocument)
	}
	return body, answer, nil
}
