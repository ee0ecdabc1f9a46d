package popauthtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/seed-171ab058/popauth"
)

// ReplayStoreOptions tell TestReplayStore about the stores that it tests. The zero value fits one that goes by real
// time; the test takes some three seconds then.
type ReplayStoreOptions struct {
	_ [0]func()

	// Now is the clock that the stores go by. If nil, time.Now.
	Now func() time.Time

	// Advance moves that clock on. If nil, time.Sleep.
	Advance func(time.Duration)

	// Grace is how long after its time an id may still count as used. If zero, 1 s.
	Grace time.Duration

	// Fill is the number of ids, all good at the same time, that a store is given to see what it does when it is
	// full. For a store with a bound it should be higher than that. If zero, 500.
	Fill int

	// PerKey is the store's bound per key, at least 100: the test holds the store to exactly so many ids of one key. If
	// zero, it doesn't look for one.
	PerKey int

	// PerKeyGrace is how long after its time an id may still count towards PerKey. If zero, Grace.
	PerKeyGrace time.Duration

	// Shared says that the stores know of each other's ids, like those that stand for one database: what must happen
	// once, then happens once in all of them together.
	Shared bool
}

// TestReplayStore fails the test if a dpop.ReplayStore doesn't do what its documentation says: if of many calls at
// once not exactly one is told that an id is fresh; if ids that differ in anything are taken for one another; if an id
// is forgotten before its time, by a store that is full, or never; if an id is fresh whose time is over, or though ctx
// has ended or there is an error; if a later call changes the time of an id; if one key uses up the ids of another. What
// the failures have in common is that a proof could be used twice, or a good one not once. With PerKey the test also
// fails if one key gets more than that, at once or one after the other, or less, or is in another's way.
//
// newStore returns an empty store at every call, or, if Shared is set, another view of the same one; keys are different
// in every run. A test that passes says nothing about outages and restarts of what a store depends on, and can't show that
// no two calls ever meet in a gap of nanoseconds.
func TestReplayStore[Store interface {
	Use(ctx context.Context, key, id string, until time.Time) (fresh bool, err error)
}](tb TB, newStore func() Store, o ReplayStoreOptions) {
	tb.Helper()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Advance == nil {
		o.Advance = time.Sleep
	}
	if o.Grace == 0 {
		o.Grace = time.Second
	}
	if o.Fill == 0 {
		o.Fill = 500
	}
	if o.PerKeyGrace == 0 {
		o.PerKeyGrace = o.Grace
	}
	r := &replayTest{ReplayStoreOptions: o, newStore: func() replayStore { return newStore() }, run: rand.Text()}
	tests := []func(){
		r.testOnce, r.testIDs, r.testKeys, r.testAtOnce, r.testManyAtOnce, r.testOver, r.testContext, r.testTime,
	}
	if o.PerKey > 0 {
		tests = append(tests, r.testPerKey)
	}
	for i, test := range tests {
		r.found, r.key = 0, fmt.Sprint("key ", i)
		test()
	}
	if r.problems != nil {
		tb.Fatalf("popauthtest: not what dpop.ReplayStore demands:\n%v", errors.Join(r.problems...))
	}
}

// replayStore is a dpop.ReplayStore. This package is for those who don't use DPoP, too.
type replayStore interface {
	Use(ctx context.Context, key, id string, until time.Time) (fresh bool, err error)
}

// replayTest is one run of TestReplayStore.
type replayTest struct {
	ReplayStoreOptions
	newStore func() replayStore
	run      string // in every key, since a database may know those of the run before
	key      string // of the check that is running, which has no more than 100 ids

	mu       sync.Mutex
	problems []error
	found    int // by the check that is running
}

func (r *replayTest) problem(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	const enough = 5
	if r.found++; r.found <= enough {
		r.problems = append(r.problems, fmt.Errorf(format, args...))
	}
}

// stores are two that must act as one.
func (r *replayTest) stores() [2]replayStore {
	one := r.newStore()
	if r.Shared {
		return [2]replayStore{one, r.newStore()}
	}
	return [2]replayStore{one, one}
}

// use asks the store for an id of the check's key.
func (r *replayTest) use(store replayStore, id string, until time.Time) (bool, error) {
	return r.useOf(store, r.key, id, until)
}

// useOf asks the store, and holds it to the rule about errors.
func (r *replayTest) useOf(store replayStore, key, id string, until time.Time) (bool, error) {
	fresh, err := store.Use(context.Background(), r.run+key, id, until)
	if fresh && err != nil {
		r.problem("Use: got fresh with the error %v, want false with every error", err)
	}
	return fresh && err == nil, err
}

func (r *replayTest) want(store replayStore, what, id string, until time.Time, want bool) {
	if fresh, err := r.use(store, id, until); fresh != want || err != nil {
		r.problem("%s: got %v, %v, want %v", what, fresh, err, want)
	}
}

// soon is a time that no check here lives to see.
func (r *replayTest) soon() time.Time { return r.Now().Add(10 * time.Minute) }

func (r *replayTest) testOnce() {
	stores, until := r.stores(), r.soon()
	r.want(stores[0], "first use of an id", "once", until, true)
	r.want(stores[0], "second use of an id", "once", until, false)
	r.want(stores[1], "third use of an id", "once", until, false)
	r.want(stores[0], "an id that is used, with a later time", "once", until.Add(time.Minute), false)
	r.want(stores[0], "another id", "other", until, true)
	far := r.Now().AddDate(10, 0, 0)
	first, _ := r.use(stores[0], "far", far)
	if again, _ := r.use(stores[1], "far", far); first && again {
		r.problem("an id that is good for ten years: got true twice, want it once at most")
	}
}

func (r *replayTest) testIDs() {
	stores, until := r.stores(), r.soon()
	long := strings.Repeat("long", 4096)
	ids := []string{
		"id", "ID", "id ", " id", "id\n", "id\r\n", "id\x00", "id\x00\x00", "i", "d", "%69d", "{id}", "{id}x", "id*", "id'",
		"\xff", "\xfe", "\xff\xff", "\ufffd", "\u00e9", "e\u0301", "\x00", long, long + "a", long + "b", "a" + long,
	}
	for _, id := range ids {
		r.want(stores[0], fmt.Sprintf("first use of %.20q beside similar ids", id), id, until, true)
	}
	for _, id := range ids {
		r.want(stores[1], fmt.Sprintf("second use of %.20q", id), id, until, false)
	}
}

// together calls f from n goroutines that start at the same time, and waits for them.
func together(n int, f func(g int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for g := range n {
		wg.Go(func() {
			<-start
			f(g)
		})
	}
	close(start)
	wg.Wait()
}

// once uses an id from many goroutines and both stores at once.
func (r *replayTest) once(stores [2]replayStore, what, id string, until time.Time) bool {
	var mu sync.Mutex
	var failed error
	n := 0
	const callers = 32
	together(callers, func(g int) {
		fresh, err := r.use(stores[g%2], id, until)
		mu.Lock()
		defer mu.Unlock()
		if fresh {
			n++
		}
		if err != nil {
			failed = err
		}
	})
	if n != 1 || failed != nil {
		r.problem("%s, %d calls at once: got true %d times, error %v, want it once and no error", what, callers, n, failed)
		return false
	}
	return true
}

func (r *replayTest) testAtOnce() {
	stores, until := r.stores(), r.soon()
	for i := range 100 {
		if !r.once(stores, "an id", fmt.Sprint("at once ", i), until) {
			return
		}
	}
}

func (r *replayTest) testManyAtOnce() {
	stores, until := r.stores(), r.soon()
	const goroutines, ids = 20, 50
	var mu sync.Mutex
	var fresh [ids]int
	together(goroutines, func(g int) {
		for k := range ids {
			i := (k + g/4*7) % ids // four in step, the others elsewhere
			ok, err := r.use(stores[g%2], fmt.Sprint("many ", i), until)
			mu.Lock()
			if ok {
				fresh[i]++
			}
			mu.Unlock()
			if err != nil {
				r.problem("many ids at once: got error %v", err)
			}
		}
	})
	for i, n := range fresh {
		if n != 1 {
			r.problem("many ids at once, number %d: got true %d times, want it once", i, n)
		}
	}
}

func (r *replayTest) testOver() {
	store := r.newStore()
	for i, until := range []time.Time{r.Now().Add(-time.Millisecond), r.Now().Add(-time.Hour), time.Unix(0, 0), {}} {
		for range 2 {
			if fresh, _ := r.use(store, fmt.Sprint("over ", i), until); fresh {
				r.problem("an id whose time was over at %v: got true, want it never", until)
			}
		}
	}
}

func (r *replayTest) testContext() {
	store := r.newStore()
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	late, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	for _, ctx := range []context.Context{canceled, late} {
		// That of an id that was never used, since only for that could true have been the answer.
		if fresh, err := store.Use(ctx, r.run+r.key, ctx.Err().Error(), r.soon()); fresh || err == nil {
			r.problem("context that has ended (%v): got %v, %v, want false and an error", ctx.Err(), fresh, err)
		}
	}
}

// testTime waits once for all that has to do with an id's time.
func (r *replayTest) testTime() {
	// A fraction shows who rounds down.
	const life = 1999*time.Millisecond + 1
	stores, full := r.stores(), r.newStore()
	until := r.Now().Add(life)
	r.want(stores[0], "an id for two seconds", "time", until, true)
	r.want(stores[0], "an id for two seconds", "shorter", until, true)
	r.want(stores[0], "an id that is used, with an earlier time", "shorter", r.Now().Add(life/8), false)
	r.want(stores[0], "an id for two seconds", "later", until, true)
	r.want(stores[1], "an id that is used, with a later time", "later", r.soon(), false)
	const again = 10
	for i := range again {
		r.want(stores[0], "an id for two seconds", fmt.Sprint("again ", i), until, true)
	}
	held := r.fill(full, "full", until)

	r.unforgotten(stores[1], until)

	r.wait(until.Add(r.Grace))
	until = r.soon()
	for i := range again {
		if !r.once(stores, "an id whose time was over", fmt.Sprint("again ", i), until) {
			break
		}
	}
	r.once(stores, "an id whose time was over, asked for with a later time before", "later", until)
	if n := r.fill(full, "full again", until); held > 0 && n == 0 {
		r.problem("a store that had %d ids: got none accepted after their time, want room for new ones", held)
	}
}

// fill gives the store more than it may have room for, and returns how many ids it accepted. It may refuse the others,
// but not forget for them.
func (r *replayTest) fill(store replayStore, name string, until time.Time) int {
	var held []string
	for i := range r.Fill {
		id := fmt.Sprint(name, " ", i)
		// Each is of a key of its own, since it is the bound on all that is looked for.
		if fresh, err := r.useOf(store, id, id, until); fresh {
			held = append(held, id)
		} else if errors.Is(err, popauth.ErrProofLimit) {
			r.problem("a store with %d ids, a key with none: got %v, want true or another error", len(held), err)
			break
		} else if err == nil {
			r.problem("a store with %d ids, a new one: got false, want true or an error", len(held))
			break
		}
	}
	forgotten := 0
	for _, id := range held {
		if fresh, _ := r.useOf(store, id, id, until); fresh && !r.Now().After(until) {
			forgotten++
		}
	}
	if forgotten > 0 {
		r.problem("a store with %d ids: got true again for %d of them before their time", len(held), forgotten)
	}
	return len(held)
}

// unforgotten watches the ids through their last moment.
func (r *replayTest) unforgotten(store replayStore, until time.Time) {
	r.wait(until.Add(-100 * time.Millisecond))
	for now := r.Now(); !now.After(until); now = r.Now() {
		for _, id := range []string{"time", "shorter"} {
			// With until itself, a store that rounds it down would refuse the id as over instead of accepting it.
			// What the clock shows afterwards decides: real time doesn't wait for an answer.
			if fresh, _ := r.use(store, id, r.soon()); fresh && !r.Now().After(until) {
				r.problem("an id (%s) %v before its time is over: got true, want false", id, until.Sub(now))
				return
			}
		}
		r.Advance(min(max(until.Sub(now), 1), 20*time.Millisecond))
	}
}

func (r *replayTest) wait(t time.Time) {
	for now := r.Now(); !now.After(t); now = r.Now() {
		r.Advance(t.Sub(now) + 1)
	}
}
