package interop_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
)

// rotation is an issuer that changes its signing key at once: the next token is signed by the new one.
type rotation struct {
	server  *authorizationServer
	options popauth.Options // beside issuer, audience and keys
	policy  []popauth.Policy
	token   func() string // a new one, bound to nothing
	rotate  func()
	keeps   bool // the old key stays in the set
}

const (
	perSecond = 20               // good requests
	cooldown  = 10 * time.Second // of RemoteKeysOptions, as it comes
	slow      = 5 * time.Second  // for one fetch, on a machine that does much else
)

// An API that fetched its keys a moment ago refuses nothing that the new key signs, and what the withdrawn key signs
// ends with the first token of the new one. While a flood of made-up kids keeps the cool-down running, good tokens are
// refused until the next fetch, for a cool-down at most.
func (r rotation) test(t *testing.T) {
	keys := r.server.keys(func(o *popauth.RemoteKeysOptions) { o.AllowLoopbackHTTP = true })
	o := r.options
	o.Issuer, o.Audience, o.Keys = r.server.issuer, []string{structured}, keys
	a := r.server.api(o, r.policy...)
	before := r.token() // an issuer may make its first key for this, which takes a while
	if err := keys.Preload(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := a.stream(t, perSecond, func(int) string { return before })
	time.Sleep(500 * time.Millisecond)
	r.rotate()
	next := r.token()
	rotated := time.Now()
	t.Logf("at once: the keys are %v old when the issuer has rotated", rotated.Sub(keys.LastRefresh()).Round(time.Millisecond))
	fresh := a.stream(t, perSecond, func(int) string { return next })
	time.Sleep(3 * time.Second)
	fresh.end()
	old.end()
	t.Logf("at once: new key: %s", fresh.summary(rotated))
	t.Logf("at once: old key: %s", old.summary(rotated))
	if refused, _ := fresh.refused(rotated); refused > 0 || fresh.longest() > slow {
		t.Errorf("new key: got %s, want none refused", fresh.summary(rotated))
	}
	if refused, _ := old.refused(time.Time{}); old.before(rotated) == 0 || old.refusedBefore(rotated) > 0 || r.keeps != (refused == 0) {
		t.Errorf("old key: got %s, want all accepted until the new key is seen", old.summary(rotated))
	}
	// VULNERABLE otherwise: a withdrawn key counts.
	if last := old.lastAccepted().Sub(rotated); !r.keeps && last > slow {
		t.Errorf("old key: the last was accepted after %v, want %v at most", last, slow)
	}

	madeUp := next // streams go on while next becomes another
	flood := a.stream(t, 5*perSecond, func(n int) string { return otherKID(t, madeUp, fmt.Sprint("made-up-", n)) })
	time.Sleep(time.Second) // an unknown kid has caused a fetch, and the cool-down runs
	r.rotate()
	next = r.token()
	rotated = time.Now()
	fresh = a.stream(t, perSecond, func(int) string { return next })
	time.Sleep(cooldown + 3*time.Second)
	fresh.end()
	flood.end()
	_, last := fresh.refused(rotated)
	t.Logf("in a flood: new key: %s", fresh.summary(rotated))
	t.Logf("in a flood: made-up kids: %s", flood.summary(rotated))
	if last > cooldown+slow/2 || fresh.longest() > slow {
		t.Errorf("in a flood: got %s, want none refused after %v", fresh.summary(rotated), cooldown)
	}
	if n := flood.accepted(); n > 0 { // VULNERABLE
		t.Errorf("in a flood: got %d made-up kids accepted, want none", n)
	}
	if ran, want := a.spy.Ran(), a.accepted(); ran != want {
		t.Errorf("the handler ran %d times for %d answers with 200", ran, want)
	}
}

// otherKID is the token with another kid in its header.
func otherKID(tb testing.TB, token, kid string) string {
	tb.Helper()
	first, rest, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	var header object
	if err == nil {
		err = json.Unmarshal(text, &header)
	}
	if err == nil {
		header["kid"] = kid
		text, err = json.Marshal(header)
	}
	if err != nil {
		tb.Error(err) // not Fatal: streams call this
	}
	return base64.RawURLEncoding.EncodeToString(text) + "." + rest
}

// stream is requests that come at a steady rate, whatever becomes of those before.
type stream struct {
	stop    chan struct{}
	ended   chan struct{}
	mu      sync.Mutex
	samples []answer
}

type answer struct {
	at     time.Time
	took   time.Duration
	status int
	reason string
}

// stream begins to send these tokens, as bearer.
func (a *api) stream(t *testing.T, perSecond int, token func(n int) string) *stream {
	s := &stream{stop: make(chan struct{}), ended: make(chan struct{})}
	a.streams = append(a.streams, s)
	client := &http.Client{Transport: a.Client().Transport, Timeout: 20 * time.Second}
	go func() {
		defer close(s.ended)
		var all sync.WaitGroup
		defer all.Wait()
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for n := 0; ; n++ {
			all.Go(func() { s.send(t, client, a.URL+authenticated, token(n)) })
			select {
			case <-s.stop:
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(s.end)
	return s
}

func (s *stream) send(t *testing.T, client *http.Client, target, token string) {
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+token)
	began := time.Now()
	resp, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	resp.Body.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = append(s.samples, answer{began, time.Since(began), resp.StatusCode, resp.Header.Get(reasonHeader)})
}

// end returns when the last answer is there.
func (s *stream) end() {
	select {
	case <-s.ended:
	default:
		close(s.stop)
		<-s.ended
		slices.SortFunc(s.samples, func(a, b answer) int { return a.at.Compare(b.at) })
	}
}

// refused counts what was sent and not accepted, and says how long after this time the last of them was sent.
func (s *stream) refused(since time.Time) (n int, last time.Duration) {
	for _, x := range s.samples {
		if x.status != http.StatusOK {
			n++
			last = x.at.Sub(since)
		}
	}
	return n, last
}

// before counts what was sent before.
func (s *stream) before(end time.Time) (n int) {
	for _, x := range s.samples {
		if x.at.Before(end) {
			n++
		}
	}
	return n
}

// refusedBefore counts what was refused, and answered, before.
func (s *stream) refusedBefore(end time.Time) (n int) {
	for _, x := range s.samples {
		if x.at.Add(x.took).Before(end) && x.status != http.StatusOK {
			n++
		}
	}
	return n
}

func (s *stream) accepted() int {
	refused, _ := s.refused(time.Time{})
	return len(s.samples) - refused
}

func (s *stream) lastAccepted() (at time.Time) {
	for _, x := range s.samples {
		if x.status == http.StatusOK {
			at = x.at
		}
	}
	return at
}

func (s *stream) longest() (longest time.Duration) {
	for _, x := range s.samples {
		longest = max(longest, x.took)
	}
	return longest
}

func (s *stream) reasons() string {
	var all []string
	for _, x := range s.samples {
		if x.status != http.StatusOK && !slices.Contains(all, x.reason) {
			all = append(all, x.reason)
		}
	}
	return strings.Join(all, ", ")
}

func (s *stream) summary(since time.Time) string {
	n, last := s.refused(since)
	text := fmt.Sprintf("%d of %d refused", n, len(s.samples))
	if n > 0 {
		text += fmt.Sprintf(" (%s), the last %v after the rotation", s.reasons(), last.Round(time.Millisecond))
	}
	if accepted := s.lastAccepted(); !accepted.IsZero() {
		text += fmt.Sprintf("; the last accepted %v after it", accepted.Sub(since).Round(time.Millisecond))
	}
	return text + fmt.Sprintf("; one waited %v", s.longest().Round(time.Millisecond))
}

// accepted is how many requests of all streams were.
func (a *api) accepted() (n int) {
	for _, s := range a.streams {
		n += s.accepted()
	}
	return n
}
