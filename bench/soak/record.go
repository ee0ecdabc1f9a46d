//go:build unix

package soak

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// result is what came of one request.
type result struct {
	kind     string // of sender
	at       time.Time
	took     time.Duration
	status   int    // zero: no answer
	reason   string // of a refusal
	instance string // that has answered; "" for nginx
}

// refusal is what an owner was told.
type refusal struct {
	kind, reason, instance string
	status                 int
}

// spell is a run of equal refusals.
type spell struct {
	n           int
	first, last time.Time
}

// slot is the time of one fault and of the quiet after it.
type slot struct {
	fault       fault
	began, over time.Time // of the fault; over is zero while it lasts
	note        string    // what else it has shown
	good        map[string]int
	times       []time.Duration // of those that were answered
	refused     map[refusal]*spell
}

// theft is how one kind of thief fared.
type theft struct {
	sent, reached int
	known         bool // it may reach the handler, and the page says when
	statuses      map[int]int
	reasons       map[string]int
	elsewhere     int           // of replays: at the process that had not taken the proof
	oldest        time.Duration // how old what was let in has been at most: since its first use, or its withdrawal
}

// maxWrong bounds what is printed.
const maxWrong = 50

// recorder keeps what came of all requests.
type recorder struct {
	mu     sync.Mutex
	slots  []*slot
	thefts map[string]*theft
	wrongs int
	wrong  []string
	busy   int // requests that were not sent since too many were waiting
}

func newRecorder() *recorder { return &recorder{thefts: map[string]*theft{}} }

// begin opens a slot.
func (c *recorder) begin(f fault) *slot {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &slot{fault: f, began: time.Now(), good: map[string]int{}, refused: map[refusal]*spell{}}
	c.slots = append(c.slots, s)
	return s
}

// end closes the fault of a slot.
func (c *recorder) end(s *slot, note string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.over, s.note = time.Now(), note
}

// underWay is how long before a fault a request may have begun to count for it, if it was refused.
const underWay = time.Second

// owner takes down what an owner was answered. A request counts for the slot in which it began, but one that was refused
// and under way when a fault began for that fault.
func (c *recorder) owner(r result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var s *slot
	for _, one := range slices.Backward(c.slots) {
		if s = one; !one.began.After(r.at) || r.status != 200 && one.began.Sub(r.at) < underWay && one.began.Before(r.at.Add(r.took)) {
			break
		}
	}
	if s == nil {
		return
	}
	s.good[r.kind]++
	if r.status == 200 {
		s.times = append(s.times, r.took)
		return
	}
	key := refusal{r.kind, r.reason, r.instance, r.status}
	p := s.refused[key]
	if p == nil {
		p = &spell{first: r.at, last: r.at}
		s.refused[key] = p
	}
	p.n++
	if r.at.Before(p.first) {
		p.first = r.at
	}
	if r.at.After(p.last) {
		p.last = r.at
	}
}

// thief takes down what a thief was answered: known if it may be let in, elsewhere if a replay came to the process that
// hadn't taken the proof; age is that of what was stolen.
func (c *recorder) thief(r result, known, elsewhere bool, age time.Duration) {
	c.mu.Lock()
	t := c.thefts[r.kind]
	if t == nil {
		t = &theft{known: known, statuses: map[int]int{}, reasons: map[string]int{}}
		c.thefts[r.kind] = t
	}
	t.sent++
	t.statuses[r.status]++
	if elsewhere {
		t.elsewhere++
	}
	in := r.status >= 200 && r.status < 400
	if in {
		t.reached++
		t.oldest = max(t.oldest, age)
	} else if r.reason != "" {
		t.reasons[r.reason]++
	}
	c.mu.Unlock()
	if in && !known {
		c.report("a thief was answered %d: %s, by %s", r.status, r.kind, r.instance)
	}
}

// report takes down a wrong answer.
func (c *recorder) report(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrongs++; len(c.wrong) < maxWrong {
		c.wrong = append(c.wrong, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

func (c *recorder) tooMany() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy++
}
