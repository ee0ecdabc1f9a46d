package keys_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
)

func wantCalls(t *testing.T, i *lab.MemoryIssuer, what string, want int64) {
	t.Helper()
	synctest.Wait()
	if got := i.Calls.Swap(0); got != want {
		t.Errorf("calls %s: got %d, want %d", what, got, want)
	}
}

func TestRemoteKeysRefresh(t *testing.T) {
	date := "Mon, 02 Jan 2006 15:04:05 GMT"
	for _, test := range []struct {
		name   string
		header map[string]string
		want   time.Duration
	}{
		{"nothing said", nil, time.Hour},
		{"max-age", map[string]string{"Cache-Control": "public, Max-Age=600"}, 10 * time.Minute},
		{"max-age quoted", map[string]string{"Cache-Control": `max-age="600"`}, 10 * time.Minute},
		{"max-age, Expires", map[string]string{"Cache-Control": "max-age=600", "Expires": "0"}, 10 * time.Minute},
		{"max-age twice", map[string]string{"Cache-Control": "max-age=600, max-age=6000"}, 10 * time.Minute},
		{"Age", map[string]string{"Cache-Control": "max-age=600", "Age": "300"}, 5 * time.Minute},
		{"Age beyond", map[string]string{"Cache-Control": "max-age=600", "Age": "6000"}, time.Minute},
		{"too short", map[string]string{"Cache-Control": "max-age=0"}, time.Minute},
		{"no-cache", map[string]string{"Cache-Control": "max-age=600, no-cache"}, time.Minute},
		{"no-store", map[string]string{"Cache-Control": "no-store"}, time.Minute},
		{"half of MaxAge", map[string]string{"Cache-Control": "max-age=86400"}, 12 * time.Hour},
		{"beyond numbers", map[string]string{"Cache-Control": "max-age=99999999999999999999"}, 12 * time.Hour},
		{"negative", map[string]string{"Cache-Control": "max-age=-1"}, time.Hour},
		{"words", map[string]string{"Cache-Control": "max-age=long"}, time.Hour},
		{"Expires against Date", map[string]string{"Date": date, "Expires": "Mon, 02 Jan 2006 15:34:05 GMT"}, 30 * time.Minute},
		{"Expires alone", map[string]string{"Expires": "Sat, 01 Jan 2000 00:30:00 GMT"}, 30 * time.Minute},
		{"expired", map[string]string{"Date": date, "Expires": date}, time.Minute},
		{"Expires in no form", map[string]string{"Expires": "0"}, time.Minute}, // RFC 9111, section 5.3
		{"Expires in another form", map[string]string{"Date": date, "Expires": "Mon, 02-Jan-06 15:34:05 GMT"}, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			issuer := lab.NewMemoryIssuer(t)
			issuer.Handle("/jwks", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range test.header {
					w.Header().Set(name, value)
				}
				_, _ = w.Write(issuer.JWKS())
			}))
			issuer.Takes(30 * time.Millisecond)
			synctest.Test(t, func(t *testing.T) {
				api := lab.NewKeyedAPI(t, issuer.URL, issuer.KeySet(t, popauth.RemoteKeysOptions{}), nil)
				token := issuer.Lasting()
				began := time.Now()
				api.Want(t, token, 200)
				time.Sleep(100 * time.Millisecond)
				wantCalls(t, issuer, "at first", 2)
				time.Sleep(time.Until(began.Add(test.want * 4 / 5)))
				api.Want(t, token, 200)
				time.Sleep(100 * time.Millisecond)
				wantCalls(t, issuer, "before it is time", 0)
				time.Sleep(time.Until(began.Add(test.want + 100*time.Millisecond)))
				now := time.Now()
				api.Want(t, token, 200)
				if waited := time.Since(now); waited > 0 {
					t.Errorf("a request waited %v for a refresh", waited)
				}
				time.Sleep(100 * time.Millisecond)
				calls := int64(1)
				if test.want >= time.Hour { // what the metadata said is as old as Refresh
					calls = 2
				}
				wantCalls(t, issuer, "when it is time", calls)
			})
		})
	}
}

func TestRemoteKeysSpread(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		token, began := issuer.Lasting(), time.Now()
		apis := make([]*lab.KeyedAPI, 100)
		for i := range apis {
			apis[i] = lab.NewKeyedAPI(t, issuer.URL, issuer.KeySet(t, popauth.RemoteKeysOptions{}), nil)
			apis[i].Want(t, token, 200)
		}
		wantCalls(t, issuer, "at first", 200)
		time.Sleep(48 * time.Minute)
		most, all := int64(0), int64(0)
		for time.Since(began) <= time.Hour+2*time.Minute {
			for _, api := range apis {
				api.Handler.ServeHTTP(nobody{}, bearing(token))
			}
			synctest.Wait()
			n := issuer.Calls.Swap(0)
			most, all = max(most, n), all+n
			time.Sleep(2 * time.Minute)
		}
		if all != 200 || most > 100 { // metadata and keys
			t.Errorf("refreshes of 100 instances: got %d calls, at most %d in 2 minutes; want 200, at most 100", all, most)
		}
	})
}

type nobody struct{}

func (nobody) Header() http.Header         { return http.Header{} }
func (nobody) Write(b []byte) (int, error) { return len(b), nil }
func (nobody) WriteHeader(int)             {}
func bearing(token string) *http.Request {
	r, _ := http.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestRemoteKeysUnknownKid(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
		api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
		token := issuer.Lasting()
		api.Want(t, token, 200)
		wantCalls(t, issuer, "at first", 2)

		api.Want(t, lab.MadeUp(token, 0), 401)
		wantCalls(t, issuer, "for the first", 2)
		time.Sleep(10*time.Second - 1)
		api.Want(t, lab.MadeUp(token, 1), 401)
		wantCalls(t, issuer, "during Cooldown", 0)
		time.Sleep(time.Nanosecond)
		api.Want(t, lab.MadeUp(token, 1), 401)
		wantCalls(t, issuer, "after Cooldown", 2)
		for n := range 1000 {
			api.Want(t, lab.MadeUp(token, n), 401)
		}
		wantCalls(t, issuer, "during the next Cooldown", 0)

		time.Sleep(10 * time.Second)
		for range 100 {
			api.Want(t, issuer.Sign([]byte(`{"alg":"ES256"}`), []byte(`{}`), ""), 401)
			api.Want(t, token[:len(token)-8]+"AAAAAAAA", 401)
		}
		wantCalls(t, issuer, "for wrong signatures, and without a kid", 2) // as for one unknown kid

		// One that a misconfigured client repeats is asked about once a minute.
		for range 50 * 60 / 5 {
			time.Sleep(5 * time.Second)
			api.Want(t, lab.MadeUp(token, 1), 401)
		}
		synctest.Wait()
		if got := issuer.Calls.Swap(0); got < 2*48 || got > 2*53 {
			t.Errorf("calls for the same kid in 50 minutes: got %d, want about 50 times metadata and keys", got)
		}

		// One that is published a little late is found a little later.
		fetchedAt := time.Now()
		issuer.Handle("/jwks", staticBody(issuer.JWKS()))
		issuer.Rotate()
		rotated := issuer.Lasting()
		api.Want(t, rotated, 401)
		time.Sleep(45 * time.Second)
		issuer.Handle("/jwks", nil)
		for api.Ask(t.Context(), rotated).Code != 200 && time.Since(fetchedAt) < time.Hour {
			time.Sleep(time.Second)
		}
		if late := time.Since(fetchedAt); late > 2*45*time.Second {
			t.Errorf("a key that was published after 45 s: accepted after %v", late)
		}
		// The old ones are out.
		api.Want(t, token, 401)
	})
}

func staticBody(b []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) })
}

func TestRemoteKeysRotatedOut(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
		api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
		old := issuer.Lasting()
		api.Want(t, old, 200)
		issuer.Rotate()
		time.Sleep(time.Hour)
		api.Want(t, old, 200) // begins the refresh
		synctest.Wait()
		api.Want(t, old, 401)

		token := issuer.Lasting()
		api.Want(t, token, 200)
		issuer.Rotate()
		if err := keys.Preload(t.Context()); err != nil {
			t.Error(err)
		}
		api.Want(t, token, 401)
	})
}

func TestRemoteKeysPreload(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
		issuer.Fails(lab.Unreachable)
		if err := keys.Preload(t.Context()); !errors.Is(err, popauth.ErrUnavailable) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("outage: got %v, want ErrUnavailable and why", err)
		}
		if keys.Ready() || !keys.LastRefresh().IsZero() {
			t.Error("ready without keys")
		}
		issuer.Fails(nil)
		if err := keys.Preload(t.Context()); err != nil || !keys.Ready() || keys.LastError() != nil {
			t.Errorf("got %v, %v, %v, want ready at once", err, keys.Ready(), keys.LastError())
		}

		issuer.Takes(time.Hour)
		began := time.Now()
		if err := keys.Preload(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("got %v after %v, want the fetch's deadline after 10 s", err, time.Since(began))
		}
		if !keys.Ready() {
			t.Error("a failure took the keys away")
		}
	})
}

// A probe that lets no request through before the keys are there must not wait for a request.
func TestRemoteKeysReadyFetches(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
		issuer.Fails(lab.Unreachable)
		for range 20 {
			if keys.Ready() {
				t.Error("ready without keys")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if got := issuer.Calls.Swap(0); got < 4 || got > 6 {
			t.Errorf("calls in 2 s: got %d, want one attempt a second", got)
		}
		issuer.Fails(nil)
		time.Sleep(time.Second)
		_ = keys.Ready()
		synctest.Wait()
		if !keys.Ready() {
			t.Error("not ready after a fetch")
		}
	})
}

// Clocks with and without a monotonic reading: the second kind goes back when it is set back.
func TestRemoteKeysErrors(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
		ask := func(header map[string]any) error {
			_, err := keys.KeyfuncCtx(t.Context())(&jwt.Token{Header: header})
			return err
		}
		unknown := map[string]any{"alg": "ES256", "kid": "made-up"}
		issuer.Fails(lab.Unreachable)
		err := ask(unknown)
		if !errors.Is(err, popauth.ErrUnavailable) || errors.Is(err, popauth.ErrTokenKey) {
			t.Errorf("outage: got %v", err)
		}
		if err := ask(map[string]any{"alg": "ES256"}); !errors.Is(err, popauth.ErrUnavailable) {
			t.Errorf("outage, no kid: got %v", err)
		}
		issuer.Fails(nil)
		time.Sleep(time.Second)
		err = ask(unknown)
		if !errors.Is(err, popauth.ErrTokenKey) || errors.Is(err, popauth.ErrUnavailable) {
			t.Errorf("unknown key: got %v", err)
		}
		if !strings.Contains(err.Error(), `kid is "made-up", want one of the issuer's keys, "`) {
			t.Errorf("the error doesn't say which key is unknown, and which there are: %v", err)
		}
		set, err := keys.KeyfuncCtx(t.Context())(&jwt.Token{Header: map[string]any{"alg": "ES256"}})
		if all, ok := set.(jwt.VerificationKeySet); err != nil || !ok || len(all.Keys) != 1 {
			t.Errorf("no kid: got %v, %v, want the one key for ES256", set, err)
		}
		wantCalls(t, issuer, "so far", 4)
		for _, kid := range []string{"", strings.Repeat("k", 257)} {
			time.Sleep(10 * time.Second)
			if err := ask(map[string]any{"alg": "ES256", "kid": kid}); !errors.Is(err, popauth.ErrTokenKey) {
				t.Errorf("unfit kid: got %v", err)
			}
		}
		wantCalls(t, issuer, "for unfit kids", 0)
	})
}

// RemoteKeys that nobody has made have no keys, and whoever asks them is told so.
func TestRemoteKeysNotMade(t *testing.T) {
	for _, k := range []*popauth.RemoteKeys{nil, {}} {
		if k.Ready() || !k.LastRefresh().IsZero() {
			t.Error("got keys")
		}
		_, err := k.KeyfuncCtx(t.Context())(&jwt.Token{Header: map[string]any{}})
		for _, err := range []error{err, k.Preload(t.Context()), k.LastError()} {
			if !errors.Is(err, popauth.ErrUnconfigured) {
				t.Errorf("got %v, want %v", err, popauth.ErrUnconfigured)
			}
		}
	}
}
