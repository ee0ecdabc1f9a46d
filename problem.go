package popauth

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
)

// problem is a refusal in the form of RFC 9457. Title and status are those of HTTP, which is what about:blank says
// (section 4.2.1).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Problem returns the answer as a document of application/problem+json (RFC 9457). Detail is the text, and the extension
// member error the code, of the challenge; both are left out where there is none. An answer to HEAD has no body.
func (f Refusal) Problem() []byte {
	a := f.cause().answer()
	body, _ := json.Marshal(problem{"about:blank", http.StatusText(a.status), a.status, a.description, a.code}) // fields that can all be written
	return body
}

// ProblemDetails is an Options.Deny that answers with application/problem+json: see Refusal.Problem. Nothing in it comes
// from the request, and nothing of e.Err.
func ProblemDetails(w http.ResponseWriter, r *http.Request, e *Error) {
	body := Refusal{err: e}.Problem()
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status())
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
