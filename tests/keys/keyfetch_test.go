package keys_test

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestRemoteKeysOneFetchForAll(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t, "RS256")
	issuer.Takes(100 * time.Millisecond)
	synctest.Test(t, func(t *testing.T) {
		api := lab.NewKeyedAPI(t, issuer.URL, issuer.KeySet(t, popauth.RemoteKeysOptions{}), nil)
		wantCalls(t, issuer, "by New", 0)
		tokens := make([]string, lab.Crowd)
		for i, token := 0, issuer.Lasting(); i < len(tokens); i++ {
			tokens[i] = token
		}
		if got := api.Crowd(t, tokens); got[200] != lab.Crowd {
			t.Errorf("answers: got %v, want 200 for all", got)
		}
		wantCalls(t, issuer, "of a crowd", 2)
		if issuer.Last.Load().Header.Get("Cache-Control") != "no-cache" {
			t.Error("a cache on the way may answer")
		}
		issuer.Rotate()
		token := issuer.Lasting()
		for i := range tokens {
			tokens[i] = token
		}
		time.Sleep(10 * time.Second)
		if got := api.Crowd(t, tokens); got[200] != lab.Crowd {
			t.Errorf("answers after rotation: got %v, want 200 for all", got)
		}
		wantCalls(t, issuer, "after rotation", 2)
	})
}

func TestRemoteKeysWait(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		issuer.Takes(time.Hour)
		keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
		api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
		token := issuer.Lasting()
		waits := func(what string, token string, bound, want time.Duration, status int) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), bound)
			defer cancel()
			began := time.Now()
			if got := api.Ask(ctx, token).Code; got != status {
				t.Errorf("%s: got status %d, want %d", what, got, status)
			}
			if got := time.Since(began); got != want {
				t.Errorf("%s: waited %v, want %v", what, got, want)
			}
		}
		waits("its own bound", token, time.Minute, 5*time.Second, 503)
		waits("the request's bound", token, time.Second, time.Second, 503)
		waits("the fetch's end", token, time.Minute, 4*time.Second, 503)
		waits("after a failure", token, time.Minute, 0, 503)
		wantCalls(t, issuer, "within 10 s", 2) // each place gets its share of them

		issuer.Takes(0)
		time.Sleep(time.Second)
		waits("recovered", token, time.Minute, 0, 200)
		issuer.Takes(time.Hour)
		time.Sleep(10 * time.Second)
		waits("first unknown kid", lab.MadeUp(token, 1), time.Minute, 5*time.Second, 503)
		waits("a good one beside it", token, time.Minute, 0, 200)
		time.Sleep(6 * time.Second)
		waits("an unknown kid while the issuer is failing", lab.MadeUp(token, 2), time.Minute, 0, 503)
		time.Sleep(time.Minute)
		waits("a minute later, when it may be well again", lab.MadeUp(token, 3), time.Minute, 5*time.Second, 503)
		time.Sleep(time.Minute)
		issuer.Takes(time.Second)
		issuer.Rotate()
		waits("and is", issuer.Lasting(), time.Minute, 2*time.Second, 200) // metadata and keys
	})
}

func TestRemoteKeysClientLeaves(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	issuer.Takes(200 * time.Millisecond)
	synctest.Test(t, func(t *testing.T) {
		keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
		api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
		token := issuer.Lasting()
		ctx, leave := context.WithCancel(t.Context())
		var both sync.WaitGroup
		both.Go(func() {
			if got := api.Ask(ctx, token).Code; got != 499 {
				t.Errorf("who left: got %d, want 499", got)
			}
		})
		synctest.Wait()
		both.Go(func() {
			if got := api.Ask(t.Context(), token).Code; got != 200 {
				t.Errorf("who stayed: got %d, want 200", got)
			}
		})
		synctest.Wait()
		leave()
		both.Wait()
		wantCalls(t, issuer, "for both", 2)
	})
}

func TestRemoteKeysOutage(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
		api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
		token := issuer.Lasting()
		api.Want(t, token, 200)
		wantCalls(t, issuer, "at first", 2)
		began := time.Now()
		issuer.Fails(lab.Unreachable)

		time.Sleep(time.Hour)
		for range 1800 {
			api.Want(t, token, 200)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if got := issuer.Calls.Swap(0); got < 180*2 || got > 240*2 { // metadata is at two places
			t.Errorf("calls in half an hour's outage: got %d, want one attempt in 8 to 10 s", got)
		}
		if keys.LastError() == nil || !keys.Ready() || !keys.LastRefresh().Equal(began) {
			t.Errorf("state: got %v %v %v, want an error, ready, %v", keys.LastError(), keys.Ready(), keys.LastRefresh(), began)
		}
		api.Want(t, lab.MadeUp(token, 1), 503)

		time.Sleep(time.Until(began.Add(24*time.Hour - time.Second)))
		api.Want(t, token, 200)
		time.Sleep(time.Second)
		api.Want(t, token, 503)
		if keys.Ready() {
			t.Error("ready with keys that are too old")
		}
		w := api.Ask(t.Context(), token)
		if got := w.Header().Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After: got %q, want 1", got)
		}
		if got := w.Header()["Www-Authenticate"]; got != nil {
			t.Errorf("a challenge while keys are missing: %q", got)
		}

		issuer.Fails(nil)
		time.Sleep(time.Second)
		api.Want(t, token, 200)
		if keys.LastError() != nil || !keys.LastRefresh().Equal(time.Now()) {
			t.Errorf("state: got %v %v, want no error, now", keys.LastError(), keys.LastRefresh())
		}
		api.Want(t, lab.MadeUp(token, 1), 401)
	})
}

func TestRemoteKeysTransportFails(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	for name, f := range map[string]func(*http.Request) (*http.Response, error){
		"panics": func(*http.Request) (*http.Response, error) { panic("on purpose") },
		"exits":  func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := lab.NewKeyedAPI(t, issuer.URL, issuer.KeySet(t, popauth.RemoteKeysOptions{}), nil)
				issuer.Fails(f)
				api.Want(t, issuer.Lasting(), 503)
				issuer.Fails(nil)
				time.Sleep(time.Second)
				api.Want(t, issuer.Lasting(), 200)
			})
		})
	}
}

func TestRemoteKeysClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-48 * time.Hour, -time.Hour, 30 * time.Minute, 48 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			issuer := lab.NewMemoryIssuer(t)
			clock := popauthtest.NewClock(time.Now())
			token := issuer.Token(popauthtest.Claims{
				"iat": clock.Now().Add(-100 * time.Hour).Unix(), "exp": clock.Now().Add(100 * time.Hour).Unix()})
			keys := issuer.KeySet(t, popauth.RemoteKeysOptions{Now: clock.Now})
			api := lab.NewKeyedAPI(t, issuer.URL, keys, clock.Now)
			api.Want(t, token, 200)
			clock.Advance(jump)
			issuer.Fails(lab.Unreachable)
			api.Want(t, token, map[bool]int{true: 503, false: 200}[jump > 24*time.Hour])
			lab.NoFetchLeft(t)
			issuer.Fails(nil)
			clock.Advance(time.Second)
			api.Want(t, token, 200)
			lab.NoFetchLeft(t)
			if jump != 30*time.Minute && (keys.LastError() != nil || !keys.LastRefresh().Equal(clock.Now())) {
				t.Errorf("state: got %v, %v, want fresh at %v", keys.LastError(), keys.LastRefresh(), clock.Now())
			}
			clock.Advance(10 * time.Second)
			issuer.Rotate()
			rotated := issuer.Token(popauthtest.Claims{"iat": clock.Now().Unix(), "exp": clock.Now().Add(time.Hour).Unix()})
			api.Want(t, rotated, 200)
			api.Want(t, token, 401)
		})
	}
}

// A kid that is known not to exist is a matter of doubt while the issuer fails, and of none at the first moment after.
func TestRemoteKeysAbsentDuringOutage(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		api := lab.NewKeyedAPI(t, issuer.URL, issuer.KeySet(t, popauth.RemoteKeysOptions{}), nil)
		token := issuer.Lasting()
		for range 10 {
			api.Want(t, lab.MadeUp(token, 1), 401)
			time.Sleep(10 * time.Second)
		}
		issuer.Fails(lab.Unreachable)
		api.Want(t, lab.MadeUp(token, 2), 503)
		api.Want(t, lab.MadeUp(token, 1), 503)
		issuer.Fails(nil)
		time.Sleep(time.Second)
		api.Want(t, lab.MadeUp(token, 1), 503) // begins the fetch
		synctest.Wait()
		api.Want(t, lab.MadeUp(token, 1), 401)
	})
}
