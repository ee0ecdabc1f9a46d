// Package socket is an API with a WebSocket, by github.com/coder/websocket.
package socket

import (
	"context"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-171ab058/popauth"
)

// API has a WebSocket that asks every so often whether the decision about its handshake still holds.
type API struct {
	Guard *popauth.Guard
	Every time.Duration
	News  func(ctx context.Context, subject string) <-chan string // a caller's events, until ctx ends
}

var read = popauth.Scope("orders.read")

// Routes has the WebSocket behind its stage.
func (a API) Routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /news", a.Guard.Authorize(popauth.Bound(), read)(http.HandlerFunc(a.talk)))
	return popauth.RequestLine{}.Handler(mux)
}

func (a API) talk(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil) // it refuses the Origin of other sites
	if err != nil {
		return // it has answered
	}
	defer func() { _ = conn.CloseNow() }()
	caller, _ := popauth.FromContext(r.Context())
	events := a.News(r.Context(), caller.Subject)
	// Not r's own context: with that the connection would break off, where the client is to be told.
	open := conn.CloseRead(context.WithoutCancel(r.Context()))
	check := time.NewTicker(a.Every)
	defer check.Stop()
	for err == nil {
		select {
		case <-open.Done(): // the client has gone
			return
		case <-r.Context().Done(): // its token has expired
			err = context.Cause(r.Context())
		case <-check.C:
			_, err = a.Guard.Recheck(r, read) // or is revoked
		case event := <-events:
			if conn.Write(open, websocket.MessageText, []byte(event)) != nil {
				return
			}
		}
	}
	_ = conn.Close(websocket.StatusPolicyViolation, "") // why is for the log, and Recheck has written it
}
