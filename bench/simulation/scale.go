package simulation

import (
	_ "embed"
	"fmt"
	"io"
	"text/template"
	"time"

	"github.com/seed-171ab058/popauth/bench"
	"github.com/seed-171ab058/popauth/bench/report"
)

//go:embed scale.md.tmpl
var document string

// Scale is everything that docs/scale.md says.
type Scale struct {
	Fleet    Fleet
	Measured *report.Results
	Costs    []Cost

	Alone    time.Duration // how long an id is kept in a Guard's own memory
	Shared   time.Duration // and in a store that was set
	Replay   ReplayUse
	Commands []string
	Redis    []RedisUse

	Traffic           []Traffic
	SetBytes          int
	Lifetime, Latency time.Duration
	Rotations         []RotationRow

	Seconds    []int
	Reverified []Reverified

	CertificateSeen, CertificateNew float64
	Certificates                    []Certificates
}

// Cost is what 1,000 requests a second need.
type Cost struct {
	Name                string
	Processors, Garbage float64
}

// RedisUse is what a Redis has to hold.
type RedisUse struct {
	PerSecond, IDs int
	Memory, Least  int // MB; Least with Remember as low as DPoP as it comes allows
}

// Traffic is what the issuer sees.
type Traffic struct {
	Start, Refresh              time.Duration
	Spread                      string
	Mean                        float64
	First, Hour2, Hour6, Hour24 int
}

// RotationRow is a Rotation in a table.
type RotationRow struct {
	Requests        float64
	Half, Most      time.Duration
	Busiest, Waited int
}

// Reverified is what is verified again when the tokens were forgotten.
type Reverified struct {
	Tokens int
	Misses []int
	CPU    string
}

// Certificates is how many of the clients' are remembered.
type Certificates struct {
	Clients     int
	Share, Cost float64
}

// skew is redisreplay.Options.Skew as it comes, and redisBytes what an id needs there.
const (
	skew       = 30 * time.Second
	redisBytes = 200
)

// Play simulates everything.
func Play(f Fleet, measured *report.Results) (*Scale, error) {
	s := &Scale{
		Fleet: f, Measured: measured, Alone: alone, Shared: shared, Lifetime: time.Hour, Latency: 100 * time.Millisecond,
		Seconds: []int{1, 2, 5, 10, 30},
	}
	s.costs()
	var err error
	if s.Replay, err = Replay(1000); err != nil {
		return nil, err
	}
	if s.Commands, err = Commands(); err != nil {
		return nil, err
	}
	for _, n := range []int{1000, 10_000, 100_000} {
		ids, least := n*int((shared+skew)/time.Second), n*int((alone+skew)/time.Second)
		s.Redis = append(s.Redis, RedisUse{n, ids, ids * redisBytes / 1_000_000, least * redisBytes / 1_000_000})
	}
	s.traffic()
	s.rotations()
	s.reverify()
	s.certificates()
	t := &bench.Program{}
	defer t.Close()
	s.SetBytes = len(bench.NewFixture(t).API("RS256").JWKS)
	return s, nil
}

// Document writes docs/scale.md.
func (s *Scale) Document(w io.Writer) error {
	t, err := template.New("scale.md").Funcs(template.FuncMap{"count": count, "span": span}).Parse(document)
	if err != nil {
		return err
	}
	return t.Execute(w, s)
}

// count writes a number with commas.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// span writes a time in the unit that fits it.
func span(d time.Duration) string {
	switch {
	case d >= time.Minute && d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%g s", d.Seconds())
}

func (s *Scale) costs() {
	const perSecond = 1000
	for _, side := range []struct{ name, what string }{
		{report.Popauth, "token, certificate, cnf, scope"}, {report.Repeated, "the same, repeated token"},
	} {
		for _, a := range bench.Algorithms {
			more := s.cpu(side.name, a)
			if more == 0 { // a short run leaves one out
				continue
			}
			s.Costs = append(s.Costs, Cost{
				side.what + ", " + a, more * perSecond / 1e6, report.Find(s.Measured.Chain[a], side.name).Bytes * perSecond / 1e6,
			})
		}
	}
	for _, side := range []struct{ name, what string }{
		{report.Popauth, "DPoP, token and proof ES256"}, {report.Repeated, "the same, repeated token"},
	} {
		sample := report.Find(s.Measured.DPoP["ES256 + ES256"], side.name)
		s.Costs = append(s.Costs, Cost{side.what, sample.Nanoseconds * perSecond / 1e9, sample.Bytes * perSecond / 1e6})
	}
}

// cpu is what a server needs more with popauth than without, in microseconds a request.
func (s *Scale) cpu(side, algorithm string) float64 { return s.Measured.Server(side, algorithm).More }

func (s *Scale) traffic() {
	for _, row := range []struct {
		start, refresh time.Duration
		spread         bool
	}{
		{10 * time.Second, time.Hour, true},
		{10 * time.Second, time.Hour, false},
		{10 * time.Minute, time.Hour, true},
		{10 * time.Second, 5 * time.Minute, true},
		{10 * time.Second, 5 * time.Minute, false},
	} {
		f := s.Fleet
		f.Start, f.Refresh, f.Spread = row.start, row.refresh, row.spread
		const hour = time.Hour
		fetches := f.Fetches(24 * hour)
		s.Traffic = append(s.Traffic, Traffic{
			row.start, row.refresh, map[bool]string{true: "as it is", false: "if nothing spread them"}[row.spread],
			Rate(fetches, hour, 24*hour), Busiest(fetches, 0, row.start+time.Minute), Busiest(fetches, hour, 2*hour),
			Busiest(fetches, 5*hour, 6*hour), Busiest(fetches, 23*hour, 24*hour),
		})
	}
}

func (s *Scale) rotations() {
	for _, requests := range []float64{1, 10, 100, 1000} {
		f := s.Fleet
		f.Requests = requests
		r := f.Rotate(s.Lifetime, s.Latency)
		s.Rotations = append(s.Rotations, RotationRow{
			requests, At(r.Fetches, 0.5).Round(100 * time.Millisecond), At(r.Fetches, 0.99).Round(100 * time.Millisecond),
			Busiest(r.Fetches, 0, s.Lifetime), r.Waited,
		})
	}
}

func (s *Scale) reverify() {
	const requests = 1000
	for _, tokens := range []int{1000, 10_000, 100_000} {
		misses := Misses(requests, tokens, s.Seconds[len(s.Seconds)-1], s.Fleet.Seed)
		row := Reverified{Tokens: tokens}
		for _, second := range s.Seconds {
			row.Misses = append(row.Misses, misses[second-1])
		}
		more := func(algorithm string) string {
			extra := max(0, s.cpu(report.Popauth, algorithm)-s.cpu(report.Repeated, algorithm))
			return fmt.Sprintf("%.0f ms", extra*float64(misses[0])/1e3)
		}
		row.CPU = more("RS256") + " / " + more("ES256")
		s.Reverified = append(s.Reverified, row)
	}
}

func (s *Scale) certificates() {
	if len(s.Measured.Headers) < 3 {
		return
	}
	const places = 512
	s.CertificateSeen, s.CertificateNew = s.Measured.Headers[1].Ratio.Median, s.Measured.Headers[2].Ratio.Median
	for _, clients := range []int{100, 500, 1000, 5000, 50_000} {
		found := min(1, float64(places)/float64(clients))
		s.Certificates = append(s.Certificates, Certificates{
			clients, 100 * found, found*s.CertificateSeen + (1-found)*s.CertificateNew,
		})
	}
}
