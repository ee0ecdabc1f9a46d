package popauth

import (
	"context"
	"maps"
	"slices"
)

// VerifyJWS is what a Guard does with a token but for its claims and its type: published vectors sign what is no token.
func VerifyJWS(keys KeySource, token string) error {
	v := &jwtVerifier{keys: keys, algorithms: algorithms}
	header, _, signature, err := split(token)
	if err != nil {
		return err
	}
	h, err := readHeader(header)
	if err != nil {
		return err
	}
	a, err := v.algorithm(h)
	if err != nil {
		return err
	}
	return v.verifySignature(context.Background(), h, a, token, signature)
}

// Descriptions are all the texts that a challenge may have.
func Descriptions() map[string]bool {
	all := map[string]bool{}
	for a := range maps.Values(answers) {
		all[a.description] = true
	}
	return all
}

// Reasons are all that there are, and one that there is not.
func Reasons() []Reason { return append(slices.Collect(maps.Keys(answers)), "x") }

// Known tells whether a Reason is one of the constants.
func Known(r Reason) bool {
	_, ok := answers[r]
	return ok
}
