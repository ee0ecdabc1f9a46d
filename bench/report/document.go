package report

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/seed-171ab058/popauth/bench"
	"github.com/seed-171ab058/popauth/bench/load"
)

//go:embed performance.md.tmpl
var document string

// row is one of a table.
type row struct {
	Name, Version, Times, Allocations, Bytes, ByHand string
}

// page is what the document is made of.
type page struct {
	*Results
	Algorithms, Pairs []string
	Rotation          int
	Slice             time.Duration
}

// Document writes docs/performance.md.
func (r *Results) Document(w io.Writer) error {
	p := page{Results: r, Algorithms: bench.Algorithms, Rotation: bench.Rotation, Slice: Options{Short: r.Short}.servers().Slice}
	for _, pair := range proofPairs {
		p.Pairs = append(p.Pairs, pair[0]+" + "+pair[1])
	}
	functions := template.FuncMap{
		"spread": spread,
		"short": func(d time.Duration) string {
			if d < time.Second {
				return fmt.Sprintf("%d ms", d.Milliseconds())
			}
			return fmt.Sprintf("%g s", d.Seconds())
		},
		"noise": func(a string) string { return spread(Find(r.Token[a], signature+", again").Ratio) },
	}
	t, err := template.New("performance.md").Funcs(functions).Parse(document)
	if err != nil {
		return err
	}
	return t.Execute(w, p)
}

// spread writes a median with its quartiles, with as many digits as it is worth.
func spread(r bench.Ratio) string {
	switch {
	case r.Median == 0:
		return "–"
	case r.Median < 0.2:
		return fmt.Sprintf("%.3f (%.3f–%.3f)", r.Median, r.Low, r.High)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", r.Median, r.Low, r.High)
}

// columns writes one cell for each.
func columns[T any](of []T, cell func(T) string) string {
	var all []string
	for _, c := range of {
		all = append(all, cell(c))
	}
	return strings.Join(all, " | ")
}

// rows are those of a table with a column for each algorithm.
func (r *Results) rows(samples map[string][]bench.Sample, sides []bench.Side) []row {
	names := []row{{Name: signature}}
	for _, s := range sides {
		names = append(names, row{Name: s.Name, Version: r.Versions[s.Name], ByHand: s.ByHand})
	}
	for i, n := range names {
		names[i].Times = columns(bench.Algorithms, func(a string) string { return spread(Find(samples[a], n.Name).Ratio) })
		names[i].Allocations = strings.Trim(fmt.Sprint(each(samples, n.Name, allocations)), "[]")
		names[i].Bytes = fmt.Sprint(Find(samples["RS256"], n.Name).Bytes)
		names[i].Allocations = strings.ReplaceAll(names[i].Allocations, " ", " / ")
	}
	return names
}

func (p page) TokenRows() []row { return p.rows(p.Token, bench.TokenSides()) }
func (p page) ChainRows() []row { return p.rows(p.Chain, bench.ChainSides()) }

func (p page) OverRows() []row {
	var all []row
	for _, s := range bench.TokenSides() {
		if isPeer(s.Name) {
			all = append(all, row{Name: s.Name, Times: columns(bench.Algorithms,
				func(a string) string { return spread(p.Over[a][s.Name]) })})
		}
	}
	return all
}

func (p page) DPoPRows() []row {
	var all []row
	for _, s := range p.DPoP[p.Pairs[0]] {
		if s.Name == "the proof's signature" {
			continue
		}
		all = append(all, row{
			Name:        s.Name,
			Times:       columns(p.Pairs, func(pair string) string { return spread(Find(p.DPoP[pair], s.Name).Ratio) }),
			Allocations: joined(p.Pairs, func(pair string) float64 { return Find(p.DPoP[pair], s.Name).Allocations }),
		})
	}
	return all
}

func joined(of []string, figure func(string) float64) string {
	var all []string
	for _, o := range of {
		all = append(all, fmt.Sprint(figure(o)))
	}
	return strings.Join(all, " / ")
}

func (p page) ProofTimes() string {
	return columns(p.Pairs, func(pair string) string { return spread(p.Proof[pair]) })
}

func (p page) RefusalRows() []row { return plain(p.Garbage[1:]) }
func (p page) HeaderRows() []row  { return plain(p.Headers[1:]) }

func plain(samples []bench.Sample) []row {
	var all []row
	for _, s := range samples {
		all = append(all, row{Name: s.Name, Times: spread(s.Ratio), Allocations: fmt.Sprint(s.Allocations)})
	}
	return all
}

func (p page) SpeedupRows() []row {
	var all []row
	for _, s := range p.Speedup {
		all = append(all, row{Name: s.Name, Times: spread(s.Ratio) + " | " + spread(s.OfRaw)})
	}
	return all
}

// Kept are the servers whose clients keep their connections.
func (p page) Kept() []load.Server {
	return slices.DeleteFunc(slices.Clone(p.Servers), func(s load.Server) bool { return s.Name == load.NewConnection })
}

// NewConnection is the one whose clients don't.
func (p page) NewConnection() load.Server { return p.Server(load.NewConnection, "") }

// Better says in which of the figures others are better than popauth.
func (p page) Better() string {
	var faster, fewer []string
	for _, s := range bench.TokenSides() {
		if !isPeer(s.Name) {
			continue
		}
		if slices.ContainsFunc(bench.Algorithms, func(a string) bool { return p.Over[a][s.Name].Median > 1 }) {
			faster = append(faster, s.Name)
		}
		if slices.ContainsFunc(bench.Algorithms, func(a string) bool {
			return Find(p.Token[a], s.Name).Allocations < Find(p.Token[a], Popauth).Allocations
		}) {
			fewer = append(fewer, s.Name)
		}
	}
	list := func(names []string) string {
		if names == nil {
			return "none"
		}
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("Faster than popauth in at least one column: %s. With fewer allocations: %s.", list(faster), list(fewer))
}
