package popauth_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// scene is where an event happens: a good issuer a tenth of a second away, an API with no keys yet, a token.
type scene struct {
	*testing.T
	issuer *memoryIssuer
	keys   *popauth.RemoteKeys
	api    *keyedAPI
	token  string
}

// warm gives the API its keys and lets Cooldown pass.
func (s scene) warm() {
	s.Helper()
	s.api.want(s.T, s.token, 200)
	time.Sleep(10 * time.Second)
	s.issuer.calls.Store(0)
}

func (s scene) crowd(token string) tally {
	s.Helper()
	tokens := make([]string, crowd)
	for n := range tokens {
		tokens[n] = token
	}
	return s.api.crowd(s.T, tokens)
}

var keyEvents = []struct {
	name   string
	happen func(scene) tally
	want   tally
	calls  int64
}{
	{"half of the clients leave during the first fetch", func(s scene) tally {
		return s.api.leaving(s.T, s.token)
	}, tally{200: crowd / 2, 503: crowd / 2}, 2},
	{"half of them leave during a rotation's fetch", func(s scene) tally {
		s.warm()
		s.issuer.Rotate()
		return s.api.leaving(s.T, s.issuer.lasting())
	}, tally{200: crowd / 2, 503: crowd / 2}, 2},
	{"rotated, tokens of the new key", func(s scene) tally {
		s.warm()
		s.issuer.Rotate()
		return s.crowd(s.issuer.lasting())
	}, tally{200: crowd}, 2},
	{"rotated, tokens of the old key", func(s scene) tally {
		s.warm()
		s.issuer.Rotate()
		if err := s.keys.Preload(s.Context()); err != nil {
			s.Error(err)
		}
		return s.crowd(s.token)
	}, tally{401: crowd}, 4}, // Preload, and one look for a key that there is no more
	{"rotated while it can't be reached, new key", func(s scene) tally {
		s.warm()
		s.issuer.Rotate()
		s.issuer.fails(unreachable)
		return s.crowd(s.issuer.lasting())
	}, tally{503: crowd}, 2},
	{"the clock jumps by -48 h", jump(-48*time.Hour, true), tally{200: crowd}, 1},
	{"the clock jumps by -48 h, nobody is reached", jump(-48*time.Hour, false), tally{200: crowd}, 1},
	{"the clock jumps by 48 h", jump(48*time.Hour, true), tally{200: crowd}, 2}, // metadata are as old as the keys
	{"the clock jumps by 48 h, nobody is reached", jump(48*time.Hour, false), tally{503: crowd}, 2},
}

func jump(d time.Duration, reached bool) func(scene) tally {
	return func(s scene) tally {
		clock := popauthtest.NewClock(time.Now())
		s.keys = s.issuer.keys(s.T, popauth.RemoteKeysOptions{Now: clock.Now})
		s.api = newKeyedAPI(s.T, s.issuer.URL, s.keys, clock.Now)
		s.token = s.issuer.Token(popauthtest.Claims{
			"iat": clock.Now().Add(-100 * time.Hour).Unix(), "exp": clock.Now().Add(100 * time.Hour).Unix(),
		})
		s.warm()
		clock.Advance(d)
		if !reached {
			s.issuer.fails(unreachable)
		}
		return s.crowd(s.token)
	}
}

// What may happen around a good issuer, with a crowd on the way.
func TestKeyEvents(t *testing.T) {
	issuer := newMemoryIssuer(t, "RS256")
	issuer.takes(100 * time.Millisecond)
	var table strings.Builder
	for _, event := range keyEvents {
		t.Run(event.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer.fails(nil)
				issuer.calls.Store(0)
				keys := issuer.keys(t, popauth.RemoteKeysOptions{})
				got := event.happen(scene{t, issuer, keys, newKeyedAPI(t, issuer.URL, keys, nil), issuer.lasting()})
				time.Sleep(time.Minute)
				if got.String() != event.want.String() {
					t.Errorf("answers: got %v, want %v", got, event.want)
				}
				if n := issuer.calls.Load(); n != event.calls {
					t.Errorf("calls: got %d, want %d", n, event.calls)
				}
				fmt.Fprintf(&table, "%-48s %v %6d\n", event.name, got, issuer.calls.Load())
			})
		})
	}
	t.Logf("%d requests at once\n%-48s   200   401   503  calls\n%s", crowd, "", &table)
}

// The same on real connections: what a listener does is not what a pipe does.
func TestKeyFaultsOnTheWire(t *testing.T) {
	issuer := newFaultyIssuer(t)
	for _, f := range faults {
		if f.name == "redirects to another origin" { // a pipe tells where else it would have gone
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			front := popauthtest.NewServer(t, issuer)
			t.Cleanup(front.CloseClientConnections)
			issuer.Metadata = popauthtest.Claims{"issuer": front.URL, "jwks_uri": front.URL + "/jwks"}
			issuer.breaks(f)
			if f.serve == nil {
				front.Listener.Close()
			}
			timeout, want := 300*time.Millisecond, 503
			if f.heals {
				timeout, want = time.Minute, 200
			}
			keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{
				Issuer: front.URL, Client: front.Client(), Timeout: timeout, Wait: timeout,
			})
			if err != nil {
				t.Fatal(err)
			}
			token := issuer.Token(popauthtest.Claims{"iss": front.URL})
			api := newKeyedAPI(t, front.URL, keys, nil)
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if got := api.ask(t.Context(), token).Code; got != want {
						t.Errorf("status: got %d, want %d", got, want)
					}
				})
			}
			all.Wait()
			if (api.spy.Ran() > 0) != f.heals {
				t.Errorf("handler ran: %d times", api.spy.Ran())
			}
			noFetchLeft(t)
		})
		issuer.recovers()
	}
}
