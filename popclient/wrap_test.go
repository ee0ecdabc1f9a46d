package popclient_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth/popclient"
)

// watched notes the requests that go through it.
type watched struct {
	base http.RoundTripper
	mu   *sync.Mutex
	seen *[]string
}

func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.base.RoundTrip(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	status := "error"
	if err == nil {
		status = resp.Status
	}
	*w.seen = append(*w.seen, r.Method+" "+r.URL.Path+" "+status)
	return resp, err
}

// Wrap sees every request as it is sent, to the authorization server too, and one that returns nothing sends nothing.
func TestWrap(t *testing.T) {
	s := newRealm(t)
	var seen []string
	client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) {
		o.Wrap = func(base http.RoundTripper) http.RoundTripper { return watched{base, new(sync.Mutex), &seen} }
	})
	if status, _ := do(t, client, request(t, "GET", s.api.URL+"/orders", nil)); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
	want := []string{"GET /.well-known/openid-configuration 200 OK", "POST /mtls/token 200 OK", "GET /orders 200 OK"}
	if !slices.Equal(seen, want) {
		t.Errorf("got %q, want %q", seen, want)
	}
	client = s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) {
		o.Wrap = func(http.RoundTripper) http.RoundTripper { return nil }
	})
	_, err := client.Do(request(t, "GET", s.api.URL+"/orders", nil))
	if err == nil || !strings.Contains(err.Error(), "Wrap has returned nil") {
		t.Errorf("got %v, want an error about Wrap", err)
	}
	s.check(t, 1, 1)
}
