package keys_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// scene is where an event happens: a good issuer a tenth of a second away, an API with no keys yet, a token.
type scene struct {
	*testing.T
	issuer *lab.MemoryIssuer
	keys   *popauth.RemoteKeys
	api    *lab.KeyedAPI
	token  string
}

// warm gives the API its keys and lets Cooldown pass.
func (s scene) warm() {
	s.Helper()
	s.api.Want(s.T, s.token, 200)
	time.Sleep(10 * time.Second)
	s.issuer.Calls.Store(0)
}

func (s scene) crowd(token string) lab.Tally {
	s.Helper()
	tokens := make([]string, lab.Crowd)
	for n := range tokens {
		tokens[n] = token
	}
	return s.api.Crowd(s.T, tokens)
}

var keyEvents = []struct {
	name   string
	happen func(scene) lab.Tally
	want   lab.Tally
	calls  int64
}{
	{"half of the clients leave during the first fetch", func(s scene) lab.Tally {
		return s.api.Leaving(s.T, s.token)
	}, lab.Tally{200: lab.Crowd / 2, 503: lab.Crowd / 2}, 2},
	{"half of them leave during a rotation's fetch", func(s scene) lab.Tally {
		s.warm()
		s.issuer.Rotate()
		return s.api.Leaving(s.T, s.issuer.Lasting())
	}, lab.Tally{200: lab.Crowd / 2, 503: lab.Crowd / 2}, 2},
	{"rotated, tokens of the new key", func(s scene) lab.Tally {
		s.warm()
		s.issuer.Rotate()
		return s.crowd(s.issuer.Lasting())
	}, lab.Tally{200: lab.Crowd}, 2},
	{"rotated, tokens of the old key", func(s scene) lab.Tally {
		s.warm()
		s.issuer.Rotate()
		if err := s.keys.Preload(s.Context()); err != nil {
			s.Error(err)
		}
		return s.crowd(s.token)
	}, lab.Tally{401: lab.Crowd}, 4}, // Preload, and one look for a key that there is no more
	{"rotated while it can't be reached, new key", func(s scene) lab.Tally {
		s.warm()
		s.issuer.Rotate()
		s.issuer.Fails(lab.Unreachable)
		return s.crowd(s.issuer.Lasting())
	}, lab.Tally{503: lab.Crowd}, 2},
	{"the clock jumps by -48 h", jump(-48*time.Hour, true), lab.Tally{200: lab.Crowd}, 1},
	{"the clock jumps by -48 h, nobody is reached", jump(-48*time.Hour, false), lab.Tally{200: lab.Crowd}, 1},
	{"the clock jumps by 48 h", jump(48*time.Hour, true), lab.Tally{200: lab.Crowd}, 2}, // metadata are as old as the keys
	{"the clock jumps by 48 h, nobody is reached", jump(48*time.Hour, false), lab.Tally{503: lab.Crowd}, 2},
}

func jump(d time.Duration, reached bool) func(scene) lab.Tally {
	return func(s scene) lab.Tally {
		clock := popauthtest.NewClock(time.Now())
		s.keys = s.issuer.KeySet(s.T, popauth.RemoteKeysOptions{Now: clock.Now})
		s.api = lab.NewKeyedAPI(s.T, s.issuer.URL, s.keys, clock.Now)
		s.token = s.issuer.Token(popauthtest.Claims{
			"iat": clock.Now().Add(-100 * time.Hour).Unix(), "exp": clock.Now().Add(100 * time.Hour).Unix(),
		})
		s.warm()
		clock.Advance(d)
		if !reached {
			s.issuer.Fails(lab.Unreachable)
		}
		return s.crowd(s.token)
	}
}

// What may happen around a good issuer, with a crowd on the way.
func TestKeyEvents(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t, "RS256")
	issuer.Takes(100 * time.Millisecond)
	var table strings.Builder
	for _, event := range keyEvents {
		t.Run(event.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer.Fails(nil)
				issuer.Calls.Store(0)
				keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
				got := event.happen(scene{t, issuer, keys, lab.NewKeyedAPI(t, issuer.URL, keys, nil), issuer.Lasting()})
				time.Sleep(time.Minute)
				if got.String() != event.want.String() {
					t.Errorf("answers: got %v, want %v", got, event.want)
				}
				if n := issuer.Calls.Load(); n != event.calls {
					t.Errorf("calls: got %d, want %d", n, event.calls)
				}
				fmt.Fprintf(&table, "%-48s %v %6d\n", event.name, got, issuer.Calls.Load())
			})
		})
	}
	t.Logf("%d requests at once\n%-48s   200   401   503  calls\n%s", lab.Crowd, "", &table)
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
			api := lab.NewKeyedAPI(t, front.URL, keys, nil)
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if got := api.Ask(t.Context(), token).Code; got != want {
						t.Errorf("status: got %d, want %d", got, want)
					}
				})
			}
			all.Wait()
			if (api.Spy.Ran() > 0) != f.heals {
				t.Errorf("handler ran: %d times", api.Spy.Ran())
			}
			lab.NoFetchLeft(t)
		})
		issuer.recovers()
	}
}
