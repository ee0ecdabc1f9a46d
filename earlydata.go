package popauth

import (
	"errors"
	"net/http"
)

var (
	errEarlyMark      = errors.New("marked Early-Data by what ends TLS")
	errEarlyHandshake = errors.New("the handshake of its connection is not complete")
)

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
