package popauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// managedHeaders are the names of the headers that a source reads, and nobody else is to see.
type managedHeaders []string

// headersOf returns the headers of a source; none of a nil one. The error is about its configuration.
func headersOf(source CertificateSource) (managedHeaders, error) {
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
// with HTTP/2. It is for programs that ask Check or CheckCertificate and then show the request to others. It never changes
// r, and is r itself where there is nothing to remove now, and no body behind which a trailer could come.
func WithoutHeaders(r *http.Request, source CertificateSource) *http.Request {
	headers, _ := headersOf(source)
	clean := headers.strip(r)
	removed := slices.DeleteFunc(slices.Clone(headers), func(name string) bool { return !managedHeaders{name}.carried(r) })
	if len(removed) == 0 {
		return clean
	}
	return clean.WithContext(context.WithValue(clean.Context(), removedKey{}, append(removed, removedFrom(r)...)))
}

type removedKey struct{}

// removedFrom names the headers that WithoutHeaders has removed.
func removedFrom(r *http.Request) managedHeaders {
	names, _ := r.Context().Value(removedKey{}).(managedHeaders)
	return names
}

// strip leaves the header map of the caller as it is: handlers further out may still log it.
func (m managedHeaders) strip(r *http.Request) *http.Request {
	clean := r
	var space [8]string
	found := space[:0]
	if len(m) > 0 {
		for name := range r.Header {
			if m.manages(name) {
				found = append(found, name)
			}
		}
	}
	if offersHTTP2(r) {
		found = append(found, "Upgrade", "Http2-Settings")
	}
	if len(found) > 0 {
		own := *r
		own.Header = maps.Clone(r.Header)
		for _, name := range found {
			delete(own.Header, name)
		}
		clean = &own
	}
	switch {
	case len(m) == 0:
	case len(r.Trailer) > 0:
		clean = m.watchTrailer(clean, r)
	case clean == r && r.Body != nil && r.Body != http.NoBody: // the server writes a trailer that nobody has announced into its own request, when the body is read
		own := *r
		clean = &own
	}
	return clean
}

// agree tells whether the headers, if there are any, still say the certificate that a decision was made on. A stage removes
// them, but not where an adapter makes each of its handlers a request of its own.
func (m managedHeaders) agree(source CertificateSource, sent *http.Request, on *Certificate) bool {
	if !m.carried(sent) {
		return true
	}
	c, err := obtain(source, sent)
	return err == nil && sameCertificate(c, on)
}

// carried tells whether r has one of the headers.
func (m managedHeaders) carried(r *http.Request) bool {
	if len(m) == 0 {
		return false
	}
	for name := range r.Header {
		if m.manages(name) {
			return true
		}
	}
	return false
}

// offersHTTP2 tells of an offer to go on with HTTP/2 on this connection. RFC 9113, section 3.1, has withdrawn it, and a
// server may ignore it (RFC 9110, section 7.8). A handler inside that takes it up would serve each further request of the
// connection with the context of this one, past every handler outside.
func offersHTTP2(r *http.Request) bool {
	if len(r.Header["Http2-Settings"]) > 0 {
		return true
	}
	return slices.ContainsFunc(r.Header["Upgrade"], func(line string) bool {
		for protocol := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(protocol), "h2c") {
				return true
			}
		}
		return false
	})
}

// watchTrailer gives a request a trailer of its own, without the managed names. The server fills its own when the body
// has been read: with what was announced (HTTP/2), or whatever came (HTTP/1).
func (m managedHeaders) watchTrailer(clean, r *http.Request) *http.Request {
	own := *clean
	own.Trailer = make(http.Header, len(r.Trailer))
	b := &trailerBody{ReadCloser: r.Body, managed: m, from: r.Trailer, to: own.Trailer}
	b.copy()
	if r.Body != nil {
		own.Body = b
	}
	return &own
}

// trailerBody hands on what the server has read behind a body.
type trailerBody struct {
	io.ReadCloser
	managed  managedHeaders
	from, to http.Header
}

// Read reads the body.
func (b *trailerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.copy()
	}
	return n, err
}

func (b *trailerBody) copy() {
	for name, lines := range b.from {
		if !b.managed.manages(name) {
			b.to[name] = lines
		}
	}
}

// manages tells whether a header's name is one of the managed ones, or one that CGI and many a proxy take for it:
// another case, and any other character where the hyphens are.
func (m managedHeaders) manages(name string) bool {
	return slices.ContainsFunc(m, func(m string) bool {
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
