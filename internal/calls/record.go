package calls

import "time"

// record counts how the calls of a Group end. It tells whether a request whose turn didn't come stood behind calls that were
// answered, which is a flood, or behind calls that were not, which is an outage. The Group's lock guards it.
type record struct {
	wait   time.Duration // of a request, at most: an answer later than that is none
	all    tally
	lately tally // of what was good lately, which strangers can't ask for
	going  map[*going]struct{}
}

// tally counts calls that have ended.
type tally struct{ answered, silent int }

// going is a call that goes on.
type going struct {
	began  time.Time
	lately bool
}

// mark is the record at the time when a wait began.
type mark struct {
	at          time.Time
	all, lately tally
}

func (r *record) begin(lately bool) *going {
	c := &going{began: time.Now(), lately: lately}
	r.going[c] = struct{}{}
	return c
}

func (r *record) end(c *going, err error) {
	delete(r.going, c)
	ok := err == nil && time.Since(c.began) <= r.wait
	r.all.count(ok)
	if c.lately {
		r.lately.count(ok)
	}
}

func (t *tally) count(answered bool) {
	if answered {
		t.answered++
	} else {
		t.silent++
	}
}

func (t tally) since(before tally) tally {
	return tally{answered: t.answered - before.answered, silent: t.silent - before.silent}
}

func (r *record) mark() mark { return mark{at: time.Now(), all: r.all, lately: r.lately} }

// outage tells whether more calls than not had no answer since the mark: they failed, took too long, or have been going on
// all the time. What strangers ask for must neither raise an outage nor hide one: calls for what was good lately say more.
func (r *record) outage(m mark, lately bool) bool {
	all, known := r.all.since(m.all), r.lately.since(m.lately)
	for c := range r.going {
		if c.began.After(m.at) {
			continue
		}
		all.silent++
		if c.lately {
			known.silent++
		}
	}
	switch {
	case known.answered > 0 && known.answered >= known.silent:
		return false
	case lately && known.silent > 0:
		return true
	}
	return all.silent > all.answered
}
