package proxy

import (
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
	ok := true
	take := func(name, otherwise string) string {
		if name == "" {
			return otherwise
		}
		lines := r.Header[http.CanonicalHeaderKey(name)]
		if len(lines) != 1 || lines[0] == "" || strings.Contains(lines[0], ",") {
			ok = false
			return ""
		}
		return lines[0]
	}
	scheme, host, prefix := take(h.Scheme, scheme), take(h.Host, r.Host), take(h.Prefix, "/")
	if !ok || scheme != "http" && scheme != "https" {
		return nil
	}
	host, err := uri.Authority(scheme, host)
	if err != nil || !strings.HasPrefix(prefix, "/") {
		return nil
	}
	if prefix, err = uri.Path(prefix); err != nil {
		return nil
	}
	return uri.Base{Scheme: scheme, Host: host, Prefix: strings.TrimSuffix(prefix, "/")}.URL(r)
}
