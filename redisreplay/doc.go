// Package redisreplay keeps the ids of used proofs in Redis, so that several processes that serve one API accept each
// proof once among them. It works with Redis 2.6.12 or later, and what speaks its protocol, as a single server, with
// Sentinel and as a cluster.
//
//	client := redis.NewClient(&redis.Options{Addr: "redis.internal:6379", ContextTimeoutEnabled: true})
//	store, err := redisreplay.New(client, redisreplay.Options{})
//
// An id is one key of Redis, set with SET NX PX: atomic, and gone by itself. The SET is in a script that also counts the
// ids of each DPoP key, in a second key of Redis, and refuses what is beyond Options.PerKey: such a request is answered
// with 429. That is one command (EVALSHA) and one round trip. The count decides about too many only. Were it lost or
// wrong, no proof could be used twice.
//
// If Redis can't be reached, is slow, full or read-only, requests with proofs are refused with 503; none is let through
// unchecked.
//
// # Who shares
//
// The instances of one API share a Prefix, and may be set to different MaxAge and Leeway, as during a rollout:
// see dpop.Confirmer.Remember. Two services that the same request passes through, such as a gateway and the API behind
// it, need a Prefix each, and so does a service that gets a mirror of the traffic: whoever comes second would refuse
// the owner. A proxy that sends a request again (proxy_next_upstream of nginx, retries of a mesh) sends the proof again,
// and gets 401 if the API had taken the first.
//
// # What the answers mean
//
// A client that got no reply sends the command again (MaxRetries). If the first had arrived, the second finds the id
// used, and a good proof is refused once with 401. That is rare and safe; the caller's next proof has another id.
//
// While a cluster moves a slot to another node, proofs of the keys in it wait until it is there, for Timeout at most. If that
// takes longer, they are refused with popauth.ErrUnavailable: the ids and their count are on two nodes meanwhile.
//
// # What Redis must be told
//
// A proof can be used twice if Redis forgets its id before its time. What Redis promises depends on its settings, and
// the store can't see them:
//
//   - maxmemory-policy must be noeviction. Every other policy forgets ids to make room. A full Redis refuses commands,
//     and requests with them. An id needs up to 200 bytes until its time and Skew have passed, 11 min and
//     31 s unless dpop.Options.Remember says less, and up to an hour more where dpop.Options.NonceTime lets in clients whose clocks are
//     ahead. The count of a key needs up to 250 bytes, and 1,000 if the key is busy. Replicas need the same setting,
//     since it is theirs that counts once they take over.
//   - A restart forgets what was not written: everything without persistence, up to a second's ids after a power loss
//     with appendfsync everysec, what came after the last snapshot with RDB alone. appendonly yes with appendfsync
//     always forgets nothing. Where Redis runs without, keep APIs from it after a restart for as long as a proof is good.
//   - Replication is asynchronous: a replica that takes over, by Sentinel or in a cluster, does not know the last ids
//     of the old master, and a master that is cut off goes on accepting. min-replicas-to-write 1 and
//     min-replicas-max-lag bound for how long, not how many: of the proofs that were accepted in the time without
//     replication, max-lag and up to a second more, half to all can be used once more after the failover. Who can cut
//     the connection of a replica has that time. Who can't have that uses one server, and 503 while it is down.
//   - Servers with several masters (active-active) accept each proof once at each of them.
//   - The master's clock is trusted to run, not to be right: it gets times as durations. It makes points in time of
//     them, and passes on those, to replicas and to the append-only file. A replica that takes over, or a server that
//     starts from the file, with a clock that is ahead forgets ids early by as much, as a master does whose clock is
//     set forward. Skew covers small steps.
//   - FLUSHDB, FLUSHALL and DEL forget. Give the ids a database or server of their own, and the account of the API no
//     more than what is below.
//
// Store.Check finds out what of this a server shows. Programs should call it when they start, and not go on with an error:
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
// INFO is for Store.Check alone, which says what is unknown without it. With a negative PerKey no account needs anything
// between EVALSHA and HINCRBY but SET.
package redisreplay
