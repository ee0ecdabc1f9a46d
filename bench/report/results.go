// Package report measures everything and writes the results: tables, a chart and a document.
package report

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/bench"
	"github.com/seed-171ab058/popauth/bench/load"
)

// Options say how long to measure.
type Options struct {
	Cycles int       // of everything measured in pairs
	Short  bool      // seconds instead of minutes: what it says about time is rough
	Log    io.Writer // what is being done

	Rows *regexp.Regexp // of the hostile requests to measure; all if nil
}

// Results are everything that was measured.
type Results struct {
	Date     string
	Machine  Machine
	Cycles   int
	Clock    string
	Pinned   bool // servers and generator had a processor each
	Short    bool
	Held     bench.Held
	Versions map[string]string // of the sides

	Token   map[string][]bench.Sample // by algorithm
	Chain   map[string][]bench.Sample
	Over    map[string]map[string]bench.Ratio // popauth by the token alone, to each side
	DPoP    map[string][]bench.Sample         // by the algorithms of token and proof
	Proof   map[string]bench.Ratio            // repeated token, to the proof's signature alone
	Garbage []bench.Sample
	Headers []bench.Sample // certificates from a proxy's headers
	Speedup []bench.Speedup
	Flood   bench.Flood
	Servers []load.Server
	Hostile Hostile
}

// Machine is where it was measured.
type Machine struct {
	CPU        string
	Processors int
	System     string
	Go         string
}

// proofPairs are the algorithms of token and proof.
var proofPairs = [][2]string{{"ES256", "ES256"}, {"RS256", "ES256"}, {"EdDSA", "EdDSA"}}

// Measure holds every side to the same answers and then measures them. A wrong answer is an error.
func Measure(ctx context.Context, o Options) (*Results, error) {
	t := &bench.Program{}
	defer t.Close()
	f := bench.NewFixture(t)
	r := &Results{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Cycles: o.Cycles, Clock: bench.Clock,
		Pinned: load.Pinned(), Short: o.Short, Versions: versions(),
		Token: map[string][]bench.Sample{}, Chain: map[string][]bench.Sample{}, DPoP: map[string][]bench.Sample{},
		Over: map[string]map[string]bench.Ratio{}, Proof: map[string]bench.Ratio{},
	}
	for _, step := range []struct {
		what string
		run  func() error
	}{
		{"the same answers", func() (err error) { r.Held, err = f.Hold(); return err }},
		{"token, certificate, scope", func() error { return r.requests(ctx, f, o.Cycles) }},
		{"DPoP", func() error { return r.proofs(ctx, f, o.Cycles) }},
		{"garbage", func() (err error) { r.Garbage, err = f.GarbageRace(ctx, "RS256", o.Cycles); return err }},
		{"certificates of a proxy", func() (err error) { r.Headers, err = f.CertificateRace("RS256", o.Cycles); return err }},
		{"two goroutines", func() (err error) { r.Speedup, err = f.SpeedupRace(ctx, "ES256", o.Cycles); return err }},
		{"a flood of unknown keys", func() (err error) { r.Flood, err = o.flood(ctx); return err }},
		{"what a stranger can cost", func() (err error) { r.Hostile, err = hostile(t, f, o); return err }},
		{"servers", func() (err error) { r.Servers, err = load.Measure(ctx, f, o.servers()); return err }},
	} {
		if _, err := fmt.Fprintln(o.Log, time.Now().Format(time.TimeOnly), step.what); err != nil {
			return nil, err
		}
		if err := step.run(); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return r, nil
}

// flood lasts less than two intervals.
func (o Options) flood(ctx context.Context) (bench.Flood, error) {
	if o.Short {
		return bench.FloodOf(ctx, time.Second, time.Second)
	}
	return bench.FloodOf(ctx, 10*time.Second, 10*time.Second)
}

func (o Options) servers() load.Options {
	if o.Short {
		return load.Options{Algorithms: []string{"RS256", "ES256"}, Cycles: 2, Slice: 50 * time.Millisecond}
	}
	return load.Options{Algorithms: bench.Algorithms, Cycles: max(20, o.Cycles/10), Slice: 150 * time.Millisecond}
}

func (r *Results) requests(ctx context.Context, f *bench.Fixture, cycles int) (err error) {
	for _, algorithm := range bench.Algorithms {
		if r.Token[algorithm], err = f.TokenRace(ctx, algorithm, cycles); err != nil {
			return err
		}
		if r.Chain[algorithm], err = f.ChainRace(ctx, algorithm, cycles); err != nil {
			return err
		}
		r.Over[algorithm] = map[string]bench.Ratio{}
		own := Find(r.Token[algorithm], Popauth)
		for _, s := range r.Token[algorithm] {
			r.Over[algorithm][s.Name] = own.Over(s)
		}
	}
	return nil
}

func (r *Results) proofs(ctx context.Context, f *bench.Fixture, cycles int) error {
	for _, pair := range proofPairs {
		samples, err := f.DPoPRace(ctx, pair[0], pair[1], cycles)
		if err != nil {
			return err
		}
		name := pair[0] + " + " + pair[1]
		r.DPoP[name] = samples
		r.Proof[name] = Find(samples, Repeated).Over(samples[1])
	}
	return nil
}

// Names of what results are picked by.
const (
	Popauth  = "popauth"
	Repeated = "popauth, repeated token"

	byHand      = "golang-jwt + keyfunc"
	signature   = "signature alone"
	auth0Proofs = "auth0, with DPoP"
)

// Find is the sample of that name; the zero Sample if there is none.
func Find(samples []bench.Sample, name string) bench.Sample {
	for _, s := range samples {
		if s.Name == name {
			return s
		}
	}
	return bench.Sample{}
}

func versions() map[string]string {
	all := map[string]string{}
	for _, s := range append(bench.TokenSides(), bench.DPoPSides()...) {
		all[s.Name] = s.Version()
	}
	return all
}

func machine() Machine {
	m := Machine{CPU: runtime.GOARCH, Processors: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(info)) {
		name, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(name) {
		case "model name":
			m.CPU = strings.TrimSpace(value)
		case "flags":
			m.CPU += map[bool]string{true: ", with SHA instructions",
				false: ", without SHA instructions"}[strings.Contains(value, "sha_ni")]
			return m
		}
	}
	return m
}

// Write saves the results, and Read reads them.
func (r *Results) Write(name string) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(data, '\n'), 0o644) //nolint:gosec // everybody may read it
}

// Read reads what Write has written.
func Read(name string) (*Results, error) {
	data, err := os.ReadFile(name) //nolint:gosec // the caller names it
	if err != nil {
		return nil, err
	}
	r := &Results{}
	return r, json.Unmarshal(data, r)
}
