package redisreplay_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-171ab058/popauth/redisreplay"
)

// slowWay is a hook by which the answers to a command take that long.
type slowWay struct {
	command string
	d       time.Duration
}

func (slowWay) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s slowWay) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == s.command {
			time.Sleep(s.d)
		}
		return err
	}
}

func (slowWay) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A Redis that is slow is not taken for one that keeps no ids; one that is too slow is said to be that.
func TestCheckSlow(t *testing.T) {
	server := newServer(t)
	for _, perKey := range []int{0, -1} {
		client := closed(t, redis.NewClient(server.options()))
		client.AddHook(slowWay{map[int]string{0: "eval", -1: "set"}[perKey], 1200 * time.Millisecond})
		checked(t, newStore(t, client, redisreplay.Options{Timeout: 10 * time.Second, PerKey: perKey}), "")
		_, err := newStore(t, client, redisreplay.Options{Timeout: time.Second, PerKey: perKey}).Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), "no answer within 1s") || strings.Contains(err.Error(), "no Redis") {
			t.Errorf("PerKey %d, Timeout 1s: got %v, want that there was no answer in time", perKey, err)
		}
	}
}

// Check ends in its time, also where a whole cluster hangs, and with its context.
func TestCheckHangs(t *testing.T) {
	servers := startCluster(t)
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, s.addr())
	}
	known := closed(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses, ContextTimeoutEnabled: true}))
	checked(t, newStore(t, known, patient), "")
	for _, s := range servers {
		s.signal(syscall.SIGSTOP)
		defer s.signal(syscall.SIGCONT)
	}
	for name, client := range map[string]redis.UniversalClient{
		"a new client": closed(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses,
			ContextTimeoutEnabled: true})),
		"one that knows the masters": known,
		"of one server":              closed(t, redis.NewClient(&redis.Options{Addr: addresses[0], ContextTimeoutEnabled: true})),
	} {
		start := time.Now()
		_, err := newStore(t, client, redisreplay.Options{}).Check(t.Context())
		if took := time.Since(start); err == nil || took > 6*time.Second {
			t.Errorf("%s: got %v after %v", name, err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		start = time.Now()
		_, err = newStore(t, client, patient).Check(ctx)
		cancel()
		if took := time.Since(start); err == nil || took > 2*time.Second {
			t.Errorf("%s, with 100 ms: got %v after %v", name, err, took)
		}
	}
}

// A replica that forgets ids once it takes over is found before that.
func TestCheckReplicaPolicy(t *testing.T) {
	ctx := context.Background()
	master := newPortServer(t, "maxmemory 64mb", "maxmemory-policy noeviction")
	replica := newPortServer(t, fmt.Sprintf("replicaof 127.0.0.1 %d", master.port), "maxmemory-policy allkeys-random")
	eventually(t, "replication", func() error {
		info, err := master.client().Info(ctx, "replication").Result()
		if err == nil && !strings.Contains(info, "state=online") {
			err = fmt.Errorf("%s", info)
		}
		return err
	})
	s := newStore(t, master.client(), redisreplay.Options{Timeout: 5 * time.Second})
	set := func(name, value string) {
		if err := replica.client().ConfigSet(ctx, name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	checked(t, s, `maxmemory-policy "allkeys-random"`)
	set("replica-priority", "0")
	checked(t, s, "", "Sentinel never makes it master")
	set("replica-priority", "100")
	set("maxmemory-policy", "noeviction")
	checked(t, s, "")
	for _, note := range mustCheck(t, s) {
		if strings.Contains(note, "unknown") {
			t.Errorf("got the note %q, want none", note)
		}
	}
	// Where nobody else gets to, what isn't known is said.
	set("requirepass", "another")
	checked(t, s, "", "the maxmemory-policy of its replica "+replica.addr()+" is unknown")
	replica.signal(syscall.SIGSTOP)
	defer replica.signal(syscall.SIGCONT)
	checked(t, s, "", "the maxmemory-policy of its replica "+replica.addr()+" is unknown")
}

func mustCheck(t *testing.T, s *redisreplay.Store) []string {
	t.Helper()
	notes, err := s.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return notes
}
