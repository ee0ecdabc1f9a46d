package popauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth/internal/managed"
)

// ProxiedOptions say how a source tells what has come by a proxy, and where it finds the certificate then. Proxied and
// Certificate are required.
type ProxiedOptions struct {
	_ [0]func()

	// Proxied tells whether a request has come by the proxy, by its connection or by Marks. An error refuses the request; it
	// should wrap a Reason, and one that doesn't is answered like ErrCertificateMalformed.
	Proxied func(*http.Request) (bool, error)

	// Certificate has the three outcomes of CertificateSource, for a request that has come by the proxy: no certificate means that
	// its client has none. Make one with NewCertificate, and set Verified to VerifiedByProxy where the proxy says so. It may
	// return one that it has made before, and must not change it any more: popauth copies it for others alone.
	Certificate func(*http.Request) (*Certificate, error)

	// Headers are those that Certificate reads.
	Headers []string

	// Marks are the headers that Proxied reads, such as one with a secret. If nil, it goes by the connection alone.
	Marks []string
}

// ProxiedCertificate is the source of an API behind a proxy whose protocol you read yourself; package proxy has those of the
// usual ones. It goes by the request and its connection alone, never by what handlers further out have found, and nothing
// falls back: of a request that has come by the proxy only Certificate counts, of any other one only the TLS connection, as
// with TLSCertificate. One with the context of another request is refused: see CheckContext.
//
// Headers and Marks are removed from every request. So behind a handler that has removed Marks, what has come by the proxy
// looks as if it had come directly, and the connection's certificate is the proxy's then: where a handler further out reads
// one of Marks, or WithoutHeaders has removed one, the connection's certificate counts only if that handler has found it, too.
// Otherwise the request is refused with ErrProxySecret.
func ProxiedCertificate(o ProxiedOptions) (CertificateSource, error) {
	var wrong []error
	if o.Proxied == nil {
		wrong = append(wrong, errors.New("popauth: ProxiedOptions.Proxied: nothing says what has come by the proxy"))
	}
	if o.Certificate == nil {
		wrong = append(wrong, errors.New("popauth: ProxiedOptions.Certificate: nothing finds the certificate"))
	}
	if slices.Contains(o.Headers, "") {
		wrong = append(wrong, errors.New("popauth: ProxiedOptions.Headers: an empty name"))
	}
	if slices.Contains(o.Marks, "") {
		wrong = append(wrong, errors.New("popauth: ProxiedOptions.Marks: an empty name"))
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return &proxiedSource{
		proxied: o.Proxied, find: o.Certificate, headers: slices.Concat(o.Headers, o.Marks), marks: slices.Clone(o.Marks),
		direct: tlsSource{memory: newCertificateMemory()},
	}, nil
}

type proxiedSource struct {
	proxied func(*http.Request) (bool, error)
	find    func(*http.Request) (*Certificate, error)
	headers []string // marks among them
	marks   []string
	direct  tlsSource // of any other peer
}

// Headers implements CertificateSource.
func (s *proxiedSource) Headers() ([]string, error) { return slices.Clone(s.headers), nil }

// Certificate implements CertificateSource.
func (s *proxiedSource) Certificate(r *http.Request) (*Certificate, error) {
	c, err := s.shared(r)
	return c.at(time.Now()).clone(), err
}

func (s *proxiedSource) shared(r *http.Request) (*Certificate, error) {
	if err := CheckContext(r); err != nil {
		return nil, err
	}
	proxied, err := s.proxied(r)
	if err != nil {
		return nil, err
	}
	if !proxied {
		return s.unproxied(r)
	}
	c, err := s.find(r)
	if c == nil || err != nil {
		return nil, err
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	if c.isHashed() {
		return c, nil
	}
	return c.asHashed(), nil
}

// unproxied is the certificate of the connection, for a request that has not come by the proxy.
func (s *proxiedSource) unproxied(r *http.Request) (*Certificate, error) {
	c, err := s.direct.shared(r)
	if c == nil || err != nil || len(s.marks) == 0 {
		return c, err
	}
	if slices.ContainsFunc(s.marks, removedFrom(r).Manages) {
		return nil, &Error{Reason: ErrProxySecret, Err: errSecretGone}
	}
	for d := innermost(r.Context()); d != nil; d = d.outer { // also of another request: this one may have been made from it
		headers, _ := headersOf(d.by.source) // who is in the context has been found valid
		if slices.ContainsFunc(s.marks, headers.Manages) && !sameCertificate(c, d.certificate) {
			return nil, &Error{Reason: ErrProxySecret, Err: errSecretGone}
		}
	}
	return c, nil
}

var errSecretGone = errors.New("a handler further out has asked for the certificate, and removed the secret by which the proxy is " +
	"known: want one source, in the outermost handler; leave the inner one's nil")

// CheckContext returns nil, or an *Error with ErrAnotherRequest for a request that has the context of another one, which a
// handler of this package has decided about: a handler that takes a connection over (Hijack) serves such, and so does a
// batch. Who reads from the context who is at the other end of the connection, as package proxy does for its headers, asks
// this first: the peer in the context may be the proxy, where the headers are a client's.
func CheckContext(r *http.Request) error {
	if ofAnother(r) {
		return &Error{Reason: ErrAnotherRequest, Err: errAnotherRequest}
	}
	return nil
}

// headersOf returns the headers of a source; none of a nil one. The error is about its configuration.
func headersOf(source CertificateSource) (managed.Headers, error) {
	if source == nil {
		return nil, nil
	}
	names, err := source.Headers()
	if slices.Contains(names, "") {
		err = errors.Join(err, fmt.Errorf("popauth: %T: Headers has an empty name", source))
	}
	return slices.Clone(names), err // a source of somebody else's may change its own
}

// WithoutHeaders returns r without the headers that source reads, as ClientCertificate and a Guard hand requests on:
// names that some software takes for the same, and trailers of these names, are gone too, and with them an offer to go on
// with HTTP/2. It is for programs that ask Check or clientcert.Check and then show the request to others. It never changes
// r, and is r itself where there is nothing to remove now, and no body behind which a trailer could come.
func WithoutHeaders(r *http.Request, source CertificateSource) *http.Request {
	headers, _ := headersOf(source)
	clean := headers.Strip(r)
	removed := slices.DeleteFunc(slices.Clone(headers), func(name string) bool { return !managed.Headers{name}.CarriedBy(r) })
	if len(removed) == 0 {
		return clean
	}
	return clean.WithContext(context.WithValue(clean.Context(), removedKey{}, append(removed, removedFrom(r)...)))
}

type removedKey struct{}

// removedFrom names the headers that WithoutHeaders has removed.
func removedFrom(r *http.Request) managed.Headers {
	names, _ := r.Context().Value(removedKey{}).(managed.Headers)
	return names
}

// agree tells whether the headers of a source, if there are any, still say the certificate that a decision was made on. A stage removes
// them, but not where an adapter makes each of its handlers a request of its own.
func agree(headers managed.Headers, source CertificateSource, sent *http.Request, on *Certificate) bool {
	if !headers.CarriedBy(sent) {
		return true
	}
	c, err := obtain(source, sent)
	return err == nil && sameCertificate(c, on)
}
