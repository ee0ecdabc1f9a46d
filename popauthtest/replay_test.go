package popauthtest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// faultyStore is a correct ReplayStore but for its faults. It is kept simple instead of fast.
type faultyStore struct {
	now   func() time.Time
	bound int   // if not zero
	most  int   // per key, if not zero
	over  error // for an id whose time is over

	mu    sync.Mutex
	until map[string]time.Time
	order []string
	owned map[string][]time.Time // the times that count, by key

	// faults
	key       func(string) string                                            // what an id is remembered as
	name      func(key, id string) string                                    // what they are remembered as together
	whose     func(key string) string                                        // whose bound it is
	limit     error                                                          // beyond it
	bounded   func(known bool) bool                                          // who is refused beyond it
	keeps     bool                                                           // what is over counts
	end       func(time.Time) time.Time                                      // until when
	live      func(now, until time.Time) bool                                // whether that is over
	unlocked  func(known bool) bool                                          // check, then set
	ignoreCtx bool                                                           // works for a caller that has gone
	past      bool                                                           // takes ids whose time is over
	overwrite bool                                                           // another time for an id that is used
	lengthen  bool                                                           // a later time for an id that is used
	evict     bool                                                           // when it is full
	stuck     bool                                                           // once it is full
	answer    func(ctx context.Context, fresh bool, err error) (bool, error) // the last word
}

func (s *faultyStore) Use(ctx context.Context, key, id string, until time.Time) (bool, error) {
	fresh, err := s.use(ctx, key, id, until)
	if s.answer != nil {
		return s.answer(ctx, fresh, err)
	}
	return fresh, err
}

func (s *faultyStore) use(ctx context.Context, key, id string, until time.Time) (bool, error) {
	if err := ctx.Err(); err != nil && !s.ignoreCtx {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil {
		id = s.key(id)
	}
	whose := key
	if s.whose != nil {
		whose = s.whose(key)
	}
	if s.name == nil {
		s.name = func(key, id string) string { return fmt.Sprintf("%q %q", key, id) }
	}
	id = s.name(key, id)
	if s.end != nil {
		until = s.end(until)
	}
	live := func(until time.Time) bool {
		if s.live != nil {
			return s.live(s.now(), until)
		}
		return !s.now().After(until)
	}
	if !live(until) && !s.past {
		return false, s.over
	}
	old, known := s.until[id]
	if !s.keeps {
		s.owned[whose] = slices.DeleteFunc(s.owned[whose], func(t time.Time) bool { return !live(t) })
	}
	if s.most > 0 && len(s.owned[whose]) >= s.most && s.bounded(known && live(old)) {
		return false, s.limit
	}
	if known && live(old) {
		if s.overwrite || s.lengthen && until.After(old) {
			s.until[id] = until
		}
		return false, nil
	}
	if s.unlocked != nil && s.unlocked(known) {
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
	}
	if s.bound > 0 && len(s.until) >= s.bound && !s.room(live) {
		return false, errors.New("full")
	}
	s.until[id] = until
	s.order = append(s.order, id)
	s.owned[whose] = append(s.owned[whose], until)
	return true, nil
}

// room makes room for an id, if it can be had.
func (s *faultyStore) room(live func(time.Time) bool) bool {
	if s.evict {
		delete(s.until, s.order[0])
		s.order = s.order[1:]
		return true
	}
	if s.stuck {
		return false
	}
	s.order = slices.DeleteFunc(s.order, func(id string) bool {
		over := !live(s.until[id])
		if over {
			delete(s.until, id)
		}
		return over
	})
	return len(s.until) < s.bound
}

// testFaulty runs the test on stores with a fault, by a clock of their own, and returns what it has to say.
func testFaulty(t *testing.T, fault func(*faultyStore), o popauthtest.ReplayStoreOptions) string {
	t.Helper()
	var clock popauthtest.Clock
	o.Now, o.Advance, o.Grace = clock.Now, func(d time.Duration) { clock.Advance(d) }, time.Millisecond
	return failure(t, func(tb popauthtest.TB) {
		popauthtest.TestReplayStore(tb, func() dpop.ReplayStore {
			s := &faultyStore{
				now: clock.Now, until: map[string]time.Time{}, owned: map[string][]time.Time{},
				limit: popauth.ErrProofLimit, bounded: func(known bool) bool { return !known },
			}
			fault(s)
			return s
		}, o)
	})
}

func TestReplayStorePasses(t *testing.T) {
	for name, fault := range map[string]func(*faultyStore){
		"without faults": func(*faultyStore) {},
		"with a bound":   func(s *faultyStore) { s.bound = 300 },
		"rounding up": func(s *faultyStore) {
			s.end = func(u time.Time) time.Time { return u.Add(time.Millisecond - 1) }
		},
		"refusing by error what is over": func(s *faultyStore) { s.over = errors.New("over") },
	} {
		if message := testFaulty(t, fault, popauthtest.ReplayStoreOptions{}); message != "" {
			t.Errorf("%s: got failure %s", name, message)
		}
	}
}

func TestReplayStoreOfRealTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := &faultyStore{now: time.Now, until: map[string]time.Time{}, owned: map[string][]time.Time{}}
		popauthtest.TestReplayStore(t, func() dpop.ReplayStore { return one }, popauthtest.ReplayStoreOptions{Shared: true})
		one = &faultyStore{now: time.Now, until: map[string]time.Time{}, owned: map[string][]time.Time{},
			live: func(now, until time.Time) bool {
				return !now.After(until.Add(-time.Second))
			}}
		message := failure(t, func(tb popauthtest.TB) {
			popauthtest.TestReplayStore(tb, func() dpop.ReplayStore { return one }, popauthtest.ReplayStoreOptions{Shared: true})
		})
		if !strings.Contains(message, "before its time is over") {
			t.Errorf("got failure %q, want one about an early end", message)
		}
	})
}

// faults are stores that must not pass, and what the failure must say.
type faults []struct {
	name  string
	fault func(*faultyStore)
	want  string
}

func (f faults) test(t *testing.T) {
	t.Helper()
	for _, c := range f {
		t.Run(c.name, func(t *testing.T) {
			message := testFaulty(t, c.fault, popauthtest.ReplayStoreOptions{})
			if !strings.Contains(message, c.want) {
				t.Errorf("got failure %q, want one with %q", message, c.want)
			}
		})
	}
}

func TestReplayStoreFindsWrongAnswers(t *testing.T) {
	always := func(fresh bool, err error) func(*faultyStore) {
		return func(s *faultyStore) {
			s.answer = func(context.Context, bool, error) (bool, error) { return fresh, err }
		}
	}
	faults{
		{"always fresh", always(true, nil), "second use of an id: got true"},
		{"never fresh", always(false, nil), "first use of an id: got false"},
		{"always an error", always(false, errors.New("down")), "first use of an id: got false, down"},
		{"error and fresh", always(true, errors.New("down")), "got fresh with the error down"},
		{"error turned into fresh", func(s *faultyStore) {
			s.answer = func(_ context.Context, fresh bool, err error) (bool, error) { return fresh || err != nil, nil }
		}, "context that has ended (context canceled): got true"},
		{"error turned into used", func(s *faultyStore) {
			s.answer = func(_ context.Context, fresh bool, err error) (bool, error) { return fresh, nil }
		}, "context that has ended (context canceled): got false, <nil>"},
		{"context ignored", func(s *faultyStore) { s.ignoreCtx = true }, "context that has ended (context deadline exceeded): got true"},
		{"check, then set", func(s *faultyStore) { s.unlocked = func(bool) bool { return true } }, "an id, 32 calls at once"},
		{"check, then set, where one has expired", func(s *faultyStore) {
			s.unlocked = func(known bool) bool { return known }
		}, "an id whose time was over, 32 calls at once"},
	}.test(t)
}

func TestReplayStoreFindsWrongTimes(t *testing.T) {
	end := func(f func(time.Time) time.Time) func(*faultyStore) { return func(s *faultyStore) { s.end = f } }
	faults{
		{"never expires", func(s *faultyStore) {
			s.end = func(u time.Time) time.Time {
				if u.Before(s.now()) {
					return u
				}
				return u.AddDate(1, 0, 0)
			}
		}, "an id whose time was over, 32 calls at once: got true 0 times"},
		{"expires late", end(func(u time.Time) time.Time { return u.Add(time.Second) }), "32 calls at once: got true 0 times"},
		{"expires at until", func(s *faultyStore) {
			s.live = func(now, until time.Time) bool { return now.Before(until) }
		}, "0s before its time is over"},
		{"rounds down to seconds", end(func(u time.Time) time.Time { return u.Truncate(time.Second) }), "before its time is over"},
		{"rounds down to milliseconds", end(func(u time.Time) time.Time { return u.Truncate(time.Millisecond) }),
			"before its time is over"},
		{"expires after a fixed time", func(s *faultyStore) {
			s.end = func(u time.Time) time.Time { return s.now().Add(min(u.Sub(s.now()), time.Second)) }
		}, "before its time is over"},
		{"takes what is over", func(s *faultyStore) { s.past = true }, "an id whose time was over at"},
		{"takes another time", func(s *faultyStore) { s.overwrite = true }, "an id (shorter)"},
		{"takes a later time", func(s *faultyStore) { s.lengthen = true }, "asked for with a later time before"},
	}.test(t)
}

func TestReplayStoreFindsForgetting(t *testing.T) {
	key := func(f func(string) string) func(*faultyStore) { return func(s *faultyStore) { s.key = f } }
	faults{
		{"evicts when full", func(s *faultyStore) { s.bound, s.evict = 200, true }, "got true again for"},
		{"used when full", func(s *faultyStore) {
			s.bound = 200
			s.answer = func(ctx context.Context, fresh bool, err error) (bool, error) {
				if ctx.Err() != nil {
					return false, err
				}
				return fresh, nil
			}
		}, "a store with 200 ids, a new one: got false, want true or an error"},
		{"full for ever", func(s *faultyStore) { s.bound, s.stuck = 200, true }, "want room for new ones"},
		{"cuts long ids", key(func(id string) string { return id[:min(len(id), 64)] }), "beside similar ids"},
		{"ignores case", key(strings.ToLower), "beside similar ids"},
		{"trims space", key(strings.TrimSpace), "beside similar ids"},
		{"ends ids at NUL", key(func(id string) string { before, _, _ := strings.Cut(id, "\x00"); return before }), "beside similar ids"},
		{"makes ids UTF-8", key(func(id string) string { return strings.ToValidUTF8(id, "\ufffd") }), "beside similar ids"},
		{"keeps no long ids", key(func(id string) string {
			if len(id) > 1024 {
				return ""
			}
			return id
		}), "beside similar ids"},
	}.test(t)
}

func TestReplayStoreFindsKeysThatMeet(t *testing.T) {
	name := func(f func(key, id string) string) func(*faultyStore) { return func(s *faultyStore) { s.name = f } }
	between := func(s string) func(*faultyStore) { return name(func(key, id string) string { return key + s + id }) }
	const want = "first use of the id"
	faults{
		{"leaves out the key", name(func(_, id string) string { return id }), want},
		{"leaves out the id", name(func(key, _ string) string { return key }), "first use of"},
		{"joins them", between(""), want},
		{"joins them by a colon", between(":"), want},
		{"joins them by a brace", between("}"), want},
		{"joins them by NUL", between("\x00"), want},
		{"ignores case", name(func(key, id string) string { return strings.ToLower(key) + "\n" + id }), want},
		{"trims space", name(func(key, id string) string { return strings.TrimSpace(key) + "\n" + id }), want},
	}.test(t)
}

func TestReplayStorePerKey(t *testing.T) {
	const perKey = 100
	for _, c := range []struct {
		name  string
		fault func(*faultyStore)
		want  string
	}{
		{"as it should be", func(*faultyStore) {}, ""},
		{"no bound", func(s *faultyStore) { s.most = 0 }, "1000 ids of one key at once: got 1000 accepted, want 100"},
		{"one more", func(s *faultyStore) { s.most++ }, "got 101 accepted"},
		{"one less", func(s *faultyStore) { s.most-- }, "got 99 accepted"},
		{"one for all", func(s *faultyStore) { s.whose = func(string) string { return "" } },
			"an id of another key, while one has too many"},
		{"another error", func(s *faultyStore) { s.limit = errors.New("full") }, "want an error that wraps ErrProofLimit"},
		{"no error", func(s *faultyStore) { s.limit = nil }, "want an error that wraps ErrProofLimit"},
		{"hides replays", func(s *faultyStore) { s.bounded = func(bool) bool { return true } }, "a used id of a key with too many"},
		{"never again", func(s *faultyStore) { s.keeps = true }, "the second time: got false"},
		{"check, then set", func(s *faultyStore) { s.unlocked = func(bool) bool { return true } }, "ids of one key at once"},
		{"limit when full", func(s *faultyStore) {
			s.bound = 200
			s.answer = func(_ context.Context, fresh bool, err error) (bool, error) {
				if err != nil && err.Error() == "full" {
					err = popauth.ErrProofLimit
				}
				return fresh, err
			}
		}, "ids, a key with none: got too many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			message := testFaulty(t, func(s *faultyStore) {
				s.most = perKey
				c.fault(s)
			}, popauthtest.ReplayStoreOptions{PerKey: perKey})
			if !strings.Contains(message, c.want) || (c.want == "") != (message == "") {
				t.Errorf("got failure %q, want one with %q", message, c.want)
			}
		})
	}
}

func TestReplayStoreFindsStoresThatDoNotShare(t *testing.T) {
	message := testFaulty(t, func(*faultyStore) {}, popauthtest.ReplayStoreOptions{Shared: true})
	for _, want := range []string{"third use of an id", "second use of", "32 calls at once", "many ids at once"} {
		if !strings.Contains(message, want) {
			t.Errorf("got failure %q, want one with %q", message, want)
		}
	}
}

// A bound that Fill doesn't reach is not seen, which is why there is a Fill.
func TestReplayStoreFill(t *testing.T) {
	evicting := func(s *faultyStore) { s.bound, s.evict = 700, true }
	if message := testFaulty(t, evicting, popauthtest.ReplayStoreOptions{}); message != "" {
		t.Errorf("got failure %q, want none", message)
	}
	message := testFaulty(t, evicting, popauthtest.ReplayStoreOptions{Fill: 701})
	if want := "a store with 701 ids: got true again for"; !strings.Contains(message, want) {
		t.Errorf("got failure %q, want one with %q", message, want)
	}
}
