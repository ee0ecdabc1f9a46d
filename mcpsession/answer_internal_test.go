package mcpsession

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// The SDK's refusal of a stranger alone is held back; every other answer stays as it is.
func TestAnswer(t *testing.T) {
	mismatch, none := sessionless[403], sessionless[404]
	for _, tt := range []struct {
		name    string
		handler func(http.ResponseWriter)
		foreign bool
		status  int
		body    string
	}{
		// nothing has been written
		{"a stranger", func(w http.ResponseWriter) { http.Error(w, mismatch, http.StatusForbidden) }, true, 200, ""},
		{"no session", func(w http.ResponseWriter) { http.Error(w, none, http.StatusNotFound) }, true, 200, ""},
		{"the one's text with the other's status", func(w http.ResponseWriter) { http.Error(w, none, http.StatusForbidden) }, false, 403,
			none + "\n"},
		{"another 404", func(w http.ResponseWriter) { http.Error(w, "x", http.StatusNotFound) }, false, 404, "x\n"},
		{"another 403", func(w http.ResponseWriter) { http.Error(w, "x", http.StatusForbidden) }, false, 403, "x\n"},
		{"403 without a body", func(w http.ResponseWriter) { w.WriteHeader(403) }, false, 403, ""},
		{"403 in two parts", func(w http.ResponseWriter) {
			w.WriteHeader(403)
			_, _ = io.WriteString(w, "x")
			_, _ = io.WriteString(w, mismatch)
		}, false, 403, "x" + mismatch},
		{"the same text with another status", func(w http.ResponseWriter) { http.Error(w, mismatch, 400) }, false, 400, mismatch + "\n"},
		{"200", func(w http.ResponseWriter) { _, _ = io.WriteString(w, mismatch) }, false, 200, mismatch},
	} {
		rec := httptest.NewRecorder()
		a := &answer{ResponseWriter: rec}
		tt.handler(a)
		if got := a.finish(); got != tt.foreign || rec.Code != tt.status || rec.Body.String() != tt.body {
			t.Errorf("%s: got %t %d %q, want %t %d %q", tt.name, got, rec.Code, rec.Body, tt.foreign, tt.status, tt.body)
		}
		if tt.foreign && len(rec.Header()) != 0 {
			t.Errorf("%s: got %v, want no header", tt.name, rec.Header())
		}
	}
}
