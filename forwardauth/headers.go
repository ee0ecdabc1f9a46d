package forwardauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/uri"
)

// Headers names the headers in which a proxy reports the request that it asks about. It must replace all four on
// every request. There must be one line of each, else the request is refused with 400 and popauth.ErrForwardedRequest.
type Headers struct {
	Method string // as it was sent: GET
	URI    string // the request target, path and query, as it was sent: /orders?page=2
	Scheme string // http or https
	Host   string // host, and port if it is not the scheme's own

	// OneChallenge puts all challenges of an answer on one WWW-Authenticate line, for a proxy that hands on no more.
	OneChallenge bool
}

// Nginx returns the headers that examples/forwardauth/nginx.conf sets: X-Original-Method, X-Original-URI,
// X-Original-Proto and X-Original-Host. All challenges come on one line, since nginx before 1.23 hands on no other.
func Nginx() Headers {
	return Headers{"X-Original-Method", "X-Original-URI", "X-Original-Proto", "X-Original-Host", true}
}

// Traefik returns the headers that ForwardAuth sets by itself: X-Forwarded-Method, -Uri, -Proto and -Host. Leave its
// trustForwardHeader off: with it they are the client's.
func Traefik() Headers {
	return Headers{"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Proto", "X-Forwarded-Host", false}
}

// Caddy returns the headers that forward_auth sets by itself: the same as Traefik's. Caddy takes the last two from a
// client whose address is among trusted_proxies.
func Caddy() Headers { return Traefik() }

func (h Headers) names() []string { return []string{h.Method, h.URI, h.Scheme, h.Host} }

func (h Headers) canonical() Headers {
	h.Method, h.URI = http.CanonicalHeaderKey(h.Method), http.CanonicalHeaderKey(h.URI)
	h.Scheme, h.Host = http.CanonicalHeaderKey(h.Scheme), http.CanonicalHeaderKey(h.Host)
	return h
}

func (h Headers) problems() []error {
	var wrong []error
	seen := map[string]bool{}
	for i, name := range h.canonical().names() {
		field := [...]string{"Method", "URI", "Scheme", "Host"}[i]
		switch {
		case !fitName(name):
			wrong = append(wrong, fmt.Errorf("forwardauth: Headers.%s: %q is not a header's name of letters, digits and hyphens", field, name))
		case seen[name] || name == "Authorization" || name == "Dpop" || name == "Host":
			wrong = append(wrong, fmt.Errorf("forwardauth: Headers.%s: %s has another use", field, name))
		}
		seen[name] = true
	}
	return wrong
}

// fitName leaves out what some software takes for a hyphen.
func fitName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
}

// maxURI bounds the request target; most servers allow less.
const maxURI = 16 << 10

// original makes the request that the proxy reports: its method, URL and host, and of r the other headers and the
// connection, by which the proxy is known.
func (h Headers) original(r *http.Request) (*http.Request, error) {
	var values [4]string
	for i, name := range h.names() {
		lines := r.Header[name]
		if len(lines) != 1 || lines[0] == "" {
			return nil, unreported(name, "not there once")
		}
		values[i] = lines[0]
	}
	// RFC 9112, section 3.2: there is no fragment. A proxy and an API that cut one off would see another path than policies.
	method, target, scheme := values[0], values[1], values[2]
	if !isMethod(method) {
		return nil, unreported(h.Method, "no method")
	}
	if len(target) > maxURI || target[0] != '/' || strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c > '~' || c == '#' }) {
		return nil, unreported(h.URI, "no path and query")
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, unreported(h.URI, "no path and query")
	}
	host, err := uri.Authority(scheme, values[3]) // an error for a scheme other than http and https
	if err != nil {
		return nil, unreported(h.Host, "no host, or none of http or https")
	}
	o := r.WithContext(context.WithValue(r.Context(), schemeKey{}, scheme))
	o.Method, o.RequestURI, o.URL, o.Host = method, target, u, host
	o.Body, o.ContentLength, o.TransferEncoding = http.NoBody, 0, nil // the body has stayed with the proxy
	o.Form, o.PostForm, o.MultipartForm, o.Pattern = nil, nil, nil, ""
	o.Header = maps.Clone(r.Header)
	for _, name := range h.names() {
		o.Header.Del(name)
	}
	return o, nil
}

// unreported never quotes a value: the text may end in a log.
func unreported(header, what string) error {
	return &popauth.Error{Reason: popauth.ErrForwardedRequest, Err: errors.New(header + ": " + what)}
}

// isMethod tells whether s is a token of RFC 9110, section 9.1.
func isMethod(s string) bool {
	return len(s) <= 64 && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

type schemeKey struct{}

// originalURL is popauth.RequestURL with the scheme that the proxy reports.
func originalURL(r *http.Request) *url.URL {
	scheme, _ := r.Context().Value(schemeKey{}).(string)
	find, err := popauth.BaseURL(scheme + "://" + r.Host)
	if err != nil {
		return nil
	}
	return find(r)
}
