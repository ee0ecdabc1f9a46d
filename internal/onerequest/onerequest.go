// Package onerequest tells whether two handlers see the same request. The context can't tell: a handler that serves
// further requests (a server for HTTP/2 without TLS on a hijacked connection, or a batch) may give them the first one's.
package onerequest

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// Same tells whether now, whose context comes from that of before, is the same request. Middleware passes copies on, in
// which it replaces the URL (http.StripPrefix), the body (http.MaxBytesHandler), the connection's state, or most of it
// (http.Request.Clone); but no other request shares the URL, the header or the body in memory with this one, nor the
// text of the request line, if before has been through Own. Equal values say nothing: whoever repeats a request sends the
// same. So middleware that copies all of a request and writes its RequestURI anew, be it the same, makes another request.
func Same(before, now *http.Request) bool {
	return before == now ||
		now.URL != nil && before.URL == now.URL ||
		sameHeader(before.Header, now.Header) ||
		sameBody(before.Body, now.Body) ||
		sameText(&before.RequestURI, &now.RequestURI)
}

func sameHeader(a, b http.Header) bool {
	return len(b) > 0 && reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer()
}

// sameBody leaves out bodies without an identity of their own, such as http.NoBody, which all empty requests share.
func sameBody(a, b io.ReadCloser) bool { return isPointer(a) && isPointer(b) && a == b }

// sameText tells whether two strings are the same place in memory. A copy of a request has the text of the first one. So
// have the requests that fasthttp's adapter makes anew for each handler.
func sameText(a, b *string) bool {
	return len(*a) > 0 && len(*a) == len(*b) &&
		reflect.ValueOf(a).Elem().UnsafePointer() == reflect.ValueOf(b).Elem().UnsafePointer()
}

// Own returns r, or a copy of it whose RequestURI is text that no other request has. Only such text tells requests apart:
// the text of an HTTP/1 request is part of the line that was read for it. HTTP/2 and HTTP/3 take it from tables, in which "/" is one
// constant for all requests, and an indexed path one text for all requests of a connection (RFC 7541, section 2.3;
// RFC 9204, section 3). A request that no server has read, as adapters of CGI and of clouds make it, gets the line of its
// URL; else nothing would tell its clone, and http.StripPrefix inside would change the path that a DPoP proof is held
// against. Known has been through Own: r stays as it is if it has its text; nil if there is none.
func Own(r, known *http.Request) *http.Request {
	line := r.RequestURI
	switch {
	case line == "":
		if line = lineOf(r.URL); line == "" {
			return r
		}
	case r.ProtoMajor == 1 && !isConstant(line), known != nil && sameText(&known.RequestURI, &r.RequestURI):
		return r
	}
	own := *r
	own.RequestURI = strings.Clone(line)
	return &own
}

// lineOf is the request line's target for a URL; "" if it has none.
func lineOf(u *url.URL) string {
	if u == nil || u.Opaque != "" || u.Path != "" && u.Path[0] != '/' {
		return ""
	}
	return u.RequestURI()
}

// isConstant tells whether a line is the one "/" that the linker makes of all constants, or the one that the runtime has
// for conversions of a single byte: adapters get either from url.URL.RequestURI, or from bytes.
func isConstant(line string) bool {
	if len(line) != 1 {
		return false
	}
	constant, converted := "/", string([]byte(line))
	return sameText(&line, &constant) || sameText(&line, &converted)
}

type questionKey struct{}

// WithQuestion returns a context for a request that another one asks about: that of a proxy that authenticates its
// callers by a subrequest.
func WithQuestion(ctx context.Context, r *http.Request) context.Context {
	return context.WithValue(ctx, questionKey{}, r)
}

// Question returns the request that asks about the one with this context; nil if none does.
func Question(ctx context.Context) *http.Request {
	r, _ := ctx.Value(questionKey{}).(*http.Request)
	return r
}

// Leaf is the certificate that the connection of a request shows; nil if none.
func Leaf(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

// SameCertificate goes by the bytes: middleware may copy the connection's state, and some servers make one for each
// handler.
func SameCertificate(a, b *x509.Certificate) bool {
	return a == b || a != nil && b != nil && bytes.Equal(a.Raw, b.Raw)
}

// isPointer leaves out pointers to nothing, which may all be one.
func isPointer(v any) bool {
	t := reflect.TypeOf(v)
	return t != nil && t.Kind() == reflect.Pointer && t.Elem().Size() > 0
}
