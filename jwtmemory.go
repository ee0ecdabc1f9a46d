package popauth

import "context"

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

// shared returns what the token says, perhaps to many requests at a time. A token that is remembered needs no second
// look but at the time.
func (v *jwtVerifier) shared(ctx context.Context, token string, hash *tokenHash) (t *Token, remembered bool, err error) {
	// What has no JWS's form is not worth a hash.
	j, err := part(token)
	if err != nil {
		return nil, false, err
	}
	h, known, err := v.header(j)
	if err != nil {
		return nil, false, err
	}
	m := v.remembering()
	if m != nil {
		*hash = hashOf(token)
		if e := m.find(hash.sum); e != nil {
			return v.still(e)
		}
	}
	e, keys, err := v.verify(ctx, token, j, h)
	if err != nil {
		return nil, false, err
	}
	if !known {
		v.headers.put(j.header, h)
	}
	if m == nil { // perhaps only because there were no keys yet
		if m = v.remembering(); m != nil {
			*hash = hashOf(token)
		}
	}
	// What another set's key has verified is not put in: that key may be gone.
	if m != nil && m.keys == keys {
		e.key = hash.sum
		m.put(e)
	}
	return &e.Token, false, nil
}

// remembering returns the memory for the keys that count now; nil if there is none.
func (v *jwtVerifier) remembering() *tokenMemory {
	if v.known == nil || v.entries <= 0 {
		return nil
	}
	m := v.memory.Load() // before the keys: who comes late with old ones replaces no newer memory
	keys := v.known.snapshot()
	switch {
	case keys == nil:
		return nil
	case m != nil && m.keys == keys:
		return m
	}
	if !v.making.TryLock() {
		return nil // another request makes one: it is large
	}
	defer v.making.Unlock()
	if v.memory.Load() != m {
		return nil
	}
	fresh := newTokenMemory(keys, v.entries)
	v.memory.Store(fresh)
	return fresh
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

// snapshot returns the keys that count now; nil if there are none, or if Keys doesn't tell.
func (v *jwtVerifier) snapshot() *keySet {
	if v.known == nil {
		return nil
	}
	return v.known.snapshot()
}
