package redisreplay_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/redisreplay"
)

// documented are the arguments of the ACL SETUSER that the package's documentation has for an account.
func documented(t *testing.T, account string) []any {
	t.Helper()
	page, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^//\t(ACL SETUSER ` + account + ` .*)$`).FindStringSubmatch(string(page))
	if found == nil {
		t.Fatalf("the documentation has no account %q", account)
	}
	var args []any
	for _, word := range strings.Fields(found[1]) {
		args = append(args, word)
	}
	return args
}

func (s *server) account(t *testing.T, name string, change ...string) {
	t.Helper()
	args := documented(t, name)
	for _, word := range change {
		args = append(args, word)
	}
	if err := s.client().Do(context.Background(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

// checked holds what Check says against what it should.
func checked(t *testing.T, s *redisreplay.Store, problem string, notes ...string) {
	t.Helper()
	got, err := s.Check(context.Background())
	if (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) {
		t.Errorf("Check: got the error %v, want %q", err, problem)
	}
	for _, want := range notes {
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("Check: got the notes %q, want one with %q", got, want)
		}
	}
}

// works uses ids in all ways that there are.
func works(t *testing.T, client redis.UniversalClient) {
	t.Helper()
	s := newStore(t, client, patient)
	for _, id := range ids("id", 50) { // on all nodes
		want(t, s, id, true)
		want(t, s, id, false)
	}
	// A key that is tidied up and at its bound as well.
	now := time.Now()
	s = newStore(t, client, redisreplay.Options{PerKey: 1, Skew: 1, Timeout: patient.Timeout, Now: func() time.Time { return now }})
	for range 2 {
		now = now.Add(time.Hour)
		use(t, s, "key", now.String(), now, nil)
		use(t, s, "key", "more", now, popauth.ErrProofLimit)
	}
	plain := patient
	plain.PerKey = -1
	want(t, newStore(t, client, plain), "plain", true)
}

// The account that the documentation has for a single server is enough, and none of its commands is too many: Check finds
// out which is missing.
func TestAccount(t *testing.T) {
	server := newServer(t)
	server.account(t, "api")
	options := server.options()
	options.Username, options.Password = "api", "secret"
	client := closed(t, redis.NewClient(options))
	works(t, client)
	checked(t, newStore(t, client, patient), "", "no append-only file")
	if err := client.FlushDB(context.Background()).Err(); err == nil {
		t.Error("FLUSHDB: got no error")
	}
	other := newStore(t, client, redisreplay.Options{Prefix: "other:", Timeout: patient.Timeout})
	wantRefused(t, other, "a", patient.Timeout)
	checked(t, other, "what Use does fails")
	for _, word := range documented(t, "api") {
		command, ok := strings.CutPrefix(fmt.Sprint(word), "+")
		if !ok || command == "hello" || command == "client" || command == "info" {
			continue
		}
		t.Run("without "+command, func(t *testing.T) {
			server.account(t, "api", "-"+command)
			checked(t, newStore(t, client, patient), "what Use does fails")
			server.account(t, "api")
		})
	}
	server.account(t, "api", "-info")
	checked(t, newStore(t, client, patient), "", "INFO is refused, so maxmemory-policy, topology and persistence are unknown")
	plain := patient
	plain.PerKey = -1
	server.account(t, "api", "-@all", "+set", "+hello", "+client")
	checked(t, newStore(t, client, plain), "", "INFO is refused")
	server.account(t, "api", "-set")
	checked(t, newStore(t, client, plain), "what Use does fails (SET)")
}

// Check leaves nothing behind for long, and may be called again.
func TestCheckLeavesNothing(t *testing.T) {
	server := newServer(t)
	client := server.client()
	checked(t, newStore(t, client, patient), "")
	checked(t, newStore(t, client, patient), "")
	eventually(t, "the ids of Check are gone", func() error {
		keys, err := client.Keys(context.Background(), "*").Result()
		if err == nil && len(keys) > 0 {
			err = fmt.Errorf("keys %q", keys)
		}
		return err
	})
	checked(t, nil, "not made by New")
	server.kill()
	checked(t, newStore(t, client, redisreplay.Options{Timeout: time.Second}), "redisreplay: Check:")
}

func TestCheckPolicy(t *testing.T) {
	server := newServer(t, "maxmemory 50mb", "maxmemory-policy allkeys-lru", "appendonly yes")
	checked(t, newStore(t, server.client(), patient), `maxmemory-policy is "allkeys-lru"`)
	if err := server.client().ConfigSet(context.Background(), "maxmemory-policy", "noeviction").Err(); err != nil {
		t.Fatal(err)
	}
	checked(t, newStore(t, server.client(), patient), "")
}

func TestCheckTopology(t *testing.T) {
	master := newPortServer(t)
	replica := newPortServer(t, fmt.Sprintf("replicaof 127.0.0.1 %d", master.port))
	eventually(t, "replication", func() error {
		info, err := master.client().Info(context.Background(), "replication").Result()
		if err == nil && !strings.Contains(info, "connected_slaves:1") {
			err = fmt.Errorf("%s", info)
		}
		return err
	})
	checked(t, newStore(t, master.client(), patient), "", "1 replicas, without min-replicas-to-write")
	if err := master.client().ConfigSet(context.Background(), "min-replicas-to-write", "1").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica counts as good", func() error {
		return master.client().Set(context.Background(), "x", 1, time.Second).Err()
	})
	checked(t, newStore(t, master.client(), patient), "", "1 replicas, with min-replicas-to-write")
	checked(t, newStore(t, replica.client(), patient), `its role is "slave"`)

	single := closed(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{master.addr()}, ContextTimeoutEnabled: true}))
	checked(t, newStore(t, single, patient), "redisreplay: Check:")
}

// The accounts that the documentation has for a cluster's nodes, and for Sentinel's servers and sentinels, are enough.
func TestClusterAccount(t *testing.T) {
	servers := startCluster(t)
	for _, s := range servers {
		s.account(t, "node")
	}
	client := closed(t, redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{servers[0].addr(), servers[1].addr()}, Username: "node", Password: "secret", ContextTimeoutEnabled: true,
	}))
	works(t, client)
	notes, err := newStore(t, client, patient).Check(context.Background())
	if err != nil || len(notes) != 3 { // one for each node that has no append-only file
		t.Errorf("Check: got %q, %v, want a note for each node", notes, err)
	}
	// Every node is asked.
	servers[2].account(t, "node", "-hincrby")
	checked(t, newStore(t, client, patient), servers[2].addr())
	if err := servers[1].client().ConfigSet(context.Background(), "maxmemory-policy", "volatile-ttl").Err(); err != nil {
		t.Fatal(err)
	}
	checked(t, newStore(t, client, patient), servers[1].addr()+`: maxmemory-policy is "volatile-ttl"`)
	one := closed(t, redis.NewClient(&redis.Options{Addr: servers[0].addr(), ContextTimeoutEnabled: true}))
	checked(t, newStore(t, one, patient), "a node of a cluster")
	servers[0].account(t, "node", "-cluster|slots")
	servers[1].account(t, "node", "-cluster|slots")
	without := closed(t, redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{servers[0].addr(), servers[1].addr()}, Username: "node", Password: "secret", ContextTimeoutEnabled: true,
	}))
	checked(t, newStore(t, without, patient), "redisreplay: Check:")
}

func TestSentinelAccount(t *testing.T) {
	master := newPortServer(t)
	master.account(t, "api")
	sentinel := newPortServer(t, fmt.Sprintf("sentinel monitor api 127.0.0.1 %d 1", master.port))
	sentinel.account(t, "watch")
	client := closed(t, redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: "api", SentinelAddrs: []string{sentinel.addr()}, SentinelUsername: "watch", SentinelPassword: "secret",
		Username: "api", Password: "secret", ContextTimeoutEnabled: true,
	}))
	works(t, client)
	checked(t, newStore(t, client, patient), "")
	// What the client does by and by, or when a master fails.
	ctx, watcher := context.Background(), closed(t,
		redis.NewSentinelClient(&redis.Options{Addr: sentinel.addr(), Username: "watch", Password: "secret"}))
	subscription := watcher.Subscribe(ctx, "+switch-master", "+replica-reconf-done")
	_, subscribed := subscription.Receive(ctx)
	subscription.Close()
	for name, err := range map[string]error{
		"SENTINEL SENTINELS": watcher.Sentinels(ctx, "api").Err(), "SENTINEL REPLICAS": watcher.Replicas(ctx, "api").Err(),
		"PING": watcher.Ping(ctx).Err(), "SUBSCRIBE": subscribed,
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	direct := closed(t, redis.NewClient(&redis.Options{Addr: sentinel.addr(), ContextTimeoutEnabled: true}))
	checked(t, newStore(t, direct, patient), "what Use does fails")
}
