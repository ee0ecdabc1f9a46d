package clientauth

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Endpoints are the places where a certificate is demanded. Servers have such places of their own because one that
// asks everybody for a certificate makes browsers ask their users for one (RFC 8705, section 5). The zero value is
// nowhere.
type Endpoints struct {
	segments []string // of a path prefix
	label    string   // of a subdomain
	host     string   // of a domain of its own
	port     string
	wrong    error
}

// PathPrefix is every path under prefix, compared by whole segments and regardless of case. The last segment of prefix
// marks the endpoint and is taken out before another handler sees the path: with /mtls, /mtls/token becomes /token; with
// /connect/mtls, /connect/mtls/token becomes /connect/token. OriginalURL still has it.
//
// A path can't be known before the TLS handshake, so with it the whole server must ask for certificates.
func PathPrefix(prefix string) Endpoints {
	segments := strings.Split(prefix, "/")
	if len(segments) < 2 || segments[0] != "" {
		return Endpoints{wrong: fmt.Errorf("path prefix %q: doesn't start with a slash", prefix)}
	}
	for _, s := range segments[1:] {
		if s == "" || s == "." || s == ".." || url.PathEscape(s) != s {
			return Endpoints{wrong: fmt.Errorf("path prefix %q: a segment that is empty, dots, or needs escaping", prefix)}
		}
	}
	return Endpoints{segments: segments[1:]}
}

// Subdomain is every host whose first label is the one given, regardless of case and port: with "mtls",
// mtls.id.example.com. The host is that of the request, so a proxy must pass it on.
func Subdomain(label string) Endpoints {
	if label == "" || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return Endpoints{wrong: fmt.Errorf("subdomain %q: not one label of a host name", label)}
	}
	return Endpoints{label: strings.ToLower(label)}
}

// Domain is the one host given, regardless of case, on the port given, or on 443: "mtls.example.com",
// "mtls.example.com:8443". A request that names no port is one to 443. The host is that of the request, so a proxy must
// pass it on.
func Domain(host string) Endpoints {
	u, err := url.Parse("https://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || strings.HasSuffix(host, ":") {
		return Endpoints{wrong: fmt.Errorf("domain %q: not a host with or without a port", host)}
	}
	e := Endpoints{host: strings.ToLower(u.Hostname()), port: "443"}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Endpoints{wrong: fmt.Errorf("domain %q: port out of range", host)}
		}
		e.port = strconv.FormatUint(n, 10)
	}
	return e
}

// nowhere is mutual TLS turned off.
func (e Endpoints) nowhere() bool { return len(e.segments) == 0 && e.label == "" && e.host == "" }

// match tells whether a request is for one of the endpoints, and returns the URL that the ordinary endpoint has.
func (e Endpoints) match(r *http.Request) (*url.URL, bool) {
	host := url.URL{Host: r.Host}
	switch {
	case len(e.segments) > 0:
		return e.ordinary(r.URL)
	case e.label != "":
		// With the dot: mtlsx.example.com is another host.
		label, rest, ok := strings.Cut(host.Hostname(), ".")
		return r.URL, ok && rest != "" && strings.EqualFold(label, e.label)
	case e.host != "":
		port := host.Port()
		if port == "" {
			port = "443"
		}
		return r.URL, strings.EqualFold(host.Hostname(), e.host) && port == e.port
	}
	return nil, false
}

// ordinary takes the last segment of the prefix out of a URL's path. It goes by segments of the escaped path, as a
// ServeMux does: an escaped slash separates nothing.
func (e Endpoints) ordinary(u *url.URL) (*url.URL, bool) {
	rest := u.EscapedPath()
	for _, want := range e.segments {
		if !strings.HasPrefix(rest, "/") {
			return nil, false
		}
		segment, _, _ := strings.Cut(rest[1:], "/")
		if have, err := url.PathUnescape(segment); err != nil || !strings.EqualFold(have, want) {
			return nil, false
		}
		rest = rest[1+len(segment):]
	}
	if rest == "" {
		rest = "/"
	}
	path, err := url.PathUnescape(e.parent() + rest)
	if err != nil {
		return nil, false
	}
	own := *u
	own.Path, own.RawPath = path, ""
	if own.EscapedPath() != e.parent()+rest {
		own.RawPath = e.parent() + rest
	}
	return &own, true
}

// parent is the prefix without the segment that marks the endpoint.
func (e Endpoints) parent() string {
	return strings.Join(append([]string{""}, e.segments[:len(e.segments)-1]...), "/")
}

// alias is the address of an endpoint where a certificate is demanded, made of the server's own base URL, without
// slash at the end, and the ordinary path below it.
func (e Endpoints) alias(base *url.URL, path string) (string, error) {
	u, err := url.Parse(path)
	if err != nil || !strings.HasPrefix(path, "/") || u.Host != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("not a path with a slash at the start")
	}
	own := url.URL{Scheme: base.Scheme, Host: base.Host}
	prefix := base.EscapedPath()
	switch {
	case len(e.segments) > 0:
		if _, ok := e.ordinary(u); ok {
			return "", errors.New("has the prefix already; give the ordinary path")
		}
		rest, ok := strings.CutPrefix(path, e.parent()+"/")
		if !ok {
			return "", fmt.Errorf("not below %s/, so the prefix doesn't lead there", e.parent())
		}
		path = "/" + strings.Join(e.segments, "/") + "/" + rest
	case e.label != "":
		if net.ParseIP(base.Hostname()) != nil {
			return "", errors.New("an IP address has no subdomain")
		}
		own.Host = e.label + "." + base.Host
	default:
		own.Scheme, own.Host = "https", e.authority()
	}
	return own.String() + prefix + path, nil
}

func (e Endpoints) authority() string {
	if e.port != "443" {
		return net.JoinHostPort(e.host, e.port)
	}
	if strings.Contains(e.host, ":") {
		return "[" + e.host + "]"
	}
	return e.host
}
