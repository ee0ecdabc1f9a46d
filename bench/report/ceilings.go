package report

import (
	"errors"
	"fmt"

	"github.com/seed-171ab058/popauth/bench"
)

// ceiling is the number of allocations that one request must not exceed. It does not depend on the machine.
type ceiling struct {
	what   string
	have   float64
	atMost float64
}

func (r *Results) ceilings() []ceiling {
	var all []ceiling
	add := func(what string, samples map[string][]bench.Sample, key string, first, again float64) {
		what += ", " + key
		all = append(all, ceiling{what, Find(samples[key], Popauth).Allocations, first},
			ceiling{what + ", repeated token", Find(samples[key], Repeated).Allocations, again})
	}
	add("chain", r.Chain, "RS256", 24, 3)
	add("chain", r.Chain, "ES256", 36, 3)
	add("chain", r.Chain, "EdDSA", 13, 3)
	add("DPoP", r.DPoP, "ES256 + ES256", 73, 41)
	add("DPoP", r.DPoP, "RS256 + ES256", 61, 41)
	add("DPoP", r.DPoP, "EdDSA + EdDSA", 27, 18)
	for _, s := range r.Garbage {
		if s.Name == Popauth {
			all = append(all, ceiling{"garbage", s.Allocations, 5})
		}
	}
	return all
}

// Excess is an error if popauth allocates more than it must.
func (r *Results) Excess() error {
	var wrong []error
	for _, c := range r.ceilings() {
		if c.have == 0 || c.have > c.atMost {
			wrong = append(wrong, fmt.Errorf("allocations: %s: got %.0f, want %.0f at most", c.what, c.have, c.atMost))
		}
	}
	return errors.Join(wrong...)
}
