package popauth

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/seed-171ab058/popauth/forwarded"
)

// Forwarded is the certificate that a proxy reports in headers of the format given. The peer of the connection
// decides, and nothing falls back: from a peer that all rules of trust accept, the headers count, and its own TLS
// certificate is never the caller's; from any other peer the TLS connection counts. The format's headers, and names
// that some software takes for the same, are removed from every request before a handler sees it.
//
// No rule, a rule that accepts everybody, and an invalid format are configuration errors: New returns them,
// ClientCertificate panics with them.
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
	memory, err := lru.New[string, *remembered](maxRemembered)
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
	direct  tlsSource // of any other peer
}

// managing is what a source with headers of its own can do. A source that wraps another passes it on.
type managing interface {
	invalid() error                       // what is wrong with the configuration
	carried(*http.Request) bool           // the request has one of the headers
	stripped(*http.Request) *http.Request // the request without them
}

var _ managing = (*forwardedSource)(nil)

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
		return s.direct.shared(r)
	}
	return s.read(r.Header)
}

const (
	maxRemembered      = 512     // certificates
	maxRememberedValue = 8 << 10 // bytes of the header with the certificate
)

// remembered is a certificate with the lines of all headers that it was read from.
type remembered struct {
	lines       [][]string
	certificate *Certificate
}

// read decodes the headers. The same lines as before need no second look: decoding and parsing cost more than a
// signature.
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
		lines[i] = slices.Clone(h[name])
	}
	s.memory.Add(key, &remembered{lines, c})
	return c, nil
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

func (s *forwardedSource) carried(r *http.Request) bool {
	for name := range r.Header {
		if s.manages(name) {
			return true
		}
	}
	return false
}

// stripped leaves the header map of the caller as it is: handlers further out may still log it.
func (s *forwardedSource) stripped(r *http.Request) *http.Request {
	var space [8]string
	found := space[:0]
	for name := range r.Header {
		if s.manages(name) {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return r
	}
	clean := *r
	clean.Header = maps.Clone(r.Header)
	for _, name := range found {
		delete(clean.Header, name)
	}
	return &clean
}

// manages tells whether a header's name is one of the managed ones, or one that CGI and many a proxy take for it:
// another case, and any other character where the hyphens are.
func (s *forwardedSource) manages(name string) bool {
	return slices.ContainsFunc(s.managed, func(m string) bool {
		if len(m) != len(name) {
			return false
		}
		for i := range len(m) {
			if foldName(m[i]) != foldName(name[i]) {
				return false
			}
		}
		return true
	})
}

func foldName(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	}
	return '-'
}
