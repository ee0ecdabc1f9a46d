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

	"github.com/seed-171ab058/popauth/redisreplay"
)

// An id and the count of a key need no more of Redis' memory than the documentation says.
func TestMemory(t *testing.T) {
	const n, perID, perKey = 20_000, 200, 250
	for _, keys := range []int{1, n / 100, n} {
		client := newServer(t).client()
		s := newStore(t, client, redisreplay.Options{Timeout: patient.Timeout})
		want(t, s, "first", true)
		before := usedMemory(t, client)
		var wg sync.WaitGroup
		// Ids come in through eleven minutes, in 70 buckets.
		until := time.Now().Add(time.Minute)
		for g := range 10 {
			wg.Go(func() {
				for i := range n / 10 {
					i = i*10 + g
					if fresh, err := s.Use(context.Background(), fmt.Sprint(i%keys), fmt.Sprint(i),
						until.Add(time.Duration(i)*11*time.Minute/n)); !fresh {
						t.Errorf("Use: got %v, %v, want true", fresh, err)
						return
					}
				}
			})
		}
		wg.Wait()
		got, limit := usedMemory(t, client)-before, n*perID+keys*perKey
		if keys == n/100 {
			limit += keys * 1000
		}
		t.Logf("%d ids of %d keys: %.1f bytes per id", n, keys, float64(got)/n)
		if got > limit {
			t.Errorf("%d ids of %d keys: got %d bytes, want at most %d", n, keys, got, limit)
		}
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
	bounded, unbounded := newStore(b, client, patient), newStore(b, client, redisreplay.Options{PerKey: -1, Timeout: patient.Timeout})
	until := time.Now().Add(time.Minute)
	var n atomic.Int64
	one := func(string) string { return "key" }
	own := func(id string) string { return id }
	for _, c := range []struct {
		name string
		s    *redisreplay.Store
		key  func(id string) string
	}{{"one key", bounded, one}, {"keys of their own", bounded, own}, {"no bound", unbounded, one}} {
		use := func() {
			id := fmt.Sprint(n.Add(1))
			if _, err := c.s.Use(context.Background(), c.key(id), id, until); err != nil {
				b.Error(err)
			}
		}
		b.Run(c.name+", one after the other", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				use()
			}
		})
		b.Run(c.name+", 16 at once", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					use()
				}
			})
		})
	}
	b.Run("PING, for comparison", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			client.Ping(context.Background())
		}
	})
}
