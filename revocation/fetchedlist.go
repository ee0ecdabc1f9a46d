package revocation

import (
	"bytes"
	"context"
)

// fetchList asks a distribution point. What is remembered is for the issuer's name and key, and for who has certified it.
func (c *Checker) fetchList(ctx context.Context, address string, s subject) (revoked, hold bool, err error) {
	key := digest("list", []byte(address), s.issuedBy[:], s.above.RawSubject, s.above.RawSubjectPublicKeyInfo)
	c.asked.note(key, s)
	l, err := c.lists.get(ctx, key, origin{s, address}, func(ctx context.Context) (*list, error) {
		into := c.bodies.begin(s.top)
		defer into.end()
		body, err := c.fetch(ctx, into, origin{s, address}, nil, maxList(c.options.MaxMemory))
		if err != nil {
			return nil, err
		}
		l, err := parseUnread(body)
		if err != nil {
			return nil, err
		}
		made := l.signatureFor(s, c.options.signers)
		if made.err != nil {
			return nil, made.err
		}
		if err := l.read(); err != nil {
			return nil, err
		}
		l.seal()
		c.strike(ctx, key, l, s, made)
		return l, nil
	})
	if l != nil {
		now := c.options.Now()
		revoked, hold, err2 := c.holds(ctx, l, s, l.signatureFor(s, c.options.signers), now)
		if revoked || err == nil {
			return revoked, hold, within("distribution point", err2)
		}
	}
	return false, false, within("distribution point", err)
}

// strike notes who of those that were asked about is on a list that has come, whether or not anybody waits for it: the
// next list may not have them any more.
func (c *Checker) strike(ctx context.Context, key [32]byte, l *list, s subject, made signature) {
	now := c.options.Now()
	if !bytes.Equal(l.issuer, s.cert.RawIssuer) || c.maySign(ctx, s, made, now) != nil {
		return
	}
	for _, other := range c.asked.about(key) {
		if found, hold := l.serials.find(other.serial); found && !hold {
			c.withdrawn.put(other.id, withdrawal{until: other.until}, now)
			if other.authority != nil {
				c.withdrawn.put(*other.authority, withdrawal{until: other.until}, now)
			}
		}
	}
}
