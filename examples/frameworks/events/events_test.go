package events

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/frameworks/internal/lasting"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A stream begins for its owner alone, and ends with the token or when that is revoked, by either protocol.
func TestStream(t *testing.T) {
	var l *lasting.Lab
	l = lasting.New(t, func(g *popauth.Guard) http.Handler {
		return API{g, lasting.Every, func(ctx context.Context, subject string) <-chan string { return l.News(ctx, subject) }}.Routes()
	})
	read := func(c *popauthtest.Client, token string) (int, string, time.Duration) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.Server.URL+"/news", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		began := time.Now()
		resp, err := c.HTTP(l.Server).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return resp.StatusCode, string(body), time.Since(began)
	}
	const hello = "data: hello client-1\n\n"
	for _, c := range []*popauthtest.Client{l.Thief, nil} {
		if status, body, _ := read(c, l.Token); status != http.StatusUnauthorized || body != "" || len(l.Subjects) > 0 {
			t.Errorf("a thief: got %d, %q", status, body)
		}
	}
	if status, body, took := read(l.Owner, l.Token); status != http.StatusOK || body != hello || took > 10*lasting.Left {
		t.Errorf("got %d, %q, for %v, want an end after %v", status, body, took, lasting.Left)
	}
	timer := time.AfterFunc(4*lasting.Every, func() { l.Revoked.Store(true) })
	defer timer.Stop()
	if status, body, took := read(l.Owner, l.Long); status != http.StatusOK || body != hello || took > 100*lasting.Every {
		t.Errorf("revoked: got %d, %q, for %v, want an end after %v", status, body, took, 5*lasting.Every)
	}
}
