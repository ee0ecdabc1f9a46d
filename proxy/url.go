package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/uri"
)

// URLHeaders names the headers in which a proxy reports the URL that its client asked for, such as X-Forwarded-Proto,
// X-Forwarded-Host and X-Forwarded-Prefix. Name only those that the proxy replaces on every request: any other is the
// client's own. For a field that is empty, the request's own counts (dpop.RequestURL); without Prefix there is none. The host is
// what the client asked for: have the proxy refuse all but your names, or a proof for evil.example is one for the API.
type URLHeaders struct{ Scheme, Host, Prefix string }

// URL returns a function for dpop.Options.URL of an API that is behind a proxy with several names or prefixes; for one
// name BaseURL is simpler. From a peer that all rules of trust accept, each header must be there, once, with one
// value, else the request is refused; from any other peer dpop.RequestURL counts. A trusted address without the secret of
// TrustSecret is neither: the function returns nil, and each proof is refused as one for another request. Behind
// popauth.ClientCertificate the secret header is gone: don't repeat TrustSecret here.
//
// No header, no rule, or a prefix of length 0 is an error.
func URL(headers URLHeaders, trust ...Trust) (func(*http.Request) *url.URL, error) {
	var wrong []error
	if headers == (URLHeaders{}) {
		wrong = append(wrong, errors.New("proxy: URL: no header"))
	}
	for _, name := range []string{headers.Scheme, headers.Host, headers.Prefix} {
		if name != "" && !field.IsToken(name) {
			wrong = append(wrong, fmt.Errorf("proxy: URL: %q is no header's name", name))
		}
	}
	trust = slices.Clone(trust)
	wrong = append(wrong, problems("URL", trust)...)
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return func(r *http.Request) *url.URL {
		trusted, err := accepts(trust, r)
		switch {
		case err != nil:
			uri.Untold(r, "the proxy's address, and not its secret, see TrustSecret")
			return nil
		case !trusted:
			base, err := uri.BaseOf(r)
			if err != nil {
				return nil
			}
			return base.URL(r)
		}
		return headers.read(r)
	}, nil
}

func (h URLHeaders) read(r *http.Request) *url.URL {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	wrong := func(name, what string) *url.URL {
		uri.Untold(r, "proxy.URLHeaders: "+http.CanonicalHeaderKey(name)+": "+what+"; have the proxy set it on every request, or name "+
			"another")
		return nil
	}
	values := [3]string{scheme, r.Host, "/"}
	for i, name := range [...]string{h.Scheme, h.Host, h.Prefix} {
		if name == "" {
			continue
		}
		var what string
		if values[i], what = one(r.Header[http.CanonicalHeaderKey(name)]); what != "" {
			return wrong(name, what)
		}
	}
	if values[0] != "http" && values[0] != "https" {
		return wrong(h.Scheme, "neither http nor https")
	}
	host, err := uri.Authority(values[0], values[1])
	if err != nil {
		return wrong(cmp.Or(h.Host, "Host"), "no host")
	}
	prefix := values[2]
	if prefix, err = uri.Path(prefix); err != nil || !strings.HasPrefix(values[2], "/") {
		return wrong(h.Prefix, "no path")
	}
	return uri.Base{Scheme: values[0], Host: host, Prefix: strings.TrimSuffix(prefix, "/")}.URL(r)
}

// one is the value of a header that has to have one, or what it has instead.
func one(lines []string) (value, what string) {
	switch {
	case len(lines) == 0:
		return "", "not there"
	case len(lines) > 1:
		return "", fmt.Sprintf("in %d lines", len(lines))
	case lines[0] == "":
		return "", "empty"
	case strings.Contains(lines[0], ","):
		return "", "a list of values: of several proxies in a row, the last has to pass on what the first has set"
	}
	return lines[0], ""
}
