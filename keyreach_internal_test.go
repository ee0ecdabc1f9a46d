package popauth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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

// What the metadata names may be inside of a network only if the metadata is. The configuration's own may be anywhere.
func TestWhatMetadataNamesStaysOutside(t *testing.T) {
	const issuer, keys = "https://id.example.com", "https://keys.example.net/jwks"
	const place = issuer + "/.well-known/openid-configuration"
	for _, inside := range []bool{false, true} {
		k, err := NewRemoteKeys(RemoteKeysOptions{Issuer: issuer})
		if err != nil || !k.guarded {
			t.Fatalf("got %v, guarded %t", err, k.guarded)
		}
		if tr, ok := k.client.Transport.(*http.Transport); !ok || tr.DialContext == nil {
			t.Fatal("the transport judges no address")
		}
		r := &reached{inside: inside, seen: map[string]bool{}, pages: map[string]string{
			place: `{"issuer":"` + issuer + `","jwks_uri":"` + keys + `"}`, keys: `{"keys":[]}`,
		}}
		k.client.Transport = r
		for range 2 {
			if err := k.Preload(t.Context()); err == nil || !strings.Contains(err.Error(), "no usable key") {
				t.Fatalf("got %v", err)
			}
		}
		if !r.seen[place] || r.seen[keys] != inside {
			t.Errorf("issuer inside %t: may go inside: metadata %t, keys %t", inside, r.seen[place], r.seen[keys])
		}
	}
	// A Client of one's own is left alone.
	k, err := NewRemoteKeys(RemoteKeysOptions{Issuer: issuer, Client: &http.Client{Transport: http.DefaultTransport}})
	if err != nil || k.guarded {
		t.Errorf("got %v, guarded %t", err, k.guarded)
	}
}

// The same for the introspection endpoint, to which tokens are sent, and one that is configured may be anywhere too.
func TestIntrospectionStaysOutside(t *testing.T) {
	const issuer, endpoint = "https://id.example.com", "https://tokens.example.net/introspect"
	const place = issuer + "/.well-known/openid-configuration"
	o := IntrospectionOptions{Issuer: issuer, Audience: []string{"orders"}, Authentication: ClientSecretBasic{ID: "orders", Secret: "s"}}
	for _, inside := range []bool{false, true} {
		i, err := NewIntrospection(o)
		if err != nil || !i.guarded || !i.metadata.guarded {
			t.Fatalf("got %v, guarded %t", err, i != nil && i.guarded)
		}
		r := &reached{inside: inside, seen: map[string]bool{}, pages: map[string]string{
			place: `{"issuer":"` + issuer + `","introspection_endpoint":"` + endpoint + `"}`, endpoint: `{"active":true,"aud":"orders"}`,
		}}
		i.client.Transport, i.metadata.client.Transport = r, r
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
	i, err := NewIntrospection(o)
	if err != nil {
		t.Fatal(err)
	}
	defer i.client.CloseIdleConnections()
	if _, err := i.Verify(t.Context(), "t"); err != nil {
		t.Errorf("a configured endpoint: got %v, want an answer", err)
	}
}

// A fetch of the keys alone goes where the metadata before it has said, and no further.
func TestKeysStayWhereTheMetadataWas(t *testing.T) {
	const issuer, keys = "https://id.example.com", "https://keys.example.net/jwks"
	for _, inside := range []bool{false, true} {
		k, err := NewRemoteKeys(RemoteKeysOptions{Issuer: issuer})
		if err != nil {
			t.Fatal(err)
		}
		r := &reached{inside: inside, seen: map[string]bool{}, pages: map[string]string{
			issuer + "/.well-known/openid-configuration": `{"issuer":"` + issuer + `","jwks_uri":"` + keys + `"}`,
			// RFC 8037, appendix A.2
			keys: `{"keys":[{"kid":"1","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		}}
		k.client.Transport = r
		set, err := k.fetch(t.Context(), nil, true)
		for range 2 {
			if err != nil {
				t.Fatal(err)
			}
			clear(r.seen)
			set, err = k.fetch(t.Context(), set, false)
			if mayInside, ok := r.seen[keys]; !ok || mayInside != inside || len(r.seen) != 1 {
				t.Errorf("issuer inside %t: may go inside: %v", inside, r.seen)
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
}
