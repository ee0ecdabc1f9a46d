package certname

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// MaxResults is how many certificates Ways remembers, and of refused ones as many again.
	MaxResults = 1024

	// MaxWords bounds the text of a refusal that is remembered, in bytes.
	MaxWords = 512

	// Short, so that a client that adds the missing intermediate is not refused for long.
	rememberRefusal = 10 * time.Second
)

// Ways finds the ways from certificates to roots, and remembers them, and that there are none. What is remembered is keyed by
// all certificates that were sent, and bounded. Make it with NewWays.
type Ways struct {
	usages        []x509.ExtKeyUsage
	intermediates []*x509.Certificate // of the operator's own
	remember      time.Duration       // nothing if it is not positive
	accepted      *results[[]Path]
	refused       *results[error]
	seed          maphash.Seed
}

// NewWays remembers for so long the ways to a root, and refusals for 10 seconds at most; nothing if that is not positive.
func NewWays(usages []x509.ExtKeyUsage, remember time.Duration, intermediates ...*x509.Certificate) *Ways {
	return &Ways{
		usages: usages, intermediates: intermediates, remember: remember,
		accepted: newResults[[]Path](), refused: newResults[error](), seed: maphash.MakeSeed(),
	}
}

// Find returns the ways that are valid now, none if that has ended for all of them. Roots is nil for the system's. The pointer
// says which roots they are: a pool must not be changed once it has been here.
func (w *Ways) Find(roots *x509.CertPool, leaf *x509.Certificate, sent []*x509.Certificate, now time.Time) ([]Path, error) {
	var key [sha256.Size]byte
	if w.remember > 0 {
		key = w.key(roots, leaf, sent)
		if paths, ok := w.accepted.get(key, roots, now); ok {
			if paths = validAt(paths, now); len(paths) > 0 {
				return paths, nil
			}
		} else if err, ok := w.refused.get(key, roots, now); ok {
			return nil, err
		}
	}
	chains, err := Verify(leaf, sent, x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: w.usages}, w.intermediates...)
	if err != nil {
		if w.remember > 0 && !passing(err) {
			w.refused.put(key, roots, inWords(err), now, min(w.remember, rememberRefusal))
		}
		return nil, err
	}
	paths := make([]Path, len(chains))
	for i, chain := range chains {
		paths[i] = NewPath(chain)
	}
	if w.remember > 0 {
		w.accepted.put(key, roots, paths, now, w.remember)
	}
	return validAt(paths, now), nil
}

// Verify returns the ways that are valid now, at least one, from a certificate that is fit, in its period and issued by
// somebody else.
func (w *Ways) Verify(roots *x509.CertPool, leaf *x509.Certificate, sent []*x509.Certificate, now time.Time) ([]Path, error) {
	if err := Fit(leaf, sent, w.usages); err != nil {
		return nil, err
	}
	switch {
	case !Within(now, leaf.NotBefore, leaf.NotAfter):
		return nil, fmt.Errorf("outside its period: %s", PeriodOf(leaf))
	case SelfIssued(leaf):
		return nil, errors.New("it is its own issuer")
	// A key that may sign certificates has no business in a handshake.
	case leaf.IsCA:
		return nil, errors.New("an authority's own certificate")
	}
	paths, err := w.Find(roots, leaf, sent, now)
	if err == nil && len(paths) == 0 {
		err = errors.New("no way to a root that is valid now")
	}
	return paths, err
}

// key covers everything that a search depends on, apart from the configuration and the time.
func (w *Ways) key(roots *x509.CertPool, leaf *x509.Certificate, sent []*x509.Certificate) [sha256.Size]byte {
	h := sha256.New()
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, maphash.Comparable(w.seed, roots)))
	for _, x := range append([]*x509.Certificate{leaf}, sent...) {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(x.Raw))))
		_, _ = h.Write(x.Raw)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// inWords returns a refusal to remember: what it says, without the certificates that the errors of crypto/x509 hold, which a
// stranger makes as large as may be.
func inWords(err error) error {
	text := err.Error()
	return errors.New(strings.Clone(text[:min(len(text), MaxWords)]))
}

// passing tells whether time alone can change a refusal: such a one is never remembered.
func passing(err error) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}

// results remembers what was found out, those used last.
type results[V any] struct {
	memory *lru.Cache[[sha256.Size]byte, result[V]]
}

type result[V any] struct {
	roots       *x509.CertPool
	value       V
	from, until time.Time
}

func newResults[V any]() *results[V] {
	memory, _ := lru.New[[sha256.Size]byte, result[V]](MaxResults) // fails for a size that is not positive only
	return &results[V]{memory}
}

// get returns what is remembered and not too old, also by a clock that was set back.
func (m *results[V]) get(key [sha256.Size]byte, roots *x509.CertPool, now time.Time) (V, bool) {
	r, ok := m.memory.Get(key)
	if !ok || r.roots != roots || now.Before(r.from) || !now.Before(r.until) {
		var none V
		return none, false
	}
	return r.value, true
}

func (m *results[V]) put(key [sha256.Size]byte, roots *x509.CertPool, v V, now time.Time, keep time.Duration) {
	m.memory.Add(key, result[V]{roots, v, now, now.Add(keep)})
}
