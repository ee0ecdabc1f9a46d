package popauthtest

import (
	"net/http"
	"sync/atomic"
)

// Spy is a handler that counts how often it ran, so that a test of a refusal can assert that it did not. The zero Spy
// answers 200 with an empty body.
type Spy struct {
	Next http.Handler // answers the request; if nil, the answer is an empty 200

	ran atomic.Int64
}

// ServeHTTP counts the request and hands it to Next.
func (s *Spy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.ran.Add(1)
	if s.Next != nil {
		s.Next.ServeHTTP(w, r)
	}
}

// Ran is the number of requests that have reached the handler.
func (s *Spy) Ran() int {
	return int(s.ran.Load())
}
