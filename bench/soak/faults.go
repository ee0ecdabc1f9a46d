//go:build unix

package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"
)

// fault is one thing that breaks, or happens.
type fault struct {
	name string

	// run lets it last, and mends it. What else there is to say is returned.
	run func(ctx context.Context, s *soak, d time.Duration) (note string, err error)

	// expected are the refusals of owners that it explains; all others are not as expected.
	expected []expectation
	promise  string // the same in words
}

// expectation is a refusal that a fault explains.
type expectation struct {
	kinds  string        // begin with this; "" for all
	status int           // zero for no answer
	reason string        // begins with this
	on     string        // at this instance; "" for any
	tail   time.Duration // after the fault's end
	within time.Duration // of the fault's beginning, in place of tail; zero: tail counts
}

// covers tells whether it explains a refusal whose last was so long after the beginning and the end of the fault.
func (e expectation) covers(r refusal, last, after time.Duration) bool {
	in := after <= e.tail
	if e.within > 0 {
		in = last <= e.within
	}
	return in && strings.HasPrefix(r.kind, e.kinds) && r.status == e.status && strings.HasPrefix(r.reason, e.reason) &&
		(e.on == "" || e.on == r.instance)
}

const (
	cooldown    = 10 * time.Second // RemoteKeysOptions.Cooldown, as it comes
	unavailable = "something needed for the decision can't be reached"
	usedBefore  = "DPoP proof used before"
)

// quiet is nothing at all.
var quiet = fault{name: "nothing", promise: "none refused", run: func(ctx context.Context, _ *soak, d time.Duration) (string, error) {
	wait(ctx, d)
	return "", nil
}}

// wait lasts as long as the fault.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// opaqueRefused explains 503 for opaque tokens, which two kinds of owners have.
func opaqueRefused(tail time.Duration) []expectation {
	return []expectation{
		{kinds: certificateOpaque, status: 503, reason: unavailable, tail: tail},
		{kinds: proofOpaque, status: 503, reason: unavailable, tail: tail},
	}
}

// Faults are the names of all faults, in their order.
func Faults() []string {
	var names []string
	for _, f := range faults() {
		names = append(names, f.name)
	}
	return names
}

func faults() []fault {
	proofsUnavailable := []expectation{
		{kinds: "proof", status: 503, reason: unavailable, tail: 3 * time.Second},
		// The client of Redis sends a command again that got no answer: see redisreplay.
		{kinds: "proof", status: 401, reason: usedBefore, tail: 3 * time.Second},
	}
	return []fault{
		{
			name: "Redis stands still (SIGSTOP)", run: redisStopped, expected: proofsUnavailable,
			promise: "proofs 503 for as long; certificates none",
		},
		{
			name: "issuer down", run: issuerDown, expected: opaqueRefused(5 * time.Second),
			promise: "opaque tokens 503, from 10 s on (`Remember`) at the latest; JWTs none",
		},
		{name: "nginx reloaded every 2 s", run: nginxReloaded, promise: "none refused"},
		{
			name: "clock of b 10 min ahead", run: clockMoved(10 * time.Minute), expected: clockRefused(),
			promise: "401 by b for as long; a none",
		},
		{
			name: "clock of b 2 min behind", run: clockMoved(-2 * time.Minute), expected: clockRefused(),
			promise: "401 by b for as long; a none; used proofs that look fresh to b again are refused",
		},
		{
			name: "Redis killed, back empty", run: redisEmptied, expected: proofsUnavailable,
			promise: "proofs 503 for as long; certificates none",
		},
		{name: "clients that go away", run: clientsLeave, promise: "none refused"},
		{
			name: "issuer hanging", run: issuerMode(hanging), expected: opaqueRefused(6 * time.Second),
			promise: "opaque tokens 503 after `Wait` (5 s), or late; JWTs none",
		},
		{
			name: "keys rotated at once", run: keysRotated,
			expected: []expectation{
				{status: 401, reason: "token key unknown", within: cooldown + 2*time.Second},
			},
			promise: "401 for a `Cooldown` (10 s) at most, since thieves name made-up keys all the time",
		},
		{name: "slow clients", run: clientsSlow, promise: "none refused, and the slow ones answered"},
		{
			name: "b killed (SIGKILL), and restarted", run: apiKilled, expected: apiGone(),
			promise: "502 for requests that were at b, and then for one every 10 s, by which nginx looks for b again; no other refusal",
		},
		{
			name: "issuer answers 429, Retry-After 5", run: issuerMode(limited), expected: opaqueRefused(6 * time.Second),
			promise: "opaque tokens 503 for as long and 5 s more; JWTs none",
		},
		{
			name: "clock of b 10 min behind", run: clockMoved(-10 * time.Minute), expected: clockRefused(),
			promise: "401 by b for as long; a none",
		},
		{
			name: "b killed, restarted while the issuer is down", run: apiWithoutKeys,
			expected: append(apiGone(), opaqueRefused(5*time.Second)...),
			promise:  "as for both; b serves only when it has keys",
		},
	}
}

func clockRefused() []expectation {
	var all []expectation
	for _, why := range []string{
		"token expired", "token not yet valid", "DPoP proof too old or from the future", "DPoP proof without a nonce in force",
	} {
		all = append(all, expectation{status: 401, reason: why, on: "b", tail: time.Second})
	}
	// A nonce of b's is from the future for a.
	return append(all, expectation{kinds: proofNonceJWT, status: 401, reason: "DPoP proof without a nonce in force", tail: time.Second})
}

// apiGone holds for as long as the process is gone: what was on its way is lost, and every fail_timeout, 10 s, nginx tries it
// with one request more. It sends none to the other process, so that no proof is refused as used before.
func apiGone() []expectation {
	return []expectation{{status: 502, reason: "nginx", tail: 3 * time.Second}}
}

func redisStopped(ctx context.Context, s *soak, d time.Duration) (string, error) {
	if err := s.w.redis.signal(syscall.SIGSTOP); err != nil {
		return "", err
	}
	wait(ctx, d)
	return "", s.w.redis.signal(syscall.SIGCONT)
}

func redisEmptied(ctx context.Context, s *soak, d time.Duration) (string, error) {
	s.thieves.forget()
	if err := s.w.redis.end(syscall.SIGKILL); err != nil {
		return "", err
	}
	wait(ctx, d)
	return "", s.w.startRedis()
}

func issuerDown(ctx context.Context, s *soak, d time.Duration) (string, error) {
	s.w.issuer.close()
	wait(ctx, d)
	return "", s.w.issuer.open()
}

func issuerMode(m mode) func(context.Context, *soak, time.Duration) (string, error) {
	return func(ctx context.Context, s *soak, d time.Duration) (string, error) {
		s.w.issuer.set(m)
		wait(ctx, d)
		s.w.issuer.set(well)
		return "", nil
	}
}

func keysRotated(ctx context.Context, s *soak, d time.Duration) (string, error) {
	s.thieves.hold()
	s.w.issuer.Rotate()
	wait(ctx, d)
	return "a token of the old key counted for " + seconds(s.thieves.counted()), nil
}

func clockMoved(offset time.Duration) func(context.Context, *soak, time.Duration) (string, error) {
	return func(ctx context.Context, s *soak, d time.Duration) (string, error) {
		if offset < 0 {
			s.thieves.behind.Store(int64(-offset))
			defer s.thieves.behind.Store(0)
			wait(ctx, time.Second) // for what was sent before, and must be refused
		}
		if err := s.w.apis[1].setClock(offset); err != nil {
			return "", err
		}
		wait(ctx, d)
		return "", s.w.apis[1].setClock(0)
	}
}

func apiKilled(ctx context.Context, s *soak, d time.Duration) (string, error) {
	b := s.w.apis[1]
	if err := s.w.killAPI(b); err != nil {
		return "", err
	}
	wait(ctx, d)
	start := time.Now()
	err := s.w.startAPI(b)
	return "ready " + seconds(time.Since(start)) + " after its start", err
}

// apiWithoutKeys begins a process that can't have the issuer's keys yet.
func apiWithoutKeys(ctx context.Context, s *soak, d time.Duration) (string, error) {
	b := s.w.apis[1]
	s.w.issuer.close()
	if err := s.w.killAPI(b); err != nil {
		return "", err
	}
	ready := make(chan error, 1)
	go func() { ready <- s.w.startAPI(b) }()
	wait(ctx, d)
	select {
	case err := <-ready:
		return "", errors.Join(errors.New("b was ready without keys"), err, s.w.issuer.open())
	default:
	}
	start := time.Now()
	err := errors.Join(s.w.issuer.open(), <-ready)
	return "b ready " + seconds(time.Since(start)) + " after the issuer", err
}

func nginxReloaded(ctx context.Context, s *soak, d time.Duration) (string, error) {
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; wait(ctx, 2*time.Second) {
		if err := s.w.nginx.signal(syscall.SIGHUP); err != nil {
			return "", err
		}
	}
	return "", nil
}

// clientsLeave has fifty requests a second whose client goes away within 20 ms, every other one with half a body sent.
func clientsLeave(ctx context.Context, s *soak, d time.Duration) (string, error) {
	var all sync.WaitGroup
	n := 0
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; wait(ctx, 20*time.Millisecond) {
		o := s.owners[n%len(s.owners)]
		n++
		all.Go(func() {
			one, cancel := context.WithTimeout(context.Background(), rand.N(20*time.Millisecond)) //nolint:gosec // protects nothing
			defer cancel()
			r, err := o.request(one, s.w.base())
			if err != nil {
				return
			}
			if n%2 == 0 {
				r.Method, r.ContentLength, r.Body = "POST", 2<<20, endless{}
			}
			if response, err := o.http.Do(r); err == nil {
				response.Body.Close()
			}
		})
	}
	all.Wait()
	return fmt.Sprintf("%d of them", n), nil
}

// endless is a body that goes on until its request ends.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	time.Sleep(5 * time.Millisecond)
	return copy(b, bytes.Repeat([]byte("x"), min(len(b), 1024))), nil
}

func (endless) Close() error { return nil }

// clientsSlow has forty owners whose body comes by the byte, and forty connections that never get to the end of their
// header.
func clientsSlow(ctx context.Context, s *soak, d time.Duration) (string, error) {
	var slow sync.WaitGroup
	var mu sync.Mutex
	answered := 0
	for n := range 40 {
		o := s.thieves.by[certificateJWT][n%len(s.thieves.by[certificateJWT])]
		slow.Go(func() { _ = s.w.half(ctx, o, d) }) // what becomes of it doesn't matter
		slow.Go(func() {
			if err := s.w.dribble(ctx, o, d); err != nil {
				if errors.Is(err, errAnother) {
					s.record.report("a slow owner: %v", err)
				}
				return
			}
			mu.Lock()
			answered++
			mu.Unlock()
		})
	}
	slow.Wait()
	return fmt.Sprintf("%d of 40 slow requests answered", answered), nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
