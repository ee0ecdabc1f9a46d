// Package backoff says when to call again: intervals without calls, jitter, and the error that carries the rest of an
// interval to the client (Retry-After).
package backoff
