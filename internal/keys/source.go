package keys

import "context"

// Source has keys, of which each change is another Set. A Set that no longer counts never counts again.
type Source interface {
	Snapshot() *Set // the keys that count now; nil if none do

	// Find returns the keys to try, as keyfunc chooses them, and those that they are of. An error is a NotFoundError, or says
	// that the keys can't be had.
	Find(context.Context, Wanted) ([]any, *Set, error)
}

// Static are keys that never change.
type Static struct{ Set *Set }

// Snapshot returns the keys.
func (s Static) Snapshot() *Set { return s.Set }

// Find returns the keys to try.
func (s Static) Find(_ context.Context, w Wanted) ([]any, *Set, error) {
	found, err := s.Set.Find(w)
	return found, s.Set, err
}
