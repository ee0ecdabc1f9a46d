package popauth

import (
	"context"
	"crypto/sha256"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/keys"
)

// Verify implements Verifier. A token that is remembered needs no second look but at the time.
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
	e.key, e.kept = hash, e
	v.remember(e, keys)
	return &e.Token, nil
}

// Fresh implements CachingVerifier: the Token is remembered, and so its key still counts.
func (v *jwtVerifier) Fresh(_ string, t *Token) bool {
	return v.remembers() && t != nil && t.kept != nil && v.find(t.kept.key) == t.kept && v.inForce(t)
}

// remembers tells whether there can be a memory. Without keys of ours nobody tells when it would have to end.
func (v *jwtVerifier) remembers() bool { return v.known != nil && v.entries > 0 }

// find returns what is remembered of a token; nil if nothing is.
func (v *jwtVerifier) find(hash [sha256.Size]byte) *verifiedToken {
	m := v.remembered()
	if m == nil {
		return nil
	}
	return m.find(hash)
}

// remembered returns the memory for the keys that count now; nil if there is none yet.
func (v *jwtVerifier) remembered() *tokenMemory {
	m := v.memory.Load() // before the keys: who comes late with old ones replaces no newer memory
	if m == nil || m.keys != v.known.Snapshot() {
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
	if m == nil || m.keys != keys {
		return
	}
	if m.put(e) {
		if m = v.growing(m); m != nil {
			m.put(e)
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
	case m != nil && m.keys == keys:
		return m
	}
	if !v.making.TryLock() {
		return nil // another request makes one
	}
	defer v.making.Unlock()
	if v.memory.Load() != m {
		return nil
	}
	m.drop()
	fresh := growingTokenMemory(keys, v.entries, v.shares)
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
	larger := m.grown()
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
		v.memory.Swap(nil).drop()
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
	v.memory.Swap(nil).drop()
}

// still lets golang-jwt decide whenever its decision could be another than the first time, when the token was in
// force: only the time can have changed.
func (v *jwtVerifier) still(e *verifiedToken) (*Token, error) {
	if !v.inForce(&e.Token) {
		if err := v.validate(&e.Token); err != nil {
			return nil, err
		}
	}
	return &e.Token, nil
}

// inForce tells whether nothing speaks against the times of a token that has been in force.
func (v *jwtVerifier) inForce(t *Token) bool { return t.inForce(v.now(), v.leeway) }
