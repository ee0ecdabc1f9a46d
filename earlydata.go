package popauth

import (
	"errors"
	"net/http"
)

var (
	errEarlyMark      = errors.New("marked Early-Data by what ends TLS")
	errEarlyHandshake = errors.New("the handshake of its connection is not complete")
)

// CheckRequest returns nil for a request that may be decided about, as every Guard asks before it looks at who sends it: its line
// has one reading, by the zero RequestLine and what a RequestLine.Handler further out allows, and it is not in TLS early data. It
// is for doors of your own. The error is an *Error with ErrRequestLine or ErrEarlyData.
func CheckRequest(r *http.Request) error {
	if e := (RequestLine{}).read(r); e != nil {
		return e
	}
	if e := early(r); e != nil {
		return e
	}
	return nil
}

// early refuses a request in TLS early data (0-RTT): until the handshake is complete nobody has proven to hold any key, and
// whoever has recorded the flight can send it again (RFC 8470, section 3). What ends TLS in front marks such requests
// (section 5.1); a sender that makes the mark up refuses nobody but himself.
func early(r *http.Request) *Error {
	switch {
	case r.TLS != nil && !r.TLS.HandshakeComplete:
		return &Error{Reason: ErrEarlyData, Err: errEarlyHandshake}
	case len(r.Header["Early-Data"]) > 0:
		return &Error{Reason: ErrEarlyData, Err: errEarlyMark}
	}
	return nil
}
