package redisreplay

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-171ab058/popauth"
)

// Options configure a Store.
type Options struct {
	_ [0]func()

	// Prefix starts every key, so that the ids don't meet what else is in the database. Stores that shall know of each
	// other's ids need the same. If empty, "popauth:replay:". With a hash tag of its own, such as "{api}:", all ids are on
	// one node of a cluster; the empty one, {}, is refused.
	Prefix string

	// PerKey is the number of ids of one DPoP key that are kept at a time at most, so that one caller can't fill what all
	// share: whoever has as many is refused with popauth.ErrProofLimit, and nobody else. If zero, 1048576, up to 210 MB,
	// which is enough for a key with 1,400 proofs a second that are kept for 691 s. Redis should have room for several
	// keys that are at their bound. Ids are counted by the ten seconds: one may count for so long after it has gone.
	//
	// With a bound, Use is a script (EVALSHA), which a proxy for Redis may not let through. If negative, there is no bound,
	// and Use is a SET alone. Stores that share ids should have the same bound; with different ones, the ids are
	// shared all the same. Scripts are named by their SHA-1, which GODEBUG=fips140=only forbids: there PerKey has to be
	// negative.
	PerKey int

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

	defaultPerKey = 1 << 20

	// A key's ids are counted by when they end, in so many seconds: the count has 70 numbers at most where ids are kept for
	// 691 s, and Redis keeps so few in a compact form.
	bucketSeconds = 10

	// No proof is good for that long, and a sum with more could overflow.
	maxLife = 100 * 365 * 24 * time.Hour
)

// Store is a dpop.ReplayStore in Redis. Make it with New. It is safe for concurrent use, and does not close its
// client.
type Store struct {
	client redis.UniversalClient
	o      Options
	script *redis.Script // nil without a bound per key
}

//go:embed use.lua
var useScript string

// New makes no request; see Store.Check. The client may be that of a single server, of Sentinel or of a cluster, and must have
// ContextTimeoutEnabled set, or Timeout would not be kept. A *redis.Ring is not accepted: it moves ids to other servers,
// which don't know them, when one is down. A client of another type must end a command when its context's deadline
// has passed. The error lists every problem.
func New(client redis.UniversalClient, o Options) (*Store, error) {
	var wrong []error
	problem := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf("redisreplay: "+format, args...)) }
	bounded := true
	if v := reflect.ValueOf(client); client == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		problem("no client") // of whatever type
		client = nil
	}
	switch c := client.(type) {
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
	if _, after, ok := strings.Cut(o.Prefix, "{"); ok && strings.HasPrefix(after, "}") {
		problem("Options.Prefix: %q has {}, which keeps an id and the count of its key apart in a cluster", o.Prefix)
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
	if o.PerKey == 0 {
		o.PerKey = defaultPerKey
	}
	s := &Store{client: client, o: o}
	if o.PerKey > 0 {
		s.script = redis.NewScript(useScript)
	}
	return s, nil
}

var (
	errUnmade = errors.New("redisreplay: Store was not made by New")
	errLimit  = errors.New("redisreplay: as many ids of this key as PerKey allows")
	errAnswer = errors.New("not an answer of the script")
)

// Use marks an id as used, with one command, or one more where the server doesn't have the script yet. Its errors wrap
// popauth.ErrProofLimit where the key has PerKey ids, and else popauth.ErrUnavailable: Redis can't be reached, did not
// answer in time, or refused. Where ctx was canceled it is popauth.ErrRequestEnded. The id may be used then or not, so its
// proof should not be sent again.
func (s *Store) Use(ctx context.Context, key, id string, until time.Time) (fresh bool, err error) {
	if s == nil || s.client == nil {
		return false, &popauth.Error{Reason: popauth.ErrUnavailable, Err: errUnmade}
	}
	if err := ctx.Err(); err != nil {
		return false, unavailable(ctx, err)
	}
	now := s.o.Now()
	left := until.Sub(now)
	if left < 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout) // which is an outage where it runs out; see unavailable
	defer cancel()
	owner := s.owner(key)
	if s.script != nil {
		return s.useBounded(ctx, owner, owner+half(id), now, left)
	}
	// Redis has small numbers in stock: of all values they need the least memory.
	fresh, err = s.client.SetNX(ctx, owner+half(id), 1, s.life(left)).Result()
	if err != nil {
		return false, unavailable(ctx, err)
	}
	return fresh, nil
}

func (s *Store) useBounded(ctx context.Context, owner, id string, now time.Time, left time.Duration) (fresh bool, err error) {
	life := s.life(left)
	answer, err := whileMoving(ctx, func() (int, error) {
		return s.script.Run(ctx, s.client, []string{id, owner},
			life.Milliseconds(), now.Add(life).Unix()/bucketSeconds, now.Unix()/bucketSeconds, s.o.PerKey,
			(bucketSeconds*time.Second + s.o.Skew).Milliseconds(),
		).Int()
	})
	switch {
	case err != nil:
		return false, unavailable(ctx, err)
	case answer == -1:
		return false, &popauth.Error{Reason: popauth.ErrProofLimit, Err: errLimit}
	case answer == 0 || answer == 1:
		return answer == 1, nil
	}
	return false, unavailable(ctx, errAnswer)
}

// life is how long the server keeps an id whose time is over after left. It is counted by the server from when it gets
// the command, which is later than now, and so never too short. A point in time (PXAT) would be one of the server's
// clock: were that ahead, the key would go too early, or not even be stored.
func (s *Store) life(left time.Duration) time.Duration {
	life := min(left, maxLife) + s.o.Skew
	// Redis counts whole milliseconds, and its own time is cut down to one.
	return life.Truncate(time.Millisecond) + 2*time.Millisecond
}

// owner is the name of the count of a key's ids, and begins the names of all of them. The part in braces decides on the
// slot of a cluster: a script can't reach from one into another.
func (s *Store) owner(key string) string { return s.o.Prefix + "{" + half(key) + "}" }

// half is of one length, whatever the name: none can be too long, nor choose a cluster's slot by braces. Half a SHA-256 is
// enough: two names that have the same are found with 2^64 tries, and get nothing but a proof of their maker's refused.
func half(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}

// unavailable tells an outage, which a time limit is too, from a request that has ended meanwhile, by its client or with
// its server.
func unavailable(ctx context.Context, err error) error {
	reason := popauth.ErrUnavailable
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(context.Cause(ctx), popauth.ErrRequestEnded) {
		reason = popauth.ErrRequestEnded
	}
	return &popauth.Error{Reason: reason, Err: fmt.Errorf("redisreplay: %w", err)}
}
