package introspection

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

// reached stands in for the transport: it says where each request may lead, and that the issuer's own went inside.
type reached struct {
	pages  map[string]string
	inside bool // what the issuer's address is
	seen   map[string]bool
}

func (r *reached) RoundTrip(q *http.Request) (*http.Response, error) {
	reach := discovery.ReachOf(q.Context())
	if reach == nil {
		return nil, http.ErrSkipAltProtocol
	}
	r.seen[q.URL.String()] = reach.Inside
	if reach.Inside && r.inside {
		reach.Went.Store(true)
	}
	w := httptest.NewRecorder()
	_, _ = w.WriteString(r.pages[q.URL.String()])
	return w.Result(), nil
}

// The introspection endpoint, to which tokens are sent, may be inside of a network only if the metadata is. One that is
// configured may be anywhere.
func TestIntrospectionStaysOutside(t *testing.T) {
	const issuer, endpoint = "https://id.example.com", "https://tokens.example.net/introspect"
	const place = issuer + "/.well-known/openid-configuration"
	o := Options{Issuer: issuer, Audience: []string{"orders"}, Authentication: ClientSecretBasic{ID: "orders", Secret: "s"}}
	for _, inside := range []bool{false, true} {
		i, err := New(o)
		if err != nil || !i.guarded || !i.metadata.Guarded {
			t.Fatalf("got %v, guarded %t", err, i != nil && i.guarded)
		}
		r := &reached{inside: inside, seen: map[string]bool{}, pages: map[string]string{
			place: `{"issuer":"` + issuer + `","introspection_endpoint":"` + endpoint + `"}`, endpoint: `{"active":true,"aud":"orders"}`,
		}}
		i.client.Transport, i.metadata.HTTP.Transport = r, r
		if _, err := i.Verify(t.Context(), "t"); err != nil {
			t.Fatal(err)
		}
		if mayInside, ok := r.seen[endpoint]; !ok || mayInside != inside || !r.seen[place] {
			t.Errorf("issuer inside %t: may go inside: %v", inside, r.seen)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"active":true,"aud":"orders"}`)
	}))
	defer server.Close()
	o.Endpoint, o.AllowLoopbackHTTP = server.URL, true
	i, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer i.client.CloseIdleConnections()
	if _, err := i.Verify(t.Context(), "t"); err != nil {
		t.Errorf("a configured endpoint: got %v, want an answer", err)
	}
}
