package redisreplay_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/redisreplay"
)

func TestConforms(t *testing.T) {
	s := newServer(t)
	conforms(t, func() redis.UniversalClient { return s.client() })
	// With a bound per key, by ten seconds of real time, and without.
	for perKey, grace := range map[int]time.Duration{100: 11 * time.Second, -1: 0} {
		o := patient
		o.PerKey = perKey
		popauthtest.TestReplayStore(t, func() dpop.ReplayStore {
			return newStore(t, s.client(), o)
		}, popauthtest.ReplayStoreOptions{Shared: true, PerKey: max(perKey, 0), PerKeyGrace: grace})
	}
}

// conforms runs the test of all such stores on stores with clients of their own.
func conforms(t *testing.T, client func() redis.UniversalClient) {
	t.Helper()
	popauthtest.TestReplayStore(t, func() dpop.ReplayStore {
		return newStore(t, client(), patient)
	}, popauthtest.ReplayStoreOptions{Shared: true})
}

func TestOptions(t *testing.T) {
	bounded := closed(t, redis.NewClient(&redis.Options{ContextTimeoutEnabled: true}))
	for _, c := range []struct {
		name   string
		client redis.UniversalClient
		o      redisreplay.Options
		want   []string // in the error
	}{
		{"no client", nil, redisreplay.Options{}, []string{"no client"}},
		{"nil client", (*redis.Client)(nil), redisreplay.Options{}, []string{"no client"}},
		{"nil cluster", (*redis.ClusterClient)(nil), redisreplay.Options{}, []string{"no client"}},
		{"nil ring", (*redis.Ring)(nil), redisreplay.Options{}, []string{"no client"}},
		{"client that waits", closed(t, redis.NewClient(&redis.Options{})), redisreplay.Options{}, []string{"ContextTimeoutEnabled"}},
		{"cluster that waits", closed(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})),
			redisreplay.Options{}, []string{"ContextTimeoutEnabled"}},
		{"ring", closed(t, redis.NewRing(&redis.RingOptions{ContextTimeoutEnabled: true})), redisreplay.Options{},
			[]string{"a Ring forgets"}},
		{"negative", bounded, redisreplay.Options{Timeout: -1, Skew: -1}, []string{"Options.Timeout: -1ns", "Options.Skew: -1ns"}},
		{"empty hash tag", bounded, redisreplay.Options{Prefix: "a{}b"}, []string{"Options.Prefix"}},
	} {
		s, err := redisreplay.New(c.client, c.o)
		if s != nil || err == nil {
			t.Errorf("%s: got %v, %v, want an error", c.name, s, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got error %q, want one with %q", c.name, err, want)
			}
		}
	}
	wantRefused(t, new(redisreplay.Store), "a", 0)
	wantRefused(t, nil, "a", 0)
}

// The server keeps an id until its time and Skew have passed on the store's clock, wherever its own clock stands.
func TestLife(t *testing.T) {
	server := newServer(t)
	client := server.client()
	ctx := context.Background()
	for _, c := range []struct {
		name       string
		skew, left time.Duration
		want       time.Duration
	}{
		{"default", 0, time.Minute, 90 * time.Second},
		{"other", 5 * time.Second, time.Minute, 65 * time.Second},
		{"fraction", time.Second, time.Minute + 1, 61*time.Second + 1},
		{"its last moment", time.Minute, 0, time.Minute},
		{"far", 0, 1<<63 - 1, 99 * 365 * 24 * time.Hour},
	} {
		// A clock that is far from the server's.
		now := time.Now().Add(-24 * time.Hour)
		s := newStore(t, client, redisreplay.Options{
			Prefix: c.name + ":", Skew: c.skew, Timeout: patient.Timeout, Now: func() time.Time { return now },
		})
		before := time.Now()
		if fresh, err := s.Use(ctx, "secret", "secret", now.Add(c.left)); !fresh || err != nil {
			t.Errorf("%s: got %v, %v, want fresh", c.name, fresh, err)
		}
		keys, err := client.Keys(ctx, c.name+":*}?*").Result()
		if err != nil || len(keys) != 1 || len(keys[0]) != len(c.name)+1+46 || strings.Contains(keys[0], "secret") {
			t.Fatalf("%s: got keys %q, %v, want one with the prefix and a hash", c.name, keys, err)
		}
		got, err := client.PTTL(ctx, keys[0]).Result()
		if err != nil {
			t.Fatal(err)
		}
		// Time has gone by since: it must have been at least this much before.
		if got += time.Since(before); got < c.want || c.left < 1<<62 && got > c.want+time.Since(before)+3*time.Millisecond {
			t.Errorf("%s: got %v to live, want %v", c.name, got, c.want)
		}
	}
	s := newStore(t, client, redisreplay.Options{Prefix: "over:", Timeout: patient.Timeout})
	if fresh, err := s.Use(ctx, "key", "over", time.Now().Add(-1)); fresh || err != nil {
		t.Errorf("time over: got %v, %v, want false", fresh, err)
	}
	if keys := client.Keys(ctx, "over:*").Val(); len(keys) != 0 {
		t.Errorf("time over: got keys %q, want none", keys)
	}
	want(t, newStore(t, client, patient), "default prefix", true)
	if keys := client.Keys(ctx, "popauth:replay:*").Val(); len(keys) != 2 {
		t.Errorf("default prefix: got keys %q, want an id and a count", keys)
	}
}

// sent are the commands of a client that go nowhere.
type sent struct{ commands [][]any }

func (*sent) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*sent) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *sent) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, c redis.Cmder) error {
		s.commands = append(s.commands, c.Args())
		return nil
	}
}

// Without a bound per key, a call is one SET, whose time is rounded up to what Redis counts in, and one more for what Redis cuts off.
func TestCommand(t *testing.T) {
	var log sent
	client := closed(t, redis.NewClient(&redis.Options{ContextTimeoutEnabled: true}))
	client.AddHook(&log)
	now := time.Now()
	s := newStore(t, client, redisreplay.Options{PerKey: -1, Skew: time.Second, Now: func() time.Time { return now }})
	for _, c := range []struct {
		left time.Duration
		want int64
	}{{0, 1001}, {1, 1002}, {time.Millisecond, 1002}, {time.Millisecond + 1, 1003}, {time.Hour - 1, 3601001}} {
		log.commands = nil
		if _, err := s.Use(context.Background(), "key", "id", now.Add(c.left)); err != nil {
			t.Error(err)
		}
		if len(log.commands) != 1 {
			t.Fatalf("%v left: got commands %v, want one", c.left, log.commands)
		}
		got := log.commands[0]
		if len(got) != 6 || got[0] != "set" || got[3] != "px" || got[5] != "nx" || got[4].(int64) < c.want || got[4].(int64) > c.want+1 {
			t.Errorf("%v left: got %v, want SET with NX and PX %d or one more", c.left, got, c.want)
		}
	}
}

func TestContext(t *testing.T) {
	s := newStore(t, newServer(t).client(), patient)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fresh, err := s.Use(ctx, "key", "a", time.Now().Add(time.Minute))
	if fresh || !errors.Is(err, context.Canceled) || !errors.Is(err, popauth.ErrRequestEnded) {
		t.Errorf("Use: got %v, %v, want false and an error of Canceled and ErrRequestEnded", fresh, err)
	}
	want(t, s, "a", true) // it never left

	// A client that doesn't look at contexts.
	var log sent
	client := closed(t, redis.NewClient(&redis.Options{ContextTimeoutEnabled: true}))
	client.AddHook(&log)
	_, err = newStore(t, client, patient).Use(ctx, "key", "a", time.Now().Add(time.Minute))
	if !errors.Is(err, context.Canceled) || len(log.commands) != 0 {
		t.Errorf("Use: got error %v and commands %v, want Canceled and none", err, log.commands)
	}
}

// A server that takes connections and says nothing, and one that isn't there.
func TestSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const timeout = 300 * time.Millisecond
	for name, addr := range map[string]string{"silent": l.Addr().String(), "absent": (&server{port: freePort(t)}).addr()} {
		for kind, client := range map[string]redis.UniversalClient{
			"single":  redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true}),
			"cluster": redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr}, ContextTimeoutEnabled: true}),
			"sentinel": redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{addr},
				ContextTimeoutEnabled: true}),
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				s := newStore(t, closed(t, client), redisreplay.Options{Timeout: timeout})
				for range 3 {
					wantRefused(t, s, "a", timeout)
				}
			})
		}
	}
}

// What Redis refuses to store is not fresh.
func TestRefusals(t *testing.T) {
	ctx := context.Background()
	for name, refuse := range map[string]func(*redis.Client) error{
		"full":     func(c *redis.Client) error { return c.ConfigSet(ctx, "maxmemory", "1").Err() },
		"readonly": func(c *redis.Client) error { return c.ReplicaOf(ctx, "127.0.0.1", "1").Err() },
		"too few replicas": func(c *redis.Client) error {
			return c.ConfigSet(ctx, "min-replicas-to-write", "1").Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := newServer(t).client()
			s := newStore(t, client, patient)
			want(t, s, "before", true)
			if err := refuse(client); err != nil {
				t.Fatal(err)
			}
			t.Log(wantRefused(t, s, "after", patient.Timeout))
		})
	}
}
