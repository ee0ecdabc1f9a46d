package redisreplay_test

import (
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/redisreplay"
)

// The processes of one API share a Redis, and a Prefix in it. New makes no request: Store.Check asks the server for its settings.
func ExampleNew() {
	client := redis.NewClient(&redis.Options{Addr: "redis.internal:6379", ContextTimeoutEnabled: true})
	defer func() { _ = client.Close() }()

	store, err := redisreplay.New(client, redisreplay.Options{Prefix: "orders:replay:"})
	if err != nil {
		panic(err)
	}
	_, err = dpop.New(dpop.Options{BaseURL: "https://api.example.com", Replay: store})
	fmt.Println(err)

	unbounded := redis.NewClient(&redis.Options{Addr: "redis.internal:6379"}) // keeps to no deadline of a request
	defer func() { _ = unbounded.Close() }()
	_, err = redisreplay.New(unbounded, redisreplay.Options{Prefix: "{}:", Timeout: -1})
	for line := range strings.Lines(err.Error()) {
		fmt.Println(strings.TrimSpace(line))
	}
	// Output:
	// <nil>
	// redisreplay: the client's ContextTimeoutEnabled must be set
	// redisreplay: Options.Prefix: "{}:" has {}, which keeps an id and the count of its key apart in a cluster
	// redisreplay: Options.Timeout: -1ns is negative
}
