package dpop_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func replayMemoryPerKey(tb testing.TB, entries, perKey int) (*dpop.ReplayMemory, *popauthtest.Clock) {
	tb.Helper()
	clock := popauthtest.NewClock(replayStart)
	m, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{Entries: entries, PerKey: perKey, Now: clock.Now})
	if err != nil {
		tb.Fatal(err)
	}
	return m, clock
}

// wantLimit wants the error for a key that has too many ids.
func wantLimit(tb testing.TB, store dpop.ReplayStore, key, id string, until time.Time) {
	tb.Helper()
	if fresh, err := replayUseOf(tb, store, key, id, until); fresh || !errors.Is(err, popauth.ErrProofLimit) {
		tb.Errorf("Use(%q, %q): got %v, %v, want an error that wraps ErrProofLimit", key, id, fresh, err)
	}
}

func wantUseOf(tb testing.TB, store dpop.ReplayStore, key, id string, until time.Time, want bool) {
	tb.Helper()
	if fresh, err := replayUseOf(tb, store, key, id, until); fresh != want || err != nil {
		tb.Errorf("Use(%q, %q): got %v, %v, want %v", key, id, fresh, err, want)
	}
}

// One key asks for ten times what it may have, from 50 goroutines: it gets exactly that, while others get what they
// want, and as much again when the time of its ids is over.
func TestReplayMemoryPerKeyAtOnce(t *testing.T) {
	const entries, perKey, goroutines = 20_000, 1000, 50
	m, clock := replayMemoryPerKey(t, entries, perKey)
	for round := range 3 {
		until := clock.Now().Add(time.Minute)
		var accepted, refused atomic.Int64
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for i := range 10 * perKey / goroutines {
					id := fmt.Sprint(round, g, " ", i)
					switch fresh, err := replayUseOf(t, m, "busy", id, until); {
					case fresh:
						accepted.Add(1)
					case errors.Is(err, popauth.ErrProofLimit):
						refused.Add(1)
					default:
						t.Errorf("Use: got %v, %v, want true or an error that wraps ErrProofLimit", fresh, err)
					}
					wantUseOf(t, m, "quiet "+strconv.Itoa(g), id, until, true)
				}
			})
		}
		wg.Wait()
		replayEqual(t, "accepted", accepted.Load(), perKey)
		replayEqual(t, "refused", refused.Load(), 9*perKey)
		clock.Advance(time.Minute + 1)
	}
}

func TestReplayMemoryPerKey(t *testing.T) {
	m, clock := replayMemoryPerKey(t, 20, 3)
	early, late := replayStart.Add(time.Minute), replayStart.Add(2*time.Minute)
	wantUseOf(t, m, "a", "1", late, true)
	wantUseOf(t, m, "a", "2", early, true)
	wantUseOf(t, m, "a", "3", late, true)
	wantLimit(t, m, "a", "4", late)
	wantUseOf(t, m, "a", "2", late, false) // what is used is known as that
	for i := range 17 {
		wantUseOf(t, m, strconv.Itoa(i), "4", late, true)
	}
	// Now the store is full, for others; a key with too many is told of that first.
	wantLimit(t, m, "a", "4", late)
	wantRefused(t, m, "b", late)
	clock.Advance(time.Minute + 1)
	// In the place of number 2, and one only.
	wantUseOf(t, m, "a", "4", late, true)
	wantLimit(t, m, "a", "5", late)
	wantUseOf(t, m, "a", "1", late, false)
	wantUseOf(t, m, "a", "4", late, false)
	// An id that was used again before it was cleaned away counts once its second time is over.
	clock.Advance(time.Minute)
	later := late.Add(time.Minute)
	for _, id := range []string{"1", "2", "3"} {
		wantUseOf(t, m, "a", id, later, true)
	}
	wantLimit(t, m, "a", "4", later)
	replayEqual(t, "Len", m.Len() <= 20, true)
}

// The bound as it comes, and none.
func TestReplayMemoryPerKeyDefault(t *testing.T) {
	for _, tt := range []struct{ entries, perKey, want int }{{1, 0, 1}, {7, 0, 1}, {8000, 0, 1000}, {0, 0, 1 << 17}, {500, 500, 500}} {
		m, _ := replayMemoryPerKey(t, tt.entries, tt.perKey)
		until := replayStart.Add(time.Minute)
		for i := range tt.want {
			if fresh, err := replayUseOf(t, m, "key", strconv.Itoa(i), until); !fresh {
				t.Fatalf("%+v: got %v, %v for number %d, want true", tt, fresh, err, i)
			}
		}
		wantLimit(t, m, "key", "more", until)
		if tt.entries > tt.want {
			wantUseOf(t, m, "other", "1", until, true)
		}
	}
}

// A key that had as many ids as it may have is not refused for expired ids of others, which are in front of its own.
func TestReplayMemoryPerKeyBehindOthers(t *testing.T) {
	m, clock := replayMemoryPerKey(t, 0, 1)
	wantUseOf(t, m, "key", "1", replayStart.Add(2*time.Minute), true)
	for i := range 200_000 {
		replayUse(t, m, strconv.Itoa(i), replayStart.Add(time.Minute))
	}
	clock.Advance(time.Hour)
	wantUseOf(t, m, "key", "2", clock.Now().Add(time.Minute), true)
	wantLimit(t, m, "key", "3", clock.Now().Add(time.Minute))
}

// The owner of one token sends ten times what fits, from 50 goroutines. Nobody else notices.
func TestOneKeyDoesNotFillTheMemory(t *testing.T) {
	const perKey, goroutines = 100, 50
	clock := popauthtest.NewClock(time.Unix(1_800_000_000, 0))
	memory, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{Entries: 2000, PerKey: perKey, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	a := lab.NewDPoPAPI(t, dpop.Options{Replay: memory}, func(o *popauth.Options) { o.Now = clock.Now })
	a.Issuer.Now, a.Key.Now = clock.Now, clock.Now
	others := make([]*popauthtest.ProofKey, goroutines)
	tokens := make([]string, goroutines)
	for i := range others {
		others[i] = popauthtest.NewProofKey(t, "EdDSA")
		others[i].Now = clock.Now
		tokens[i] = a.Issuer.Token(others[i].Bound(), lab.Fields{"exp": clock.Now().Add(time.Hour).Unix()})
	}
	for round := range 2 {
		var mu sync.Mutex
		got := map[int]int{}
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for range 10 * perKey / goroutines {
					w := httptest.NewRecorder()
					a.Handler.ServeHTTP(w, a.Request())
					if h := w.Header(); w.Code == 429 && (h.Get("Retry-After") != "5" || h.Get("WWW-Authenticate") != "") {
						t.Errorf("429: got headers %v, want Retry-After and no challenge", h)
					}
					mu.Lock()
					got[w.Code]++
					mu.Unlock()
				}
				w := httptest.NewRecorder()
				if a.Handler.ServeHTTP(w, others[g].Request("GET", lab.DPoPURL, tokens[g])); w.Code != 200 {
					t.Errorf("VULNERABLE: another owner: got %d, want 200", w.Code)
				}
			})
		}
		wg.Wait()
		if got[200] != perKey || got[429] != 9*perKey || a.Spy.Ran() != (round+1)*(perKey+goroutines) {
			t.Errorf("got %v, the handler ran %d times, want 200 for %d and 429 for the others", got, a.Spy.Ran(), perKey)
		}
		if a.Last == nil || a.Last.Reason != popauth.ErrProofLimit {
			t.Errorf("got %v, want ErrProofLimit", a.Last)
		}
		clock.Advance(11*time.Minute + 2*time.Second)
	}
}

// A store says by its error which of the two it is, and how long to wait.
func TestReplayStoreLimit(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	for _, tt := range []struct {
		err   error
		retry string
	}{
		{popauth.ErrProofLimit, "5"},
		{&popauth.Error{Reason: popauth.ErrProofLimit, Err: retryAfter{}}, "7"},
		{fmt.Errorf("many: %w", popauth.ErrProofLimit), "5"},
	} {
		a.Store.Err = tt.err
		w := a.Refuse(t, a.Request(), popauth.ErrProofLimit, http.StatusTooManyRequests)
		if got := w.Header().Get("Retry-After"); got != tt.retry {
			t.Errorf("Retry-After: got %q, want %q", got, tt.retry)
		}
	}
	a.Store.Err = nil
	a.Accept(t, a.Request())

	a = lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.Deny = popauth.ProblemDetails })
	a.Store.Err = popauth.ErrProofLimit
	w := a.Serve(a.Request())
	want := `{"type":"about:blank","title":"Too Many Requests","status":429}`
	if w.Code != 429 || w.Body.String() != want || w.Header().Get("Retry-After") != "5" || a.Spy.Ran() != 0 {
		t.Errorf("ProblemDetails: got %d %v %s, want %s", w.Code, w.Header(), w.Body, want)
	}
}

// All proofs of a key come under one name, which is nobody else's and doesn't show the key.
func TestReplayKeys(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	a.Store.Keys = map[string]int{}
	other := popauthtest.NewProofKey(t, "")
	other.Now = a.Clock.Now
	token := a.Issuer.Token(other.Bound())
	for range 3 {
		a.Accept(t, a.Request())
		a.Accept(t, a.Key.Request("PUT", lab.DPoPURL+"/1", a.Token))
	}
	a.Accept(t, other.Request("GET", lab.DPoPURL, token))
	if len(a.Store.Keys) != 2 {
		t.Errorf("got %v, want two keys", a.Store.Keys)
	}
	for key, n := range a.Store.Keys {
		if len(key) != 43 || key == a.Key.Thumbprint() || key == other.Thumbprint() || n != 6 && n != 1 {
			t.Errorf("got %q for %d ids, want a hash of the thumbprint for 6 and 1", key, n)
		}
	}
}
