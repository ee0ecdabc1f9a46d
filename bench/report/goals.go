package report

import (
	"fmt"
	"strings"

	"github.com/seed-171ab058/popauth/bench"
	"github.com/seed-171ab058/popauth/bench/load"
)

// Goal is a figure that popauth is held to, for each algorithm where there are several.
type Goal struct {
	Name          string
	Must, Stretch []float64
	Have          []float64
	Peer          []float64 // the best of the others, measured here; nil where none can be compared
	AtLeast       bool      // more is better
	Time          bool      // differs from machine to machine and from run to run
	format        string
}

// Met tells whether what was measured reaches the goal.
func (g Goal) Met(goal []float64) bool {
	for i, have := range g.Have {
		if g.AtLeast && have < goal[i] || !g.AtLeast && have > goal[i] {
			return false
		}
	}
	return len(g.Have) > 0
}

// Verdict says which of the two goals is met.
func (g Goal) Verdict() string {
	switch {
	case g.Met(g.Stretch):
		return "stretch"
	case g.Met(g.Must):
		return "must"
	}
	return "no"
}

// Show writes the figures of one column.
func (g Goal) Show(figures []float64) string {
	var all []string
	for _, f := range figures {
		all = append(all, fmt.Sprintf(g.format, f))
	}
	if all == nil {
		return "–"
	}
	return strings.Join(all, " / ")
}

const (
	ratio  = "%.2f"
	small  = "%.3f"
	number = "%.0f"
)

// Goals are those that popauth is held to, with what was measured.
func (r *Results) Goals() []Goal {
	chain := func(name string, figure func(bench.Sample) float64) []float64 { return each(r.Chain, name, figure) }
	first := chain(Popauth, allocations)
	own := each(r.Chain, signature, allocations)
	var more []float64
	for i := range own {
		more = append(more, own[i]+25)
	}
	return []Goal{
		{
			Name: "token, certificate, cnf, scope ÷ signature: RS256 / ES256 / EdDSA",
			Must: []float64{1.30, 1.15, 1.20}, Stretch: []float64{1.12, 1.06, 1.08}, Have: chain(Popauth, median),
			Peer: r.best(median), Time: true, format: ratio,
		},
		{
			Name: "allocations of that; stretch: 25 more than the signature's", Must: []float64{55, 57, 46}, Stretch: more,
			Have: first, Peer: r.best(allocations), format: number,
		},
		{
			Name: "the same with a repeated token ÷ signature", Must: []float64{0.12, 0.055, 0.07},
			Stretch: []float64{0.05, 0.025, 0.03}, Have: chain(Repeated, median), Time: true, format: small,
		},
		{
			Name: "allocations of that", Must: []float64{5, 5, 5}, Stretch: []float64{3, 3, 3}, Have: chain(Repeated, allocations),
			format: number,
		},
		{
			Name: "bytes of that", Must: []float64{800, 800, 800}, Stretch: []float64{450, 450, 450}, Have: chain(Repeated, size),
			format: number,
		},
		{
			Name: "DPoP with replay protection ÷ both signatures, ES256", Must: []float64{1.20}, Stretch: []float64{1.10},
			Have: []float64{Find(r.DPoP["ES256 + ES256"], Popauth).Ratio.Median},
			Peer: []float64{Find(r.DPoP["ES256 + ES256"], auth0Proofs).Ratio.Median}, Time: true, format: ratio,
		},
		{
			Name: "DPoP with a repeated token ÷ the proof's signature, ES256", Must: []float64{1.20}, Stretch: []float64{1.10},
			Have: []float64{r.Proof["ES256 + ES256"].Median}, Time: true, format: ratio,
		},
		{
			Name: "speed-up by a second goroutine ÷ the signature's: new / repeated token", Must: []float64{0.95, 0.95},
			Stretch: []float64{0.98, 0.98}, Have: r.speedups(Popauth, Repeated), Peer: r.speedups(byHand), AtLeast: true, Time: true,
			format: ratio,
		},
		{
			Name: "TLS server, client certificates, repeated tokens: requests/s ÷ no middleware, RS256 / ES256",
			Must: []float64{0.75, 0.75}, Stretch: []float64{0.85, 0.85}, Have: r.servers(Repeated),
			Peer: r.servers(byHand), AtLeast: true, Time: true, format: ratio,
		},
		{
			Name: "refusing garbage ÷ signature, RS256", Must: []float64{0.03}, Stretch: []float64{0.01},
			Have: []float64{Find(r.Garbage, Popauth).Ratio.Median}, Peer: []float64{r.bestRefusal()}, Time: true, format: small,
		},
		{
			Name: "flood of unknown keys: fetches in an interval / good requests held up", Must: []float64{1, 0}, Stretch: []float64{1, 0},
			Have: []float64{float64(r.Flood.Fetches), float64(r.Flood.HeldUp)}, Time: true, format: number,
		},
		{
			Name: "the dearest request of a stranger ÷ signature, RS256, but for the rows that the list below their tables excuses",
			Must: []float64{3}, Stretch: []float64{2},
			Have: r.Hostile.dearest(), Time: true, format: ratio,
		},
		{
			Name: "heap that all requests of strangers together leave behind, MiB", Must: []float64{64}, Stretch: []float64{32},
			Have: r.Hostile.heap(), format: number,
		},
	}
}

func median(s bench.Sample) float64      { return s.Ratio.Median }
func allocations(s bench.Sample) float64 { return s.Allocations }
func size(s bench.Sample) float64        { return s.Bytes }

// each is one figure of a side for each algorithm.
func each(samples map[string][]bench.Sample, name string, figure func(bench.Sample) float64) []float64 {
	var all []float64
	for _, a := range bench.Algorithms {
		all = append(all, figure(Find(samples[a], name)))
	}
	return all
}

// best is the lowest figure of the others for each algorithm, by the token alone.
func (r *Results) best(figure func(bench.Sample) float64) []float64 {
	var all []float64
	for _, a := range bench.Algorithms {
		lowest := 0.0
		for _, s := range r.Token[a] {
			if f := figure(s); isPeer(s.Name) && (lowest == 0 || f < lowest) {
				lowest = f
			}
		}
		all = append(all, lowest)
	}
	return all
}

func isPeer(name string) bool {
	return !strings.HasPrefix(name, Popauth) && !strings.HasPrefix(name, signature)
}

func (r *Results) bestRefusal() float64 {
	lowest := 0.0
	for _, s := range r.Garbage {
		if isPeer(s.Name) && (lowest == 0 || s.Ratio.Median < lowest) {
			lowest = s.Ratio.Median
		}
	}
	return lowest
}

func (r *Results) speedups(names ...string) []float64 {
	var all []float64
	for _, name := range names {
		for _, s := range r.Speedup {
			if s.Name == name {
				all = append(all, s.OfRaw.Median)
			}
		}
	}
	return all
}

func (r *Results) servers(name string) []float64 {
	var all []float64
	for _, a := range []string{"RS256", "ES256"} {
		all = append(all, r.Server(name, a).OfNone.Median)
	}
	return all
}

// Server is that of the side and the algorithm; the zero Server if there is none.
func (r *Results) Server(name, algorithm string) load.Server {
	for _, s := range r.Servers {
		if s.Name == name && s.Algorithm == algorithm {
			return s
		}
	}
	return load.Server{}
}
