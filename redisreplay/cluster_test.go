package redisreplay_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-171ab058/popauth/redisreplay"
)

func startCluster(t *testing.T) []*server {
	t.Helper()
	const nodes, slots = 3, 16384
	ctx := context.Background()
	var servers []*server
	for i := range nodes {
		s := newPortServer(t, "cluster-enabled yes", "cluster-node-timeout 5000", fmt.Sprint("cluster-port ", freePort(t)))
		servers = append(servers, s)
		first, last := i*slots/nodes, (i+1)*slots/nodes-1
		if err := s.client().ClusterAddSlotsRange(ctx, first, last).Err(); err != nil {
			t.Fatal(err)
		}
		bus := strings.TrimPrefix(s.args[2], "cluster-port ")
		if err := servers[0].client().Do(ctx, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(s.port), bus).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range servers {
		client := s.client()
		eventually(t, "cluster is whole", func() error {
			info, err := client.ClusterInfo(ctx).Result()
			if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3")) {
				err = fmt.Errorf("%s", info)
			}
			return err
		})
	}
	return servers
}

func TestCluster(t *testing.T) {
	servers := startCluster(t)
	client := func() redis.UniversalClient {
		return closed(t, redis.NewUniversalClient(&redis.UniversalOptions{
			Addrs: []string{servers[0].addr(), servers[1].addr()}, IsClusterMode: true, ContextTimeoutEnabled: true,
		}))
	}
	conforms(t, client)

	bounded := patient
	bounded.PerKey, bounded.Prefix = 50, "{all}:"
	flood(t, newStore(t, client(), bounded), newStore(t, client(), bounded), time.Now().Add(time.Hour), 50)

	s := newStore(t, client(), patient)
	for _, id := range ids("id", 300) {
		want(t, s, id, true)
	}
	for i, server := range servers {
		if n := server.client().DBSize(context.Background()).Val(); n < 50 {
			t.Errorf("node %d: got %d keys, want its share", i, n)
		}
	}

	// One node is gone: its ids are refused, and nobody else takes them.
	servers[2].kill()
	const timeout = 300 * time.Millisecond
	hasty := newStore(t, client(), redisreplay.Options{Timeout: timeout})
	refused := 0
	for _, id := range ids("id", 300) {
		fresh, err := ask(t, hasty, id)
		if fresh {
			t.Errorf("%s: accepted again when a node was down", id)
		}
		if err != nil {
			if refused++; refused == 5 {
				break
			}
		}
	}
	if refused == 0 {
		t.Error("got no error with a node down")
	}
}

func TestSentinel(t *testing.T) {
	ctx := context.Background()
	master := newPortServer(t)
	newPortServer(t, fmt.Sprintf("replicaof 127.0.0.1 %d", master.port))
	sentinel := newPortServer(t,
		fmt.Sprintf("sentinel monitor api 127.0.0.1 %d 1", master.port),
		"sentinel down-after-milliseconds api 1000", "sentinel failover-timeout api 5000")
	watch := closed(t, redis.NewSentinelClient(sentinel.options()))
	eventually(t, "sentinel sees the replica", func() error {
		replicas, err := watch.Replicas(ctx, "api").Result()
		if err == nil && (len(replicas) != 1 || replicas[0]["master-link-status"] != "ok") {
			err = fmt.Errorf("replicas %v", replicas)
		}
		return err
	})
	client := func() redis.UniversalClient {
		return closed(t, redis.NewUniversalClient(&redis.UniversalOptions{
			Addrs: []string{sentinel.addr()}, MasterName: "api", ContextTimeoutEnabled: true,
		}))
	}
	conforms(t, client)

	// The replica takes over. What has reached it, it knows.
	s := newStore(t, client(), patient)
	before := ids("before", 100)
	for _, id := range before {
		want(t, s, id, true)
	}
	if n, err := master.client().Wait(ctx, 1, 30*time.Second).Result(); n != 1 || err != nil {
		t.Fatalf("WAIT: got %d, %v, want 1 replica", n, err)
	}
	master.kill()
	const timeout = 300 * time.Millisecond
	hasty := newStore(t, client(), redisreplay.Options{Timeout: timeout})
	wantRefused(t, hasty, "while there is no master", timeout)
	eventually(t, "the replica is master", func() error {
		_, err := ask(t, hasty, "again")
		return err
	})
	for _, id := range before {
		want(t, s, id, false)
	}
}
