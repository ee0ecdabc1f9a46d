// Package managed removes the headers that a source of certificates reads from the requests that everybody else sees.
package managed

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/internal/field"
)

// Headers are the names of headers that one source reads, and nobody else is to see.
type Headers []string

// Strip returns r without the headers, their trailers, and an offer to go on with HTTP/2; r itself if there is nothing to remove and
// no body behind which a trailer could come. It leaves the header map as it is: handlers further out may still log it.
func (m Headers) Strip(r *http.Request) *http.Request {
	clean := r
	var space [8]string
	found := space[:0]
	if len(m) > 0 {
		for name := range r.Header {
			if m.Manages(name) {
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
	// The server writes a trailer that nobody has announced into its own request, when the body is read.
	case clean == r && r.Body != nil && r.Body != http.NoBody:
		own := *r
		clean = &own
	}
	return clean
}

// CarriedBy tells whether r has one of the headers.
func (m Headers) CarriedBy(r *http.Request) bool {
	if len(m) == 0 {
		return false
	}
	for name := range r.Header {
		if m.Manages(name) {
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
func (m Headers) watchTrailer(clean, r *http.Request) *http.Request {
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
	managed  Headers
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
		if !b.managed.Manages(name) {
			b.to[name] = lines
		}
	}
}

// Manages tells whether a header's name is one of the managed ones, or one that CGI and many a proxy take for it:
// another case, and any other character where the hyphens are.
func (m Headers) Manages(name string) bool {
	return slices.ContainsFunc(m, func(m string) bool {
		if len(m) != len(name) {
			return false
		}
		for i := range len(m) {
			if field.FoldByte(m[i]) != field.FoldByte(name[i]) {
				return false
			}
		}
		return true
	})
}
