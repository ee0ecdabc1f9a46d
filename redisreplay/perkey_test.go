package redisreplay_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/redisreplay"
)

// flood has one key use ten times what it may, from 50 goroutines through two stores. It gets exactly what it may, and
// other keys get what they want.
func flood(t *testing.T, one, other *redisreplay.Store, until time.Time, perKey int) {
	t.Helper()
	const goroutines = 50
	stores := [2]*redisreplay.Store{one, other}
	var accepted, refused atomic.Int64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range 10 * perKey / goroutines {
				id := fmt.Sprint(until.UnixNano(), g, " ", i)
				switch fresh, err := stores[g%2].Use(context.Background(), "busy", id, until); {
				case fresh && err == nil:
					accepted.Add(1)
				case !fresh && errors.Is(err, popauth.ErrProofLimit) && !errors.Is(err, popauth.ErrUnavailable):
					refused.Add(1)
				default:
					t.Errorf("Use: got %v, %v, want true or an error that wraps ErrProofLimit", fresh, err)
				}
				use(t, stores[g%2], "quiet "+id, "id", until, nil)
			}
		})
	}
	wg.Wait()
	if accepted.Load() != int64(perKey) || refused.Load() != int64(9*perKey) {
		t.Errorf("got %d accepted and %d refused, want %d and %d", accepted.Load(), refused.Load(), perKey, 9*perKey)
	}
}

// One key gets what it may, and again when the time of its ids is over, by the clock of the processes.
func TestPerKey(t *testing.T) {
	const perKey = 100
	server := newServer(t)
	var moved atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(moved.Load())) }
	store := func(o redisreplay.Options) *redisreplay.Store {
		o.Timeout, o.Now = patient.Timeout, now
		return newStore(t, server.client(), o)
	}
	one, other := store(redisreplay.Options{PerKey: perKey}), store(redisreplay.Options{PerKey: perKey})
	const life, skew, bucket = 10 * time.Minute, 30 * time.Second, 10 * time.Second
	for range 3 {
		until := now().Add(life)
		flood(t, one, other, until, perKey)
		// The count is for whoever is fresh: what is used is known as that.
		use(t, one, "once", until.String(), until, nil)
		if fresh, err := other.Use(t.Context(), "once", until.String(), until); fresh || err != nil {
			t.Errorf("used: got %v, %v, want false", fresh, err)
		}
		moved.Add(int64(life + skew - time.Second))
		use(t, one, "busy", "early", now().Add(life), popauth.ErrProofLimit)
		moved.Add(int64(bucket + 2*time.Second))
	}
	// Somebody else may have another bound, or none: the ids are the same.
	unbounded, low := store(redisreplay.Options{PerKey: -1}), store(redisreplay.Options{PerKey: 1})
	until := now().Add(life)
	for i := range 10 {
		use(t, unbounded, "shared", fmt.Sprint(i), until, nil)
		for _, s := range []*redisreplay.Store{one, low, unbounded} {
			if fresh, err := s.Use(t.Context(), "shared", fmt.Sprint(i), until); fresh || err != nil {
				t.Errorf("used without a bound: got %v, %v, want false", fresh, err)
			}
		}
	}
	use(t, low, "shared", "a", until, nil)
	use(t, low, "shared", "b", until, popauth.ErrProofLimit)
	for _, s := range []*redisreplay.Store{unbounded, low} { // low is at its bound
		if fresh, err := s.Use(t.Context(), "shared", "a", until); fresh || err != nil {
			t.Errorf("used with a bound: got %v, %v, want false", fresh, err)
		}
	}
}

// Neither an id that ends soon nor a look at the count ends the count of those that end late.
func TestPerKeyCountLives(t *testing.T) {
	server := newServer(t)
	client := server.client()
	now := time.Now()
	s := newStore(t, client, redisreplay.Options{PerKey: 10, Timeout: patient.Timeout, Now: func() time.Time { return now }})
	for i := range 9 {
		use(t, s, "key", fmt.Sprint(i), now.Add(10*time.Minute), nil)
	}
	use(t, s, "key", "soon", now, nil)
	use(t, s, "key", "more", now, popauth.ErrProofLimit)
	counts, err := client.Keys(t.Context(), "popauth:replay:{*}").Result()
	if err != nil || len(counts) != 1 {
		t.Fatalf("got counts %q, %v, want one", counts, err)
	}
	if got := client.PTTL(t.Context(), counts[0]).Val(); got < 10*time.Minute+30*time.Second || got > 12*time.Minute {
		t.Errorf("the count lives for %v, want a little longer than the ids, 10m30s", got)
	}
}

// A server that doesn't know the script any more is told it again.
func TestScriptForgotten(t *testing.T) {
	client := newServer(t).client()
	s := newStore(t, client, patient)
	want(t, s, "a", true)
	if err := client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	want(t, s, "b", true)
	want(t, s, "a", false)
}

// Two Guards with other settings share a Redis: what one has accepted the other refuses, for as long as either would
// take it. Real time goes by, since Redis' clock decides.
func TestGuardsWithOtherSettings(t *testing.T) {
	server := newServer(t)
	issuer := popauthtest.NewIssuer(t)
	key := popauthtest.NewProofKey(t, "ES256")
	token := issuer.Token(key.Bound())
	guard := func(d dpop.Options) *popauth.Guard {
		d.Replay = newStore(t, server.client(), patient)
		d.BaseURL = apiURL
		proofs, err := dpop.New(d)
		if err != nil {
			t.Fatal(err)
		}
		o := issuer.Options()
		o.Confirmers = []popauth.Confirmer{proofs}
		g, err := popauth.New(o)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	ask := func(g *popauth.Guard, r *http.Request) int {
		w := httptest.NewRecorder()
		g.Confirm(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r.Clone(t.Context()))
		return w.Code
	}
	short := guard(dpop.Options{MaxAge: time.Second, Leeway: time.Millisecond})
	long := guard(dpop.Options{MaxAge: 10 * time.Minute, Leeway: time.Minute})
	var atShort, atLong *http.Request
	eventually(t, "a proof passes within its second", func() error {
		if atShort = key.Request("GET", apiURL+"/orders", token); ask(short, atShort) != 200 {
			return errors.New("refused")
		}
		return nil
	})
	atLong = key.Request("GET", apiURL+"/orders", token)
	if got := ask(long, atLong); got != 200 {
		t.Errorf("a good proof: got %d, want 200", got)
	}
	for range 8 {
		for name, got := range map[string]int{
			"used at the short one, then at the long": ask(long, atShort), "used at the long one, then at the short": ask(short, atLong),
		} {
			if got != 401 {
				t.Fatalf("VULNERABLE: %s: got %d, want 401", name, got)
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// A proof whose time the nonce says is kept until nobody can take it for a new one, whatever its client's clock shows.
func TestNonceTimeIsKept(t *testing.T) {
	server := newServer(t)
	issuer := popauthtest.NewIssuer(t)
	key := popauthtest.NewProofKey(t, "ES256")
	token := issuer.Token(key.Bound())
	o := issuer.Options()
	nonces := dpop.StatelessNonces{Secrets: [][]byte{[]byte("a secret of 32 bytes for a test.")}}
	proofs, err := dpop.New(dpop.Options{BaseURL: apiURL, Nonces: nonces, NonceTime: true, Replay: newStore(t, server.client(), patient)})
	if err != nil {
		t.Fatal(err)
	}
	o.Confirmers = []popauth.Confirmer{proofs}
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	_, nonce, err := nonces.Check(t.Context(), "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	spy := &popauthtest.Spy{}
	for n, tt := range []struct{ off, least time.Duration }{
		{0, 11 * time.Minute}, {-15 * time.Minute, 11 * time.Minute}, {15 * time.Minute, 26 * time.Minute},
		{59 * time.Minute, 70 * time.Minute},
	} {
		if err := server.client().FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		r := key.Request("GET", apiURL+"/orders", token, popauthtest.Claims{"nonce": nonce, "iat": time.Now().Add(tt.off).Unix()})
		for _, want := range []int{200, 401, 401} {
			w := httptest.NewRecorder()
			guard.Confirm(spy).ServeHTTP(w, r.Clone(t.Context()))
			if w.Code != want || spy.Ran() != n+1 {
				t.Fatalf("off by %v: got %d, the handler ran %d times, want %d", tt.off, w.Code, spy.Ran(), want)
			}
		}
		ids, err := server.client().Keys(t.Context(), "*").Result()
		if err != nil || len(ids) != 2 { // the id, and its key's count
			t.Fatalf("got %v, %v, want two", ids, err)
		}
		for _, id := range ids {
			if left := server.client().PTTL(t.Context(), id).Val(); left < tt.least || left > tt.least+2*time.Minute {
				t.Errorf("off by %v: %s is kept for %v, want %v at least", tt.off, id, left, tt.least)
			}
		}
	}
}
