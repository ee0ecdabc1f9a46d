package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Result is what a check has come to.
type Result struct {
	Check
	State  State  `json:"state"`
	Detail string `json:"detail,omitempty"`
}

// Report is what a probe has come to.
type Report struct {
	URL      string    `json:"url"` // without its query, which may be secret
	Began    time.Time `json:"began"`
	Seconds  float64   `json:"seconds"`
	Requests int       `json:"requests"`
	Remarks  []string  `json:"remarks,omitempty"`
	Results  []Result  `json:"results"`
}

// Count is the number of results in a state.
func (r *Report) Count(state State) int {
	n := 0
	for _, x := range r.Results {
		if x.State == state {
			n++
		}
	}
	return n
}

// Worst tells whether a check of this severity, or of a worse one, is in a state.
func (r *Report) Worst(state State, from Severity) bool {
	for _, x := range r.Results {
		if x.State == state && x.Severity >= from {
			return true
		}
	}
	return false
}

// ErrOwner is the error of a probe that has not begun, or could not end, because the API refuses the owner.
var ErrOwner = errors.New("nothing can be said: the API refuses its owner")

// Run probes an API. It sends nothing to anybody else, and nothing at all after the owner unless the owner passes.
func Run(ctx context.Context, o Options) (*Report, error) {
	u, err := o.complete()
	if err != nil {
		return nil, err
	}
	checks, err := choose(o.Checks)
	if err != nil {
		return nil, err
	}
	s := &session{
		ctx: ctx, options: o, url: u, token: readToken(o.Token), seen: map[string]answer{},
		limit: rate.NewLimiter(rate.Limit(o.Rate), max(int(o.Rate), atOnce)),
	}
	if s.thief, err = generateKey(); err != nil {
		return nil, err
	}
	if o.Certificate != nil {
		if s.lookalike, err = impersonate(o.Certificate, o.Other); err != nil {
			return nil, err
		}
	}
	report := &Report{URL: s.resource(u.EscapedPath()), Began: time.Now().UTC()}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOwner, err)
	}
	report.Results = s.runAll(checks)
	report.Remarks = s.remarks()
	report.Requests, report.Seconds = s.sent, time.Since(report.Began).Round(time.Millisecond).Seconds()
	return report, ctx.Err()
}

// runAll runs the checks. After each topic the owner must still pass: where nobody does, a refusal says nothing.
func (s *session) runAll(checks []Check) []Result {
	var results []Result
	start := 0
	for i, c := range checks {
		s.options.Progress(i, len(checks), s.sent, c.Name)
		v := s.verdict(c)
		results = append(results, Result{Check: c, State: v.state, Detail: s.discreet(v.detail)})
		if i+1 < len(checks) && checks[i+1].Topic == c.Topic {
			continue
		}
		if a := s.send(s.owner()); !s.accepted(a) {
			for j := start; j <= i; j++ {
				if results[j].State == Passed {
					results[j].State = Unclear
					results[j].Detail = "afterwards the owner's own request came to " + s.discreet(a.outcome()) + ", too"
				}
			}
		}
		start = i + 1
	}
	s.options.Progress(len(checks), len(checks), s.sent, "")
	return results
}

func (s *session) verdict(c Check) verdict {
	has := map[need]bool{
		needsCert: s.options.Certificate != nil, needsKey: s.options.Key != nil, needsJWT: s.token != nil,
		needsTLS: s.url.Scheme == "https", needsHTTP2: s.http2,
	}
	for _, m := range missing {
		if c.needs&m.need != 0 && !has[m.need] {
			return skipped("%s", m.reason)
		}
	}
	if s.ctx.Err() != nil {
		return unclear("%v", context.Cause(s.ctx))
	}
	if c.needs&needsOther != 0 && !s.otherConnects {
		return unclear("the API's TLS refuses the other certificate: give one that it takes, of another client")
	}
	return c.run(s)
}

// variant is a request of one kind: the owner's with a change.
type variant struct {
	name   string
	change func(*call)
}

// refused sends the variants, each of which the API has to refuse.
func (s *session) refused(variants ...variant) verdict {
	return s.judge(s.accepted, s.owner, variants)
}

func (s *session) judge(accepted func(answer) bool, base func() *call, variants []variant) verdict {
	doubt := ""
	slices.SortStableFunc(variants, func(a, b variant) int { return strings.Compare(a.name, b.name) }) // some come from a map
	for _, v := range variants {
		c := base()
		v.change(c)
		a := s.send(c)
		if why := a.unknown(); why != "" {
			doubt = named(v.name, "came to "+why)
		}
		if accepted(a) {
			return found("%s", named(v.name, "answered with "+a.outcome()+", as the owner is"))
		}
	}
	if doubt != "" {
		return unclear("%s", doubt)
	}
	return passed()
}

func named(name, text string) string {
	if name == "" {
		return text
	}
	return name + ": " + text
}

// refuse is the check that one change of the owner's request is refused.
func refuse(changes ...func(*session, *call)) func(*session) verdict {
	return func(s *session) verdict {
		return s.refused(variant{"", func(c *call) {
			for _, change := range changes {
				change(s, c)
			}
		}})
	}
}

// answerTo returns the answer to a request that several checks look at, and sends it once.
func (s *session) answerTo(name string, change func(*call)) answer {
	if a, ok := s.seen[name]; ok {
		return a
	}
	c := s.owner()
	change(c)
	a := s.send(c)
	s.seen[name] = a
	return a
}

// remarks are what whoever reads the report should know.
func (s *session) remarks() []string {
	var all []string
	if s.token == nil {
		all = append(all, "the token is no JWT, so that it could not be altered")
	} else if s.token.confirmation() == nil {
		all = append(all, "the token names no key in cnf: unless the API learns of one by introspection, it is good in any hands")
	}
	if !s.stable {
		all = append(all, "the owner gets another body each time: paths were compared by what the bodies have in common")
	}
	if s.options.Key != nil && s.nonces {
		all = append(all, "the API asks for nonces, so that the time in a proof need not be checked (RFC 9449, section 11.1)")
	}
	if !s.http2 && s.url.Scheme == "https" {
		all = append(all, "the owner doesn't pass by HTTP/2")
	}
	return all
}
