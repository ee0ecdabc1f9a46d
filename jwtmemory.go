package popauth

import (
	"context"
	"crypto/sha256"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/keys"
	"github.com/seed-171ab058/popauth/internal/memory"
)

const (
	// defaultTokens is a token for each of more clients than most APIs have at a time, in 7 MB at most.
	defaultTokens = 10_000
	maxTokens     = 10_000_000
)

// Budget is a bound in bytes for the tokens that several Verifiers of NewJWTVerifier remember together, as those of many
// tenants. When it is used up, the one that holds most makes room. Make it with NewBudget; the nil one has no bound. It is safe for
// concurrent use.
type Budget = memory.Budget

// NewBudget returns a Budget of so many bytes at most.
func NewBudget(most int64) *Budget { return memory.NewBudget(most) }

// tokenMemory remembers tokens by the keys that they were verified with. It holds what a token says, never the token.
type tokenMemory = memory.Table[*keys.Set, Token]

// verifiedToken is what a Verifier of ours found out about a token, and the token's SHA-256. That is what ath is in a
// DPoP proof as well; to find another token that has it, or this one from it, is as hard as to forge a signature.
type verifiedToken = memory.Entry[Token]

// hashOf is what the memory knows a token by.
func hashOf(token string) [sha256.Size]byte {
	space := make([]byte, 0, 1024) // on the stack, unless the token is longer than most
	return sha256.Sum256(append(space, token...))
}

// Verify implements Verifier. A token that is remembered is checked for the time alone.
func (v *jwtVerifier) Verify(ctx context.Context, token string) (*Token, error) {
	// What has no JWS's form is not worth a hash.
	j, err := jose.Split(token)
	if err != nil {
		return nil, malformed(err)
	}
	h, known, err := v.header(j)
	if err != nil {
		return nil, err
	}
	var hash [sha256.Size]byte
	if v.remembers() {
		hash = hashOf(token)
		if e := v.find(hash); e != nil {
			return v.still(e)
		}
	}
	e, keys, err := v.verify(ctx, token, j, h)
	if err != nil {
		return nil, err
	}
	if !known {
		v.headers.Put(j.Header, h)
	}
	e.Key, e.Value.kept = hash, e
	v.remember(e, keys)
	return &e.Value, nil
}

// Fresh implements CachingVerifier: the Token is remembered, and so its key still counts.
func (v *jwtVerifier) Fresh(_ string, t *Token) bool {
	return v.remembers() && t != nil && t.kept != nil && v.find(t.kept.Key) == t.kept && v.inForce(t)
}

// remembers tells whether there can be a memory. Without keys of ours nobody tells when it would have to end.
func (v *jwtVerifier) remembers() bool { return v.known != nil && v.entries > 0 }

// find returns what is remembered of a token; nil if nothing is.
func (v *jwtVerifier) find(hash [sha256.Size]byte) *verifiedToken {
	m := v.remembered()
	if m == nil {
		return nil
	}
	return m.Find(hash)
}

// remembered returns the memory for the keys that count now; nil if there is none yet.
func (v *jwtVerifier) remembered() *tokenMemory {
	m := v.memory.Load() // before the keys: who comes late with old ones replaces no newer memory
	if m == nil || m.Keys != v.known.Snapshot() {
		return nil
	}
	return m
}

// remember keeps what a genuine token says. There is no table before the first.
func (v *jwtVerifier) remember(e *verifiedToken, keys *keys.Set) {
	if !v.remembers() || keys == nil {
		return
	}
	m := v.remembering()
	// Don't remember a token that an older key set verified: its key may have been withdrawn.
	if m == nil || m.Keys != keys {
		return
	}
	if m.Add(e) {
		if m = v.growing(m); m != nil {
			m.Add(e)
		}
	}
}

// remembering returns the memory for the keys that count now; nil if there is none.
func (v *jwtVerifier) remembering() *tokenMemory {
	m := v.memory.Load() // before the keys: who comes late with old ones replaces no newer memory
	keys := v.known.Snapshot()
	switch {
	case keys == nil:
		return nil
	case m != nil && m.Keys == keys:
		return m
	}
	if !v.making.TryLock() {
		return nil // another request makes one
	}
	defer v.making.Unlock()
	if v.memory.Load() != m {
		return nil
	}
	m.Drop()
	fresh := memory.NewTable(keys, (*Token).Size, v.entries, v.shares)
	v.memory.Store(fresh)
	return fresh
}

// growing returns a memory with a larger table in place of m; m if there can be none; nil if another request sees to it.
func (v *jwtVerifier) growing(m *tokenMemory) *tokenMemory {
	if !v.making.TryLock() {
		return nil
	}
	defer v.making.Unlock()
	if v.memory.Load() != m {
		return nil
	}
	larger := m.Grown()
	if larger == nil {
		return m
	}
	v.memory.Store(larger)
	return larger
}

// Share lets the Verifier remember tokens within a budget that others have too. The first one counts.
func (v *jwtVerifier) Share(b *Budget) {
	if v == nil {
		return
	}
	v.making.Lock()
	defer v.making.Unlock()
	if v.shares == nil {
		v.shares = b
		v.memory.Swap(nil).Drop()
	}
}

// Retire forgets all tokens, and leaves the budget. Whoever has the Verifier yet remembers on its own account.
func (v *jwtVerifier) Retire() {
	if v == nil {
		return
	}
	v.making.Lock()
	defer v.making.Unlock()
	v.shares = nil
	v.memory.Swap(nil).Drop()
}

// still lets golang-jwt decide whenever its decision could be another than the first time, when the token was in
// force: only the time can have changed.
func (v *jwtVerifier) still(e *verifiedToken) (*Token, error) {
	if !v.inForce(&e.Value) {
		if err := v.validate(&e.Value); err != nil {
			return nil, err
		}
	}
	return &e.Value, nil
}

// inForce tells whether nothing speaks against the times of a token that has been in force.
func (v *jwtVerifier) inForce(t *Token) bool { return t.inForce(v.now(), v.leeway) }
