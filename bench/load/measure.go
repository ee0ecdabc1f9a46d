package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/bench"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Options say how long to measure.
type Options struct {
	Algorithms []string
	Cycles     int           // in each, every server has one slice
	Slice      time.Duration // how long it is asked at a time
}

// Server is what was measured of one.
type Server struct {
	Name, Algorithm string
	PerSecond       bench.Ratio // requests
	OfNone          bench.Ratio // requests per second, to those of the server without middleware in the same cycle
	CPU             float64     // of the server, microseconds per request; zero where it can't be told
	More            float64     // of that, more than without middleware in the same cycle
	Added           float64     // that, to what the signature alone adds
}

const connections = 16

// NewConnection is the server without middleware whose clients open a connection for each request.
const NewConnection = "no middleware, new connections"

// lineup are the servers: one without middleware, and for each algorithm those to compare.
func lineup(algorithms []string) []serverSettings {
	all := []serverSettings{{Kind: none, Side: string(none)}, {Kind: none, Side: NewConnection}}
	for _, a := range algorithms {
		add := func(k kind, side string) {
			all = append(all, serverSettings{Kind: k, Side: side, API: bench.API{Algorithm: a}})
		}
		add(signature, string(signature))
		for _, s := range bench.ChainSides() {
			add(chain, s.Name)
		}
		for _, side := range []string{"go-oidc", "go-chi/jwtauth", "auth0"} {
			add(token, side)
		}
	}
	return all
}

// Measure starts all servers at once and asks them in turn, in random order.
func Measure(ctx context.Context, f *bench.Fixture, o Options) ([]Server, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &bench.Program{}
	defer t.Close()
	servers, err := startAll(ctx, t, f, lineup(o.Algorithms))
	if err != nil {
		return nil, err
	}
	for cycle := range o.Cycles + 1 {
		for _, i := range rand.Perm(len(servers.all)) { //nolint:gosec // protects nothing
			if err := servers.slice(i, o.Slice, cycle > 0); err != nil { // the first is for warming up
				return nil, err
			}
		}
	}
	return servers.results(), nil
}

// servers are the processes, with what they were measured to do.
type servers struct {
	settings  []serverSettings
	all       []*child
	generator *child
	perSecond [][]float64
	cpu       [][]float64
}

func startAll(ctx context.Context, t *bench.Program, f *bench.Fixture, settings []serverSettings) (*servers, error) {
	certificate := popauthtest.NewCA(t).Server()
	own, err := identityOf(certificate)
	if err != nil {
		return nil, err
	}
	tokens := map[string][]string{}
	s := &servers{settings: settings, perSecond: make([][]float64, len(settings)), cpu: make([][]float64, len(settings))}
	var targets []target
	for _, one := range settings {
		algorithm := one.API.Algorithm
		if algorithm == "" { // without middleware, it reads none
			algorithm = bench.Algorithms[0]
		}
		if tokens[algorithm] == nil {
			tokens[algorithm] = f.Tokens(algorithm, 16*connections, f.Owner().Bound())
		}
		one.API, one.Own, one.Sample = f.API(algorithm), own, tokens[algorithm][0]
		c, address, err := start(ctx, "server", 0, one)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", one.Side, algorithm, err)
		}
		t.Cleanup(c.stop)
		s.all = append(s.all, c)
		targets = append(targets, target{address, tokens[algorithm], connections, one.Side == NewConnection})
	}
	client, err := identityOf(f.Owner().Certificate)
	if err != nil {
		return nil, err
	}
	s.generator, _, err = start(ctx, "generator", 1, generatorSettings{client, authority(certificate), targets})
	if err != nil {
		return nil, fmt.Errorf("generator: %w", err)
	}
	t.Cleanup(s.generator.stop)
	return s, nil
}

// authority is what the generator trusts: the server's own certificate.
func authority(c tls.Certificate) []byte { return c.Certificate[0] }

// slice asks one server for a while and holds it to having run its handler for each request.
func (s *servers) slice(i int, span time.Duration, counts bool) error {
	cpu, ran, err := s.usage(i)
	if err != nil {
		return err
	}
	answer, err := s.generator.ask(fmt.Sprint(i, " ", span.Nanoseconds()))
	if err != nil {
		return fmt.Errorf("%s, %s: %w", s.settings[i].Side, s.settings[i].API.Algorithm, err)
	}
	var n, took int64
	if _, err := fmt.Sscan(answer, &n, &took); err != nil {
		return err
	}
	cpuAfter, ranAfter, err := s.usage(i)
	if err != nil {
		return err
	}
	if ranAfter-ran != n || n == 0 {
		return fmt.Errorf("%s: %d requests, the handler ran %d times", s.settings[i].Side, n, ranAfter-ran)
	}
	if counts {
		s.perSecond[i] = append(s.perSecond[i], float64(n)/(float64(took)/1e9))
		s.cpu[i] = append(s.cpu[i], float64(cpuAfter-cpu)/1e3/float64(n))
	}
	return nil
}

func (s *servers) usage(i int) (cpu, ran int64, err error) {
	answer, err := s.all[i].ask("")
	if err == nil {
		_, err = fmt.Sscan(strings.TrimSpace(answer), &cpu, &ran)
	}
	return cpu, ran, err
}

func (s *servers) results() []Server {
	all := make([]Server, len(s.settings))
	signatures := map[string]float64{}
	for i, settings := range s.settings {
		more := make([]float64, len(s.cpu[i]))
		for cycle := range more {
			more[cycle] = s.cpu[i][cycle] - s.cpu[0][cycle]
		}
		all[i] = Server{
			Name: settings.Side, Algorithm: settings.API.Algorithm,
			OfNone:    bench.Paired(s.perSecond[i], s.perSecond[0]),
			PerSecond: bench.Distribution(slices.Clone(s.perSecond[i])),
			CPU:       bench.Distribution(slices.Clone(s.cpu[i])).Median, More: bench.Distribution(more).Median,
		}
		if settings.Kind == signature {
			signatures[settings.API.Algorithm] = all[i].More
		}
	}
	for i, settings := range s.settings {
		if of := signatures[settings.API.Algorithm]; of > 0 {
			all[i].Added = all[i].More / of
		}
	}
	return all
}
