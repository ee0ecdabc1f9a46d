//go:build unix

package soak

import (
	"fmt"
	"time"
)

// Report is what a run has shown.
type Report struct {
	Options  Options
	Began    time.Time
	Lasted   time.Duration
	recorder *recorder
	health   [][2]health // at the end of each slot
}

// Wrong is the number of wrong answers: a thief who reached a handler, an owner who was taken for another.
func (r *Report) Wrong() int { return r.recorder.wrongs }

// WrongAnswers describe the first of them.
func (r *Report) WrongAnswers() []string { return r.recorder.wrong }

// Sent is how many requests owners and thieves have sent.
func (r *Report) Sent() (owners, thieves int) {
	for _, s := range r.recorder.slots {
		for _, n := range s.good {
			owners += n
		}
	}
	for _, t := range r.recorder.thefts {
		thieves += t.sent
	}
	return owners, thieves
}

// Refused is how many requests of owners were refused while a fault was on and after it, with this status.
func (r *Report) Refused(fault string, status int) (n int) {
	for _, s := range r.recorder.slots {
		for key, p := range s.refused {
			if s.fault.name == fault && key.status == status {
				n += p.n
			}
		}
	}
	return n
}

// Unexpected lists the refusals of owners that no fault explains, one line for each kind.
func (r *Report) Unexpected() []string {
	var all []string
	for _, s := range r.recorder.slots {
		for _, row := range s.rows() {
			if !row.expected {
				all = append(all, fmt.Sprintf("%s: %d × %s", s.fault.name, row.n, row.what))
			}
		}
	}
	return all
}

// Grown lists what a process holds too much of at the end, compared with its start.
func (r *Report) Grown() (grown []string) {
	for n, start := range r.starts() {
		for _, what := range r.health[len(r.health)-1][n].grown(start) {
			grown = append(grown, instanceName(n)+": "+what)
		}
	}
	return grown
}

func instanceName(n int) string { return "ab"[n : n+1] }

// starts are how each process was in its first slot; that of an instance that was restarted is a later one.
func (r *Report) starts() (all [2]health) {
	last := r.health[len(r.health)-1]
	for n := range all {
		for _, h := range r.health {
			if h[n].since.Equal(last[n].since) {
				all[n] = h[n]
				break
			}
		}
	}
	return all
}
