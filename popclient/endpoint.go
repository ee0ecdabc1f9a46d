package popclient

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

const (
	maxMetadata = time.Hour // how long an issuer's metadata count

	// maxLastKnown is how long the endpoint that they named counts while the issuer can't be reached.
	maxLastKnown = 24 * time.Hour
)

// endpoint is where the issuer has its token endpoint.
type endpoint struct {
	mu    sync.Mutex
	url   string
	at    time.Time // when the metadata were read
	moved bool      // perhaps: it is to be looked up before the next use

	algorithms []string // for proofs, as the metadata list them; nil if they don't

	paused string    // the last answer, by which the issuer wants to be left alone; "" if it doesn't
	until  time.Time // not to be asked before

	left map[string]leftAlone // the token endpoints that want to be, by URL
}

// leftAlone is the refusal of a token endpoint that isn't to be asked for a while, with whatever certificate.
type leftAlone struct {
	until   time.Time
	refusal error
}

func (l leftAlone) Error() string {
	return fmt.Sprintf("popclient: the token endpoint isn't asked before %s, as it wished: %v", l.until.UTC().Format(time.RFC3339),
		l.refusal)
}

func (l leftAlone) Unwrap() error { return l.refusal }

// leave notes what a token endpoint has failed with, if that says for how long it wants to be left alone.
func (e *endpoint) leave(at string, err error) {
	after := wanted(err)
	if after <= 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(e.left, func(_ string, l leftAlone) bool { return !now.Before(l.until) })
	if e.left == nil {
		e.left = map[string]leftAlone{}
	}
	e.left[at] = leftAlone{now.Add(after), err}
}

// alone is the error for a token endpoint that wants to be left alone.
func (e *endpoint) alone(at string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l, ok := e.left[at]; ok && time.Now().Before(l.until) {
		return l
	}
	return nil
}

// find asks the issuer's metadata, unless they are known. Those who come with two certificates at a time may ask twice.
func (e *endpoint) find(ctx context.Context, transport http.RoundTripper, issuer *discovery.Issuer, o MutualTLSOptions) (string, error) {
	if issuer == nil {
		return o.TokenURL, nil
	}
	e.mu.Lock()
	last, age, moved, paused, until := e.url, age(e.at), e.moved, e.paused, e.until
	e.mu.Unlock()
	if last != "" && age < maxMetadata && !moved {
		return last, nil
	}
	lastKnown := last != "" && age < maxLastKnown
	if paused != "" && time.Now().Before(until) {
		if lastKnown {
			return last, nil
		}
		return "", fmt.Errorf("popclient: the issuer isn't asked before %s, as it wished: %s", until.UTC().Format(time.RFC3339), paused)
	}
	if lastKnown { // some of the time is for the endpoint itself
		var cancel context.CancelFunc
		share := o.Timeout / 3
		if moved { // the endpoint has just failed: another one is what is looked for
			share = o.Timeout * 2 / 3
		}
		ctx, cancel = context.WithTimeout(ctx, share)
		defer cancel()
	}
	found, err := discovery.NewClient(&http.Client{Transport: transport}, time.Now).Find(ctx, issuer, "token_endpoint", true)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		if o.Key != nil { // nobody else minds
			if e.algorithms, err = discovery.ListOf(found.Metadata, proofAlgorithms); err != nil {
				return "", fmt.Errorf("popclient: metadata: %s: %w", proofAlgorithms, err)
			}
		}
		e.url, e.at, e.moved, e.paused = found.URL.String(), time.Now(), false, ""
		return e.url, nil
	}
	tries, _ := errors.AsType[discovery.Failures](err)
	err = fmt.Errorf("popclient: %w", err)
	if after := discovery.Pause(err, time.Now()); after > 0 {
		e.paused, e.until = err.Error(), time.Now().Add(after)
	}
	// Only because no metadata can be had: those that name no token endpoint are some.
	if lastKnown && tries.Away() {
		return last, nil
	}
	return "", err
}

// forget has the endpoint looked up before it is used again.
func (e *endpoint) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.moved = true
}

// age is how long ago something was. While a machine sleeps, the monotonic clock stands still, and the calendar goes on.
func age(at time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(at), now.Round(0).Sub(at.Round(0)))
}
