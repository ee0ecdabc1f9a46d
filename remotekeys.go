package popauth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/backoff"
	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// RemoteKeysOptions configure RemoteKeys.
type RemoteKeysOptions struct {
	_ [0]func()

	// Issuer is where discovery starts: its OpenID Connect or RFC 8414 metadata, whose issuer must be this to the
	// letter, names the JWK Set. The four places in use are asked in turn. The JWK Set may be on another host, but inside
	// of a network only if the issuer is there too. Either Issuer or URL must be set.
	Issuer string

	// MetadataURL is where the metadata is, for an issuer whose metadata is at none of the usual places, or whose own
	// address can't be reached from here. The metadata's issuer must be Issuer all the same, which then need not be a URL.
	// If empty, the usual places are asked.
	MetadataURL string

	// URL is that of the JWK Set, for an issuer without metadata.
	URL string

	// Client makes the requests. Redirects to another origin are not followed, whatever it says. If nil, one of
	// popauth's own, which uses the proxy of the environment, and connects to a host that the metadata names only if its
	// address is outside of networks, or the issuer's address is inside too. A Client with a Transport of its own has to
	// judge addresses itself (net.Dialer.Control); so has a proxy. Only a host that is written as an address is refused then.
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
	// instances spread. An issuer that says no-store or no-cache about everything, or an Expires that is no date, is asked once
	// a minute; if Refresh is set, as often as that says. The fetch is made beside the requests; one that comes more than a tenth
	// later, when nobody has asked since, waits for it. The metadata, too, is asked again where the keys are before what it said is older
	// than Refresh. If zero, one hour.
	Refresh time.Duration

	// MaxAge is the age after which keys that could not be fetched anew are no longer used. If zero, 24 hours.
	MaxAge time.Duration

	// Cooldown is the time between two fetches that are made because tokens name unknown keys; no other fetch begins
	// it, so the first unknown key is looked for at once. A wrong signature counts as an unknown key, once the keys are older than
	// this and if the token would pass otherwise. A key that is not found is looked for again after this time,
	// then twice this time, and so on up to a minute. If zero, 10 s.
	Cooldown time.Duration

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

// RemoteKeys are the keys of one issuer, fetched from it when they are first needed and kept fresh since. Requests
// that need the same fetch share it; it goes on when one of them ends, and no goroutine stays behind it. While the
// issuer can't be reached, the keys it gave last serve up to MaxAge; after that errors wrap ErrUnavailable. So they do at once if
// its JWK Set has no usable key any more: that withdraws those from before. An issuer that
// answers 429 or 503 with Retry-After is left alone for that time, ten minutes at most. An error about a key that the
// issuer does not have wraps ErrTokenKey. How a token names its key is as with StaticKeys. Make it with NewRemoteKeys,
// without which it has no keys; it is safe for concurrent use.
type RemoteKeys struct {
	options  RemoteKeysOptions
	client   *http.Client
	guarded  bool          // the transport is ours: it judges addresses
	floor    time.Duration // how long keys serve at least, if the issuer wants no memory of them
	issuer   *url.URL      // what URLs in the metadata are held against; nil if the JWK Set's URL is given
	metadata []*url.URL    // where the metadata may be
	url      *url.URL      // nil if it is found by discovery
	current  atomic.Pointer[fetched]
	begun    atomic.Int64              // fetches
	tried    atomic.Pointer[time.Time] // when a fetch last began in time, or ended; nil if none has
	watchers watchers

	failedSize atomic.Int64 // what failed needs, in bytes

	mu       sync.Mutex
	flight   *flight
	landed   int64            // the last fetch that has asked the metadata and brought keys
	pause    backoff.Interval // no fetch meanwhile
	quiet    backoff.Interval // the part of it that the issuer has asked for
	cooldown backoff.Interval // no fetch for unknown keys meanwhile
	failed   error            // of the last fetch
	failures int              // in a row
	absent   absences
}

// fetched is one state of the issuer's keys.
type fetched struct {
	*keySet  // the same as long as the document is
	document [sha256.Size]byte
	at       time.Time     // when the issuer last said that these are its keys
	lifetime time.Duration // after it they are fetched beside the requests
	limit    time.Duration // after it requests wait for that, if none came in time
	etag     string
	location *url.URL // of the JWK Set
	inside   bool     // the metadata came from inside of a network
	located  time.Time
}

// NewRemoteKeys makes no request. The error lists every problem of the options.
func NewRemoteKeys(o RemoteKeysOptions) (*RemoteKeys, error) {
	k := &RemoteKeys{floor: cmp.Or(o.Refresh, minRefresh)}
	var wrong []error
	problem := settings.Problems("popauth: RemoteKeysOptions", &wrong)
	var err error
	switch {
	case (o.Issuer == "") == (o.URL == ""):
		problem("Issuer", "either Issuer or URL must be set")
	case o.URL != "":
		if k.url, err = discovery.ParseURL(o.URL, o.AllowLoopbackHTTP); err != nil {
			problem("URL", "%w", err)
		}
		if o.MetadataURL != "" {
			problem("MetadataURL", "set, but URL says already where the keys are")
		}
	case o.MetadataURL != "":
		if k.issuer, err = discovery.ParseURL(o.MetadataURL, o.AllowLoopbackHTTP); err != nil {
			problem("MetadataURL", "%w", err)
		}
		k.metadata = []*url.URL{k.issuer}
	default:
		if k.issuer, err = discovery.ParseIssuer(o.Issuer, o.AllowLoopbackHTTP); err != nil {
			problem("Issuer", "%w", err)
		} else {
			k.metadata = discovery.Locations(k.issuer)
		}
	}
	settings.Duration(problem, "Timeout", &o.Timeout, 10*time.Second)
	settings.Duration(problem, "Wait", &o.Wait, 5*time.Second)
	settings.Duration(problem, "Refresh", &o.Refresh, time.Hour)
	settings.Duration(problem, "MaxAge", &o.MaxAge, 24*time.Hour)
	settings.Duration(problem, "Cooldown", &o.Cooldown, 10*time.Second)
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	k.options = o
	k.client, k.guarded = o.httpClient()
	return k, nil
}

// KeyfuncCtx returns keyfunc's choice of key for a token: several, to be tried in turn, where the issuer has given one name to
// several. The function waits for a fetch if it needs one, no longer than ctx and RemoteKeysOptions.Wait. It needs one if
// there are no keys, and if the token names one that is not among them and that the issuer has not been asked for a short
// while ago.
func (k *RemoteKeys) KeyfuncCtx(ctx context.Context) jwt.Keyfunc {
	if !k.made() {
		return func(*jwt.Token) (any, error) { return nil, ErrUnconfigured }
	}
	choose := chooseFrom(ctx, k)
	return func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		alg, _ := t.Header["alg"].(string)
		if key, ok := k.snapshot().known(kid, alg, issuerOf(t)); ok {
			return key, nil
		}
		return choose(t)
	}
}

func (k *RemoteKeys) snapshot() *keySet {
	if set, late := k.serving(); set != nil && !late {
		return set.keySet
	}
	return nil
}

func (k *RemoteKeys) find(ctx context.Context, w wanted) ([]any, *keySet, error) {
	before := k.begun.Load()
	ctx, cancel := k.patience(ctx)
	defer cancel()
	set, err := k.load(ctx)
	if err == nil && !set.has(w.keyID) {
		set, err = k.lookFor(ctx, sought{id: w.keyID}, before)
	}
	if err != nil {
		return nil, nil, unreached(ctx, err)
	}
	keys, err := set.find(w)
	return keys, set.keySet, err
}

// renewed tells whether the issuer has other keys than those that did not verify a token. It is asked once per Cooldown, as
// for an unknown key, and not about keys that are younger. The token may name no key, or one that has been replaced under
// its name. What began before the token was looked at, number before, is not the last word.
func (k *RemoteKeys) renewed(ctx context.Context, than *keySet, before int64) bool {
	ctx, cancel := k.patience(ctx)
	defer cancel()
	set, err := k.lookFor(ctx, sought{than: than}, before)
	return err == nil && set.keySet != than
}

// mayBeRenewed tells whether renewed would wait for other keys, or knows of some.
func (k *RemoteKeys) mayBeRenewed(than *keySet) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, set := k.options.Now(), k.current.Load()
	return set == nil || set.keySet != than || k.flight != nil ||
		k.due(now) && k.cooldown.Over(now) && !k.known(sought{than: than}, set, now)
}

// Preload fetches the keys now, whatever their age, and asks the metadata where they are: call it at start-up, so that
// a wrong issuer fails early, and after a key has been withdrawn. It waits for a fetch that is under way already, which
// may have been answered before the withdrawal, and makes another. Preload waits as long as ctx, and for each of the
// two as long as Timeout. An error changes nothing about the keys that there are, unless it says that the issuer has
// withdrawn them all.
func (k *RemoteKeys) Preload(ctx context.Context) error {
	if !k.made() {
		return ErrUnconfigured
	}
	return k.demand(ctx)
}

// Ready tells whether there are keys to verify tokens with. If not, it begins to fetch them and does not wait: a probe
// that lets no request through until there are keys would otherwise wait for ever.
func (k *RemoteKeys) Ready() bool {
	if !k.made() {
		return false
	}
	set, late := k.serving()
	if set != nil && !late {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.needed(k.options.Now())
	return set != nil
}

func (k *RemoteKeys) made() bool { return k != nil && k.client != nil }

// LastRefresh is when the issuer last gave its keys; zero if it never has, or has withdrawn them all.
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

// serving returns the keys if they may be used, and begins to fetch them anew if that is due. It never waits, not even
// for the lock: if that is taken, the next request begins. If they are late a request has to wait for that fetch, and begins it.
func (k *RemoteKeys) serving() (set *fetched, late bool) {
	now := k.options.Now()
	if set = k.current.Load(); set == nil {
		return nil, false
	}
	age := backoff.Since(set.at, now)
	// An age below zero is a clock that was set back.
	if age >= set.lifetime || age < -settings.MaxLeeway {
		if late = k.late(set, now); !late && k.mu.TryLock() {
			if k.due(now) && k.current.Load() == set { // else a fetch has ended meanwhile
				k.start(false, false)
			}
			k.mu.Unlock()
		}
	}
	if age >= k.options.MaxAge {
		return nil, false
	}
	return set, late
}

// late tells whether nobody has asked the issuer when it was time. Where requests come all the time, the keys are fetched
// beside them. After a quiet night the keys may have been withdrawn since, so the first request waits.
func (k *RemoteKeys) late(set *fetched, now time.Time) bool {
	if set == nil || backoff.Since(set.at, now) < set.limit {
		return false
	}
	tried := k.tried.Load()
	return tried == nil || backoff.Since(*tried, now) >= minRefresh
}

// usable returns the keys unless they are too old.
func (k *RemoteKeys) usable(set *fetched, now time.Time) *fetched {
	if set == nil || backoff.Since(set.at, now) >= k.options.MaxAge {
		return nil
	}
	return set
}

// load returns the keys. It waits if there are none, or if they are late; else old ones serve while new ones are on their
// way. Late ones serve if the fetch fails, or takes too long. They don't for a request that ends before: whoever hangs up
// would have them count.
func (k *RemoteKeys) load(ctx context.Context) (*fetched, error) {
	if set, late := k.serving(); set != nil && !late {
		return set, nil
	}
	k.mu.Lock()
	now := k.options.Now()
	old := k.usable(k.current.Load(), now)
	if old != nil && !k.late(old, now) { // a fetch has ended meanwhile
		k.mu.Unlock()
		return old, nil
	}
	f := k.needed(now)
	err := k.outage(now)
	k.mu.Unlock()
	if f == nil {
		return old, missing(old, err)
	}
	set, err := k.land(ctx, f)
	if err != nil && (ctx.Err() == nil || errors.Is(context.Cause(ctx), errSlowKeys)) {
		if old = k.usable(k.current.Load(), k.options.Now()); old != nil { // not if the issuer has withdrawn them all
			return old, nil
		}
	}
	return set, err
}
