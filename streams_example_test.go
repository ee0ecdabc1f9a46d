package popauth_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// An event stream asks again on a timer, and ends once its token is revoked or has expired.
func ExampleGuard_Recheck() {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	var revoked atomic.Bool
	options := issuer.Options()
	options.Revoked = func(context.Context, *popauth.Token) (bool, error) { return revoked.Load(), nil }
	guard, err := popauth.New(options)
	if err != nil {
		panic(err)
	}

	read := popauth.Scope("orders.read")
	news := make(chan string)
	stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		check := time.NewTicker(10 * time.Millisecond) // in production: 30 s
		defer check.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-check.C:
				if _, err := guard.Recheck(r, read); err != nil {
					return
				}
			case event := <-news:
				_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
				_ = http.NewResponseController(w).Flush()
			}
		}
	})

	go func() {
		news <- "order 7 was shipped"
		revoked.Store(true)
	}()
	token := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read"})
	handler := guard.Confirm(guard.Authorize(read)(stream))
	show(handler, owner.Request("GET", "/orders/news", token))
	show(handler, owner.Request("GET", "/orders/news", token))
	// Output:
	// 200 data: order 7 was shipped
	// 401
}
