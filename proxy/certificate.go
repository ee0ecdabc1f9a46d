package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/seed-171ab058/popauth"
)

// Certificate is the source of the certificate that a proxy reports in headers of the format given. From a peer that all
// rules of trust accept, only the headers count. From any other peer only its own TLS certificate counts, as with
// popauth.TLSCertificate. Never both. The format's headers, the proxy's secret, and names that some software takes for the
// same, are removed from every request before anybody else sees it: a handler, a Policy, a Confirmer, clientcert.Verification.Check or
// Options.Deny. So are trailers of these names.
//
// A request that has the context of another one, which a Guard or ClientCertificate has passed, is refused with
// popauth.ErrAnotherRequest. A handler that takes a connection over (Hijack) serves such, and so does a batch: the peer in
// the context is the proxy, and the headers are the client's.
//
// No rule, a prefix of length 0, and an invalid format are errors: all that is wrong is listed.
func Certificate(format Format, trust ...Trust) (popauth.CertificateSource, error) {
	s, trust := newReader(format), slices.Clone(trust)
	wrong := append([]error{format.Validate()}, problems("Certificate", trust)...)
	var marks []string
	for _, t := range trust {
		for _, h := range t.headers {
			if slices.Contains(s.headers, h) || slices.Contains(marks, h) {
				wrong = append(wrong, fmt.Errorf("proxy: Certificate: %s has two uses", h))
			}
			marks = append(marks, h)
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return popauth.ProxiedCertificate(popauth.ProxiedOptions{
		Proxied:     func(r *http.Request) (bool, error) { return accepts(trust, r) },
		Certificate: func(r *http.Request) (*popauth.Certificate, error) { return s.read(r.Header) },
		Headers:     s.headers,
		Marks:       marks,
	})
}

// reader reads a proxy's headers.
type reader struct {
	format  Format
	headers []string // of the format
	memory  *lru.Cache[string, *remembered]
	putting sync.Mutex
	bytes   int64 // that memory holds
}

func newReader(format Format) *reader {
	s := &reader{format: format, headers: format.Headers()}
	// fails for a size that is not positive only
	s.memory, _ = lru.NewWithEvict(maxRemembered, func(_ string, m *remembered) { s.bytes -= m.size })
	return s
}

const (
	maxRemembered      = 512     // certificates
	maxRememberedValue = 8 << 10 // bytes of the header with the certificate
	maxRememberedBytes = 4 << 20 // of all together, whatever chains are beside the certificates
)

// remembered is a certificate with the lines of all headers that it was read from.
type remembered struct {
	lines       [][]string
	certificate *popauth.Certificate
	size        int64
}

// read decodes the headers. The same lines as before need no second look: decoding and parsing cost more than a
// signature. What is kept are copies: the memory of a request's strings may belong to a server that reads the next
// request into it, as fasthttp's does.
func (s *reader) read(h http.Header) (*popauth.Certificate, error) {
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
func (s *reader) remember(m *remembered) {
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
	n += 3 * len(m.certificate.DER())
	for _, c := range m.certificate.Intermediates {
		n += 2 * len(c.Raw)
	}
	return int64(n)
}

func (s *reader) same(h http.Header, lines [][]string) bool {
	for i, name := range s.headers {
		if !slices.Equal(h[name], lines[i]) {
			return false
		}
	}
	return true
}

func (s *reader) decode(h http.Header) (*popauth.Certificate, error) {
	p, err := s.format.Decode(h)
	switch {
	case errors.Is(err, ErrTooLarge):
		return nil, &popauth.Error{Reason: popauth.ErrCertificateTooLarge, Err: err}
	case errors.Is(err, ErrHops):
		return nil, &popauth.Error{Reason: popauth.ErrPeerUntrusted, Err: err}
	case err != nil:
		return nil, &popauth.Error{Reason: popauth.ErrCertificateMalformed, Err: err}
	case p.Leaf == nil:
		return nil, nil
	}
	c, err := popauth.NewCertificate(popauth.Source(s.format.Name()), p.Leaf, p.Chain...)
	if err != nil {
		return nil, err
	}
	if p.Verified { // which counts for one that has a Leaf
		c.Verified = popauth.VerifiedByProxy
	}
	return c, nil
}
