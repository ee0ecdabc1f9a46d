package keys

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/seed-171ab058/popauth/internal/backoff"
	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// RemoteOptions say how the keys of a Remote are fetched. All of them are set, but of Issuer and URL one.
type RemoteOptions struct {
	Client   *discovery.Client
	Issuer   *discovery.Issuer // whose metadata name the JWK Set
	URL      *url.URL          // of the JWK Set
	Timeout  time.Duration     // of one fetch, metadata included
	Wait     time.Duration     // of a request, at most
	Refresh  time.Duration     // the age at which keys are fetched anew
	Floor    time.Duration     // the same, of an issuer that wants no memory of them; a minute if zero
	MaxAge   time.Duration     // the age after which keys are no longer used
	Cooldown time.Duration     // between two fetches for unknown keys
	Now      func() time.Time
}

// Remote are the keys of one issuer, fetched from it when they are first needed and kept fresh since. It is safe for
// concurrent use.
type Remote struct {
	schedule
	wait time.Duration
}

// NewRemote makes no request.
func NewRemote(o RemoteOptions) *Remote {
	k := &Remote{wait: o.Wait}
	k.origin = origin{
		client: o.Client, issuer: o.Issuer, url: o.URL, floor: cmp.Or(o.Floor, minRefresh), refresh: o.Refresh, maxAge: o.MaxAge,
		now: o.Now,
	}
	k.timeout, k.cooldown = o.Timeout, o.Cooldown
	return k
}

// Snapshot returns the keys that count now, without waiting; nil if a request has to wait for some.
func (k *Remote) Snapshot() *Set {
	if set, late := k.serving(); set != nil && !late {
		return set.Set
	}
	return nil
}

// Find returns the keys to try for a token, and those that they are of. It waits for a fetch if it needs one, no longer than ctx
// and Wait. An error is a NotFoundError, or says with RetryAfter when to ask again, or that ctx has ended.
func (k *Remote) Find(ctx context.Context, w Wanted) ([]any, *Set, error) {
	before := k.begun.Load()
	ctx, cancel := k.patience(ctx)
	defer cancel()
	set, err := k.obtain(ctx)
	if err == nil && !set.Has(w.ID) {
		set, err = k.lookFor(ctx, sought{id: w.ID}, before)
	}
	if err != nil {
		return nil, nil, err
	}
	keys, err := set.Find(w)
	return keys, set.Set, err
}

// Renewed tells whether the issuer has other keys than those that did not verify a token. It is asked once per Cooldown, as
// for an unknown key, and not about keys that are younger. The token may name no key, or one that has been replaced under
// its name. What began before the token was looked at, number before, is not the last word.
func (k *Remote) Renewed(ctx context.Context, than *Set, before int64) bool {
	ctx, cancel := k.patience(ctx)
	defer cancel()
	set, err := k.lookFor(ctx, sought{than: than}, before)
	return err == nil && set.Set != than
}

// MayBeRenewed tells whether Renewed would wait for other keys, or knows of some.
func (k *Remote) MayBeRenewed(than *Set) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, set := k.origin.now(), k.current.Load()
	return set == nil || set.Set != than || k.flight != nil ||
		k.due(now) && k.unknown.Over(now) && !k.known(sought{than: than}, set, now)
}

// Fetches is how many fetches have begun.
func (k *Remote) Fetches() int64 { return k.begun.Load() }

// Preload fetches the keys now, whatever their age, and asks the metadata where they are.
func (k *Remote) Preload(ctx context.Context) error { return k.demand(ctx) }

// Load waits until there are keys that count, as Find does, but no longer than ctx.
func (k *Remote) Load(ctx context.Context) error {
	_, err := k.obtain(ctx)
	return err
}

// Ready tells whether there are keys to verify tokens with. If not, it begins to fetch them and does not wait: a probe
// that lets no request through until there are keys would otherwise wait for ever.
func (k *Remote) Ready() bool {
	set, late := k.serving()
	if set != nil && !late {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.needed(k.origin.now())
	return set != nil
}

// LastRefresh is when the issuer last gave its keys; zero if it never has, or has withdrawn them all.
func (k *Remote) LastRefresh() time.Time {
	if f := k.current.Load(); f != nil {
		return f.at
	}
	return time.Time{}
}

// LastError is why the last fetch failed; nil if it didn't. Old keys may serve in spite of it.
func (k *Remote) LastError() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

// Size is about what the keys need, in bytes, and what is known of those that there are not.
func (k *Remote) Size() int64 {
	size := absentSize + k.failedSize.Load()
	if set := k.current.Load(); set != nil {
		size += set.Size()
	}
	return size
}

// Watch has changed called whenever a fetch has ended, by which Size may be another. It is called before those who wait for the
// fetch go on, with the keys locked: of them it may ask for Size and Snapshot alone. Who is compared with ==, and has one func
// at a time.
func (k *Remote) Watch(who any, changed func()) { k.watchers.set(who, changed) }

// Unwatch ends that.
func (k *Remote) Unwatch(who any) { k.watchers.remove(who) }

// serving returns the keys if they may be used, and begins to fetch them anew if that is due. It never waits, not even
// for the lock: if that is taken, the next request begins. If they are late a request has to wait for that fetch, and begins it.
func (k *Remote) serving() (set *fetched, late bool) {
	now := k.origin.now()
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
	if age >= k.origin.maxAge {
		return nil, false
	}
	return set, late
}

var errSlowKeys = errors.New("no keys in time")

// patience bounds what a request waits.
func (k *Remote) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, k.wait, errSlowKeys)
}

// obtain returns the keys. It waits if there are none, or if they are late; else old ones serve while new ones are on their
// way. Late ones serve if the fetch fails, or takes too long. They don't for a request that ends before: whoever hangs up
// would have them count.
func (k *Remote) obtain(ctx context.Context) (*fetched, error) {
	if set, late := k.serving(); set != nil && !late {
		return set, nil
	}
	k.mu.Lock()
	now := k.origin.now()
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
		if old = k.usable(k.current.Load(), k.origin.now()); old != nil { // not if the issuer has withdrawn them all
			return old, nil
		}
	}
	return set, err
}
