package sampling

import (
	"context"
	"sync"
	"time"
)

// Period is what PerPeriod counts for.
const Period = time.Minute

// DefaultPerPeriod is how many lines of one kind a flood can bring about in a Period, unless somebody says otherwise.
const DefaultPerPeriod = 60

// Sampler lets so many lines of each kind pass in a Period. The zero Sampler lets all pass, as does a nil one. It is safe for
// concurrent use.
type Sampler struct {
	PerPeriod int // not positive: all
	MaxKinds  int // of an open set: how many are told apart, while the others count as one; zero for a closed one

	mu    sync.Mutex
	kinds map[string]*kind
	since time.Time // the kinds are told apart
	rest  kind      // of an open set
}

// kind is what has come of one kind since a Period began.
type kind struct {
	since         time.Time
	written, left int
}

// Allow tells whether a line of that kind is to be written now. Left is how many were not since the last one that was: it is
// said once.
func (s *Sampler) Allow(of string, now time.Time) (write bool, left int) {
	if s == nil || s.PerPeriod <= 0 {
		return true, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kind(of, now)
	if over(now.Sub(k.since)) {
		k.since, k.written = now, 0
	}
	if k.written >= s.PerPeriod {
		k.left++
		return false, 0
	}
	k.written++
	left, k.left = k.left, 0
	return true, left
}

// kind returns what has come of that kind. Where there are too many, those of an earlier Period make room.
func (s *Sampler) kind(of string, now time.Time) *kind {
	if k := s.kinds[of]; k != nil {
		return k
	}
	full := s.MaxKinds > 0 && len(s.kinds) >= s.MaxKinds
	switch {
	case s.kinds == nil || full && over(now.Sub(s.since)):
		s.kinds, s.since = map[string]*kind{}, now
	case full:
		return &s.rest
	}
	k := &kind{since: now}
	s.kinds[of] = k
	return k
}

// over tells whether a Period of that age is. It is too where the clock was set back. By less than a Period that is no matter:
// of those that come at once, one that has read the clock before another may ask after it.
func over(age time.Duration) bool { return age.Abs() >= Period }

type key struct{}

// With returns a context that brings a Sampler to whoever writes the line.
func With(ctx context.Context, s *Sampler) context.Context { return context.WithValue(ctx, key{}, s) }

// Of returns the Sampler of a context; nil if it brings none.
func Of(ctx context.Context) *Sampler {
	s, _ := ctx.Value(key{}).(*Sampler)
	return s
}
