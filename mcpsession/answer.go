package mcpsession

import (
	"net/http"
	"strings"
)

// sessionless is what the SDK answers, by status, to a user whose session it is not, and where there is none. Its clients
// take 403 for a token that is too weak, and ask the user for another one. MCP's answer is 404: the client then opens a
// session of its own. Both are answered alike, so that nobody learns which sessions others have.
var sessionless = map[int]string{http.StatusForbidden: "session user mismatch", http.StatusNotFound: "session not found"}

// answer is a ResponseWriter that holds these answers back.
type answer struct {
	http.ResponseWriter
	held    int // a status of sessionless, until it is known what for; 0 for none
	foreign bool
	wrote   bool
}

func (a *answer) WriteHeader(status int) {
	if _, ok := sessionless[status]; ok {
		a.held = status
		return
	}
	a.write(status)
}

// write says that the answer is its caller's alone: on an event stream the SDK has replaced what the stage has said by
// no-cache, with which a shared cache may still keep it.
func (a *answer) write(status int) {
	if !a.wrote && status >= http.StatusOK {
		a.wrote = true
		a.Header().Set("Cache-Control", "no-store, no-transform")
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	switch {
	case a.held != 0 && strings.TrimSpace(string(b)) == sessionless[a.held]:
		a.held, a.foreign = 0, true
		return len(b), nil
	case a.held != 0:
		a.release()
	case !a.wrote:
		a.write(http.StatusOK)
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) release() {
	status := a.held
	a.held = 0
	a.write(status)
}

// finish reports whether the answer is still to be written, to somebody else than the session's owner.
func (a *answer) finish() (foreign bool) {
	if a.held != 0 {
		a.release()
	}
	if a.foreign {
		a.Header().Del("Content-Type")
		a.Header().Del("X-Content-Type-Options")
	}
	return a.foreign
}
