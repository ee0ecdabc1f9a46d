package report

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth/bench"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Hostile is what requests cost that are made to cost much, and when that was measured: it can be measured alone.
type Hostile struct {
	Date    string
	Machine Machine
	Cycles  int
	Costs   []bench.Cost
}

// hostileCycles are enough: a cycle has to make every request that it sends.
const hostileCycles = 200

func hostile(t popauthtest.TB, f *bench.Fixture, o Options) (Hostile, error) {
	h := Hostile{Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Cycles: min(o.Cycles, hostileCycles)}
	var err error
	h.Costs, err = f.HostileRace(t, h.Cycles, o.Short, cmp.Or(o.Rows, regexp.MustCompile("")))
	return h, err
}

// MeasureHostile measures what a stranger can cost, all rows or those that Options.Rows names, and leaves everything else as
// it is.
func (r *Results) MeasureHostile(o Options) error {
	t := &bench.Program{}
	defer t.Close()
	h, err := hostile(t, bench.NewFixture(t), o)
	if err != nil {
		return err
	}
	if o.Rows != nil {
		return r.Hostile.put(h.Costs, o.Rows)
	}
	r.Hostile = h
	return nil
}

// put takes the place of what was measured before under the same names. A row without a place is an error: it would be missing
// from the page.
func (h *Hostile) put(costs []bench.Cost, rows *regexp.Regexp) error {
	if len(costs) == 0 {
		return fmt.Errorf("-rows %q: no row has such a name; want one of the tables under What a stranger can cost", rows)
	}
	for _, c := range costs {
		i := slices.IndexFunc(h.Costs, func(old bench.Cost) bool { return old.Name == c.Name })
		if i < 0 {
			return fmt.Errorf("-rows %q: %q has not been measured before: measure all rows once, without -rows", rows, c.Name)
		}
		h.Costs[i] = c
	}
	return nil
}

// Apart tells whether what a stranger can cost is of another run than the rest.
func (p page) Apart() bool { return p.Hostile.Date != p.Date || p.Hostile.Machine != p.Machine }

// MostHostile is the most cycles in which strangers are measured.
func (p page) MostHostile() int { return hostileCycles }

// dearest is the highest ratio of those that need no word of explanation.
func (h Hostile) dearest() []float64 {
	var most float64
	for _, c := range h.Costs {
		if c.Why == "" {
			most = max(most, c.Ratio.Median)
		}
	}
	return []float64{most}
}

func (h Hostile) heap() []float64 {
	var sum int64
	for _, c := range h.Costs {
		sum += c.Heap
	}
	return []float64{float64(sum) / (1 << 20)}
}

// MiB is the heap of all rows.
func (h Hostile) MiB() string { return fmt.Sprintf("%.1f", h.heap()[0]) }

// cost is a row of the page.
type cost struct{ bench.Cost }

func (c cost) KiB() string { return fmt.Sprintf("%.0f", float64(c.Heap)/(1<<10)) }

func (p page) costs(is func(bench.Cost) bool) []cost {
	var all []cost
	for _, c := range p.Hostile.Costs {
		if is(c) {
			all = append(all, cost{c})
		}
	}
	return all
}

func (p page) Strangers() []cost { return p.costs(func(c bench.Cost) bool { return !c.Genuine }) }
func (p page) Clients() []cost   { return p.costs(func(c bench.Cost) bool { return c.Genuine }) }
func (p page) Explained() []cost { return p.costs(func(c bench.Cost) bool { return c.Why != "" }) }
