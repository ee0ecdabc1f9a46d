package proxy

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/internal/field"
)

// SenderOptions configure a Sender.
type SenderOptions struct {
	_ [0]func()

	// SecretHeader and Secret are what proxy.TrustSecret of the API behind is given: at least 16 bytes, in a header that is
	// for nothing else, such as X-Gateway-Secret. If both are empty, none is sent, and the API needs another Trust, such as
	// proxy.TrustProxyTLS.
	SecretHeader, Secret string

	// Chain sends the intermediates that the client has sent along too, in Client-Cert-Chain.
	Chain bool

	// Remove are further headers by which an API would take what a client says for what the gateway says: identities that
	// the gateway writes itself. A name that ends with * stands for all that begin so. Those that Formats of this package
	// read, and X-Auth-*, are removed in any case.
	Remove []string
}

// Sender is for a gateway in Go that ends mutual TLS, with an API behind it that reads [RFC9440]: it writes the client's
// certificate and the secret, and hands on nothing of that kind that the client has made up, under whatever spelling.
// Make it with NewSender, and use it in Rewrite of an httputil.ReverseProxy:
//
//	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
//		r.SetURL(api)
//		sender.Rewrite(r)
//	}}
//
// In Director the client could undo all of it: there the headers that it names in Connection are removed afterwards.
type Sender struct {
	options  SenderOptions
	names    []string // lower case, with hyphens for all that is no letter or digit
	prefixes []string
}

// identities are the headers of this package's formats and of their kin.
var identities = [...]string{
	"Client-Cert*", "X-Client-Cert*", "X-Forwarded-Client-Cert*", "X-Forwarded-Tls-Client-Cert*", "Ssl-Client-*", "X-Ssl-*",
	"X-Arr-Clientcert*",
	"X-Amzn-Mtls-*", "X-Client-Verify*", "X-Tls-Client-*", "Cf-Client-Cert*", "Cloudfront-Viewer-Cert*", "Tls-Client-*", "X-Auth-*",
	"X-Amzn-Request-Context", "Early-Data",
}

// NewSender makes a Sender. The error lists every problem.
func NewSender(o SenderOptions) (*Sender, error) {
	var wrong []error
	s := &Sender{options: o}
	switch {
	case (o.SecretHeader == "") != (o.Secret == ""):
		wrong = append(wrong, errors.New("proxy: SenderOptions: SecretHeader and Secret belong together"))
	case o.Secret != "" && (len(o.Secret) < 16 || strings.ContainsFunc(o.Secret, func(c rune) bool { return c <= ' ' || c > '~' })):
		wrong = append(wrong, errors.New("proxy: SenderOptions.Secret: less than 16 bytes, or not of printable ASCII without spaces"))
	case o.SecretHeader != "" && !isName(o.SecretHeader):
		wrong = append(wrong, fmt.Errorf("proxy: SenderOptions.SecretHeader: invalid name %q", o.SecretHeader))
	case strings.HasPrefix(field.Fold(o.SecretHeader), "client-cert"):
		wrong = append(wrong, fmt.Errorf("proxy: SenderOptions.SecretHeader: %q is for the certificate: name another, such as "+
			"X-Gateway-Secret", o.SecretHeader))
	case field.Taken(o.SecretHeader) != "":
		wrong = append(wrong, fmt.Errorf("proxy: SenderOptions.SecretHeader: no secret arrives in %q, since %s: name another, such as "+
			"X-Gateway-Secret",
			o.SecretHeader, field.Taken(o.SecretHeader)))
	}
	all := append(identities[:len(identities):len(identities)], o.Remove...)
	if o.SecretHeader != "" {
		all = append(all, o.SecretHeader)
	}
	for _, name := range all {
		bare, prefix := strings.CutSuffix(name, "*")
		switch {
		case !isName(strings.TrimSuffix(bare, "-")):
			wrong = append(wrong, fmt.Errorf("proxy: SenderOptions.Remove: invalid name %q", name))
		case prefix:
			s.prefixes = append(s.prefixes, field.Fold(bare))
		default:
			s.names = append(s.names, field.Fold(bare))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return s, nil
}

// Rewrite changes the outgoing request alone. Without a certificate, or before the handshake is complete, when nobody has
// proven to have its key, there is no Client-Cert.
func (s *Sender) Rewrite(r *httputil.ProxyRequest) {
	if s == nil || len(s.names) == 0 {
		panic("proxy: a Sender that NewSender has not made")
	}
	for _, header := range []http.Header{r.Out.Header, r.Out.Trailer} {
		for name := range header {
			if s.removes(name) {
				delete(header, name)
			}
		}
	}
	if s.options.SecretHeader != "" {
		r.Out.Header.Set(s.options.SecretHeader, s.options.Secret)
	}
	s.certificate(r.Out.Header, r.In.TLS)
}

func (s *Sender) certificate(h http.Header, c *tls.ConnectionState) {
	if c == nil || !c.HandshakeComplete || len(c.PeerCertificates) == 0 {
		return
	}
	var items []string
	for _, cert := range c.PeerCertificates {
		items = append(items, ":"+base64.StdEncoding.EncodeToString(cert.Raw)+":") // RFC 9440, section 2.1
	}
	h.Set("Client-Cert", items[0])
	if chain := items[1:]; s.options.Chain && len(chain) > 0 && len(chain) <= maxCertificates {
		h.Set("Client-Cert-Chain", strings.Join(chain, ", ")) // RFC 9440, section 2.3
	}
}

func (s *Sender) removes(name string) bool {
	name = field.Fold(name)
	return slices.Contains(s.names, name) || slices.ContainsFunc(s.prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
