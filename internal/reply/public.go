package reply

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// ServePublic has next answer for everybody, as cacheControl says, if the answer turns out to be for everybody: the
// status is 2xx or 304, and nothing in it is its caller's. That is decided when the answer is written. Until then, and
// after a panic, nobody is told anything else than before.
//
// Private must have had its say in the same header. Without it, this is outside of all stages, or a writer between has a
// header map of its own, and what else is in the answer can't be seen from here.
func ServePublic(w http.ResponseWriter, r *http.Request, next http.Handler, cacheControl string) {
	h := w.Header()
	if !isAnswered(h) || isOnes(h) {
		next.ServeHTTP(w, r)
		return
	}
	h["Cache-Control"] = []string{cacheControl}
	p := &public{below: w, cacheControl: cacheControl}
	status := http.StatusInternalServerError // of a recoverer further out
	defer func() {
		if !p.sent {
			p.say(status)
		}
	}()
	next.ServeHTTP(p.shaped(), r)
	status = http.StatusOK
}

// isAnswered tells whether Private has had its say in h.
func isAnswered(h http.Header) bool {
	return slices.ContainsFunc(h["Vary"], func(v string) bool { return strings.Contains(v, vary) })
}

// isOnes tells whether an answer with the header h has something for one caller: a session, or a nonce (RFC 9449, section
// 8.2).
func isOnes(h http.Header) bool {
	for name, values := range h {
		if len(values) > 0 && (strings.EqualFold(name, "Set-Cookie") || strings.EqualFold(name, "DPoP-Nonce")) {
			return true
		}
	}
	return false
}

// public is the writer of an answer that may be everybody's.
type public struct {
	below        http.ResponseWriter
	cacheControl string
	sent         bool // the header is on its way
}

// say has the last word on who may keep an answer with this status.
func (p *public) say(status int) {
	h := p.below.Header()
	if status != http.StatusNotModified && (status < 200 || status > 299) || isOnes(h) {
		new(Lines).Private(h)
		return
	}
	// A handler, or a stage inside, may have said something else.
	if v := h["Cache-Control"]; len(v) == 1 && v[0] == p.cacheControl {
		others := slices.DeleteFunc(slices.Clone(h["Vary"]), func(v string) bool { return v == vary })
		if h["Vary"] = others; len(others) == 0 {
			delete(h, "Vary")
		}
	}
}

// Header implements http.ResponseWriter.
func (p *public) Header() http.Header { return p.below.Header() }

// Unwrap is for http.ResponseController: deadlines, full duplex, and Hijack.
func (p *public) Unwrap() http.ResponseWriter { return p.below }

// WriteHeader implements http.ResponseWriter. An informational status is not the answer; 101 is, and its last.
func (p *public) WriteHeader(status int) {
	if !p.sent && (status < 100 || status > 199 || status == http.StatusSwitchingProtocols) {
		p.say(status)
		p.sent = true
	}
	p.below.WriteHeader(status)
}

// begin is before the first byte, with which a status that nobody has written is 200.
func (p *public) begin() {
	if !p.sent {
		p.say(http.StatusOK)
		p.sent = true
	}
}

// Write implements http.ResponseWriter.
func (p *public) Write(b []byte) (int, error) {
	p.begin()
	return p.below.Write(b)
}

// WriteString is for io.WriteString, which would copy s otherwise.
func (p *public) WriteString(s string) (int, error) {
	p.begin()
	return io.WriteString(p.below, s)
}

// ReadFrom is for io.Copy, and lets the kernel send files where the writer below does. Of a source that yields nothing
// nothing is sent, and the status can still become another.
func (p *public) ReadFrom(src io.Reader) (n int64, err error) {
	if !p.sent {
		p.say(http.StatusOK)
	}
	if below, ok := p.below.(io.ReaderFrom); ok {
		n, err = below.ReadFrom(src)
	} else {
		n, err = io.Copy(struct{ io.Writer }{p.below}, src)
	}
	p.sent = p.sent || n > 0
	return n, err
}

// FlushError is for http.ResponseController. What can't flush has sent nothing.
func (p *public) FlushError() error {
	if !p.sent {
		p.say(http.StatusOK)
	}
	err := http.NewResponseController(p.below).Flush()
	p.sent = p.sent || err == nil
	return err
}

// shaped returns p with those of the older interfaces that the writer below has, which handlers ask for by type.
func (p *public) shaped() http.ResponseWriter {
	_, flushes := p.below.(http.Flusher)
	_, hijacks := p.below.(http.Hijacker)
	switch {
	case flushes && hijacks:
		return publicHijacker{publicFlusher{p}}
	case flushes:
		return publicFlusher{p}
	}
	return p
}

// publicFlusher is public above a writer of HTTP/2, or one that sends the answer elsewhere.
type publicFlusher struct{ *public }

// Flush implements http.Flusher.
func (p publicFlusher) Flush() { _ = p.FlushError() }

// publicHijacker is public above a writer of HTTP/1.
type publicHijacker struct{ publicFlusher }

// Hijack implements http.Hijacker.
func (p publicHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(p.below).Hijack()
}
