// Package reply sets caching headers on HTTP answers: only its caller may cache the answer to an accepted request, and
// nobody a refusal.
package reply

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

const (
	private = "private"
	noStore = "no-store"
	vary    = "Authorization, DPoP"
)

// Lines are the header lines that Private sets, in memory of one answer: what a handler does to its header, also in
// place, no other answer shows. The first answer that needs them takes them; later ones, such as the parts of a batch, get
// lines of their own.
type Lines struct {
	taken atomic.Bool
	text  [2]string
}

// own returns lines that no other answer has.
func (l *Lines) own() *[2]string {
	if !l.taken.CompareAndSwap(false, true) {
		l = new(Lines)
	}
	l.text = [2]string{private, vary}
	return &l.text
}

// Private says that the answer with the header h is one caller's, whatever handlers further out have said of it. They may
// have said no-store, or private and more: that stays.
//
// It is private, not no-store: no shared cache may keep it (RFC 9111, section 5.2.2.7), and a browser may still
// revalidate what its own user has fetched. Vary alone would not do. A certificate is in no header that a cache in front
// of this server sees (RFC 9440, section 2.4), and a stolen token is the same line in the hand of its thief. It is for
// the cache of one browser with several users.
func (l *Lines) Private(h http.Header) {
	for name := range h {
		if isForCaches(name) {
			delete(h, name)
		}
	}
	var own *[2]string // most answers need both lines, or none
	switch is := read(h["Cache-Control"]); {
	case (is.private || is.unstored) && !is.shared:
	case is.unstored:
		h["Cache-Control"] = []string{noStore}
	default:
		own = l.own()
		h["Cache-Control"] = own[0:1:1]
	}
	switch v := h["Vary"]; {
	case len(v) == 0:
		if own == nil {
			own = l.own()
		}
		h["Vary"] = own[1:2:2]
	case !slices.Contains(v, vary):
		h["Vary"] = append(v[:len(v):len(v)], vary)
	}
}

// directives are those of Cache-Control that count here.
type directives struct{ private, unstored, shared bool }

func read(values []string) (is directives) {
	for _, value := range values {
		for more := true; more; {
			var d string
			d, value, more = strings.Cut(value, ",")
			d = strings.Trim(d, " \t")
			name, _, _ := strings.Cut(d, "=")
			switch {
			case strings.EqualFold(d, private): // private="Set-Cookie" is for that field alone
				is.private = true
			case strings.EqualFold(d, noStore):
				is.unstored = true
			// Whoever obeys must-understand doesn't obey no-store beside it: RFC 9111, section 5.2.2.3.
			case strings.EqualFold(name, "public"), strings.EqualFold(name, "s-maxage"), strings.EqualFold(name, "must-understand"):
				is.shared = true
			}
		}
	}
	return is
}

// isForCaches tells whether a header lets some caches keep an answer, whatever Cache-Control says: of older ones, of one
// kind of proxy or network alone (RFC 9213), or Cache-Control itself under a name that net/http doesn't know.
func isForCaches(name string) bool {
	switch name {
	case "Cache-Control":
		return false
	case "Expires", "Surrogate-Control", "X-Accel-Expires", "Edge-Control":
		return true
	}
	const targeted = "Cache-Control"
	if i := len(name) - len(targeted); i >= 0 && strings.EqualFold(name[i:], targeted) {
		return i == 0 || name[i-1] == '-'
	}
	return slices.ContainsFunc(forCaches[:], func(s string) bool { return strings.EqualFold(name, s) })
}

var forCaches = [...]string{"Expires", "Surrogate-Control", "X-Accel-Expires", "Edge-Control"}
