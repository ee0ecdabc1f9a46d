//go:build unix

package soak

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// Kinds of thieves that may reach the handler, or not yet be refused.
const (
	forgottenProof = "proof that was used before Redis came back empty"
	earlyWithdrawn = "token of a withdrawn key, in the first 25 s"
	notYetRevoked  = "opaque token, not revoked yet, or for 12 s at most"
	expiredBehind  = "expired a minute ago, while b's clock is behind"
)

// proof is a request that the API has accepted, as somebody has seen it go by.
type proof struct {
	at                        time.Time
	url, authorization, proof string
	instance                  string // that has taken it
}

// proofs are the last ones, and every fiftieth of those before, which a clock that is set back makes new again.
type proofs struct {
	mu     sync.Mutex
	n      int
	recent [256]proof
	old    []proof
}

func (p *proofs) keep(one proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent[p.n%len(p.recent)] = one
	if p.n%50 == 0 {
		p.old = append(p.old, one)
	}
	p.n++
}

// pick returns one at random: a recent one, or an old one. If a clock is behind, that is one which was new when the true
// time was what this clock shows.
func (p *proofs) pick(old bool, behind time.Duration) (proof, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.recent[:min(p.n, len(p.recent))]
	if old {
		from = p.old
	}
	if old && behind > 0 {
		then := time.Now().Add(-behind)
		from = slices.DeleteFunc(slices.Clone(from), func(one proof) bool {
			return one.at.After(then) || one.at.Before(then.Add(-50*time.Second))
		})
	}
	if len(from) == 0 {
		return proof{}, false
	}
	return from[rand.IntN(len(from))], true //nolint:gosec // protects nothing
}

// held is a token whose key the issuer has withdrawn, in its owner's hand.
type held struct {
	token string
	owner *owner
	at    time.Time

	counted time.Duration // for how long it has been accepted since
}

// revoked is an opaque token that is about to be revoked, or was.
type revoked struct {
	token    string
	made, at time.Time
}

// replay sends again what an owner has sent.
func (t *thieves) replay(old bool) func() *attempt {
	return func() *attempt {
		behind := time.Duration(t.behind.Load())
		p, ok := t.used.pick(old, behind)
		if !ok {
			return nil
		}
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, p.url, nil)
		if err != nil {
			return nil
		}
		r.Header.Set("Authorization", p.authorization)
		r.Header.Set("DPoP", p.proof)
		t.mu.Lock()
		forgotten := p.at.Before(t.emptied)
		t.mu.Unlock()
		a := &attempt{kind: "proof used before", client: t.own, request: r, seen: p.instance}
		switch {
		case old && behind > 0:
			a.kind = "proof used before, as old as b's clock is behind"
		case old:
			a.kind = "proof used before, kept for long"
		}
		if forgotten {
			a.kind, a.known, a.since = forgottenProof, true, p.at
		}
		return a
	}
}

// late are tokens that were good once, in their owner's hand.
func (t *thieves) late() []func() *attempt {
	return []func() *attempt{
		func() *attempt {
			t.mu.Lock()
			h := t.held
			t.mu.Unlock()
			if h.owner == nil {
				return nil
			}
			a := t.send("token of a withdrawn key", t.theirs[h.owner], plainPath, "Bearer", h.token)
			if a != nil && time.Since(h.at) < refresh+5*time.Second {
				a.kind, a.known, a.since = earlyWithdrawn, true, h.at
			}
			return a
		},
		func() *attempt {
			o, now := t.by[certificateJWT][0], time.Now()
			behind := t.behind.Load() != 0
			a := t.send("expired a minute ago", t.theirs[o], plainPath, "Bearer", t.w.issuer.Token(o.Bound(), popauthtest.Claims{
				"aud": audience, "client_id": o.name, "sub": "sub-" + o.name, "scope": scope,
				"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(-time.Minute).Unix(),
			}))
			if a != nil && behind {
				a.kind, a.known = expiredBehind, true
			}
			return a
		},
		t.revoke,
	}
}

// revoke has an opaque token that is good for some seconds, then revoked, then remembered by an API for ten seconds.
func (t *thieves) revoke() *attempt {
	o := t.by[certificateOpaque][0]
	t.mu.Lock()
	now := time.Now()
	if t.revoked.token == "" || !t.revoked.at.IsZero() && now.Sub(t.revoked.at) > 40*time.Second {
		t.revoked = revoked{made: now, token: t.w.issuer.Opaque(o.Bound(), popauthtest.Claims{
			"aud": audience, "client_id": o.name, "sub": "sub-" + o.name, "scope": scope,
		})}
	}
	if t.revoked.at.IsZero() && now.Sub(t.revoked.made) > 5*time.Second {
		t.w.issuer.Revoke(t.revoked.token)
		t.revoked.at = now
	}
	r := t.revoked
	t.mu.Unlock()
	a := t.send("revoked opaque token", t.theirs[o], plainPath, "Bearer", r.token)
	if a != nil && (r.at.IsZero() || now.Sub(r.at) < 12*time.Second) {
		a.kind, a.known = notYetRevoked, true
	}
	return a
}

// forget says that Redis has lost everything.
func (t *thieves) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.emptied = time.Now()
}

// hold takes a token whose key is about to be withdrawn.
func (t *thieves) hold() {
	o := t.by[certificateJWT][0]
	token := t.w.issuer.Token(o.Bound(), popauthtest.Claims{
		"aud": audience, "client_id": o.name, "sub": "sub-" + o.name, "scope": scope, "exp": time.Now().Add(time.Hour).Unix(),
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = held{token: token, owner: o, at: time.Now()}
}

// counted is for how long the token has been accepted whose key was withdrawn last.
func (t *thieves) counted() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held.counted
}
