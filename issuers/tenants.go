package issuers

import (
	"crypto/sha256"
	"errors"
	"sync/atomic"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/backoff"
	"github.com/seed-171ab058/popauth/internal/memory"
)

// tenant is who decides about the tokens of an issuer.
type tenant struct {
	verifier popauth.Verifier
	resolved bool        // by Resolve
	proven   atomic.Bool // a genuine token has come
}

// resolution is what is known about an issuer: nothing but zero values if there is none.
type resolution struct {
	tenant *tenant
	stale  bool // it serves until there is another
	err    error
}

// tenants are the memories of Resolve's answers, apart, so that what proves nothing pushes out nothing that has: neither
// tokens that nobody has signed, nor made-up issuers.
type tenants struct {
	remember, maxAge, unknown time.Duration
	places                    int // of strangers
	budget                    *popauth.Budget

	proven    *memory.Recent[*tenant]  // of whom a genuine token has come
	strangers *memory.Recent[*tenant]  // the rest
	nobody    *memory.Recent[struct{}] // issuers that there are not
	failing   *memory.Recent[error]    // of whom Resolve could not tell
}

const (
	unknownIssuers = 1024
	provenBytes    = 8 << 20 // of keys and headers
	strangerBytes  = 4 << 20 // of keys
	fewestPlaces   = 16
)

func newTenants(o Options, b *popauth.Budget) *tenants {
	n := &tenants{
		remember: o.Remember, maxAge: o.MaxAge, unknown: o.RememberUnknown, places: max(fewestPlaces, o.Entries/2), budget: b,
		proven:  memory.NewRecent[*tenant](o.Entries, provenBytes),
		nobody:  memory.NewRecent[struct{}](unknownIssuers, 1<<20),
		failing: memory.NewRecent[error](unknownIssuers, 1<<20),
	}
	n.nobody.Ends, n.failing.Ends = true, true
	n.strangers = memory.NewRecent[*tenant](n.places, strangerBytes)
	out := func(t *tenant) { unwatch(t); retire(t.verifier) }
	n.proven.Out, n.strangers.Out = out, out
	return n
}

// known returns what counts about an issuer now.
func (n *tenants) known(key [sha256.Size]byte, now time.Time) (resolution, bool) {
	failure, failing := n.failing.Get(key, now)
	if t, left, ok := n.proven.Last(key, now); ok && left > n.remember-n.maxAge {
		return resolution{tenant: t, stale: left <= 0 && !failing}, true
	}
	if t, ok := n.strangers.Get(key, now); ok {
		return resolution{tenant: t}, true
	}
	if failing {
		return resolution{err: failure}, true
	}
	_, ok := n.nobody.Get(key, now)
	return resolution{}, ok
}

// lately tells whether a genuine token of the issuer has come.
func (n *tenants) lately(key [sha256.Size]byte) bool {
	_, _, ok := n.proven.Last(key, time.Time{})
	return ok
}

var errManyStrangers = errors.New("too many issuers at once of whom no genuine token has come yet")

// keep keeps the newer answer and takes the older ones out. It returns what counts of it.
func (n *tenants) keep(key [sha256.Size]byte, r resolution, now time.Time) resolution {
	switch {
	case r.err != nil:
		n.failing.Put(key, r.err, now, backoff.First, memory.ErrorSize(r.err))
		return r
	case r.tenant == nil:
		n.proven.Remove(key)
		n.strangers.Remove(key)
		n.nobody.Put(key, struct{}{}, now, n.unknown, 0)
	case n.lately(key): // its place is its own, whatever the new Verifier has shown yet
		r.tenant.proven.Store(true)
		n.place(key, r.tenant, now)
	default:
		n.replace(n.strangers, key, r.tenant)
		n.watch(key, r.tenant)
		if !n.strangers.PutPatiently(key, r.tenant, now, n.remember, n.places, n.unknown) {
			unwatch(r.tenant)
			return resolution{err: &popauth.Error{Reason: popauth.ErrOverloaded, Err: backoff.After(errManyStrangers, backoff.First)}}
		}
	}
	n.failing.Remove(key)
	if r.tenant != nil {
		n.nobody.Remove(key)
	}
	return r
}

// prove gives an issuer a place among the proven ones. The caller keeps others from changing the issuers.
func (n *tenants) prove(key [sha256.Size]byte, t *tenant) {
	if t.proven.Swap(true) {
		return
	}
	same := func(other *tenant) bool { return other == t }
	if k, ok := n.strangers.TakeIf(key, same); ok { // else it was removed, or is another by now
		n.place(key, t, k.Time.From)
	}
}

// place puts a tenant among the proven ones, who share a budget for what they remember.
func (n *tenants) place(key [sha256.Size]byte, t *tenant, now time.Time) {
	n.replace(n.proven, key, t)
	shareBudget(t.verifier, n.budget)
	n.watch(key, t)
	n.proven.Put(key, t, now, n.remember, sizeOf(t.verifier))
}

// watch has a tenant weighed anew when its keys have changed: nobody may ask for it again, and the keys stay.
func (n *tenants) watch(key [sha256.Size]byte, t *tenant) {
	for _, v := range parts[watched](t.verifier) {
		v.Watch(t, func() { n.weigh(key, t) })
	}
}

func unwatch(t *tenant) {
	for _, v := range parts[watched](t.verifier) {
		v.Unwatch(t)
	}
}

// weigh says what a tenant has come to need.
func (n *tenants) weigh(key [sha256.Size]byte, t *tenant) {
	m := n.strangers
	if t.proven.Load() {
		m = n.proven
	}
	m.Resize(key, func(other *tenant) bool { return other == t }, sizeOf(t.verifier))
}

// replace makes room for an issuer's next tenant.
func (n *tenants) replace(m *memory.Recent[*tenant], key [sha256.Size]byte, next *tenant) {
	if old, ok := m.TakeIf(key, func(*tenant) bool { return true }); ok {
		unwatch(old.Value)
		retireUnless(old.Value.verifier, next.verifier)
	}
}

// forget takes out all that is known about an issuer.
func (n *tenants) forget(key [sha256.Size]byte) {
	n.proven.Remove(key)
	n.strangers.Remove(key)
	n.nobody.Remove(key)
	n.failing.Remove(key)
}
