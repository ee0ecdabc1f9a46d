// Package simulation simulates the load of many instances of an API on what they share. Its tests check its model of
// RemoteKeys against the real ones.
package simulation

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Fleet is a number of instances of one API.
type Fleet struct {
	Instances int
	Start     time.Duration // they start within this time
	Requests  float64       // a second, to each instance
	Refresh   time.Duration // RemoteKeysOptions.Refresh
	MaxAge    time.Duration // RemoteKeysOptions.MaxAge
	Spread    bool          // false: as if popauth did not take up to a fifth off
	Seed      uint64
}

// Defaults are RemoteKeys as they come.
func Defaults() Fleet {
	return Fleet{
		Instances: 10_000, Start: 10 * time.Second, Requests: 100, Refresh: time.Hour,
		MaxAge: 24 * time.Hour, Spread: true, Seed: 1,
	}
}

func (f Fleet) random() *rand.Rand {
	return rand.New(rand.NewPCG(f.Seed, 0)) //nolint:gosec // the same each time
}

// lifetime is how long keys are used before they are fetched anew: internal/keys, origin.fetch.
func (f Fleet) lifetime(r *rand.Rand) time.Duration {
	d := min(f.Refresh, f.MaxAge/2)
	if !f.Spread {
		return d
	}
	return d - within(r, d/5+1)
}

// within draws a time below n.
func within(r *rand.Rand, n time.Duration) time.Duration { return time.Duration(r.Int64N(int64(n))) }

// pause is the time until the next request of an instance.
func (f Fleet) pause(r *rand.Rand) time.Duration {
	return time.Duration(r.ExpFloat64() / f.Requests * float64(time.Second))
}

// Fetches are the times at which the issuer is asked for its keys, in order, until span has passed. Each instance
// fetches with its first request after its keys' lifetime; the first of all asks for the metadata as well.
func (f Fleet) Fetches(span time.Duration) []time.Duration {
	r := f.random()
	due := make(times, f.Instances)
	for i := range due {
		due[i] = within(r, f.Start+1) + f.pause(r)
	}
	heap.Init(&due)
	var all []time.Duration
	for due[0] < span {
		all = append(all, due[0])
		due[0] += f.lifetime(r) + f.pause(r)
		heap.Fix(&due, 0)
	}
	return all
}

// times is a heap.
type times []time.Duration

func (t times) Len() int           { return len(t) }
func (t times) Less(i, j int) bool { return t[i] < t[j] }
func (t times) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *times) Push(any)          {}
func (t *times) Pop() any          { return nil }

// Busiest is the largest number of events, which are in order, in one second that begins between from and until.
func Busiest(events []time.Duration, from, until time.Duration) int {
	most, count, last := 0, 0, time.Duration(-1)
	for _, e := range between(events, from, until) {
		if second := e.Truncate(time.Second); second != last {
			count, last = 0, second
		}
		count++
		most = max(most, count)
	}
	return most
}

// Rate is the mean number of events, which are in order, a second between from and until.
func Rate(events []time.Duration, from, until time.Duration) float64 {
	return float64(len(between(events, from, until))) / (until - from).Seconds()
}

func between(events []time.Duration, from, until time.Duration) []time.Duration {
	first, _ := slices.BinarySearch(events, from)
	end, _ := slices.BinarySearch(events, until)
	return events[first:end]
}

// Rotation is what a new key did, with which the issuer signed at once.
type Rotation struct {
	Fetches []time.Duration // after the change, in order
	Waited  int             // requests that waited for a fetch
}

// Rotate changes the key. Clients renew their tokens evenly within lifetime, and each token is used evenly, so that
// more and more requests name the new key; the first of them at an instance causes its fetch, which takes latency.
func (f Fleet) Rotate(lifetime, latency time.Duration) Rotation {
	r := f.random()
	var all Rotation
	for range f.Instances {
		at := f.arrivals(r, lifetime)() // the first unknown key is looked for at once
		all.Fetches = append(all.Fetches, at)
		// The share of the new key's tokens among those that come while it waits.
		all.Waited += 1 + int(f.Requests*latency.Seconds()*min(1, at.Seconds()/lifetime.Seconds())+r.Float64())
	}
	slices.Sort(all.Fetches)
	return all
}

// arrivals are the times of an instance's requests with the new key, which become more and more.
func (f Fleet) arrivals(r *rand.Rand, lifetime time.Duration) func() time.Duration {
	work := 0.0
	return func() time.Duration {
		work += r.ExpFloat64() // the time of the nth is where this many are to be expected
		whole := f.Requests * lifetime.Seconds() / 2
		if work < whole {
			return time.Duration(math.Sqrt(2*lifetime.Seconds()*work/f.Requests) * float64(time.Second))
		}
		return lifetime + time.Duration((work-whole)/f.Requests*float64(time.Second))
	}
}

// Misses is how many requests in each second after the verified tokens were forgotten come with one that has to be
// verified again: requests are spread evenly over the tokens in use.
func Misses(requests, tokens, seconds int, seed uint64) []int {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the same each time
	seen := make([]bool, tokens)
	all := make([]int, seconds)
	for s := range all {
		for range requests {
			if t := r.IntN(tokens); !seen[t] {
				seen[t] = true
				all[s]++
			}
		}
	}
	return all
}
