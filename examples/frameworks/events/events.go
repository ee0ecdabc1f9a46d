// Package events is an API with an event stream.
package events

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-171ab058/popauth"
)

// News are a caller's events, until ctx ends.
type News func(ctx context.Context, subject string) <-chan string

// Routes has a stream that asks every so often whether its decision still holds.
func Routes(guard *popauth.Guard, every time.Duration, news News) http.Handler {
	read := popauth.Scope("orders.read")
	stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := popauth.FromContext(r.Context())
		events := news(r.Context(), caller.Subject)
		check := time.NewTicker(every)
		defer check.Stop()
		w.Header().Set("Content-Type", "text/event-stream")
		flush := http.NewResponseController(w).Flush
		for err := flush(); err == nil; err = flush() {
			select {
			case <-r.Context().Done(): // the client has gone, or its token has expired
				return
			case <-check.C:
				if _, err := guard.Recheck(r, read); err != nil {
					return // the token is revoked; the client comes again, with a new one
				}
			case event := <-events:
				_, _ = fmt.Fprintf(w, "data: %s\n\n", event) //nolint:gosec // G705: it is an event stream
			}
		}
	})

	mux := http.NewServeMux()
	mux.Handle("GET /news", guard.Authorize(popauth.Bound(), read)(stream))
	return popauth.RequestLine{}.Handler(mux)
}
