package keys

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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
		client := discovery.NewClient(nil, time.Now)
		if tr, ok := client.HTTP.Transport.(*http.Transport); !ok || tr.DialContext == nil || !client.Guarded {
			t.Fatal("the transport judges no address")
		}
		from, err := discovery.NewIssuer(issuer, discovery.NoHTTP)
		if err != nil {
			t.Fatal(err)
		}
		k := testRemote(nil, from, client)
		r := &reached{inside: inside, seen: map[string]bool{}, pages: map[string]string{
			place: `{"issuer":"` + issuer + `","jwks_uri":"` + keys + `"}`, keys: `{"keys":[]}`,
		}}
		client.HTTP.Transport = r
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
	if discovery.NewClient(&http.Client{Transport: http.DefaultTransport}, time.Now).Guarded {
		t.Error("connections of another transport are held against addresses")
	}
}

// A fetch of the keys alone goes where the metadata before it has said, and no further.
func TestKeysStayWhereTheMetadataWas(t *testing.T) {
	const issuer, keys = "https://id.example.com", "https://keys.example.net/jwks"
	for _, inside := range []bool{false, true} {
		client := discovery.NewClient(nil, time.Now)
		from, err := discovery.NewIssuer(issuer, discovery.NoHTTP)
		if err != nil {
			t.Fatal(err)
		}
		k := testRemote(nil, from, client)
		r := &reached{inside: inside, seen: map[string]bool{}, pages: map[string]string{
			issuer + "/.well-known/openid-configuration": `{"issuer":"` + issuer + `","jwks_uri":"` + keys + `"}`,
			// RFC 8037, appendix A.2
			keys: `{"keys":[{"kid":"1","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		}}
		client.HTTP.Transport = r
		set, err := k.origin.fetch(t.Context(), nil, true)
		for range 2 {
			if err != nil {
				t.Fatal(err)
			}
			clear(r.seen)
			set, err = k.origin.fetch(t.Context(), set, false)
			if mayInside, ok := r.seen[keys]; !ok || mayInside != inside || len(r.seen) != 1 {
				t.Errorf("issuer inside %t: may go inside: %v", inside, r.seen)
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
}
