package popauth

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth/internal/onerequest"
)

// A question counts only if it is the request that the stations outside have decided about.
func TestQuestionOfAnotherRequest(t *testing.T) {
	request := func() *http.Request { return httptest.NewRequest(http.MethodGet, "/auth", http.NoBody) }
	ClientCertificate(TLSCertificate())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for name, tt := range map[string]struct {
			question *http.Request
			want     bool
		}{"this one": {r, false}, "another": {request().WithContext(r.Context()), true}} {
			original := request().WithContext(onerequest.WithQuestion(r.Context(), tt.question))
			if got := ofAnother(original); got != tt.want {
				t.Errorf("%s: got %t, want %t", name, got, tt.want)
			}
		}
	})).ServeHTTP(httptest.NewRecorder(), request())
}
