package popauth

import (
	"context"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/keys"
)

// verifyShared lets v decide. What it returns may be shared with other requests. No interface: a type of somebody else's
// that has one of these embedded, and decides differently, would have their methods.
func verifyShared(ctx context.Context, v Verifier, token string, hash *tokenHash) (t *Token, remembered bool, err error) {
	switch v := v.(type) {
	case *jwtVerifier:
		return v.shared(ctx, token, hash)
	case *Issuers:
		return v.shared(ctx, token, hash)
	case jwtOr:
		return verifyShared(ctx, v.choose(token), token, hash)
	}
	t, err = v.Verify(ctx, token)
	return t, false, err
}

// verifyAgain looks at a token that was verified a moment ago once more. Of a Verifier that remembers none, nothing is asked:
// that would be a second call to somebody else.
func verifyAgain(ctx context.Context, v Verifier, c *credentials) error {
	switch v := v.(type) {
	case *jwtVerifier, *Issuers:
		_, _, err := verifyShared(ctx, v, c.token, &c.hash)
		return err
	case jwtOr:
		return verifyAgain(ctx, v.choose(c.token), c)
	}
	return nil
}

// recalled is a token that the Verifier remembers; its entry is nil if there is none.
type recalled struct {
	by    *jwtVerifier
	entry *verifiedToken
}

// recall returns what v remembers of a token, for a look before all others: every character of it was right then.
func recall(v Verifier, token string, hash *tokenHash) recalled {
	switch v := v.(type) {
	case *jwtVerifier:
		return recalled{v, v.recall(token, hash)}
	case jwtOr:
		return recall(v.jwt, token, hash) // what has no JWT's form it doesn't remember
	}
	return recalled{}
}

// recall hashes nothing but what begins as one of the issuer's tokens does.
func (v *jwtVerifier) recall(token string, hash *tokenHash) *verifiedToken {
	j, err := jose.Split(token)
	if err != nil || v.headers.Find(j.Header) == nil {
		return nil
	}
	m := v.remembered()
	if m == nil {
		return nil
	}
	return m.find(hash.of(token))
}

// shared returns what the token says, perhaps to many requests at a time. A token that is remembered needs no second
// look but at the time.
func (v *jwtVerifier) shared(ctx context.Context, token string, hash *tokenHash) (t *Token, remembered bool, err error) {
	// What has no JWS's form is not worth a hash.
	j, err := jose.Split(token)
	if err != nil {
		return nil, false, malformed(err)
	}
	h, known, err := v.header(j)
	if err != nil {
		return nil, false, err
	}
	if m := v.remembered(); m != nil {
		if e := m.find(hash.of(token)); e != nil {
			return v.still(e)
		}
	}
	e, keys, err := v.verify(ctx, token, j, h)
	if err != nil {
		return nil, false, err
	}
	if !known {
		v.headers.Put(j.Header, h)
	}
	v.remember(e, keys, token, hash)
	return &e.Token, false, nil
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
func (v *jwtVerifier) remember(e *verifiedToken, keys *keys.Set, token string, hash *tokenHash) {
	if v.known == nil || v.entries <= 0 || keys == nil {
		return
	}
	m := v.remembering()
	// Don't remember a token that an older key set verified: its key may have been withdrawn.
	if m == nil || m.keys != keys {
		return
	}
	e.key = hash.of(token)
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
func (v *jwtVerifier) Share(b *budget) {
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
func (v *jwtVerifier) still(e *verifiedToken) (*Token, bool, error) {
	now := v.now()
	if now.Before(e.ExpiresAt.Add(v.leeway)) && !now.Before(e.NotBefore.Add(-v.leeway)) && !now.Before(e.IssuedAt.Add(-v.leeway)) {
		return &e.Token, true, nil
	}
	if err := v.validate(&e.Token); err != nil {
		return nil, false, err
	}
	return &e.Token, true, nil
}
