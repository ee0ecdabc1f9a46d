package popauth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/seed-171ab058/popauth/forwarded"
)

// Forwarded is the certificate that a proxy reports in headers of the format given. From a peer that all rules of trust
// accept, only the headers count. From any other peer only its own TLS certificate counts. Never both. The format's
// headers, the proxy's secret, and names that some software takes for the same, are removed from every request before
// anybody else sees it: a handler, a Policy, a Confirmer, Verification.Check or Options.Deny. So are trailers of these
// names.
//
// A request that has the context of another one, which a Guard or ClientCertificate has passed, is refused with
// ErrAnotherRequest. A handler that takes a connection over (Hijack) serves such, and so does a batch: the peer in the
// context is the proxy, and the headers are the client's.
//
// No rule, a prefix of length 0, and an invalid format are configuration errors: New returns them, ClientCertificate
// panics with them.
func Forwarded(format forwarded.Format, trust ...Trust) CertificateSource {
	s := &forwardedSource{format: format, headers: format.Headers(), trust: slices.Clone(trust), direct: tlsSource{memory: newCertificateMemory()}}
	s.wrong = append(s.wrong, format.Validate())
	s.wrong = append(s.wrong, problems("Forwarded", trust)...)
	s.managed = slices.Clone(s.headers)
	for _, t := range trust {
		for _, h := range t.headers {
			if slices.Contains(s.managed, h) {
				s.wrong = append(s.wrong, fmt.Errorf("popauth: Forwarded: %s has two uses", h))
			}
			s.managed = append(s.managed, h)
		}
	}
	memory, err := lru.NewWithEvict(maxRemembered, func(_ string, m *remembered) { s.bytes -= m.size })
	s.memory = memory
	s.wrong = append(s.wrong, err)
	return s
}

// forwardedSource reads a proxy's headers.
type forwardedSource struct {
	format  forwarded.Format
	headers []string // of the format
	managed []string // and of the rules of trust
	trust   []Trust
	wrong   []error
	memory  *lru.Cache[string, *remembered]
	putting sync.Mutex
	bytes   int64     // that memory holds
	direct  tlsSource // of any other peer
}

// Headers implements CertificateSource.
func (s *forwardedSource) Headers() ([]string, error) { return slices.Clone(s.managed), s.invalid() }

func (s *forwardedSource) invalid() error { return errors.Join(s.wrong...) }

// Certificate implements CertificateSource.
func (s *forwardedSource) Certificate(r *http.Request) (*Certificate, error) {
	c, err := s.shared(r)
	return c.at(time.Now()).clone(), err
}

func (s *forwardedSource) shared(r *http.Request) (*Certificate, error) {
	if err := s.invalid(); err != nil {
		return nil, &Error{Reason: ErrUnconfigured, Err: err}
	}
	trusted, err := accepts(s.trust, r)
	if err != nil {
		return nil, err
	}
	if !trusted {
		return s.unproxied(r)
	}
	return s.read(r.Header)
}

// unproxied is the certificate of the connection, for a request that has not come by the proxy. What has lost the proxy's
// secret to a handler further out looks the same, and the connection's certificate is the proxy's then: it counts only if
// that handler has found it, too.
func (s *forwardedSource) unproxied(r *http.Request) (*Certificate, error) {
	c, err := s.direct.shared(r)
	secrets := s.managed[len(s.headers):]
	if c == nil || err != nil || len(secrets) == 0 {
		return c, err
	}
	if slices.ContainsFunc(secrets, removedFrom(r).manages) {
		return nil, &Error{Reason: ErrProxySecret, Err: errSecretGone}
	}
	for d := innermost(r.Context()); d != nil; d = d.outer { // also of another request: this one may have been made from it
		headers, _ := headersOf(d.by.source) // who is in the context has been found valid
		if slices.ContainsFunc(secrets, headers.manages) && !sameCertificate(c, d.certificate) {
			return nil, &Error{Reason: ErrProxySecret, Err: errSecretGone}
		}
	}
	return c, nil
}

var errSecretGone = errors.New("a handler further out has asked for the certificate, and removed the secret by which the proxy is " +
	"known: want one source, in the outermost handler; leave the inner one's nil")

const (
	maxRemembered      = 512     // certificates
	maxRememberedValue = 8 << 10 // bytes of the header with the certificate
	maxRememberedBytes = 4 << 20 // of all together, whatever chains are beside the certificates
)

// remembered is a certificate with the lines of all headers that it was read from.
type remembered struct {
	lines       [][]string
	certificate *Certificate
	size        int64
}

// read decodes the headers. The same lines as before need no second look: decoding and parsing cost more than a
// signature. What is kept are copies: the memory of a request's strings may belong to a server that reads the next
// request into it, as fasthttp's does.
func (s *forwardedSource) read(h http.Header) (*Certificate, error) {
	key := ""
	if lines := h[s.headers[0]]; len(lines) == 1 && len(lines[0]) <= maxRememberedValue {
		key = lines[0]
	}
	if key != "" {
		if m, ok := s.memory.Get(key); ok && s.same(h, m.lines) {
			return m.certificate, nil
		}
	}
	c, err := s.decode(h)
	if err != nil || c == nil || key == "" {
		return c, err
	}
	lines := make([][]string, len(s.headers))
	for i, name := range s.headers {
		for _, line := range h[name] {
			lines[i] = append(lines[i], strings.Clone(line))
		}
	}
	s.remember(&remembered{lines: lines, certificate: c})
	return c, nil
}

// remember puts out what was used longest ago until there is room.
func (s *forwardedSource) remember(m *remembered) {
	s.putting.Lock()
	defer s.putting.Unlock()
	key := m.lines[0][0]
	m.size = m.weight()
	s.memory.Remove(key)
	s.memory.Add(key, m)
	for s.bytes += m.size; s.bytes > maxRememberedBytes; {
		s.memory.RemoveOldest()
	}
}

// weight is about what m needs, in bytes. A parsed certificate has its DER form, that of the leaf again, and what was read.
func (m *remembered) weight() int64 {
	n := 1 << 10
	for _, lines := range m.lines {
		for _, line := range lines {
			n += len(line)
		}
	}
	n += 3 * len(m.certificate.raw())
	for _, c := range m.certificate.Intermediates {
		n += 2 * len(c.Raw)
	}
	return int64(n)
}

func (s *forwardedSource) same(h http.Header, lines [][]string) bool {
	for i, name := range s.headers {
		if !slices.Equal(h[name], lines[i]) {
			return false
		}
	}
	return true
}

func (s *forwardedSource) decode(h http.Header) (*Certificate, error) {
	p, err := s.format.Decode(h)
	switch {
	case errors.Is(err, forwarded.ErrTooLarge):
		return nil, &Error{Reason: ErrCertificateTooLarge, Err: err}
	case err != nil:
		return nil, &Error{Reason: ErrCertificateMalformed, Err: err}
	case p.Leaf == nil:
		return nil, nil
	}
	c, err := NewCertificate(Source(s.format.Name()), p.Leaf, p.Chain...)
	if err != nil {
		return nil, err
	}
	if p.Verified { // which counts for one that has a Leaf
		c.Verified = VerifiedByProxy
	}
	return c, nil
}
