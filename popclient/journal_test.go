package popclient_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popclient"
)

// handler is a slog.Handler that does this with each record.
type handler struct {
	slog.Handler
	handle func(slog.Record)
}

func (handler) Enabled(context.Context, slog.Level) bool { return true }

func (h handler) Handle(_ context.Context, r slog.Record) error {
	h.handle(r)
	return nil
}

// A log that hangs, panics or ends its goroutine stops no request and no process, and loses what it has been given alone.
func TestLogEndsBadly(t *testing.T) {
	hold := make(chan struct{})
	for name, bad := range map[string]func(){
		"hangs": func() { <-hold }, "panics": func() { panic("no log") }, "ends": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			s := newRealm(t)
			var certificate switched
			var records atomic.Int32
			job := s.ca.Client("job")
			certificate.now.Store(&job.Certificate)
			client := s.client(t, nil, func(o *popclient.MutualTLSOptions) {
				o.Certificate = certificate.certificate
				o.Logger = slog.New(handler{slog.DiscardHandler, func(slog.Record) { records.Add(1); bad() }})
			})
			m, _ := client.Transport.(*popclient.MutualTLS)
			client.Timeout = 5 * time.Second
			s.refuse(500, "")
			if resp, err := client.Get(s.api.URL); err == nil || !strings.Contains(err.Error(), "status 500") {
				t.Errorf("got %v, %v, want the token endpoint's error", resp, err)
			}
			time.Sleep(time.Second)
			before := runtime.NumGoroutine()
			arrive := func(want int32) {
				t.Helper()
				for end := time.Now().Add(5 * time.Second); records.Load() != want; time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("got %d records, want %d", records.Load(), want)
					}
				}
			}
			for i, broken := range []error{errors.New("no vault"), errors.New("no network"), errors.New("no luck")} {
				certificate.err.Store(&broken)
				m.AskLater()
				if status, _ := do(t, client, request(t, http.MethodGet, s.api.URL, nil)); status != 200 {
					t.Errorf("got %d, want 200", status)
				}
				if name != "hangs" { // the certificate is asked for beside the request: the next error must not replace this one
					arrive(int32(2 + i))
				}
			}
			if got := runtime.NumGoroutine() - before; name == "hangs" && got > 8 { // those of two connections
				t.Errorf("got %d more goroutines", got)
			}
			if name == "hangs" {
				arrive(1)
			}
		})
	}
	close(hold)
}
