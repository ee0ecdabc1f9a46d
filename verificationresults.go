package popauth

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

func untrusted(format string, args ...any) error {
	return &Error{Reason: ErrCertificateUntrusted, Err: fmt.Errorf(format, args...)}
}

// maxWords bounds the text of a refusal that is remembered.
const maxWords = 512

// inWords returns a refusal to remember: what it says, without the certificates that the errors of crypto/x509 hold, which a
// stranger makes as large as may be.
func inWords(err error) error {
	e := refused(err, ErrCertificateUntrusted)
	if e.Err == nil {
		return e
	}
	text := e.Err.Error()
	return &Error{Reason: e.Reason, Err: errors.New(strings.Clone(text[:min(len(text), maxWords)]))}
}

// passing tells whether time alone can change a refusal: such a one is never remembered.
func passing(err error) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}

// within is how crypto/x509 sees it: both ends belong to the period (RFC 5280, section 4.1.2.5).
func within(now, from, until time.Time) bool { return !now.Before(from) && !now.After(until) }

func period(c *x509.Certificate) string {
	return c.NotBefore.UTC().Format(time.RFC3339) + " to " + c.NotAfter.UTC().Format(time.RFC3339)
}

func valid(paths []path, now time.Time) []path {
	return slices.DeleteFunc(slices.Clone(paths), func(p path) bool { return !within(now, p.from, p.until) })
}

func rsaBits(c *x509.Certificate) int {
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok {
		return k.N.BitLen()
	}
	return 0
}

// results remembers what was found out, those used last.
type results[V any] struct {
	memory *lru.Cache[[sha256.Size]byte, result[V]]
}

type result[V any] struct {
	value       V
	from, until time.Time
}

func newResults[V any](most int) *results[V] {
	memory, _ := lru.New[[sha256.Size]byte, result[V]](most) // fails for a size that is not positive only
	return &results[V]{memory}
}

// get returns what is remembered and not too old, also by a clock that was set back.
func (m *results[V]) get(key [sha256.Size]byte, now time.Time) (V, bool) {
	r, ok := m.memory.Get(key)
	if !ok || now.Before(r.from) || !now.Before(r.until) {
		var none V
		return none, false
	}
	return r.value, true
}

func (m *results[V]) put(key [sha256.Size]byte, v V, now time.Time, keep time.Duration) {
	m.memory.Add(key, result[V]{v, now, now.Add(keep)})
}
