package introspection_test

import (
	"fmt"
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

// Whatever stands in the old place of an endpoint that has moved, the metadata is looked at again, once a minute at most.
func TestIntrospectionMoved(t *testing.T) {
	for name, old := range map[string]func() *http.Response{
		"404":                func() *http.Response { return lab.Answer(404, nil) },
		"401":                func() *http.Response { return lab.Answer(401, nil) },
		"403":                func() *http.Response { return lab.Answer(403, nil) },
		"400":                func() *http.Response { return lab.Answer(400, []byte(`{"error":"invalid_request"}`)) },
		"302":                func() *http.Response { return lab.Answer(302, nil) },
		"HTML":               func() *http.Response { return lab.Answer(200, []byte("<html>Welcome</html>")) },
		"JSON of other form": func() *http.Response { return lab.Answer(200, []byte(`{"status":"ok"}`)) },
		"too much":           func() *http.Response { return lab.Answer(200, make([]byte, 65<<10)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				moved, looks := false, 0
				client := &http.Client{Transport: lab.RoundTrip(func(r *http.Request) (*http.Response, error) {
					switch {
					case strings.HasSuffix(r.URL.Path, "openid-configuration"):
						looks++
						place := map[bool]string{true: "new", false: "old"}[moved && looks > 5]
						return lab.Answer(200, []byte(`{"issuer":"https://id.example.com","introspection_endpoint":"https://id.example`+
							`.com/`+place+`"}`)), nil
					case r.URL.Path == "/old" && !moved, r.URL.Path == "/new" && moved:
						return lab.Answer(200, []byte(lab.Active)), nil
					}
					return old(), nil
				})}
				v := lab.IntrospectionBy(t, client)
				if _, err := v.Verify(t.Context(), "t"); err != nil {
					t.Fatal(err)
				}
				moved = true
				began := time.Now()
				for time.Since(began) < time.Hour {
					if _, err := v.Verify(t.Context(), "t"); err == nil {
						break
					} else if !lab.ReasonIs(err, popauth.ErrUnavailable) {
						t.Fatalf("got %v, want %v", err, popauth.ErrUnavailable)
					}
					time.Sleep(time.Second)
				}
				// The issuer says so from the sixth look on. The first was a minute before the second, too.
				if late := time.Since(began); looks != 6 || late < 295*time.Second || late > 6*time.Minute {
					t.Errorf("found after %v and %d looks, want one a minute", late, looks)
				}
			})
		})
	}
}

// Opaque tokens that nobody has issued make this API ask an issuer whose metadata can't be had once a second at first, and
// once in ten after a while.
func TestIntrospectionDiscoveryPauses(t *testing.T) {
	for _, status := range []int{500, 404, 200} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var looks atomic.Int64
				well := false
				client := &http.Client{Transport: lab.RoundTrip(func(r *http.Request) (*http.Response, error) {
					switch {
					case r.URL.Path == "/introspect":
						return lab.Answer(200, []byte(lab.Active)), nil
					case well:
						return lab.Answer(200, []byte(`{"issuer":"https://id.example.com","introspection_endpoint":"https://id.example`+
							`.com/introspect"}`)), nil
					case strings.HasSuffix(r.URL.Path, "openid-configuration"):
						looks.Add(1)
					}
					return lab.Answer(status, []byte(`{"issuer":"https://other.example.com"}`)), nil
				})}
				v := lab.IntrospectionBy(t, client)
				flood := func(d time.Duration) int64 {
					looks.Store(0)
					for began := time.Now(); time.Since(began) < d; time.Sleep(10 * time.Millisecond) {
						_, err := v.Verify(t.Context(), fmt.Sprint("made-up", time.Now().UnixNano()))
						if !lab.ReasonIs(err, popauth.ErrUnavailable) || status == 500 && !strings.Contains(err.Error(), "500") {
							t.Fatalf("got %v, want %v and why", err, popauth.ErrUnavailable)
						}
					}
					return looks.Load()
				}
				if first, minute := flood(time.Second), flood(time.Minute); first > 2 || minute < 6 || minute > 11 {
					t.Errorf("looks in the first second: got %d; in the minute after: %d; want 2 at most, 6 to 11", first, minute)
				}
				well = true
				time.Sleep(10 * time.Second)
				if _, err := v.Verify(t.Context(), "t"); err != nil {
					t.Errorf("well again: got %v", err)
				}
			})
		})
	}
}

// A server that refuses a flood of made-up tokens with 429 is left alone, and what is known of good ones counts meanwhile.
func TestIntrospectionFloodAndKnownTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		flooded := false
		client := &http.Client{Transport: lab.RoundTrip(func(*http.Request) (*http.Response, error) {
			calls.Add(1)
			if flooded {
				a := lab.Answer(429, nil)
				a.Header = http.Header{"Retry-After": {"60"}}
				return a, nil
			}
			return lab.Answer(200, []byte(lab.Active)), nil
		})}
		v := lab.IntrospectionBy(t, client, func(o *introspection.Options) {
			o.Endpoint, o.Remember = "https://id.example.com/introspect", 30*time.Second
		})
		for _, token := range []string{"known", "also known"} {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		flooded = true
		calls.Store(0)
		for n := range 1000 {
			_, _ = v.Verify(t.Context(), fmt.Sprint("made-up", n))
		}
		if calls.Load() != 1 {
			t.Errorf("calls: got %d, want 1", calls.Load())
		}
		if _, err := v.Verify(t.Context(), "known"); err != nil {
			t.Errorf("a token that is known: got %v", err)
		}
		time.Sleep(30 * time.Second)
		if _, err := v.Verify(t.Context(), "known"); !lab.ReasonIs(err, popauth.ErrUnavailable) {
			t.Errorf("a token that was known: got %v, want %v: it may be revoked by now", err, popauth.ErrUnavailable)
		}
	})
}
