package popauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// RemoteKeysOptions configure RemoteKeys.
type RemoteKeysOptions struct {
	_ [0]func()

	// Issuer is where discovery starts: its OpenID Connect or RFC 8414 metadata, whose issuer must be this to the
	// letter, names the JWK Set. Either Issuer or URL must be set.
	Issuer string

	// URL is that of the JWK Set, for an issuer without metadata.
	URL string

	// Client makes the requests. Its redirects are limited to the origin asked. If nil, one of popauth's own.
	Client *http.Client

	// AllowLoopbackHTTP lets URLs be http if their host is a loopback address or localhost, for development. If
	// false, everything is https.
	AllowLoopbackHTTP bool

	// Timeout bounds one fetch, metadata included. If zero, 10 s.
	Timeout time.Duration

	// Wait is how long a request waits at most for a fetch that it needs. If zero, 5 s.
	Wait time.Duration

	// Refresh is the age at which keys are fetched anew, unless the issuer's Cache-Control or Expires says something
	// else between one minute and a day. If zero, one hour.
	Refresh time.Duration

	// MaxAge is the age after which keys that could not be fetched anew are no longer used. If zero, 24 hours.
	MaxAge time.Duration

	// Cooldown is the time between two fetches that are made because a token names an unknown key. If zero, 10 s.
	Cooldown time.Duration

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

// retryAfterFailure is the time between two fetches while the issuer can't be reached.
const retryAfterFailure = time.Second

// RemoteKeys are the keys of one issuer, fetched from it when they are first needed and kept fresh since. Requests
// that need the same fetch share it; it goes on when one of them ends, and no goroutine stays behind it. Make it with
// NewRemoteKeys; it is safe for concurrent use.
type RemoteKeys struct {
	options RemoteKeysOptions
	client  *http.Client
	choice  keyChoice
	current atomic.Pointer[fetched]

	mu       sync.Mutex
	flight   *flight
	next     time.Time            // no fetch before
	failed   error                // of the last fetch
	absent   map[string]time.Time // kids that a fetch has not found, and when
	location *url.URL             // of the JWK Set
}

// fetched is one state of the issuer's keys.
type fetched struct {
	keySet
	at      time.Time // when the issuer last said that these are its keys
	refresh time.Time
	etag    string
}

// flight is one fetch for all who wait.
type flight struct {
	done chan struct{}
	err  error
}

// NewRemoteKeys makes no request. The error lists every problem of the options.
func NewRemoteKeys(o RemoteKeysOptions) (*RemoteKeys, error) {
	var wrong []error
	k := &RemoteKeys{absent: map[string]time.Time{}}
	start, field := o.Issuer, "Issuer"
	if o.URL != "" {
		start, field = o.URL, "URL"
	}
	if (o.Issuer == "") == (o.URL == "") {
		wrong = append(wrong, errors.New("popauth: RemoteKeysOptions: either Issuer or URL must be set"))
	} else if u, err := o.parse(start); err != nil {
		wrong = append(wrong, fmt.Errorf("popauth: RemoteKeysOptions.%s: %w", field, err))
	} else if o.URL != "" {
		k.location = u
	}
	for _, d := range []struct {
		field string
		value *time.Duration
		zero  time.Duration
	}{
		{"Timeout", &o.Timeout, 10 * time.Second},
		{"Wait", &o.Wait, 5 * time.Second},
		{"Refresh", &o.Refresh, time.Hour},
		{"MaxAge", &o.MaxAge, 24 * time.Hour},
		{"Cooldown", &o.Cooldown, 10 * time.Second},
	} {
		if *d.value < 0 {
			wrong = append(wrong, fmt.Errorf("popauth: RemoteKeysOptions.%s: negative", d.field))
		}
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	k.options, k.client = o, o.httpClient()
	choice, err := newKeyChoice(remoteStorage{keys: k})
	k.choice = choice
	return k, err
}

// KeyfuncCtx returns keyfunc's choice of key for a token. The function waits for a fetch if it needs one, no longer
// than ctx and RemoteKeysOptions.Wait.
func (k *RemoteKeys) KeyfuncCtx(ctx context.Context) jwt.Keyfunc { return k.choice.KeyfuncCtx(ctx) }

// Preload fetches the keys now, for those who want to fail at start-up, and waits as long as ctx and Timeout.
func (k *RemoteKeys) Preload(ctx context.Context) error {
	k.mu.Lock()
	f := k.start()
	k.mu.Unlock()
	return f.wait(ctx, k.options.Timeout)
}

// Ready tells whether there are keys to verify tokens with.
func (k *RemoteKeys) Ready() bool { return k.usable(k.options.Now()) != nil }

// LastRefresh is when the issuer last gave its keys; zero if it never has.
func (k *RemoteKeys) LastRefresh() time.Time {
	if f := k.current.Load(); f != nil {
		return f.at
	}
	return time.Time{}
}

func (k *RemoteKeys) usable(now time.Time) *fetched {
	f := k.current.Load()
	if f == nil || now.Sub(f.at) >= k.options.MaxAge {
		return nil
	}
	return f
}

// remoteStorage shows the keys to keyfunc.
type remoteStorage struct {
	jwkset.Storage // nil: keyfunc only reads
	keys           *RemoteKeys
}

func (s remoteStorage) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	k := s.keys
	set, err := k.load(ctx)
	if err != nil {
		return jwkset.JWK{}, err
	}
	jwk, err := set.find(ctx, kid)
	if err == nil {
		return jwk, nil
	}
	if err := k.lookFor(ctx, kid); err != nil {
		return jwkset.JWK{}, err
	}
	if set = k.usable(k.options.Now()); set == nil {
		return jwkset.JWK{}, &Error{Reason: ErrUnavailable, Err: errNoKey}
	}
	return set.find(ctx, kid)
}

func (s remoteStorage) KeyReadAll(ctx context.Context) ([]jwkset.JWK, error) {
	set, err := s.keys.load(ctx)
	if err != nil {
		return nil, err
	}
	return set.all, nil
}

// load returns the keys. It waits only if there are none; old ones serve while new ones are on their way.
func (k *RemoteKeys) load(ctx context.Context) (*fetched, error) {
	now := k.options.Now()
	if set := k.usable(now); set != nil {
		if now.Before(set.refresh) && !now.Before(set.at.Add(-maxLeeway)) {
			return set, nil
		}
		k.mu.Lock()
		if k.due(now) {
			k.start()
		}
		k.mu.Unlock()
		return set, nil
	}
	k.mu.Lock()
	if k.flight == nil && !k.due(now) {
		err, wait := k.failed, k.next.Sub(now)
		k.mu.Unlock()
		return nil, &Error{Reason: ErrUnavailable, Err: outage{err, wait}}
	}
	f := k.start()
	k.mu.Unlock()
	if err := f.wait(ctx, k.options.Wait); err != nil {
		return nil, err
	}
	if set := k.usable(k.options.Now()); set != nil {
		return set, nil
	}
	return nil, &Error{Reason: ErrUnavailable, Err: errNoKey}
}

// maxAbsent bounds the memory of kids that do not exist.
const maxAbsent = 1024

// lookFor fetches the keys for a kid that is not among them, unless that was done a short while ago. It returns nil
// if the keys are now as new as they can be.
func (k *RemoteKeys) lookFor(ctx context.Context, kid string) error {
	now := k.options.Now()
	k.mu.Lock()
	f := k.flight
	if f == nil {
		since, known := k.absent[kid]
		if !k.due(now) || known && now.Sub(since) < k.options.Refresh {
			err, wait := k.failed, k.next.Sub(now)
			k.mu.Unlock()
			if err != nil {
				return &Error{Reason: ErrUnavailable, Err: outage{err, wait}}
			}
			return nil
		}
		f = k.start()
	}
	k.mu.Unlock()
	if err := f.wait(ctx, k.options.Wait); err != nil {
		return err
	}
	set := k.current.Load()
	if set != nil && len(set.byID[kid]) > 0 {
		return nil
	}
	k.mu.Lock()
	if len(k.absent) < maxAbsent {
		k.absent[kid] = now
	}
	k.mu.Unlock()
	return nil
}

// due tells whether a fetch may begin. A time to wait that is longer than any that was set means that the clock has
// jumped back. The caller holds mu.
func (k *RemoteKeys) due(now time.Time) bool {
	wait := k.next.Sub(now)
	return wait <= 0 || wait > max(k.options.Cooldown, retryAfterFailure)
}

// start returns the fetch in flight, and begins one if there is none. The caller holds mu.
func (k *RemoteKeys) start() *flight {
	if k.flight == nil {
		k.flight = &flight{done: make(chan struct{})}
		go k.fly(k.flight)
	}
	return k.flight
}

// fly fetches in a context of its own, so that no request's end spoils it for the others.
func (k *RemoteKeys) fly(f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), k.options.Timeout)
	defer cancel()
	k.mu.Lock()
	location := k.location
	k.mu.Unlock()
	set, location, err := k.fetch(ctx, location, k.current.Load())
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.options.Now()
	f.err, k.failed, k.flight = err, err, nil
	if err != nil {
		k.next = now.Add(retryAfterFailure)
		if k.options.URL == "" {
			k.location = nil // the issuer may have moved it
		}
	} else {
		k.next, k.location = now.Add(k.options.Cooldown), location
		k.current.Store(set)
		clear(k.absent)
	}
	close(f.done)
}

// wait returns when the fetch has ended, or with ErrUnavailable before that.
func (f *flight) wait(ctx context.Context, bound time.Duration) error {
	t := time.NewTimer(bound)
	defer t.Stop()
	var err error
	select {
	case <-f.done:
		if err = f.err; err == nil {
			return nil
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-t.C:
		err = errors.New("no keys in time")
	}
	return &Error{Reason: ErrUnavailable, Err: outage{err, retryAfterFailure}}
}

// outage is the failure of a fetch, with the time until the next.
type outage struct {
	error
	after time.Duration
}

func (o outage) Unwrap() error             { return o.error }
func (o outage) RetryAfter() time.Duration { return o.after }
