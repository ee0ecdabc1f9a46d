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

// ProblemDetails is an Options.Deny that answers with application/problem+json (RFC 9457). Detail is the text, and the
// extension member error the code, of the challenge; both are left out where there is none. Nothing in it comes from
// the request, and nothing of e.Err.
func ProblemDetails(w http.ResponseWriter, r *http.Request, e *Error) {
	a := e.answer()
	body, err := json.Marshal(problem{"about:blank", http.StatusText(a.status), a.status, a.description, a.code})
	if err != nil { // of five fields that can all be written
		w.WriteHeader(a.status)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
