package keys_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
)

// Who asks to be left alone is left alone, whatever was asked for, and callers are told how long that takes.
func TestRetryAfterIsObeyed(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		status     int
		after      string
		most       int64 // calls in five minutes of a request a second
	}{
		{name: "keys, 429", path: "/jwks", status: 429, after: "600", most: 2},
		{name: "keys, 503", path: "/jwks", status: 503, after: "600", most: 2},
		{name: "metadata, 429", path: "/.well-known/", status: 429, after: "600", most: 1},
		{name: "metadata, 503", path: "/.well-known/", status: 503, after: "600", most: 1},
		{name: "the second place for metadata", path: "/.well-known/oauth", status: 503, after: "600", most: 2},
		{name: "keys, for a year", path: "/jwks", status: 503, after: "31536000", most: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			issuer := lab.NewMemoryIssuer(t)
			synctest.Test(t, func(t *testing.T) {
				keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
				api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
				issuer.Busy(tt.path, tt.status, tt.after)
				token := issuer.Lasting()
				for n := range 300 {
					w := api.Ask(t.Context(), token)
					if w.Code != 503 || n > 0 && w.Header().Get("Retry-After") == "1" {
						t.Fatalf("request %d: got %d, Retry-After %q", n, w.Code, w.Header().Get("Retry-After"))
					}
					time.Sleep(time.Second)
				}
				if err := keys.Preload(t.Context()); !errors.Is(err, popauth.ErrUnavailable) {
					t.Errorf("Preload: got %v", err)
				}
				if got := issuer.Calls.Swap(0); got > tt.most {
					t.Errorf("got %d calls in five minutes, want %d", got, tt.most)
				}
				issuer.Fails(nil)
				time.Sleep(5*time.Minute + time.Second)
				api.Want(t, token, 200) // after ten minutes, whatever was said

				// The same while there are keys: an unknown kid is no reason to ask.
				issuer.Busy(tt.path, tt.status, tt.after)
				issuer.Calls.Store(0)
				for n := range 300 {
					api.Want(t, token, 200)
					api.Want(t, lab.MadeUp(token, n), 503)
					time.Sleep(time.Second)
				}
				if got := issuer.Calls.Load(); got > 2 {
					t.Errorf("with keys: got %d calls in five minutes, want 2", got)
				}
			})
		})
	}
}

// The introspection endpoint's metadata is asked no more often than it allows, and once a minute while calls fail.
func TestIntrospectionAsksMetadataSeldom(t *testing.T) {
	for _, tt := range []struct {
		name, path, after string
		most              int64 // calls for metadata in five minutes of failing calls
	}{
		{name: "the endpoint fails", path: "/introspect", after: "", most: 6},
		{name: "the metadata is busy", path: "/.well-known/", after: "600", most: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			issuer := lab.NewMemoryIssuer(t)
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				v := issuer.Introspect(t, func(o *introspection.Options) { o.Endpoint, o.Remember = "", -1 })
				issuer.Fails(func(r *http.Request) (*http.Response, error) {
					known := strings.Contains(r.URL.Path, "/.well-known/")
					if known {
						asked.Add(1)
					}
					if strings.Contains(r.URL.Path, tt.path) {
						w := lab.Answer(http.StatusServiceUnavailable, nil)
						w.Header.Set("Retry-After", tt.after)
						return w, nil
					}
					return lab.Answer(200, []byte(`{"issuer":"`+issuer.URL+`","introspection_endpoint":"`+issuer.URL+`/introspect"}`)), nil
				})
				for range 300 {
					if _, err := v.Verify(t.Context(), "t"); !errors.Is(err, popauth.ErrUnavailable) {
						t.Fatalf("got %v", err)
					}
					time.Sleep(time.Second)
				}
				if got := asked.Load(); got > tt.most {
					t.Errorf("metadata: asked %d times, want %d at most", got, tt.most)
				}
			})
		})
	}
}
