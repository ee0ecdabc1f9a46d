// Package onerequest tells whether what two handlers see is one request. A context can't tell: whoever serves further
// requests inside of a handler, as a server for HTTP/2 without TLS does on a connection that it has taken over, or a
// batch, serves them with the first one's context.
package onerequest

import (
	"bytes"
	"crypto/x509"
	"io"
	"net/http"
	"reflect"
)

// Same tells whether now, whose context comes from that of before, is the same request. Middleware passes copies on, in
// which it replaces the URL (http.StripPrefix), the body (http.MaxBytesHandler), the connection's state, or most of it
// (http.Request.Clone); but no other request shares the URL, the header, the body or the text of the request line in
// memory with this one. Equal values say nothing: whoever repeats a request sends the same.
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

// sameText tells whether two strings are the same place in memory. A copy of a request has the text that the server has
// read; another request has another, be it equal. So have the requests that fasthttp's adapter makes anew for each handler.
func sameText(a, b *string) bool {
	return len(*a) > 0 && len(*a) == len(*b) &&
		reflect.ValueOf(a).Elem().UnsafePointer() == reflect.ValueOf(b).Elem().UnsafePointer()
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
