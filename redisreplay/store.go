package redisreplay

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-171ab058/popauth"
)

// Options configure a Store.
type Options struct {
	_ [0]func()

	// Prefix starts every key, so that the ids don't meet what else is in the database. Stores that shall know of each
	// other's ids need the same. If empty, "popauth:replay:".
	Prefix string

	// Timeout is how long a call waits at most, all of the client's retries and redirections included. If zero,
	// 500 ms.
	Timeout time.Duration

	// Skew is how far the clocks of all the processes and Redis servers may differ, or be set, at most. Ids are kept
	// that much longer, since a process whose clock is behind still accepts a proof that is over for the others. If
	// zero, 30 s.
	Skew time.Duration

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

const (
	defaultPrefix  = "popauth:replay:"
	defaultTimeout = 500 * time.Millisecond
	defaultSkew    = 30 * time.Second

	// No proof is good for that long, and a sum with more could overflow.
	maxLife = 100 * 365 * 24 * time.Hour
)

// Store is a popauth.ReplayStore in Redis. Make it with New. It is safe for concurrent use, and does not close its
// client.
type Store struct {
	client redis.UniversalClient
	o      Options
}

var _ popauth.ReplayStore = (*Store)(nil)

// New makes no request. The client may be that of a single server, of Sentinel or of a cluster, and must have
// ContextTimeoutEnabled set, or Timeout would not be kept. A *redis.Ring is not accepted: it moves ids to other servers,
// which don't know them, when one is down. A client of another type must end a command when its context's deadline
// has passed. The error lists every problem.
func New(client redis.UniversalClient, o Options) (*Store, error) {
	var wrong []error
	problem := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf("redisreplay: "+format, args...)) }
	bounded := true
	switch c := client.(type) {
	case nil:
		problem("no client")
	case *redis.Client:
		bounded = c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		bounded = c.Options().ContextTimeoutEnabled
	case *redis.Ring:
		problem("a Ring forgets ids when a server is down; use a cluster")
	}
	if !bounded {
		problem("the client's ContextTimeoutEnabled must be set")
	}
	if o.Timeout < 0 {
		problem("Options.Timeout: %v is negative", o.Timeout)
	}
	if o.Skew < 0 || o.Skew > maxLife {
		problem("Options.Skew: %v is not between 0 and %v", o.Skew, maxLife)
	}
	if wrong != nil {
		return nil, errors.Join(wrong...)
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Skew == 0 {
		o.Skew = defaultSkew
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{client: client, o: o}, nil
}

var errUnmade = errors.New("redisreplay: Store was not made by New")

// Use marks an id as used, with one command. Every error wraps popauth.ErrUnavailable: Redis can't be reached, did not
// answer in time, refused, or ctx has ended. The id may be used then or not, so its proof should not be sent again.
func (s *Store) Use(ctx context.Context, id string, until time.Time) (fresh bool, err error) {
	if s == nil || s.client == nil {
		return false, &popauth.Error{Reason: popauth.ErrUnavailable, Err: errUnmade}
	}
	if err := ctx.Err(); err != nil {
		return false, unavailable(err)
	}
	left := until.Sub(s.o.Now())
	if left < 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	// Redis has small numbers in stock: of all values they need the least memory.
	fresh, err = s.client.SetNX(ctx, s.key(id), 1, s.life(left)).Result()
	if err != nil {
		return false, unavailable(err)
	}
	return fresh, nil
}

// life is how long the server keeps an id whose time is over after left. It is counted by the server from when it gets
// the command, which is later than now, and so never too short. A point in time (PXAT) would be one of the server's
// clock: were that ahead, the key would go too early, or not even be stored.
func (s *Store) life(left time.Duration) time.Duration {
	life := min(left, maxLife) + s.o.Skew
	// Redis counts whole milliseconds, and its own time is cut down to one.
	return life.Truncate(time.Millisecond) + 2*time.Millisecond
}

// key is of one length, whatever the id: an id can't be too long, nor choose a cluster's slot by braces.
func (s *Store) key(id string) string {
	sum := sha256.Sum256([]byte(id))
	return s.o.Prefix + base64.RawURLEncoding.EncodeToString(sum[:])
}

func unavailable(err error) error {
	return &popauth.Error{Reason: popauth.ErrUnavailable, Err: fmt.Errorf("redisreplay: %w", err)}
}
