package reply

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ofContent are headers that describe what handlers further out meant to send, not the refusal.
var ofContent = [...]string{"Content-Encoding", "Content-Length", "Content-Location", "Content-Language", "Content-Disposition",
	"Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Transfer-Encoding", "Trailer"}

// ofStored are headers by which something that was kept, or that a proxy has, is answered instead of a refusal.
var ofStored = [...]string{"Etag", "Last-Modified", "Age", "Accept-Ranges", "Content-Range", "X-Accel-Redirect", "X-Sendfile",
	"X-Lighttpd-Send-File"}

// conditional are headers of a request that ask for less than the whole answer.
var conditional = [...]string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range"}

// Refuse says that an answer with the header h is a refusal: nobody may keep it, and what handlers further out have said
// of theirs is not said of it.
func Refuse(h http.Header) {
	for name := range h {
		if isOneOf(name, ofContent[:]) {
			delete(h, name)
		}
	}
	NoStore(h)
}

// NoStore says that nobody may keep an answer with the header h, whatever handlers further out have said of it.
func NoStore(h http.Header) {
	for name := range h {
		if isForCaches(name) || isOneOf(name, ofStored[:]) {
			delete(h, name)
		}
	}
	h["Cache-Control"] = []string{noStore}
}

func isOneOf(name string, names []string) bool {
	return slices.ContainsFunc(names, func(s string) bool { return strings.EqualFold(name, s) })
}

// Whole returns r without what asks for less than the whole answer: with it, http.ServeContent would say of a refusal that
// nothing has changed, or send a part.
func Whole(r *http.Request) *http.Request {
	if !slices.ContainsFunc(conditional[:], func(name string) bool { return r.Header[name] != nil }) {
		return r
	}
	r = r.WithContext(r.Context())
	r.Header = maps.Clone(r.Header)
	for _, name := range conditional {
		delete(r.Header, name)
	}
	return r
}

// Refusal is the writer for whoever words a refusal: whatever he does, it stays one. It has neither Unwrap nor Hijack, by
// which the writer below could be made to say anything.
type Refusal struct {
	below  http.ResponseWriter
	status int
	wrote  bool
}

// NewRefusal returns a writer that answers with the status unless another refusal is chosen.
func NewRefusal(w http.ResponseWriter, status int) *Refusal {
	return &Refusal{below: w, status: status}
}

// Header implements http.ResponseWriter.
func (f *Refusal) Header() http.Header { return f.below.Header() }

// WriteHeader answers with a status that says no; instead of any other with the refusal's own. Informational ones are not
// sent: 101 ends HTTP, and others could announce what is refused.
func (f *Refusal) WriteHeader(status int) {
	if f.wrote || status < 200 {
		return
	}
	if !refuses(status) {
		status = f.status
	}
	f.wrote = true
	NoStore(f.below.Header())
	f.below.WriteHeader(status)
}

// refuses leaves out what says that a request went well or that what a cache has is still right, what answers a
// precondition or a range, and redirects that browsers keep for ever.
func refuses(status int) bool {
	switch status {
	case http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect:
		return true
	case http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
		return false
	}
	return status >= 400 && status <= 599
}

// Write implements http.ResponseWriter.
func (f *Refusal) Write(b []byte) (int, error) {
	f.Finish()
	return f.below.Write(b)
}

// Finish answers with the refusal's own status, unless a status is written already.
func (f *Refusal) Finish() { f.WriteHeader(f.status) }

// Close is deferred around whoever words the refusal: if he has panicked before he wrote, a recoverer further out must not
// send what he has said to caches with its own answer.
func (f *Refusal) Close() {
	if !f.wrote {
		Refuse(f.below.Header())
	}
}

// FlushError is for http.ResponseController, as is what follows.
func (f *Refusal) FlushError() error {
	f.Finish()
	return http.NewResponseController(f.below).Flush()
}

// SetReadDeadline sets that of the connection.
func (f *Refusal) SetReadDeadline(t time.Time) error {
	return http.NewResponseController(f.below).SetReadDeadline(t)
}

// SetWriteDeadline sets that of the connection.
func (f *Refusal) SetWriteDeadline(t time.Time) error {
	return http.NewResponseController(f.below).SetWriteDeadline(t)
}

// EnableFullDuplex lets the body be read while the refusal is written.
func (f *Refusal) EnableFullDuplex() error {
	return http.NewResponseController(f.below).EnableFullDuplex()
}
