package mcpsession

import (
	"net/http"
	"strings"
)

// mismatch is what the SDK answers, with 403, to a user whose session it is not. Its clients take 403 for a token that
// is too weak, and ask the user for another one. MCP's answer is 404: the client then opens a session of its own.
const mismatch = "session user mismatch"

// answer is a ResponseWriter that holds that one answer back.
type answer struct {
	http.ResponseWriter
	held    bool // the status 403, until it is known what for
	foreign bool
}

func (a *answer) WriteHeader(status int) {
	if status == http.StatusForbidden {
		a.held = true
		return
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	switch {
	case a.held && strings.TrimSpace(string(b)) == mismatch:
		a.held, a.foreign = false, true
		return len(b), nil
	case a.held:
		a.release()
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) release() {
	a.held = false
	a.ResponseWriter.WriteHeader(http.StatusForbidden)
}

// finish reports whether the answer is still to be written, to somebody else than the session's owner.
func (a *answer) finish() (foreign bool) {
	if a.held {
		a.release()
	}
	if a.foreign {
		a.Header().Del("Content-Type")
		a.Header().Del("X-Content-Type-Options")
	}
	return a.foreign
}
