package simulation

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// memory answers like an issuer, without a network, and remembers when.
type memory struct {
	mu    sync.Mutex
	keys  string
	began time.Time
	asked []time.Duration
}

func (m *memory) RoundTrip(*http.Request) (*http.Response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, time.Since(m.began))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(m.keys))}, nil
}

func (m *memory) remoteKeys(t *testing.T, f Fleet) *popauth.RemoteKeys {
	t.Helper()
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{
		URL: "https://id.example.com/jwks", Client: &http.Client{Transport: m},
		Refresh: f.Refresh, MaxAge: f.MaxAge,
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// ask is what a request under this key does.
func ask(keys *popauth.RemoteKeys, kid string) error {
	_, err := keys.KeyfuncCtx(context.Background())(&jwt.Token{
		Method: jwt.SigningMethodES256, Header: map[string]any{"alg": "ES256", "kid": kid},
	})
	return err
}

func kidOf(t *testing.T, issuer *popauthtest.Issuer) string {
	t.Helper()
	token, _, err := jwt.NewParser().ParseUnverified(issuer.Token(), jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	kid, _ := token.Header["kid"].(string)
	return kid
}

// The model fetches when RemoteKeys do: as often, as far apart and as evenly.
func TestFetchesAreThoseOfRemoteKeys(t *testing.T) {
	f := Defaults()
	f.Instances, f.Requests = 100, 0.2
	const span = 6 * time.Hour
	issuer := popauthtest.NewIssuer(t, "ES256")
	kid := kidOf(t, issuer)
	synctest.Test(t, func(t *testing.T) {
		m := &memory{keys: string(issuer.JWKS()), began: time.Now()}
		var all sync.WaitGroup
		for range f.Instances {
			all.Go(func() {
				r := rand.New(rand.NewPCG(rand.Uint64(), 0))
				time.Sleep(within(r, f.Start+1) + f.pause(r))
				for keys := m.remoteKeys(t, f); time.Since(m.began) < span; time.Sleep(f.pause(r)) {
					if err := ask(keys, kid); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		synctest.Wait() // for fetches that nobody waits for
		model := f.Fetches(span)
		if got, want := len(m.asked), len(model); got < want*97/100 || got > want*103/100 {
			t.Errorf("fetches: RemoteKeys made %d, the model %d", got, want)
		}
		// The first instances that fetch again do so after four fifths of an hour, and all have within an hour.
		for name, fetches := range map[string][]time.Duration{"RemoteKeys": m.asked, "the model": model} {
			if n := number(fetches, 0, time.Minute); n != f.Instances {
				t.Errorf("%s: %d fetches in the first minute, want %d", name, n, f.Instances)
			}
			if n := number(fetches, time.Minute, 48*time.Minute); n != 0 {
				t.Errorf("%s: %d fetches before four fifths of an hour, want none", name, n)
			}
			if n := number(fetches, 48*time.Minute, 62*time.Minute); n != f.Instances {
				t.Errorf("%s: %d fetches in the first hour's last fifth, want %d", name, n, f.Instances)
			}
			if n := number(fetches, 48*time.Minute, 54*time.Minute); n < f.Instances*30/100 || n > f.Instances*70/100 {
				t.Errorf("%s: %d fetches in the first half of that, want about half of %d", name, n, f.Instances)
			}
		}
	})
}

func number(events []time.Duration, from, until time.Duration) int {
	n := 0
	for _, e := range events {
		if e >= from && e < until {
			n++
		}
	}
	return n
}

// For the same arrivals the model fetches at the moment at which RemoteKeys do: with the first, however short ago they
// have fetched. None is refused.
func TestRotationIsThatOfRemoteKeys(t *testing.T) {
	f := Defaults()
	f.Requests = 50
	old, next := popauthtest.NewIssuer(t, "ES256"), popauthtest.NewIssuer(t, "ES256")
	before, after := kidOf(t, old), kidOf(t, next)
	const lifetime = 10 * time.Minute
	for i := range 50 {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		last := -[]time.Duration{time.Minute, 10 * time.Second, time.Second, 0}[i%4]
		var arrivals []time.Duration
		for arrival := f.arrivals(r, lifetime); len(arrivals) < 500; {
			arrivals = append(arrivals, arrival())
		}
		synctest.Test(t, func(t *testing.T) {
			m := &memory{keys: string(old.JWKS()), began: time.Now().Add(-last)}
			keys := m.remoteKeys(t, f)
			if err := ask(keys, before); err != nil {
				t.Fatal(err)
			}
			time.Sleep(-last)
			m.mu.Lock()
			m.keys = string(next.JWKS())
			m.mu.Unlock()
			refused := 0
			for _, a := range arrivals {
				time.Sleep(time.Until(m.began.Add(a)))
				switch err := ask(keys, after); {
				case errors.Is(err, popauth.ErrTokenKey):
					refused++
				case err != nil:
					t.Fatal(err)
				}
			}
			if refused != 0 || len(m.asked) != 2 || m.asked[1] != arrivals[0] {
				t.Errorf("last fetch %v: RemoteKeys fetched at %v and refused %d, the model at %v and none",
					last, m.asked[1:], refused, arrivals[0])
			}
		})
	}
}

// The same seed gives the same figures.
func TestDeterministic(t *testing.T) {
	f := Defaults()
	f.Instances = 1000
	if a, b := f.Fetches(3*time.Hour), f.Fetches(3*time.Hour); !slices.Equal(a, b) {
		t.Error("fetches differ")
	}
	if a, b := f.Rotate(time.Hour, time.Second), f.Rotate(time.Hour, time.Second); !slices.Equal(a.Fetches, b.Fetches) ||
		a.Waited != b.Waited {
		t.Error("rotations differ")
	}
	if a, b := Misses(100, 500, 10, 1), Misses(100, 500, 10, 1); !slices.Equal(a, b) {
		t.Error("misses differ")
	}
}
