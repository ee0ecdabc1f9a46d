package redisreplay_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// An id needs no more of Redis' memory than the documentation says.
func TestMemory(t *testing.T) {
	const n, limit = 50_000, 200
	client := newServer(t).client()
	s := newStore(t, client, patient)
	want(t, s, "first", true)
	before := usedMemory(t, client)
	var wg sync.WaitGroup
	for g := range 10 {
		wg.Go(func() {
			for _, id := range ids(fmt.Sprint(g), n/10) {
				want(t, s, id, true)
			}
		})
	}
	wg.Wait()
	got := float64(usedMemory(t, client)-before) / n
	t.Logf("%.1f bytes per id", got)
	if got > limit {
		t.Errorf("got %.1f bytes per id, want at most %d", got, limit)
	}
}

func usedMemory(t *testing.T, client *redis.Client) int {
	t.Helper()
	info, err := client.Info(context.Background(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(info, "used_memory:")
	var n int
	if _, err := fmt.Sscan(after, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func BenchmarkUse(b *testing.B) {
	server := newPortServer(b)
	o := &redis.Options{Addr: server.addr(), ContextTimeoutEnabled: true}
	client := closed(b, redis.NewClient(o))
	s := newStore(b, client, patient)
	until := time.Now().Add(time.Minute)
	var n atomic.Int64
	use := func() {
		if _, err := s.Use(context.Background(), fmt.Sprint(n.Add(1)), until); err != nil {
			b.Error(err)
		}
	}
	b.Run("one after the other", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			use()
		}
	})
	b.Run("16 at once", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				use()
			}
		})
	})
	b.Run("PING, for comparison", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			client.Ping(context.Background())
		}
	})
}
