package probe

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Severity says what a thief gains where a check fails.
type Severity int

// The severities, from what is only worth knowing to what opens the API.
const (
	Info     Severity = iota
	Low               // a rule of the protocol that costs nothing by itself
	Medium            // one of several locks is open, or a client is misled
	High              // a stolen token or proof is good under some condition
	Critical          // a stolen token, or none, is enough
)

var severities = []string{"info", "low", "medium", "high", "critical"}

func (s Severity) String() string { return severities[s] }

// MarshalText writes the name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParseSeverity reads a name that String has written.
func ParseSeverity(name string) (Severity, error) {
	if i := slices.Index(severities, name); i >= 0 {
		return Severity(i), nil
	}
	return 0, fmt.Errorf("severity %q: want one of %s", name, strings.Join(severities, ", "))
}

// Check is one thing that an API must refuse, or do when it refuses.
type Check struct {
	Name     string   `json:"name"`
	Topic    string   `json:"topic"`
	Section  string   `json:"section"` // of the document that asks for it
	Severity Severity `json:"severity"`
	Title    string   `json:"title"` // what is sent, or looked at
	Want     string   `json:"want"`  // what a right API does

	needs need
	run   func(*session) verdict
}

// need is what the owner has to give for a check to make sense.
type need int

const (
	anything   need = 0
	needsCert  need = 1 << iota // the token is bound to a certificate
	needsKey                    // the token is bound to a DPoP key
	needsJWT                    // the token is a JWT, which can be altered
	needsTLS                    // the API is reached by TLS
	needsHTTP2                  // the API speaks HTTP/2
	needsOther                  // the API's TLS takes the other certificate
)

var missing = []struct {
	need
	reason string
}{
	{needsTLS, "the API is reached without TLS"},
	{needsCert, "no certificate was given: the token is not bound to one"},
	{needsKey, "no DPoP key was given: the token is not bound to one"},
	{needsJWT, "the token is no JWT"},
	{needsHTTP2, "the API doesn't speak HTTP/2"},
}

// State is how a check has ended.
type State string

// The states. Unclear is never taken for Passed: an API that is down refuses everything.
const (
	Passed  State = "passed"
	Found   State = "found"
	Skipped State = "skipped"
	Unclear State = "unclear"
)

type verdict struct {
	state  State
	detail string
}

func passed() verdict { return verdict{state: Passed} }

func found(format string, args ...any) verdict { return verdict{Found, fmt.Sprintf(format, args...)} }

func skipped(format string, args ...any) verdict {
	return verdict{Skipped, fmt.Sprintf(format, args...)}
}

func unclear(format string, args ...any) verdict {
	return verdict{Unclear, fmt.Sprintf(format, args...)}
}

// Checks are all there are, in the order in which they are run.
func Checks() []Check {
	var all []Check
	for _, t := range []struct {
		topic  string
		checks []Check
	}{
		{"credentials", credentialChecks()},
		{"token", tokenChecks()},
		{"certificate", certificateChecks()},
		{"certificate headers", forgeryChecks()},
		{"proof", slices.Concat(schemeChecks(), proofChecks(), claimChecks())},
		{"target of a proof", targetChecks()},
		{"replay", replayChecks()},
		{"path", pathChecks()},
		{"answers", answerChecks()},
		{"challenges", challengeChecks()},
		{"metadata and CORS", metadataChecks()},
	} {
		for _, c := range t.checks {
			c.Topic = t.topic
			all = append(all, c)
		}
	}
	return all
}

// choose returns the checks that the patterns name, as path.Match has them; those with ! leave out.
func choose(patterns []string) ([]Check, error) {
	all := Checks()
	in := func(name string) bool {
		chosen := len(patterns) == 0 || strings.HasPrefix(patterns[0], "!")
		for _, p := range patterns {
			if ok, err := path.Match(strings.TrimPrefix(p, "!"), name); err == nil && ok {
				chosen = !strings.HasPrefix(p, "!")
			}
		}
		return chosen
	}
	for _, p := range patterns {
		pattern := strings.TrimPrefix(p, "!")
		if !slices.ContainsFunc(all, func(c Check) bool { ok, err := path.Match(pattern, c.Name); return err == nil && ok }) {
			return nil, fmt.Errorf("checks: no check is called %q: --list has the names", pattern)
		}
	}
	return slices.DeleteFunc(all, func(c Check) bool { return !in(c.Name) }), nil
}
