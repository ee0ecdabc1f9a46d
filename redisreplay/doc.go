// Package redisreplay keeps the ids of used proofs in Redis, so that several processes that serve one API accept each
// proof once among them. It works with Redis 2.6.12 or later, and what speaks its protocol, as a single server, with
// Sentinel and as a cluster.
//
//	client := redis.NewClient(&redis.Options{Addr: "redis.internal:6379", ContextTimeoutEnabled: true})
//	store, err := redisreplay.New(client, redisreplay.Options{})
//
// An id is one key of Redis, set with SET NX PX, which is atomic and expires by itself. A script does the SET and counts
// the ids of each DPoP key, in a second key of Redis; beyond Options.PerKey the request is answered with 429. That is one
// command (EVALSHA) and one round trip. The count is only for that limit: even if it is lost or wrong, no proof can be
// used twice.
//
// If Redis can't be reached, is slow, full or read-only, requests with proofs are refused with 503; none is let through
// unchecked.
//
// # Who shares
//
// The instances of one API share a Prefix, and may have different MaxAge and Leeway, as during a rollout: see
// dpop.Options.Remember. Two services that the same request passes through, such as a gateway and the API behind it, need
// different Prefixes, or the second would refuse the owner. So does a service that gets a mirror of the traffic. A proxy
// that retries (proxy_next_upstream of nginx, retries of a mesh) sends the same proof again, and gets 401 if the API had
// accepted the first.
//
// # What the answers mean
//
// A Redis client that got no reply sends the command again (MaxRetries). If the first had arrived, the second finds the
// id used, and a good proof is refused once with 401. That is rare and safe; the caller's next proof has another id.
//
// While a cluster moves a slot to another node, the ids and their count are on two nodes. Proofs of the keys in it wait
// for the move, for Timeout at most, and then are refused with popauth.ErrUnavailable.
//
// # What Redis must be told
//
// A proof can be used twice if Redis loses its id early. Whether that can happen depends on its settings, which the
// store mostly can't see:
//
//   - maxmemory-policy must be noeviction. Every other policy evicts ids to make room. A full Redis then refuses
//     commands, and popauth the requests. An id needs up to 200 bytes until its time and Skew have passed: 11 min and
//     31 s unless dpop.Options.Remember says less, and up to an hour more if dpop.Options.NonceTime accepts clients whose clocks are
//     ahead. The count of a key needs up to 250 bytes, and 1,000 if the key is busy. Replicas need the same setting:
//     theirs applies once they take over.
//   - A restart loses what was not written: everything without persistence, up to a second's ids after a power loss
//     with appendfsync everysec, what came after the last snapshot with RDB alone. appendonly yes with appendfsync
//     always loses nothing. Without that, connect no API after a restart for as long as a proof is good.
//   - Replication is asynchronous: a replica that takes over, by Sentinel or in a cluster, lacks the last ids of the old
//     master, and a master that is cut off goes on accepting. min-replicas-to-write 1 and min-replicas-max-lag bound for
//     how long, not how many: of the proofs accepted without replication (max-lag and up to a second more), half to all
//     can be used once more after the failover. An attacker who can cut a replica's connection has that time. If that is
//     too much, use one server, and accept 503 while it is down.
//   - Servers with several masters (active-active) accept each proof once at each of them.
//   - The master's clock must run evenly, but need not be right: the store sends durations. The master turns them into
//     points in time for replicas and the append-only file. If the clock of a replica that takes over, or of a server
//     that starts from the file, is ahead, ids expire early by as much. So they do if a master's clock is set forward.
//     Skew covers small steps.
//   - FLUSHDB, FLUSHALL and DEL lose ids. Give the ids a database or server of their own, and the API's account no more
//     rights than those below.
//
// Store.Check reports those settings that a server shows. Call it at start-up, and don't go on after an error:
//
//	notes, err := store.Check(ctx)
//
// # What the account needs
//
// At a single server, and at the servers that Sentinel watches:
//
//	ACL SETUSER api on >secret resetkeys ~popauth:replay:* -@all +evalsha +eval +exists +set +pexpire +hmget +hget +hkeys +hset +hmset +hdel +hincrby +hello +client +info
//
// In a cluster, at each node:
//
//	ACL SETUSER node on >secret resetkeys ~popauth:replay:* -@all +evalsha +eval +exists +set +pexpire +hmget +hget +hkeys +hset +hmset +hdel +hincrby +hello +client +info +cluster|slots
//
// At the sentinels themselves (SentinelUsername):
//
//	ACL SETUSER watch on >secret resetkeys resetchannels &+switch-master &+replica-reconf-done -@all +sentinel|get-master-addr-by-name +sentinel|sentinels +sentinel|replicas +subscribe +ping +hello +client
//
// Only Store.Check needs INFO; without it, Check reports what it can't know. With a negative PerKey no account needs
// anything between EVALSHA and HINCRBY but SET.
package redisreplay
