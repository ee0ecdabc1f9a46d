package redisreplay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Check asks Redis what the store depends on, for programs to call when they start. The error lists what is wrong: Redis
// can't be reached, the account may not do what Use does, the server forgets ids to make room (maxmemory-policy), or the
// client isn't one for its topology. The notes are for the log: what the account may not ask, which is not known then,
// and what the package's documentation names as a risk, such as replication.
//
// It uses a few ids of its own, which are gone within a minute, and the command INFO besides. In a cluster each master
// that ids can be on is asked, and so is each replica that a master names, for its own maxmemory-policy: it keeps to that
// once it takes over. What one server is asked takes no longer than Timeout, and at least a second, whatever ctx allows.
func (s *Store) Check(ctx context.Context) (notes []string, err error) {
	if s == nil || s.client == nil {
		return nil, errUnmade
	}
	c := check{store: s}
	nodes, err := c.nodes(ctx)
	if err != nil {
		return nil, fmt.Errorf("redisreplay: Check: the cluster's masters: %w", err)
	}
	for name, key := range nodes {
		c.name = name
		if c.probe(ctx, key) {
			c.inspect(ctx, key)
		}
	}
	return c.notes, errors.Join(c.wrong...)
}

// check is one that is under way.
type check struct {
	store *Store
	name  string // of the server that is asked
	notes []string
	wrong []error
}

// limit is how long one server may take.
func (c *check) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.patience())
}

func (c *check) patience() time.Duration {
	return min(max(c.store.o.Timeout, time.Second), maxPatience)
}

// maxPatience keeps the ids of Check from living for longer than a minute.
const maxPatience = 30 * time.Second

func (c *check) problem(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Errorf("redisreplay: Check: "+c.name+": "+format, args...))
}

func (c *check) note(format string, args ...any) {
	c.notes = append(c.notes, c.name+": "+fmt.Sprintf(format, args...))
}

// nodes are the servers that ids can be on, each with a DPoP key whose ids are there.
func (c *check) nodes(ctx context.Context) (map[string]string, error) {
	cluster, ok := c.store.client.(*redis.ClusterClient)
	if !ok {
		return map[string]string{"server": rand.Text()}, nil
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	var mu sync.Mutex
	masters := map[string]bool{}
	err := cluster.ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		masters[master.Options().Addr] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	const tries = 2000 // by so many each of a hundred masters is found
	nodes := map[string]string{}
	for range tries {
		if len(nodes) == len(masters) {
			break
		}
		key := rand.Text()
		master, err := cluster.MasterForKey(ctx, c.store.owner(key))
		if err != nil {
			return nil, err
		}
		nodes[master.Options().Addr] = key
	}
	return nodes, nil
}

// probe does all that Use ever does, so that a command that the account lacks shows now. It tells whether there is
// somebody who answers.
func (c *check) probe(ctx context.Context, key string) (answers bool) {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	s, owner := c.store, c.store.owner(key)
	first, second := owner+half("first"), owner+half("second")
	life := c.patience() + time.Second // or a server that is slow would forget the first before it is asked again
	defer func() {
		for _, id := range []string{first, second, owner} { // which are over by themselves, but not so soon
			_ = s.client.Set(ctx, id, 1, time.Millisecond).Err()
		}
	}()
	if s.script == nil {
		for _, want := range []bool{true, false} {
			switch fresh, err := s.client.SetNX(ctx, first, 1, life).Result(); {
			case err != nil:
				c.problem("what Use does fails (SET): %w", c.slow(ctx, err))
				return ctx.Err() == nil
			case fresh != want:
				c.problem("SET NX said %t of an id that is used: %t; it is no Redis that keeps ids", fresh, !want)
				return true
			}
		}
		return true
	}
	now := s.o.Now()
	for _, step := range []struct {
		run  func(context.Context, redis.Scripter, []string, ...any) *redis.Cmd
		id   string
		at   time.Time
		want int
	}{
		{s.script.Eval, first, now, 1},                                         // not only where the server doesn't have the script yet
		{s.script.EvalSha, first, now, 0},                                      // used
		{s.script.Run, second, now.Add(life + 2*bucketSeconds*time.Second), 1}, // when the first is over, and is taken off the count
	} {
		answer, err := whileMoving(ctx, func() (int, error) {
			return step.run(ctx, s.client, []string{step.id, owner},
				life.Milliseconds(), step.at.Add(life).Unix()/bucketSeconds, step.at.Unix()/bucketSeconds, s.o.PerKey,
				life.Milliseconds()).Int()
		})
		switch {
		case err != nil:
			c.problem("what Use does fails; see the package's documentation for what the account needs: %w", c.slow(ctx, err))
			return ctx.Err() == nil
		case answer != step.want:
			c.problem("the script said %d of an id, want %d; it is no Redis that keeps ids", answer, step.want)
			return true
		}
	}
	return true
}

// slow says so of an error that came since the time was over.
func (c *check) slow(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("no answer within %v: find out why it is slow, or raise Options.Timeout: %w", c.patience(), err)
}

// inspect reads what the server says of itself, and its replicas of themselves.
func (c *check) inspect(ctx context.Context, key string) {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	node, _ := c.store.client.(*redis.Client)
	if cluster, ok := c.store.client.(*redis.ClusterClient); ok {
		master, err := cluster.MasterForKey(ctx, c.store.owner(key))
		if err != nil {
			c.problem("%w", c.slow(ctx, err))
			return
		}
		node = master
	}
	asked := redis.Cmdable(c.store.client)
	if node != nil {
		asked = node
	}
	text, err := asked.Info(ctx).Result()
	switch answer := redis.Error(nil); {
	case errors.As(err, &answer): // the server's own no
		c.note("INFO is refused, so maxmemory-policy, topology and persistence are unknown: allow +info, or see to them yourself (%v)", err)
		return
	case err != nil:
		c.problem("INFO: %w", c.slow(ctx, err))
		return
	}
	info := readInfo(text)
	c.judge(info)
	for _, address := range replicas(info) {
		c.replica(ctx, node, address)
	}
}

func (c *check) judge(info map[string]string) {
	switch policy, ok := info["maxmemory_policy"]; {
	case !ok:
		c.note("maxmemory-policy is unknown: INFO doesn't have it; it must be noeviction")
	case policy != "noeviction":
		c.problem("maxmemory-policy is %q, which forgets used proofs to make room; want noeviction", policy)
	}
	_, cluster := c.store.client.(*redis.ClusterClient)
	switch enabled, ok := info["cluster_enabled"]; {
	case !ok:
		c.note("whether it is a node of a cluster is unknown: INFO doesn't have cluster_enabled")
	case enabled == "1" && !cluster:
		c.problem("a node of a cluster, and a client for one server, which finds only the ids of that node; want a *redis.ClusterClient")
	case enabled == "0" && cluster:
		c.problem("a single server, and a client for clusters; want a *redis.Client")
	}
	if role := info["role"]; role != "" && role != "master" {
		c.problem("its role is %q, and ids can be marked as used at a master alone; want the master's address, or Sentinel's", role)
	}
	if replicas := info["connected_slaves"]; replicas != "" && replicas != "0" {
		bound := "without min-replicas-to-write"
		if _, ok := info["min_slaves_good_slaves"]; ok {
			bound = "with min-replicas-to-write"
		}
		c.note("%s replicas, %s: after a failover proofs of the last moments are good once more", replicas, bound)
	}
	if info["aof_enabled"] == "0" {
		c.note("no append-only file: a restart forgets used proofs")
	}
}

// readInfo reads the answer of INFO: name:value, one a line.
func readInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}
