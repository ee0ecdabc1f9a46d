// Package redisreplay keeps the ids of used proofs in Redis, so that several processes that serve one API accept each
// proof once among them. It works with Redis 2.6.12 or later, and what speaks its protocol, as a single server, with
// Sentinel and as a cluster.
//
//	client := redis.NewClient(&redis.Options{Addr: "redis.internal:6379", ContextTimeoutEnabled: true})
//	store, err := redisreplay.New(client, redisreplay.Options{})
//
// An id is one key, set with SET NX PX: one command, atomic in Redis, that is gone by itself. If Redis can't be reached,
// is slow, full or read-only, requests with proofs are refused with 503; none is let through unchecked.
//
// # What the answers mean
//
// A client that got no reply sends the command again (MaxRetries). If the first had arrived, the second finds the id
// used, and a good proof is refused once with 401. That is rare and safe; the caller's next proof has another id.
//
// # What Redis must be told
//
// A proof can be used twice if Redis forgets its id before its time. What Redis promises depends on its settings, and
// the store can't see them:
//
//   - maxmemory-policy must be noeviction. Every other policy forgets ids to make room. A full Redis refuses commands,
//     and requests with them. An id needs up to 200 bytes until its time and Skew have passed.
//   - A restart forgets what was not written: everything without persistence, up to a second's ids after a power loss
//     with appendfsync everysec, what came after the last snapshot with RDB alone. appendonly yes with appendfsync
//     always forgets nothing. Where Redis runs without, keep APIs from it after a restart for as long as a proof is good.
//   - Replication is asynchronous: a replica that takes over, by Sentinel or in a cluster, does not know the last ids
//     of the old master, and a master that is cut off goes on accepting. min-replicas-to-write 1 and a
//     min-replicas-max-lag of a few seconds bound how long. Who can't have that uses one server, and 503 while it is down.
//   - Its clock is trusted to run, not to be right: times are sent as durations. If it is set forward, ids go early by
//     as much; Skew covers small steps.
//   - FLUSHDB, FLUSHALL and DEL forget. Give the ids a database or server of their own, and the account of the API no
//     more than SET on the prefix: ACL SETUSER api on >secret resetkeys ~popauth:replay:* -@all +set +hello +client.
package redisreplay
