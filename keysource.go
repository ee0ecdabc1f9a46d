package popauth

import "context"

// ownKeys are keys of which each change is another set. A set that no longer counts never counts again.
type ownKeys interface {
	Snapshot() *keySet // the keys that count now; nil if none do

	// Find returns the keys to try, as keyfunc chooses them, and those that they are of. An error is a NotFoundError, or says
	// that the keys can't be had.
	Find(context.Context, wanted) ([]any, *keySet, error)
}

// fixedKeys never change.
type fixedKeys struct{ set *keySet }

// Snapshot returns the keys.
func (s fixedKeys) Snapshot() *keySet { return s.set }

// Find returns the keys to try.
func (s fixedKeys) Find(_ context.Context, w wanted) ([]any, *keySet, error) {
	found, err := s.set.find(w)
	return found, s.set, err
}
