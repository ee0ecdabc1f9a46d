// Package reused is the one buffer into which a server reads each request in turn, as fasthttp does. It lets tests find
// what is kept beyond a request and still points into the buffer: the next request changes it.
package reused

import (
	"net/http"
	"net/url"
	"slices"
	"unsafe"
)

const size = 1 << 20

// Buffer is the memory of one connection. The zero Buffer is empty.
type Buffer struct {
	memory []byte
	used   int
}

// Text returns s in the buffer's memory, at the same place as the text of the same position in the request before.
func (b *Buffer) Text(s string) string {
	if s == "" {
		return ""
	}
	if b.memory == nil {
		b.memory = make([]byte, size)
	}
	at := b.used
	b.used += len(s)
	copy(b.memory[at:b.used], s)
	return unsafe.String(&b.memory[at], len(s)) //nolint:gosec // as adapters do
}

// Request returns r with all its text in the buffer, in place of the text of the request before. The body is r's own.
func (b *Buffer) Request(r *http.Request) *http.Request {
	b.Scribble()
	own := *r
	own.Method, own.RequestURI, own.Host, own.Header = b.Text(r.Method), b.Text(r.RequestURI), b.Text(r.Host), http.Header{}
	if u, err := url.ParseRequestURI(own.RequestURI); err == nil {
		own.URL = u
	}
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var lines []string
		kept := b.Text(name)
		for _, line := range r.Header[name] {
			lines = append(lines, b.Text(line))
		}
		own.Header[kept] = lines
	}
	return &own
}

// Scribble is what comes after a request.
func (b *Buffer) Scribble() {
	for i := range b.used {
		b.memory[i] = '~'
	}
	b.used = 0
}

// Order is one in which n callers come again, and follow each other in every way.
func Order(n int) []int {
	var all []int
	for i := range 6 * n * n {
		all = append(all, (i*i+i/3)%n)
	}
	return all
}
