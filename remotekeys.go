package popauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

// RemoteKeysOptions configure RemoteKeys.
type RemoteKeysOptions struct {
	_ [0]func()

	// Issuer is where discovery starts: its OpenID Connect or RFC 8414 metadata, whose issuer must be this to the
	// letter, names the JWK Set. That may be on another host, but on a private or loopback address only if the issuer
	// is on one too. Either Issuer or URL must be set.
	Issuer string

	// URL is that of the JWK Set, for an issuer without metadata.
	URL string

	// Client makes the requests. Redirects to another origin are not followed, whatever it says. If nil, one of
	// popauth's own, which uses the proxy of the environment.
	Client *http.Client

	// AllowLoopbackHTTP lets URLs be http if their host is a loopback address or localhost, for development. If
	// false, everything is https.
	AllowLoopbackHTTP bool

	// Timeout bounds one fetch, metadata included. If zero, 10 s.
	Timeout time.Duration

	// Wait is how long a request waits at most for a fetch that it needs. If zero, 5 s.
	Wait time.Duration

	// Refresh is the age at which keys are fetched anew, unless the issuer's Cache-Control or Expires says something
	// else between one minute and a day. It is never more than half of MaxAge, and up to a fifth less, so that many
	// instances spread. If zero, one hour.
	Refresh time.Duration

	// MaxAge is the age after which keys that could not be fetched anew are no longer used. If zero, 24 hours.
	MaxAge time.Duration

	// Cooldown is the time between two fetches that are made because a token names an unknown key. A key that is not
	// found is looked for again after this time, then twice this time, and so on up to Refresh. If zero, 10 s.
	Cooldown time.Duration

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

// RemoteKeys are the keys of one issuer, fetched from it when they are first needed and kept fresh since. Requests
// that need the same fetch share it; it goes on when one of them ends, and no goroutine stays behind it. While the
// issuer can't be reached, the keys it gave last serve up to MaxAge; after that errors wrap ErrUnavailable. An error
// about a key that the issuer does not have wraps ErrTokenKey. Make it with NewRemoteKeys, without which it has no keys;
// it is safe for concurrent use.
type RemoteKeys struct {
	options RemoteKeysOptions
	client  *http.Client
	issuer  *url.URL // nil if the JWK Set's URL is given
	url     *url.URL // nil if it is found by discovery
	choice  keyChoice
	current atomic.Pointer[fetched]

	mu       sync.Mutex
	flight   *flight
	next     time.Time // no fetch before
	failed   error     // of the last fetch
	failures int       // in a row
	absent   map[string]absence
}

// fetched is one state of the issuer's keys.
type fetched struct {
	*keySet  // the same as long as the document is
	document [sha256.Size]byte
	at       time.Time // when the issuer last said that these are its keys
	lifetime time.Duration
	etag     string
	location *url.URL // of the JWK Set
	located  time.Time
}

// NewRemoteKeys makes no request. The error lists every problem of the options.
func NewRemoteKeys(o RemoteKeysOptions) (*RemoteKeys, error) {
	k := &RemoteKeys{absent: map[string]absence{}}
	var wrong []error
	problem := fieldProblems("RemoteKeysOptions", &wrong)
	var err error
	switch {
	case (o.Issuer == "") == (o.URL == ""):
		problem("Issuer", "either Issuer or URL must be set")
	case o.URL != "":
		if k.url, err = discovery.ParseURL(o.URL, o.AllowLoopbackHTTP); err != nil {
			problem("URL", "%w", err)
		}
	default:
		if k.issuer, err = discovery.ParseIssuer(o.Issuer, o.AllowLoopbackHTTP); err != nil {
			problem("Issuer", "%w", err)
		}
	}
	completeDurations(problem, duration{"Timeout", &o.Timeout, 10 * time.Second}, duration{"Wait", &o.Wait, 5 * time.Second},
		duration{"Refresh", &o.Refresh, time.Hour}, duration{"MaxAge", &o.MaxAge, 24 * time.Hour},
		duration{"Cooldown", &o.Cooldown, 10 * time.Second})
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	k.options, k.client = o, o.httpClient()
	k.choice = newKeyChoice(remoteStorage{keys: k})
	return k, nil
}

// KeyfuncCtx returns keyfunc's choice of key for a token. The function waits for a fetch if it needs one, no longer
// than ctx and RemoteKeysOptions.Wait. It needs one if there are no keys, and if the token names one that is not
// among them and that the issuer has not been asked for a short while ago.
func (k *RemoteKeys) KeyfuncCtx(ctx context.Context) jwt.Keyfunc {
	if !k.made() {
		return func(*jwt.Token) (any, error) { return nil, ErrUnconfigured }
	}
	return func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		alg, _ := t.Header["alg"].(string)
		if key, ok := k.snapshot().known(kid, alg, issuerOf(t)); ok {
			return key, nil
		}
		return k.choice.KeyfuncCtx(ctx)(t)
	}
}

func (k *RemoteKeys) snapshot() *keySet {
	if set := k.serving(); set != nil {
		return set.keySet
	}
	return nil
}

// Preload fetches the keys now, whatever their age: for those who want to fail at start-up, or know of a key that must
// no longer count. It waits as long as ctx and Timeout. An error changes nothing about the keys that there are.
func (k *RemoteKeys) Preload(ctx context.Context) error {
	if !k.made() {
		return ErrUnconfigured
	}
	k.mu.Lock()
	f := k.start()
	k.mu.Unlock()
	return f.wait(ctx, k.options.Timeout+time.Second) // the fetch's own end says more than this one
}

// Ready tells whether there are keys to verify tokens with. If not, it begins to fetch them and does not wait: a probe
// that lets no request through until there are keys would otherwise wait for ever.
func (k *RemoteKeys) Ready() bool {
	if !k.made() {
		return false
	}
	if k.serving() != nil {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.needed(k.options.Now())
	return false
}

func (k *RemoteKeys) made() bool { return k != nil && k.client != nil }

// LastRefresh is when the issuer last gave its keys; zero if it never has.
func (k *RemoteKeys) LastRefresh() time.Time {
	if !k.made() {
		return time.Time{}
	}
	if f := k.current.Load(); f != nil {
		return f.at
	}
	return time.Time{}
}

// LastError is why the last fetch failed; nil if it didn't. Old keys may serve in spite of it.
func (k *RemoteKeys) LastError() error {
	if !k.made() {
		return ErrUnconfigured
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

// remoteStorage shows the keys to keyfunc.
type remoteStorage struct {
	jwkset.Storage // nil: keyfunc only reads
	keys           *RemoteKeys
}

func (s remoteStorage) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	set, err := s.keys.load(ctx)
	if err != nil {
		return jwkset.JWK{}, err
	}
	if len(set.byID[kid]) == 0 && kid != "" && len(kid) <= maxKeyID {
		if set, err = s.keys.lookFor(ctx, kid, set); err != nil {
			return jwkset.JWK{}, err
		}
	}
	return set.find(ctx, kid)
}

func (s remoteStorage) KeyReadAll(ctx context.Context) ([]jwkset.JWK, error) {
	set, err := s.keys.load(ctx)
	if err != nil {
		return nil, err
	}
	return set.fitting(ctx), nil
}

// serving returns the keys if they may be used, and begins to fetch them anew if that is due. It never waits, not even
// for the lock: if that is taken, the next request begins.
func (k *RemoteKeys) serving() *fetched {
	set, now := k.current.Load(), k.options.Now()
	if set == nil {
		return nil
	}
	age := since(set.at, now)
	// An age below zero is a clock that was set back.
	if (age >= set.lifetime || age < -maxLeeway) && k.mu.TryLock() {
		if k.due(now) {
			k.start()
		}
		k.mu.Unlock()
	}
	if age >= k.options.MaxAge {
		return nil
	}
	return set
}

// usable returns the keys unless they are too old.
func (k *RemoteKeys) usable(set *fetched, now time.Time) *fetched {
	if set == nil || since(set.at, now) >= k.options.MaxAge {
		return nil
	}
	return set
}

// since counts the time that a machine was asleep, which the monotonic clock leaves out, and is not misled by a clock
// that was set back, as the wall clock is.
func since(at, now time.Time) time.Duration {
	return max(now.Sub(at), now.Round(0).Sub(at.Round(0)))
}

// load returns the keys. It waits only if there are none; old ones serve while new ones are on their way.
func (k *RemoteKeys) load(ctx context.Context) (*fetched, error) {
	if set := k.serving(); set != nil {
		return set, nil
	}
	k.mu.Lock()
	now := k.options.Now()
	if set := k.usable(k.current.Load(), now); set != nil { // a fetch has ended meanwhile
		k.mu.Unlock()
		return set, nil
	}
	f := k.needed(now)
	err := k.outage(now)
	k.mu.Unlock()
	if f == nil {
		return nil, err
	}
	return f.land(ctx, k.options.Wait)
}

// lookFor fetches the keys for a kid that is not among those of set, unless that was done a short while ago, and
// returns them as new as they can be.
func (k *RemoteKeys) lookFor(ctx context.Context, kid string, set *fetched) (*fetched, error) {
	k.mu.Lock()
	now := k.options.Now()
	if newer := k.current.Load(); newer != set {
		k.mu.Unlock()
		return newer, nil
	}
	asked := k.absent[kid].asked(now)
	if k.due(now) && (!asked || k.failed != nil) {
		k.start()
	}
	f, err := k.flight, k.outage(now)
	failing := err != nil && now.Sub(k.next) < k.options.Cooldown // nobody has asked for longer: it may be well again
	k.mu.Unlock()
	switch {
	case failing:
		return nil, err // at once: a made-up kid must not hold a request while the issuer is failing
	case asked, f == nil:
		return set, nil
	}
	newer, err := f.land(ctx, k.options.Wait)
	if err == nil && len(newer.byID[kid]) == 0 {
		k.miss(kid, newer.at)
	}
	return newer, err
}
