package redisreplay_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/redisreplay"
)

// A Redis that stands still: every call ends in time with an error, and afterwards no id is accepted a second time,
// not even one whose command was on its way.
func TestStandstill(t *testing.T) {
	server := newServer(t)
	const timeout = 300 * time.Millisecond
	hasty := newStore(t, server.client(), redisreplay.Options{Timeout: timeout})
	s := newStore(t, server.client(), patient)
	before, during := ids("before", 100), ids("during", 100)
	for _, id := range before {
		want(t, s, id, true)
	}

	// Some of the calls find a connection, and send their command; the others have to make one.
	var wg sync.WaitGroup
	for _, id := range ids("connect", 10) {
		wg.Go(func() { ask(t, hasty, id) })
	}
	wg.Wait()
	server.signal(syscall.SIGSTOP)
	for _, id := range during {
		wg.Go(func() { wantRefused(t, hasty, id, timeout) })
	}
	wg.Wait()
	server.signal(syscall.SIGCONT)

	eventually(t, "works again", func() error {
		_, err := ask(t, s, "again")
		return err
	})
	for _, id := range before {
		want(t, s, id, false)
	}
	known := 0
	for _, id := range during {
		// Refused both times, or accepted now: the caller was never told that it was fresh.
		if fresh, err := ask(t, s, id); err != nil {
			t.Errorf("Use: got error %v", err)
		} else if !fresh {
			known++
		}
		want(t, s, id, false)
	}
	t.Logf("%d of %d commands without an answer were carried out later", known, len(during))
}

// A Redis that is killed while ids come in, and starts again: with appendfsync always it knows every id that it has
// accepted.
func TestKilled(t *testing.T) {
	server := newServer(t, "appendonly yes", "appendfsync always")
	const rounds, timeout = 2, 2 * time.Second
	s := newStore(t, server.client(), redisreplay.Options{Timeout: timeout})
	var accepted sync.Map
	total := 0
	for round := range rounds {
		var n, refused atomic.Int64
		var wg sync.WaitGroup
		enough, down := make(chan struct{}), make(chan struct{})
		for g := range 8 {
			wg.Go(func() {
				for _, id := range ids(fmt.Sprint(round, " ", g), 100_000) {
					if fresh, err := ask(t, s, id); fresh {
						accepted.Store(id, true)
						if n.Add(1) == 200 {
							close(enough)
						}
					} else if err != nil {
						refused.Add(1)
						<-down
						return
					}
				}
			})
		}
		<-enough
		server.kill()
		close(down)
		wg.Wait()
		if refused.Load() != 8 {
			t.Errorf("round %d: %d of 8 callers were refused when Redis had gone", round, refused.Load())
		}
		wantRefused(t, s, "while it is down", timeout)

		server.start()
		eventually(t, "works again", func() error {
			_, err := ask(t, s, "again")
			return err
		})
		accepted.Range(func(id, _ any) bool {
			total++
			want(t, s, id.(string), false)
			return !t.Failed()
		})
		want(t, s, "again", false)
	}
	want(t, s, "while it is down", true)
	t.Logf("%d ids asked for again after %d kills", total, rounds)
}
