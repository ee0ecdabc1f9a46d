// Package events is an API with an event stream.
package events

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-171ab058/popauth"
)

// API has a stream that asks every so often whether its decision still holds.
type API struct {
	Guard *popauth.Guard
	Every time.Duration
	News  func(ctx context.Context, subject string) <-chan string // a caller's events, until ctx ends
}

var read = popauth.Scope("orders.read")

// Routes has the stream behind its stage.
func (a API) Routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /news", a.Guard.Authorize(popauth.Bound(), read)(http.HandlerFunc(a.stream)))
	return popauth.RequestLine{}.Handler(mux)
}

func (a API) stream(w http.ResponseWriter, r *http.Request) {
	caller, _ := popauth.FromContext(r.Context())
	events := a.News(r.Context(), caller.Subject)
	check := time.NewTicker(a.Every)
	defer check.Stop()
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	for err := flush(); err == nil; err = flush() {
		select {
		case <-r.Context().Done(): // the client has gone, or its token has expired
			return
		case <-check.C:
			if _, err := a.Guard.Recheck(r, read); err != nil {
				return // the token is revoked; the client comes again, with a new one
			}
		case event := <-events:
			_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
		}
	}
}
