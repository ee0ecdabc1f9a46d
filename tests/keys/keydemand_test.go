package keys_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Preload is for those who know that a key must no longer count. A fetch that has begun before may have been answered
// before.
func TestPreloadIsAnsweredByAFetchOfItsOwn(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
		api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
		token := issuer.Lasting()
		api.Want(t, token, 200)
		time.Sleep(time.Hour)
		issuer.ReadsFirst(time.Second)
		api.Want(t, token, 200) // begins a refresh, which has the old keys on the way
		time.Sleep(1500 * time.Millisecond)
		issuer.Rotate()
		began := time.Now()
		if err := keys.Preload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 2500*time.Millisecond {
			t.Errorf("took %v, want what was left of the old fetch, and one of its own", took)
		}
		api.Want(t, token, 401) // VULNERABLE otherwise: its key is withdrawn

		// Nobody waits longer than its own context.
		issuer.Fails(nil)
		issuer.Takes(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began = time.Now()
		if err := keys.Preload(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("got %v after %v, want the context's end after 3s", err, time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}

// An issuer that moves its keys and leaves the old place up, as somebody else's or for nobody any more.
func TestRemoteKeysMovedAndLeftBehind(t *testing.T) {
	for _, tt := range []struct {
		name  string
		learn func(t *testing.T, k *popauth.RemoteKeys, a *lab.KeyedAPI, fresh, old string)
	}{
		{"Preload", func(t *testing.T, k *popauth.RemoteKeys, _ *lab.KeyedAPI, _, _ string) { lab.Preload(t, k) }},
		{"an unknown kid", func(t *testing.T, _ *popauth.RemoteKeys, a *lab.KeyedAPI, fresh, _ string) { a.Want(t, fresh, 200) }},
		{"Refresh", func(t *testing.T, _ *popauth.RemoteKeys, a *lab.KeyedAPI, _, old string) {
			time.Sleep(time.Hour)
			a.Want(t, old, 200) // begins the refresh that is due
			time.Sleep(time.Second)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			issuer := lab.NewMemoryIssuer(t)
			synctest.Test(t, func(t *testing.T) {
				keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
				api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
				token := issuer.Lasting()
				api.Want(t, token, 200)
				issuer.Handle("/jwks", staticBody(issuer.JWKS())) // abandoned
				issuer.Metadata = popauthtest.Claims{"jwks_uri": issuer.URL + "/moved"}
				issuer.Handle("/moved", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(issuer.JWKS()) }))
				issuer.Rotate()
				fresh := issuer.Lasting()
				tt.learn(t, keys, api, fresh, token)
				api.Want(t, token, 401) // VULNERABLE otherwise: its key is at the abandoned place alone
				api.Want(t, fresh, 200)
			})
		})
	}
}

// together is a JWK Set with the keys of both.
func together(t *testing.T, newer, older []byte) []byte {
	t.Helper()
	var a, b struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(newer, &a) != nil || json.Unmarshal(older, &b) != nil {
		t.Fatal("no JWK Set")
	}
	a.Keys = append(a.Keys, b.Keys...)
	all, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Issuers that sign with a new key from the next token on, within seconds of the API's start, as they do it.
func TestRotationAtOnce(t *testing.T) {
	const every, lasts = 20 * time.Millisecond, 30 * time.Second
	for _, shape := range []struct {
		name, cacheControl string
		keeps              bool // the old key in the set
		preloads           bool
		late               time.Duration // before the new key is in the set
		wait               time.Duration // good tokens are refused that long, at most
	}{
		{name: "Keycloak", cacheControl: "no-cache", keeps: true, preloads: true},
		{name: "Keycloak, without Preload", cacheControl: "no-cache", keeps: true},
		{name: "Spring, a restart", cacheControl: "no-cache, no-store, max-age=0, must-revalidate", preloads: true},
		{name: "Spring, keys kept", cacheControl: "no-cache, no-store, max-age=0, must-revalidate", keeps: true},
		{name: "Hydra", keeps: true, preloads: true},
		{name: "behind a cache of two seconds", keeps: true, late: 2 * time.Second, wait: 10 * time.Second},
	} {
		for _, after := range []time.Duration{0, 300 * time.Millisecond, 3 * time.Second} {
			t.Run(shape.name+"/"+after.String(), func(t *testing.T) {
				issuer := lab.NewMemoryIssuer(t)
				before := issuer.JWKS()
				var set atomic.Pointer[[]byte]
				set.Store(&before)
				issuer.Handle("/jwks", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Cache-Control", shape.cacheControl)
					_, _ = w.Write(*set.Load())
				}))
				issuer.Takes(100 * time.Millisecond)
				synctest.Test(t, func(t *testing.T) {
					keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
					api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
					if shape.preloads {
						lab.Preload(t, keys)
					}
					token := issuer.Lasting()
					api.Want(t, token, 200)
					time.Sleep(after)
					issuer.Rotate()
					next := issuer.JWKS()
					if shape.keeps {
						next = together(t, next, before)
					}
					time.AfterFunc(shape.late, func() { set.Store(&next) })
					token = issuer.Lasting()
					refused, sent, last, longest, began := 0, 0, time.Duration(0), time.Duration(0), time.Now()
					for time.Since(began) < lasts {
						asked := time.Now()
						sent++
						if api.Ask(t.Context(), token).Code != 200 {
							refused++
							last = time.Since(began)
						}
						longest = max(longest, time.Since(asked))
						time.Sleep(every)
					}
					t.Logf("%d of %d good requests refused, the last after %v; one waited %v", refused, sent, last, longest)
					if shape.wait == 0 && refused > 0 || last > shape.wait+500*time.Millisecond || longest > time.Second {
						t.Errorf("got %d refused until %v, and %v of waiting; want none refused after %v", refused, last, longest,
							shape.wait)
					}
				})
			})
		}
	}
}

// Whoever guesses the name of the next key and asks for it all the time locks it out for a minute, no longer.
func TestGuessedKidIsNotLockedOut(t *testing.T) {
	issuer, next := lab.NewMemoryIssuer(t), popauthtest.NewIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		api := lab.NewKeyedAPI(t, issuer.URL, issuer.KeySet(t, popauth.RemoteKeysOptions{}), nil)
		token := issuer.Lasting()
		later := next.Token(popauthtest.Claims{"iss": issuer.URL, "exp": time.Now().Add(1000 * time.Hour).Unix()})
		_, rest, _ := strings.Cut(token, ".")
		head, _, _ := strings.Cut(later, ".")
		guessed := head + "." + rest // the kid of the key that will be
		for range 90 * 60 {
			api.Want(t, guessed, 401)
			time.Sleep(time.Second)
		}
		issuer.Handle("/jwks", staticBody(together(t, next.JWKS(), issuer.JWKS())))
		began := time.Now()
		for api.Ask(t.Context(), later).Code != 200 && time.Since(began) < time.Hour {
			_ = api.Ask(t.Context(), guessed)
			time.Sleep(time.Second)
		}
		if late := time.Since(began); late > time.Minute {
			t.Errorf("the key counts after %v, want a minute at most", late)
		}
	})
}

// An issuer whose framework says no-store about everything is asked as often as Refresh says, where that is set.
func TestRefreshIsTheFloorOfNoStore(t *testing.T) {
	for _, tt := range []struct {
		refresh time.Duration
		want    int64 // fetches in a day
	}{{0, 24 * 60}, {6 * time.Hour, 4}} {
		issuer := lab.NewMemoryIssuer(t)
		var fetches atomic.Int64
		issuer.Handle("/jwks", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fetches.Add(1)
			w.Header().Set("Cache-Control", "no-cache, no-store, max-age=0, must-revalidate")
			_, _ = w.Write(issuer.JWKS())
		}))
		synctest.Test(t, func(t *testing.T) {
			api := lab.NewKeyedAPI(t, issuer.URL, issuer.KeySet(t, popauth.RemoteKeysOptions{Refresh: tt.refresh}), nil)
			token := issuer.Lasting()
			for range 24 * 60 * 4 {
				api.Want(t, token, 200)
				time.Sleep(15 * time.Second)
			}
			synctest.Wait()
			if got := fetches.Load(); got < tt.want*8/10 || got > tt.want*13/10+1 {
				t.Errorf("Refresh %v: got %d fetches a day, want about %d", tt.refresh, got, tt.want)
			}
		})
	}
}
