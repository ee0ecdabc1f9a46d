package bench

import (
	"context"
	"net/http"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// Rotation is how many tokens take turns, so that neither the caches of the processor nor what a library remembers of
// the last one make a token that is called new cheaper than one is.
const Rotation = 256

const rawName = "signature alone"

// rotate returns what runs each of them in turn.
func rotate[T any](all []T, run func(T)) func() {
	n := 0
	return func() {
		run(all[n])
		if n++; n == len(all) {
			n = 0
		}
	}
}

// raw verifies the tokens' signatures.
func (f *Fixture) raw(algorithm string, tokens []string) (func(), error) {
	_, key, err := f.API(algorithm).Key()
	if err != nil {
		return nil, err
	}
	verify, err := Verify(key, tokens...)
	if err != nil {
		return nil, err
	}
	return rotate(verify, func(f func()) { f() }), nil
}

// race sends the same requests to each side and compares them with the verification of the tokens alone.
func (f *Fixture) race(ctx context.Context, algorithm string, sides []Side, tokens []string, cycles int) ([]Sample, error) {
	contenders, err := f.contenders(ctx, algorithm, sides, tokens)
	if err != nil {
		return nil, err
	}
	return Pairs(contenders, cycles), nil
}

// contenders are the verification alone, twice, which tells how much a ratio is worth, and the sides.
func (f *Fixture) contenders(ctx context.Context, algorithm string, sides []Side, tokens []string) ([]Contender, error) {
	raw, err := f.raw(algorithm, tokens)
	if err != nil {
		return nil, err
	}
	again, err := f.raw(algorithm, tokens)
	if err != nil {
		return nil, err
	}
	contenders := []Contender{{Name: rawName, Run: raw}, {Name: rawName + ", again", Run: again}}
	requests := f.Requests(tokens)
	for _, s := range sides {
		h, err := s.protect(ctx, f.API(algorithm))
		if err != nil {
			return nil, err
		}
		contenders = append(contenders, Contender{Name: s.Name, Run: rotate(requests, serve(h, reached))})
	}
	return contenders, nil
}

// TokenRace measures authentication by the token alone.
func (f *Fixture) TokenRace(ctx context.Context, algorithm string, cycles int) ([]Sample, error) {
	return f.race(ctx, algorithm, TokenSides(), f.Tokens(algorithm, Rotation), cycles)
}

// ChainRace measures token, certificate, cnf and scope.
func (f *Fixture) ChainRace(ctx context.Context, algorithm string, cycles int) ([]Sample, error) {
	return f.race(ctx, algorithm, ChainSides(), f.Tokens(algorithm, Rotation, f.owner.Bound()), cycles)
}

// GarbageRace measures how a token's form with nothing in it is refused.
func (f *Fixture) GarbageRace(ctx context.Context, algorithm string, cycles int) ([]Sample, error) {
	tokens := f.Tokens(algorithm, Rotation)
	raw, err := f.raw(algorithm, tokens)
	if err != nil {
		return nil, err
	}
	contenders := []Contender{{Name: rawName, Run: raw}}
	r := request(f.owner, "Bearer", Garbage(tokens[0]))
	for _, s := range TokenSides() {
		if s.Name == "popauth, repeated token" {
			continue // garbage is not remembered
		}
		h, err := s.protect(ctx, f.API(algorithm))
		if err != nil {
			return nil, err
		}
		send := serve(h, recorded(h, r))
		contenders = append(contenders, Contender{Name: s.Name, Run: func() { send(r) }})
	}
	return Pairs(contenders, cycles), nil
}

// DPoPRace measures a token with a new proof each time, beside the two signatures. Where the token repeats, what can't
// be left out is the proof's signature: proof is that alone, as a part of both.
func (f *Fixture) DPoPRace(ctx context.Context, algorithm, proofs string, cycles int) ([]Sample, error) {
	key := popauthtest.NewProofKey(&Program{}, proofs)
	tokens := f.Tokens(algorithm, Rotation, key.Bound())
	first, err := f.raw(algorithm, tokens)
	if err != nil {
		return nil, err
	}
	var signed []string
	for _, token := range tokens {
		signed = append(signed, key.Proof(http.MethodGet, Audience+Path, token))
	}
	verify, err := Verify(key.Public(), signed...)
	if err != nil {
		return nil, err
	}
	second := rotate(verify, func(f func()) { f() })
	contenders := []Contender{
		{Name: "both signatures", Run: func() { first(); second() }},
		{Name: "the proof's signature", Run: second},
	}
	for _, s := range DPoPSides() {
		h, err := s.protect(ctx, f.API(algorithm))
		if err != nil {
			return nil, err
		}
		contenders = append(contenders, proving(s.Name, h, key, tokens))
	}
	return Pairs(contenders, cycles), nil
}

// proving sends a new proof each time, signed before.
func proving(name string, h http.Handler, key *popauthtest.ProofKey, tokens []string) Contender {
	var ready []*http.Request
	send, turn := serve(h, reached), 0
	return Contender{
		Name: name,
		Prepare: func(n int) {
			clear(ready)
			ready = ready[:0]
			for range n {
				token := tokens[turn%len(tokens)]
				r := request(nil, "DPoP", token)
				r.Header.Set("DPoP", key.Proof(http.MethodGet, Audience+Path, token))
				ready = append(ready, r)
				turn++
			}
		},
		Run: func() {
			last := len(ready) - 1
			send(ready[last])
			ready = ready[:last]
		},
	}
}
