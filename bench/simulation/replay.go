package simulation

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/redisreplay"
)

// alone is how long the id of a new proof is kept by a Guard's own memory: MaxAge, Leeway and a second. shared is how
// long a store keeps it that was set: the longest dpop.Options.Remember, and a second.
const (
	alone  = 71 * time.Second
	shared = 661 * time.Second
)

// keys is how many clients send these proofs.
const keys = 10_000

// ReplayUse is what the ids of proofs need in a ReplayMemory.
type ReplayUse struct {
	PerSecond int
	Most      int // ids at a time, to the next hundred; chance decides the rest
	Bytes     int // for each of these, to the next ten
}

// Replay uses a ReplayMemory for five minutes of its clock, with so many proofs a second.
func Replay(perSecond int) (ReplayUse, error) {
	before := heapInUse()
	now := time.Unix(1_800_000_000, 0)
	m, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{Now: func() time.Time { return now }})
	if err != nil {
		return ReplayUse{}, err
	}
	use := ReplayUse{PerSecond: perSecond}
	for n := range 300 * perSecond {
		now = now.Add(time.Second / time.Duration(perSecond))
		if _, err := m.Use(context.Background(), strconv.Itoa(n%keys), strconv.Itoa(n), now.Add(alone)); err != nil {
			return ReplayUse{}, err
		}
		use.Most = max(use.Most, m.Len())
	}
	use.Bytes = 10 * int(math.Ceil((heapInUse()-before)/float64(use.Most)/10))
	runtime.KeepAlive(m)
	use.Most = (use.Most + 99) / 100 * 100
	return use, nil
}

func heapInUse() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapInuse)
}

// Commands are those that a redisreplay.Store sends for one proof, by name.
func Commands() ([]string, error) {
	client := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true})
	sent := &commands{}
	client.AddHook(sent)
	store, err := redisreplay.New(client, redisreplay.Options{})
	if err != nil {
		return nil, err
	}
	_, err = store.Use(context.Background(), "key", "id", time.Now().Add(shared))
	return sent.names, errors.Join(err, client.Close())
}

// commands answers in Redis' place.
type commands struct{ names []string }

func (c *commands) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *commands) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, command redis.Cmder) error {
		c.names = append(c.names, command.Name())
		if script, ok := command.(*redis.Cmd); ok {
			script.SetVal(int64(1))
		}
		return nil
	}
}

func (c *commands) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, all []redis.Cmder) error {
		for _, command := range all {
			c.names = append(c.names, command.Name())
		}
		return nil
	}
}

var _ redis.Hook = (*commands)(nil)

// At is the time of the event below which the part q of all are.
func At(events []time.Duration, q float64) time.Duration {
	if len(events) == 0 {
		return 0
	}
	return events[int(q*float64(len(events)-1))]
}
