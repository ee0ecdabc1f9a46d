package dpop_test

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/dpop"
)

// replayID is as long as a SHA-256 in base64url, and cheap to make.
func replayID(n int64) string {
	var id [43]byte
	_, _ = binary.Encode(id[:], binary.BigEndian, n)
	return string(id[:])
}

func BenchmarkReplayMemory(b *testing.B) {
	type bench struct {
		name string
		held int
		id   func(n int64) string
		move time.Duration // per id
	}
	known := replayID(0)
	for _, c := range []bench{
		{"replayed", 1, func(int64) string { return known }, 0},
		{"fresh, none expire", 0, replayID, 0},
		{"fresh, 100000 held, one expires for each", 100_000, replayID, time.Millisecond},
		{"fresh, 1000000 held, one expires for each", 1_000_000, replayID, time.Millisecond},
	} {
		b.Run(c.name, func(b *testing.B) {
			var n atomic.Int64
			start := time.Now()
			now := func() time.Time { return start.Add(time.Duration(n.Load()) * c.move) }
			m, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{Entries: 1 << 26, Now: now})
			if err != nil {
				b.Fatal(err)
			}
			window := time.Duration(max(c.held, 1)) * max(c.move, 1)
			for range c.held {
				replayUse(b, m, c.id(n.Add(1)), now().Add(window))
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					replayUse(b, m, c.id(n.Add(1)), now().Add(window))
				}
			})
		})
	}
}

// A store that is full has looked at every shard before it refuses.
func BenchmarkReplayMemoryFull(b *testing.B) {
	m, _ := replayMemory(b, 1000)
	until := replayStart.Add(time.Hour)
	for i := range int64(1000) {
		replayUse(b, m, replayID(i), until)
	}
	id := replayID(1000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			replayUse(b, m, id, until)
		}
	})
}

// What it is measured against: one lock around a map that is never cleaned.
func BenchmarkReplayMutexMap(b *testing.B) {
	var mu sync.Mutex
	var n atomic.Int64
	until := map[string]time.Time{}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id, now := replayID(n.Add(1)), time.Now()
			mu.Lock()
			if _, ok := until[id]; !ok {
				until[id] = now.Add(time.Minute)
			}
			mu.Unlock()
		}
	})
}
