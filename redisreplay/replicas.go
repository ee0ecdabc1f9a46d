package redisreplay

import (
	"context"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// maxReplicas of a master are asked.
const maxReplicas = 16

// replicas are the addresses of those that a master names in INFO: slave0:ip=10.0.0.2,port=6379,state=online,...
func replicas(info map[string]string) (addresses []string) {
	for name, value := range info {
		if rest, ok := strings.CutPrefix(name, "slave"); !ok || rest == "" || strings.Trim(rest, "0123456789") != "" {
			continue
		}
		var ip, port string
		for part := range strings.SplitSeq(value, ",") {
			switch key, v, _ := strings.Cut(part, "="); key {
			case "ip":
				ip = v
			case "port":
				port = v
			}
		}
		if ip != "" && port != "" && len(addresses) < maxReplicas {
			addresses = append(addresses, net.JoinHostPort(ip, port))
		}
	}
	return addresses
}

// replica asks one for what it would keep to as a master. It may be where only masters and sentinels get to: then what
// isn't known of it is a note, as it is without INFO.
func (c *check) replica(ctx context.Context, master *redis.Client, address string) {
	const unknown = "the maxmemory-policy of its replica %s is unknown, which counts once that takes over: see that it is noeviction (%v)"
	if master == nil {
		c.note(unknown, address, "a client of another type")
		return
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	o := *master.Options()
	o.Network, o.Addr = "tcp", address
	o.Dialer = nil // Sentinel's connects to the master, whatever the address
	o.MaxRetries = -1
	o.PoolSize, o.MinIdleConns, o.MaxIdleConns = 1, 0, 0
	client := redis.NewClient(&o)
	defer func() { _ = client.Close() }()
	text, err := client.Info(ctx).Result()
	if err != nil {
		c.note(unknown, address, err)
		return
	}
	info := readInfo(text)
	switch policy, ok := info["maxmemory_policy"]; {
	case !ok:
		c.note(unknown, address, "INFO doesn't have it")
	case policy == "noeviction":
	case info["slave_priority"] == "0":
		c.note("its replica %s has the maxmemory-policy %q, and Sentinel never makes it master: nor should anybody", address, policy)
	default:
		c.problem("its replica %s has the maxmemory-policy %q, which forgets used proofs once it takes over; want noeviction", address,
			policy)
	}
}
