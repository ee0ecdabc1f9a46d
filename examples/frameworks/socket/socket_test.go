package socket

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/frameworks/internal/lasting"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A WebSocket opens for its owner alone, and its client is told with 1008 that the token has ended, or is revoked.
func TestSocket(t *testing.T) {
	var l *lasting.Lab
	l = lasting.New(t, func(g *popauth.Guard) http.Handler {
		return API{g, lasting.Every, func(ctx context.Context, subject string) <-chan string { return l.News(ctx, subject) }}.Routes()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	dial := func(c *popauthtest.Client, token, origin string) (*websocket.Conn, int) {
		t.Helper()
		client := c.HTTP(l.Server)
		client.Transport.(*http.Transport).ForceAttemptHTTP2 = false
		header := http.Header{"Authorization": {"Bearer " + token}}
		if origin != "" {
			header.Set("Origin", origin)
		}
		conn, resp, err := websocket.Dial(ctx, l.Server.URL+"/news", &websocket.DialOptions{HTTPClient: client, HTTPHeader: header})
		if resp == nil {
			t.Fatal(err)
		}
		return conn, resp.StatusCode
	}
	for _, c := range []*popauthtest.Client{l.Thief, nil} {
		if _, status := dial(c, l.Token, ""); status != http.StatusUnauthorized {
			t.Errorf("a thief: got %d", status)
		}
	}
	if _, status := dial(l.Owner, l.Token, "https://evil.example"); status != http.StatusForbidden || len(l.Subjects) > 0 {
		t.Errorf("another site's: got %d", status)
	}
	for _, tt := range []struct {
		name, token string
		revoke      time.Duration // zero: not
	}{{name: "expires", token: l.Token}, {name: "is revoked", token: l.Long, revoke: 4 * lasting.Every}} {
		conn, status := dial(l.Owner, tt.token, l.Server.URL)
		if status != http.StatusSwitchingProtocols {
			t.Fatalf("%s: got %d", tt.name, status)
		}
		if tt.revoke > 0 {
			defer time.AfterFunc(tt.revoke, func() { l.Revoked.Store(true) }).Stop()
		}
		began := time.Now()
		if _, text, err := conn.Read(ctx); err != nil || string(text) != "hello client-1" {
			t.Errorf("%s: got %q, %v", tt.name, text, err)
		}
		_, _, err := conn.Read(ctx)
		if got := websocket.CloseStatus(err); got != websocket.StatusPolicyViolation || time.Since(began) > 10*lasting.Left {
			t.Errorf("%s: got %v, %v after %v, want %v", tt.name, got, err, time.Since(began), websocket.StatusPolicyViolation)
		}
	}
}
