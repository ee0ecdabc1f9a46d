package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// Question is a request with the answer that every side must give.
type Question struct {
	Name    string
	Request func() *http.Request
	Passes  bool
}

// Held counts what a kind of side was asked.
type Held struct {
	Sides, Good, Refused int
}

// TokenQuestions are asked of every side.
func (f *Fixture) TokenQuestions(algorithm string, claims ...popauthtest.Claims) []Question {
	ask := func(name string, passes bool, token string) Question {
		return Question{name, func() *http.Request { return request(f.owner, "Bearer", token) }, passes}
	}
	with := func(by *popauthtest.Issuer, extra popauthtest.Claims) string {
		return f.token(by, algorithm, append(append([]popauthtest.Claims{}, claims...), extra)...)
	}
	good := with(f.issuer, nil)
	past := time.Now().Add(-time.Hour).Unix()
	questions := []Question{
		ask("good", true, good),
		ask("good, again", true, good),
		ask("another good one", true, with(f.issuer, nil)),
		ask("none", false, ""),
		ask("garbage", false, Garbage(good)),
		ask("three dots", false, good+"."),
		ask("another audience", false, with(f.issuer, popauthtest.Claims{"aud": "https://other.example.com"})),
		ask("expired", false, with(f.issuer, popauthtest.Claims{"exp": past, "nbf": past - 60, "iat": past - 60})),
		ask("another issuer", false, with(f.issuer, popauthtest.Claims{"iss": "https://other.example.com"})),
		ask("another key", false, with(f.other, nil)),
		ask("another signature", false, good[:strings.LastIndexByte(good, '.')+1]+f.issuer.Signature("other", algorithm)),
		ask("alg none", false, f.header(algorithm, "none", claims)),
		ask("alg HS256", false, f.header(algorithm, "HS256", claims)),
	}
	for _, other := range Algorithms {
		if other != algorithm {
			questions = append(questions, ask("signed with "+other, false, f.token(f.issuer, other, claims...)))
		}
	}
	return questions
}

// header makes a token as the attack by algorithm confusion does, or one without a signature.
func (f *Fixture) header(algorithm, attack string, claims []popauthtest.Claims) string {
	kid, _, _ := f.API(algorithm).Key()
	return f.issuer.TokenWith(popauthtest.Claims{"alg": attack, "kid": kid},
		append([]popauthtest.Claims{{"scope": Scope, "aud": Audience}}, claims...)...)
}

// Garbage has a token's form and length, and letters at random.
func Garbage(token string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	return strings.Map(func(r rune) rune {
		if r == '.' {
			return r
		}
		return rune(letters[random.IntN(len(letters))])
	}, token)
}

// ChainQuestions are asked of those that look at the certificate and the scope.
func (f *Fixture) ChainQuestions(algorithm string) []Question {
	bound := f.owner.Bound()
	token := f.token(f.issuer, algorithm, bound)
	ask := func(name string, by *popauthtest.Client, token string) Question {
		return Question{name, func() *http.Request { return request(by, "Bearer", token) }, false}
	}
	return append(f.TokenQuestions(algorithm, bound),
		ask("another certificate", f.thief, token),
		ask("no certificate", nil, token),
		ask("not bound", f.owner, f.token(f.issuer, algorithm)),
		ask("another scope", f.owner, f.token(f.issuer, algorithm, bound, popauthtest.Claims{"scope": "orders.write"})),
	)
}

// DPoPQuestions are asked of those that look at proofs.
func (f *Fixture) DPoPQuestions(algorithm, proofs string) []Question {
	key, other := popauthtest.NewProofKey(&Program{}, proofs), popauthtest.NewProofKey(&Program{}, proofs)
	token := f.token(f.issuer, algorithm, key.Bound())
	ask := func(name string, passes bool, token string, proof func() string) Question {
		return Question{name, func() *http.Request {
			r := request(f.owner, "DPoP", token)
			if p := proof(); p != "" {
				r.Header.Set("DPoP", p)
			}
			return r
		}, passes}
	}
	proof := func(by *popauthtest.ProofKey, method, target, token string, claims ...popauthtest.Claims) func() string {
		return func() string { return by.Proof(method, target, token, claims...) }
	}
	const get, target = http.MethodGet, Audience + Path
	good := proof(key, get, target, token)
	old := time.Now().Add(-time.Hour).Unix()
	forged := f.token(f.other, algorithm, key.Bound())
	expired := f.token(f.issuer, algorithm, key.Bound(), popauthtest.Claims{"exp": old, "nbf": old - 60, "iat": old - 60})
	return []Question{
		ask("good", true, token, good),
		ask("good, another proof", true, token, good),
		ask("no proof", false, token, func() string { return "" }),
		ask("garbage for a proof", false, token, func() string { return Garbage(good()) }),
		ask("proof by another key", false, token, proof(other, get, target, token)),
		ask("proof for another method", false, token, proof(key, http.MethodPost, target, token)),
		ask("proof for another URL", false, token, proof(key, get, target+"/1", token)),
		ask("proof for another token", false, token, proof(key, get, target, f.token(f.issuer, algorithm))),
		ask("old proof", false, token, proof(key, get, target, token, popauthtest.Claims{"iat": old})),
		ask("token by another key", false, forged, proof(key, get, target, forged)),
		ask("expired token", false, expired, proof(key, get, target, expired)),
		{"under Bearer", func() *http.Request {
			r := request(f.owner, "Bearer", token)
			r.Header.Set("DPoP", good())
			return r
		}, false},
	}
}

// replayQuestions are asked of those that remember used proofs.
func (f *Fixture) replayQuestions(algorithm, proofs string) []Question {
	key := popauthtest.NewProofKey(&Program{}, proofs)
	token := f.token(f.issuer, algorithm, key.Bound())
	proof := key.Proof(http.MethodGet, Audience+Path, token)
	same := func() *http.Request {
		r := request(f.owner, "DPoP", token)
		r.Header.Set("DPoP", proof)
		return r
	}
	return []Question{{"proof", same, true}, {"proof, used", same, false}}
}

// hold asks each side each question. The error lists every wrong answer: a status of 400 to 499 without the handler
// having run is a refusal, and nothing else is.
func hold(sides []Side, a API, questions []Question) (Held, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	held := Held{Sides: len(sides)}
	var wrong []error
	for _, s := range sides {
		ran := 0
		protect, err := s.Protect(ctx, a)
		if err != nil {
			return Held{}, fmt.Errorf("%s: %w", s.Name, err)
		}
		h := protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ran++
			handler(w, r)
		}))
		for _, q := range questions {
			ran = 0
			status := recorded(h, q.Request())
			passed, refused := ran == 1 && status == reached, ran == 0 && status >= 400 && status < 500
			if q.Passes {
				held.Good++
			} else {
				held.Refused++
			}
			if q.Passes && !passed || !q.Passes && !refused {
				wrong = append(wrong, fmt.Errorf("%s, %s, %s: status %d, the handler ran %d times", s.Name, a.Algorithm, q.Name, status,
					ran))
			}
		}
	}
	return held, errors.Join(wrong...)
}

// Hold holds every side to the same answers, and tells how many there were.
func (f *Fixture) Hold() (Held, error) {
	var all Held
	var wrong []error
	ask := func(sides []Side, algorithm string, questions []Question) {
		held, err := hold(sides, f.API(algorithm), questions)
		all.Sides = max(all.Sides, len(sides))
		all.Good += held.Good
		all.Refused += held.Refused
		wrong = append(wrong, err)
	}
	for _, algorithm := range Algorithms {
		ask(TokenSides(), algorithm, f.TokenQuestions(algorithm))
		ask(ChainSides(), algorithm, f.ChainQuestions(algorithm))
		for _, proofs := range []string{"ES256", algorithm} {
			ask(DPoPSides(), algorithm, f.DPoPQuestions(algorithm, proofs))
			ask(DPoPSides()[:2], algorithm, f.replayQuestions(algorithm, proofs)) // popauth's
		}
	}
	return all, errors.Join(wrong...)
}
