package forwardauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/onerequest"
	"github.com/seed-171ab058/popauth/internal/uri"
)

// Headers names the headers in which a proxy reports the request that it asks about. It must replace all of them on
// every request, since one that it doesn't set is the caller's. There must be one line of each, else the request is
// refused with 400 and popauth.ErrForwardedRequest.
type Headers struct {
	Method string // as it was sent: GET
	URI    string // the request target, path and query, as it was sent: /orders?page=2
	Scheme string // http or https; ws and wss, as Traefik has it for WebSockets, mean the same
	Host   string // host, and port if it is not the scheme's own

	// URL is one absolute URL in place of URI, Scheme and Host: https://api.example.com/orders?page=2
	URL string

	// Path is for a proxy whose question is the request itself, behind this path and one segment, as ExtAuthz has it. The others are
	// empty then, but OneChallenge and DropsNonces.
	Path string

	// OneChallenge puts all challenges of an answer on one WWW-Authenticate line, for a proxy that hands on no more.
	OneChallenge bool

	// DropsNonces says that the proxy hands on no DPoP-Nonce with a 401. New reports a dpop.Confirmer with Nonces then: no client
	// would ever get one, nor get in.
	DropsNonces bool
}

// Nginx returns the headers that examples/forwardauth/nginx.conf sets: X-Original-Method, X-Original-URI,
// X-Original-Proto and X-Original-Host. All challenges come on one line, since nginx before 1.23 hands on no other.
func Nginx() Headers {
	return Headers{Method: "X-Original-Method", URI: "X-Original-URI", Scheme: "X-Original-Proto", Host: "X-Original-Host",
		OneChallenge: true}
}

// IngressNginx returns the headers that ingress-nginx sets for the annotation auth-url: X-Original-Method, and one
// X-Original-URL. It passes on all that a client sends beside them, so that those of Nginx would be the client's own.
// The host is what the client says: set dpop.Options.BaseURL where the API has one name. It hands on no nonces; where a
// configuration-snippet does, as docs/forwardauth.md has it, set DropsNonces to false.
func IngressNginx() Headers {
	return Headers{Method: "X-Original-Method", URL: "X-Original-URL", OneChallenge: true, DropsNonces: true}
}

// Envoy returns the headers that examples/forwardauth/envoy.yaml sets: the same as Nginx's, with challenges on lines of
// their own.
func Envoy() Headers {
	h := Nginx()
	h.OneChallenge = false
	return h
}

// Traefik returns the headers that ForwardAuth sets by itself: X-Forwarded-Method, -Uri, -Proto and -Host. Leave
// trustForwardHeader out of its configuration: with true they can be the client's, and with false Traefik 3.6.14 and later
// remove the certificate's header as well.
func Traefik() Headers {
	return Headers{Method: "X-Forwarded-Method", URI: "X-Forwarded-Uri", Scheme: "X-Forwarded-Proto", Host: "X-Forwarded-Host"}
}

// Caddy returns the headers that forward_auth sets by itself: the same as Traefik's. Caddy takes the last two from a
// client whose address is among trusted_proxies.
func Caddy() Headers { return Traefik() }

// names are the headers to read: the method's, and the URL's or its three parts'.
func (h Headers) names() []string {
	if h.Path != "" {
		return nil
	}
	if h.URL != "" {
		return []string{h.Method, h.URL}
	}
	return []string{h.Method, h.URI, h.Scheme, h.Host}
}

func (h Headers) canonical() Headers {
	h.Method, h.URI = http.CanonicalHeaderKey(h.Method), http.CanonicalHeaderKey(h.URI)
	h.Scheme, h.Host, h.URL = http.CanonicalHeaderKey(h.Scheme), http.CanonicalHeaderKey(h.Host), http.CanonicalHeaderKey(h.URL)
	return h
}

func (h Headers) problems() []error {
	var wrong []error
	if h.Path != "" {
		return append(wrong, h.pathProblem())
	}
	seen := map[string]bool{}
	fields := []string{"Method", "URI", "Scheme", "Host"}
	if h.URL != "" {
		fields = []string{"Method", "URL"}
		if h.URI+h.Scheme+h.Host != "" {
			wrong = append(wrong, errors.New("forwardauth: Headers.URL: stands in place of URI, Scheme and Host: leave those empty, or it"))
		}
	}
	for i, name := range h.canonical().names() {
		field := fields[i]
		switch {
		case !fitName(name):
			wrong = append(wrong, fmt.Errorf("forwardauth: Headers.%s: %q is not a header's name of letters, digits and hyphens", field,
				name))
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
	s, err := h.report(r)
	if err != nil {
		return nil, err
	}
	if !isMethod(s.method) {
		return nil, unreported(cmp.Or(h.Method, "the question's method"), "no method")
	}
	// RFC 9112, section 3.2: there is no fragment. A proxy and an API that cut one off would see another path than policies.
	odd := func(c rune) bool { return c <= ' ' || c > '~' || c == '#' }
	if len(s.target) > maxURI || !strings.HasPrefix(s.target, "/") || strings.ContainsFunc(s.target, odd) {
		return nil, unreported(cmp.Or(h.URL, h.URI, "the question's path"), "no path and query")
	}
	u, err := url.ParseRequestURI(s.target)
	if err != nil {
		return nil, unreported(cmp.Or(h.URL, h.URI, "the question's path"), "no path and query")
	}
	host, err := uri.Authority(s.scheme, s.authority) // an error for a scheme other than http and https
	if err != nil {
		return nil, unreported(cmp.Or(h.URL, h.Host, "the question's host"), "no host, or none of http or https")
	}
	o := r.WithContext(onerequest.WithQuestion(context.WithValue(r.Context(), schemeKey{}, s.scheme), r))
	o.Method, o.RequestURI, o.URL, o.Host = s.method, s.target, u, host
	o.Body, o.ContentLength, o.TransferEncoding = http.NoBody, 0, nil // the body has stayed with the proxy
	o.Form, o.PostForm, o.MultipartForm, o.Pattern = nil, nil, nil, ""
	o.Header = maps.Clone(r.Header)
	for _, name := range h.names() {
		o.Header.Del(name)
	}
	return o, nil
}

// said is what a proxy says of a request.
type said struct{ method, scheme, authority, target string }

// report reads what the proxy says, and takes an absolute URL apart.
func (h Headers) report(r *http.Request) (said, error) {
	if h.Path != "" {
		return h.question(r)
	}
	var values [4]string
	for i, name := range h.names() {
		switch lines := r.Header[name]; {
		case len(lines) == 0 || len(lines) == 1 && lines[0] == "":
			return said{}, unreported(name, "not there, or empty; the proxy has to set it")
		case len(lines) > 1:
			return said{}, unreported(name, fmt.Sprintf("%d lines, want one; the proxy has to replace a client's own", len(lines)))
		default:
			values[i] = lines[0]
		}
	}
	if h.URL != "" {
		scheme, rest, _ := strings.Cut(values[1], "://")
		end := strings.IndexByte(rest, '/')
		if end < 0 {
			return said{}, unreported(h.URL, "no absolute URL with a path")
		}
		s := said{method: values[0], scheme: scheme, authority: rest[:end], target: rest[end:]}
		return s, h.agree(r, s)
	}
	s := said{method: values[0], scheme: values[2], authority: values[3], target: values[1]}
	switch s.scheme { // the handshake of a WebSocket is a request of HTTP: RFC 6455, section 1.3
	case "ws":
		s.scheme = "http"
	case "wss":
		s.scheme = "https"
	}
	return s, nil
}

// agree refuses a report in another form beside the URL, of which one must be the caller's.
func (h Headers) agree(r *http.Request, s said) error {
	for name, want := range map[string]string{"X-Original-Uri": s.target, "X-Original-Proto": s.scheme, "X-Original-Host": s.authority} {
		for _, value := range r.Header[name] {
			if value != want {
				return unreported(name, "says something else than "+h.URL+", which the proxy sets; have the proxy remove it")
			}
		}
	}
	return nil
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

// OriginalURL returns the URL of the original request, without query, as the proxy reports it; nil if there is none, as of a
// request that no Endpoint has made. It is the URL of dpop.Options for an API with several names.
//
// Danger: the host may be what the caller says. A proof that a client made for https://other.example/orders passes then where
// a sender writes Host: other.example. Have the proxy refuse hosts that it doesn't know, or wrap this function in one that does;
// where the API has one name, set BaseURL.
func OriginalURL(r *http.Request) *url.URL {
	scheme, _ := r.Context().Value(schemeKey{}).(string)
	host, err := uri.Authority(scheme, r.Host)
	if err != nil {
		return nil
	}
	return uri.Base{Scheme: scheme, Host: host}.URL(r)
}
