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

// move is a slot on its way from one node to another.
type move struct {
	from, to *server
	slot     int64
}

// startMove begins to move the slot in which the ids of Store's busy keys are.
func startMove(t *testing.T, servers []*server) move {
	t.Helper()
	ctx := context.Background()
	var m move
	for _, s := range servers {
		if keys := s.client().Keys(ctx, "popauth:replay:*").Val(); len(keys) > 0 {
			m.from, m.slot = s, s.client().ClusterKeySlot(ctx, keys[0]).Val()
		} else {
			m.to = s
		}
	}
	m.set(t, m.to, "IMPORTING", m.from)
	m.set(t, m.from, "MIGRATING", m.to)
	return m
}

func (m move) set(t *testing.T, at *server, state string, other *server) {
	t.Helper()
	ctx := context.Background()
	id, err := other.client().Do(ctx, "CLUSTER", "MYID").Text()
	if err == nil {
		err = at.client().Do(ctx, "CLUSTER", "SETSLOT", m.slot, state, id).Err()
	}
	if err != nil {
		t.Errorf("SETSLOT %s: %v", state, err)
	}
}

// keys moves those that are of one type, or all.
func (m move) keys(t *testing.T, kind string) {
	t.Helper()
	ctx := context.Background()
	for _, key := range m.from.client().Keys(ctx, "popauth:replay:*").Val() {
		if kind != "" && m.from.client().Type(ctx, key).Val() != kind {
			continue
		}
		if err := m.from.client().Do(ctx, "MIGRATE", "127.0.0.1", strconv.Itoa(m.to.port), key, 0, 5000).Err(); err != nil {
			t.Errorf("MIGRATE: %v", err)
		}
	}
}

func (m move) end(t *testing.T) {
	t.Helper()
	m.keys(t, "")
	m.set(t, m.to, "NODE", m.to)
	m.set(t, m.from, "NODE", m.to)
}

// While a cluster moves the slot of a busy key, its proofs wait for that, and none counts twice. A move that doesn't end
// is an outage, which Timeout bounds.
func TestSlotThatMoves(t *testing.T) {
	servers := startCluster(t)
	client := closed(t, redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{servers[0].addr(), servers[1].addr()}, ContextTimeoutEnabled: true,
	}))
	until, ctx := time.Now().Add(10*time.Minute), context.Background()
	s := newStore(t, client, patient)
	const key = "busy"
	for i := range 3 {
		use(t, s, key, fmt.Sprint("id", i), until, nil)
	}
	m := startMove(t, servers)
	short := newStore(t, client, redisreplay.Options{Timeout: 300 * time.Millisecond})
	for _, half := range []string{"none", "the ids"} {
		if half == "the ids" {
			m.keys(t, "string")
		}
		start := time.Now()
		fresh, err := short.Use(ctx, key, "never, with "+half, until)
		said := err != nil && strings.Contains(err.Error(), "the cluster is moving the key's slot")
		if fresh || !said || time.Since(start) > 3*time.Second {
			t.Errorf("%s moved, and it stays so: got %t, %v after %v", half, fresh, err, time.Since(start))
		}
		if fresh, _ := short.Use(ctx, key, "id0", until); fresh {
			t.Errorf("VULNERABLE: %s moved: an id is accepted twice", half)
		}
	}
	time.AfterFunc(700*time.Millisecond, func() { m.end(t) })
	start := time.Now()
	fresh, err := s.Use(ctx, key, "new", until)
	if !fresh || err != nil || time.Since(start) < 500*time.Millisecond {
		t.Errorf("a fresh one while the slot moves: got %t, %v after %v", fresh, err, time.Since(start))
	}
	for _, id := range []string{"id0", "id1", "id2", "new"} {
		if fresh, err := s.Use(ctx, key, id, until); fresh || err != nil {
			t.Errorf("VULNERABLE: %s after the move: got %t, %v", id, fresh, err)
		}
	}
}
