// Package probe asks an API what a thief would ask it, and says for each request whether the API refuses it as it must. It
// knows nothing of the API but what its owner gives: a URL, a token, and the certificate or key that the token is bound to.
package probe

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Options say what is probed, and with whose credentials.
type Options struct {
	URL   string // a resource that the owner may GET
	Token string // the owner's

	Certificate *tls.Certificate // that the token is bound to, with its key
	Key         *Key             // that the token is bound to, for DPoP
	Other       *tls.Certificate // another client's, which the API's TLS accepts; if nil, a self-signed one

	MustRefuse map[string]string // further tokens that the API must refuse, by what is wrong with them
	IssuerKeys []any             // the issuer's public keys, for the confusion of RSA with HMAC
	Header     http.Header       // sent with each request, for a gateway that asks for it
	Origin     string            // of the page that calls the API; if empty, one is made up

	RootCAs     *x509.CertPool // of the API; if nil, those of the system
	Addresses   []netip.Addr   // of the API, instead of those that its name has
	Methods     []string       // that may be sent beside GET and HEAD
	Checks      []string       // patterns of names, see [Checks]; if nil, all
	Rate        float64        // requests a second; if zero, 20
	MaxRequests int            // if zero, 1000
	Timeout     time.Duration  // of one request; if zero, 10 s

	Progress func(done, all, requests int, name string) // if nil, nobody is told
}

// complete fills in what is not said, and lists what is wrong.
func (o *Options) complete() (*url.URL, error) {
	var problems []error
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		problems = append(problems, errors.New("the URL: want one such as https://api.example.com/orders"))
	case u.User != nil || u.Fragment != "":
		problems = append(problems, errors.New("the URL: want neither a user nor a fragment"))
	case u.Scheme == "http" && !loopback(u.Hostname()):
		problems = append(problems, errors.New("the URL: a token goes to https only, or to this machine"))
	}
	if o.Token == "" || strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		problems = append(problems, errors.New("the token: want one line of visible characters, and nothing else"))
	}
	if o.Certificate == nil && o.Key == nil {
		problems = append(problems, errors.New("the owner's credentials: want the certificate or the DPoP key that the token is bound to"))
	}
	if o.Certificate != nil && u != nil && u.Scheme == "http" {
		problems = append(problems, errors.New("the URL: a certificate needs https"))
	}
	for _, m := range o.Methods {
		if m == "" || strings.ContainsFunc(m, func(r rune) bool { return r < 'A' || r > 'Z' }) {
			problems = append(problems, fmt.Errorf("method %q: want capital letters", m))
		}
	}
	if o.Rate < 0 || o.MaxRequests < 0 || o.Timeout < 0 {
		problems = append(problems, errors.New("rate, number of requests and timeout: want more than nothing"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if o.Rate == 0 {
		o.Rate = 20
	}
	if o.MaxRequests == 0 {
		o.MaxRequests = 1000
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Origin == "" {
		o.Origin = "https://app.example"
	}
	if o.Progress == nil {
		o.Progress = func(int, int, int, string) {}
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

func (o *Options) allows(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || slices.Contains(o.Methods, method)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
