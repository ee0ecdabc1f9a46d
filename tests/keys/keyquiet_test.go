package keys_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// The first request after a quiet night waits for the keys that there are by now.
func TestQuietInstance(t *testing.T) {
	const night = 20 * time.Hour
	for _, tt := range []struct {
		name     string
		morning  func(*lab.MemoryIssuer)
		old      int // what a token of the withdrawn key comes to
		wait, at time.Duration
	}{
		{name: "well", morning: func(*lab.MemoryIssuer) {}, old: 401, wait: 2 * time.Second, at: night}, // metadata, and keys
		{name: "unreachable", morning: func(i *lab.MemoryIssuer) { i.Fails(lab.Unreachable) }, old: 200, wait: 2 * time.Second, at: night},
		{name: "hanging", morning: func(i *lab.MemoryIssuer) { i.Takes(time.Hour) }, old: 200, wait: 5 * time.Second, at: night},
		{name: "hanging, and beyond MaxAge", morning: func(i *lab.MemoryIssuer) { i.Takes(time.Hour) }, old: 503, wait: 5 * time.Second,
			at: 25 * time.Hour},
		{name: "a little late", morning: func(*lab.MemoryIssuer) {}, old: 200, at: 65 * time.Minute},
		{name: "later than a tenth of Refresh", morning: func(*lab.MemoryIssuer) {}, old: 401, wait: 2 * time.Second, at: 66 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			issuer := lab.NewMemoryIssuer(t)
			issuer.Takes(time.Second)
			synctest.Test(t, func(t *testing.T) {
				keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
				api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
				withdrawn := issuer.Lasting()
				api.Want(t, withdrawn, 200)
				api.Want(t, withdrawn, 200) // remembered
				issuer.Rotate()
				time.Sleep(tt.at - 2*time.Second) // since the fetch began
				tt.morning(issuer)
				if got := api.Waited(t, withdrawn, tt.old); got != tt.wait {
					t.Errorf("waited %v, want %v", got, tt.wait)
				}
				if tt.old == 200 && !keys.Ready() {
					t.Error("not ready, and old keys serve")
				}
				time.Sleep(10 * time.Second) // what hangs has ended
				if tt.old == 200 && tt.at == night {
					for range 20 { // asked lately: nobody waits again
						if got := api.Waited(t, withdrawn, 200); got != 0 {
							t.Errorf("waited %v again", got)
						}
						time.Sleep(time.Second)
					}
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// A probe that asks whether there are keys gets the same answer, at once, in the morning.
func TestQuietInstanceIsReady(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	issuer.Takes(time.Second)
	synctest.Test(t, func(t *testing.T) {
		keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
		lab.Preload(t, keys)
		time.Sleep(20 * time.Hour)
		began := time.Now()
		if !keys.Ready() || time.Since(began) != 0 {
			t.Errorf("got not ready, or after %v", time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}

// Whoever hangs up while his request waits has not made the old keys count.
func TestQuietInstanceAndOneWhoHangsUp(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		api := lab.NewKeyedAPI(t, issuer.URL, issuer.KeySet(t, popauth.RemoteKeysOptions{}), nil)
		withdrawn := issuer.Lasting()
		api.Want(t, withdrawn, 200)
		issuer.Rotate()
		time.Sleep(20 * time.Hour)
		issuer.Takes(2 * time.Second)
		before := api.Spy.Ran()
		for _, gone := range []time.Duration{0, time.Second} {
			ctx, leave := context.WithTimeout(t.Context(), gone)
			if got := api.Ask(ctx, withdrawn).Code; got != 503 || api.Spy.Ran() != before {
				t.Errorf("gone after %v: got %d, handler ran %d times; VULNERABLE unless 503, 0", gone, got, api.Spy.Ran()-before)
			}
			leave()
		}
		time.Sleep(time.Minute)
	})
}

// Where requests come all the time nobody waits for a refresh, whatever becomes of it.
func TestBusyInstanceNeverWaits(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		api := lab.NewKeyedAPI(t, issuer.URL, issuer.KeySet(t, popauth.RemoteKeysOptions{}), nil)
		token := issuer.Lasting()
		api.Want(t, token, 200)
		for began := time.Now(); time.Since(began) < 12*time.Hour; time.Sleep(20 * time.Second) {
			issuer.Takes(map[bool]time.Duration{true: time.Hour, false: 5 * time.Second}[time.Since(began) > 6*time.Hour])
			if got := api.Waited(t, token, 200); got != 0 {
				t.Fatalf("after %v: waited %v", time.Since(began), got)
			}
		}
		time.Sleep(time.Minute)
	})
}

// No token is sent to an endpoint that was given up during a quiet night.
func TestQuietIntrospection(t *testing.T) {
	for _, tt := range []struct {
		name    string
		status  int
		hangs   bool
		wait    time.Duration
		old     int64 // calls to the old place
		passing bool
	}{
		{name: "well", status: 200, wait: time.Second, passing: true},
		{name: "no metadata", status: 500, wait: 4 * time.Second, old: 1, passing: true}, // four places, too slow
		{name: "hanging", hangs: true, wait: 2500 * time.Millisecond, old: 1, passing: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				place, status, latency := "old", 200, time.Duration(0)
				calls := map[string]int64{}
				client := &http.Client{Transport: lab.RoundTrip(func(r *http.Request) (*http.Response, error) {
					if !strings.Contains(r.URL.Path, "well-known") {
						calls[r.URL.Path]++
						return lab.Answer(200, []byte(lab.Active)), nil
					}
					select {
					case <-time.After(latency):
					case <-r.Context().Done():
						return nil, r.Context().Err()
					}
					return lab.Answer(status, []byte(fmt.Sprintf(`{"issuer":"https://id.example.com","introspection_endpoint":"https:/`+
						`/id.example.com/%s"}`, place))), nil
				})}
				v := lab.IntrospectionBy(t, client)
				verify := func() error { _, err := v.Verify(t.Context(), "t"); return err }
				if err := verify(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(20 * time.Hour)
				place, status, latency = "new", tt.status, time.Second
				if tt.hangs {
					latency = time.Hour
				}
				clear(calls)
				began := time.Now()
				err := verify()
				if (err == nil) != tt.passing || calls["/old"] != tt.old || time.Since(began) > tt.wait {
					t.Errorf("got %v, %d calls to the old place, after %v; want %d, after %v at most", err, calls["/old"],
						time.Since(began), tt.old, tt.wait)
				}
				began = time.Now()
				if err := verify(); err != nil || time.Since(began) != 0 && !tt.hangs {
					t.Errorf("the next: got %v after %v", err, time.Since(began))
				}
				time.Sleep(time.Minute)
			})
		})
	}
}
