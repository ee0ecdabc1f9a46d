package revocation

import (
	"net/http"
	"strings"
	"testing"
)

type unasked struct{ *testing.T }

func (u unasked) RoundTrip(r *http.Request) (*http.Response, error) {
	u.Errorf("asked %s", r.URL)
	return nil, http.ErrHandlerTimeout
}

// A Client of one's own judges addresses by itself, and net/http maps a name to ASCII before it sees it.
func TestFetchFromHostInASCII(t *testing.T) {
	c, err := New(Options{OCSP: true, Client: &http.Client{Transport: unasked{t}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"http://１２７.0.0.1/", "http://%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1/crl", "http://127。0。0。1/",
		"http://bücher.example/"} {
		if _, err := c.fetch(t.Context(), nil, origin{address: address}, nil, 100); err == nil ||
			!strings.Contains(err.Error(), "A-label") {
			t.Errorf("%s: got %v, want an error that names the A-label form", address, err)
		}
	}
}
