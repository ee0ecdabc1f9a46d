package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-171ab058/popauth"
)

// Flood is what tokens under made-up key names did to an API.
type Flood struct {
	Interval, Span time.Duration
	Sent           int64 // made-up tokens
	Fetches        int64 // of the issuer's keys meanwhile
	Good           int64 // good tokens meanwhile
	HeldUp         int64 // of these, took more than half of the time that a fetch takes
}

// FloodOf sends made-up tokens to popauth for a while, whose issuer takes a tenth of a second for an answer, and good
// ones beside them. Interval is RemoteKeysOptions.Cooldown.
func FloodOf(ctx context.Context, interval, span time.Duration) (Flood, error) {
	const latency = 100 * time.Millisecond
	t := &Program{}
	defer t.Close()
	f := NewFixture(t)
	guard, err := f.API("RS256").popauth(ctx, few, popauth.RemoteKeysOptions{Cooldown: interval})
	if err != nil {
		return Flood{}, err
	}
	h := guard.Authenticate(handler)
	token := f.Tokens("RS256", 1)[0]
	var fetches atomic.Int64
	keys := f.issuer.JWKS()
	f.issuer.Handle("/jwks", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		time.Sleep(latency)
		_, _ = w.Write(keys) // a reader that has gone away is none of its business
	}))
	time.Sleep(interval) // since the first fetch, so that the flood may cause one
	flood := Flood{Interval: interval, Span: span}
	var sent atomic.Int64
	var crowd sync.WaitGroup
	end := time.Now().Add(span)
	for g := range 8 {
		crowd.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				recorded(h, request(f.owner, "Bearer", madeUp(token, fmt.Sprint(g, "-", n))))
				sent.Add(1)
				time.Sleep(time.Millisecond)
			}
		})
	}
	for time.Now().Before(end) {
		start := time.Now()
		if status := recorded(h, request(f.owner, "Bearer", token)); status != reached {
			return Flood{}, fmt.Errorf("a good token beside the flood: status %d", status)
		}
		if time.Since(start) > latency/2 {
			flood.HeldUp++
		}
		flood.Good++
		time.Sleep(time.Millisecond)
	}
	crowd.Wait()
	flood.Sent, flood.Fetches = sent.Load(), fetches.Load()
	return flood, nil
}

// madeUp returns the token under a name that no key has.
func madeUp(token, kid string) string {
	_, rest, _ := strings.Cut(token, ".")
	header := fmt.Appendf(nil, `{"alg":"RS256","typ":"at+jwt","kid":%q}`, kid)
	return base64.RawURLEncoding.EncodeToString(header) + "." + rest
}
