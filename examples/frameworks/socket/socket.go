// Package socket is an API with a WebSocket, by github.com/coder/websocket.
package socket

import (
	"context"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-171ab058/popauth"
)

// News are a caller's events, until ctx ends.
type News func(ctx context.Context, subject string) <-chan string

// Routes has a WebSocket that asks every so often whether the decision about its handshake still holds.
func Routes(guard *popauth.Guard, every time.Duration, news News) http.Handler {
	read := popauth.Scope("orders.read")
	talk := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil) // it refuses the Origin of other sites
		if err != nil {
			return // it has answered
		}
		defer func() { _ = conn.CloseNow() }()
		caller, _ := popauth.FromContext(r.Context())
		events := news(r.Context(), caller.Subject)
		// Not r's own context: with that the connection would break off, where the client is to be told.
		open := conn.CloseRead(context.WithoutCancel(r.Context()))
		check := time.NewTicker(every)
		defer check.Stop()
		for err == nil {
			select {
			case <-open.Done(): // the client has gone
				return
			case <-r.Context().Done(): // its token has expired
				err = context.Cause(r.Context())
			case <-check.C:
				_, err = guard.Recheck(r, read) // or is revoked
			case event := <-events:
				if conn.Write(open, websocket.MessageText, []byte(event)) != nil {
					return
				}
			}
		}
		_ = conn.Close(websocket.StatusPolicyViolation, "") // why is for the log, and Recheck has written it
	})

	mux := http.NewServeMux()
	mux.Handle("GET /news", guard.Authorize(popauth.Bound(), read)(talk))
	return popauth.RequestLine{}.Handler(mux)
}
