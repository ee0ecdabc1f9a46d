package popclient

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
)

// maxAsking is how many calls of one Source are under way at a time.
const maxAsking = 64

var errAsked = errors.New("popclient: Source of the secret did not return")

// secretSource is where the secret of one request comes from.
type secretSource func(context.Context) (string, error)

// newSecretSource takes either of the two.
func newSecretSource(secret string, source secretSource, asking *atomic.Int32) (secretSource, error) {
	switch {
	case secret != "" && source != nil:
		return nil, errors.New("both Secret and Source: only one of them can be right")
	case source != nil:
		return func(ctx context.Context) (string, error) {
			s, err := ask(ctx, source, asking)
			if err == nil {
				err = checkSecret(s)
			}
			if err != nil {
				return "", fmt.Errorf("popclient: Source of the secret: %w", err)
			}
			return s, nil
		}, nil
	}
	return func(context.Context) (string, error) { return secret, nil }, checkSecret(secret)
}

// checkSecret says of a file that was read as it is what is wrong, instead of the server, which says that it knows no such
// client.
func checkSecret(secret string) error {
	switch {
	case secret == "":
		return errors.New("without Secret")
	case strings.HasSuffix(secret, "\n"), strings.HasSuffix(secret, "\r"):
		return errors.New("the secret ends in a line break, as a file does: cut it off, with strings.TrimSpace")
	}
	return nil
}

// ask waits for a source no longer than the context lasts. What it panics with is not quoted: the secret may be in it.
func ask(ctx context.Context, source secretSource, asking *atomic.Int32) (string, error) {
	if asking.Add(1) > maxAsking {
		asking.Add(-1)
		return "", fmt.Errorf("%d calls have not returned", maxAsking)
	}
	type result struct {
		secret string
		err    error
	}
	done := make(chan result, 1)
	go func() {
		made := result{err: errAsked}
		defer func() {
			if p := recover(); p != nil { // it would end the process, not one request
				made = result{err: fmt.Errorf("it panicked with a %T", p)}
			}
			asking.Add(-1)
			done <- made
		}()
		made.secret, made.err = source(ctx)
	}()
	select {
	case made := <-done:
		return made.secret, made.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
