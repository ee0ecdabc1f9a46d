package clientcert_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// stalled is a log whose first line takes until it is let go.
type stalled struct {
	slog.Handler
	begun, end chan struct{}
}

// Enabled implements slog.Handler.
func (stalled) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (s stalled) Handle(context.Context, slog.Record) error {
	select {
	case <-s.begun:
	default:
		close(s.begun)
		<-s.end
	}
	return nil
}

// While one request looks at the file, others go on with the roots that there are, unless nobody has looked for long.
func TestRootsFileWaits(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration
		waits bool
	}{
		{name: "a second", after: time.Second},
		{name: "ten seconds", after: 10 * time.Second},
		{name: "longer", after: 11 * time.Second, waits: true},
		{name: "a clock that is set back", after: -time.Minute, waits: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ca.crt")
			if err := os.WriteFile(path, popauthtest.NewCA(t).PEM(), 0o600); err != nil {
				t.Fatal(err)
			}
			log := stalled{slog.DiscardHandler, make(chan struct{}), make(chan struct{})}
			start, past := time.Now(), new(atomic.Int64)
			roots, err := clientcert.RootsFile(path, clientcert.RootsFileOptions{
				Now: func() time.Time { return start.Add(time.Duration(past.Load())) }, Logger: slog.New(log),
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			ask := func(after time.Duration) <-chan error {
				past.Store(int64(after))
				done := make(chan error, 1)
				go func() {
					_, err := roots(new(http.Request), nil)
					done <- err
				}()
				return done
			}
			first := ask(time.Second)
			<-log.begun // it looks
			second := ask(tt.after)
			patience := 10 * time.Second
			if tt.waits {
				patience = 100 * time.Millisecond
			}
			select {
			case err = <-second:
				if tt.waits || err != nil {
					t.Errorf("got %v before the other has looked, want to wait: %t", err, tt.waits)
				}
			case <-time.After(patience):
				if !tt.waits {
					t.Error("waits for the other")
				}
			}
			close(log.end)
			if err := <-first; err != nil {
				t.Error(err)
			}
		})
	}
}

// A failure that comes once more is told once more, and so is its end, though the roots are the same.
func TestRootsFileFlaps(t *testing.T) {
	ca := popauthtest.NewCA(t)
	path := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(path, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newRootsLab(t, path, 0)
	for range 2 {
		l.write(nil)
		l.want(time.Second, ca.Client("a"), "")
		l.want(time.Second, ca.Client("a"), "")
		l.write(ca.PEM())
		l.want(time.Second, ca.Client("a"), "")
		l.want(time.Second, ca.Client("a"), "")
	}
	bad, good := strings.Count(l.log.String(), "level=ERROR"), strings.Count(l.log.String(), "changed=false")
	if bad != 2 || good != 2 {
		t.Errorf("got %d failures and %d ends of one, want 2 and 2:\n%s", bad, good, &l.log)
	}
}

// Without a Logger, the program's default is told.
func TestRootsFileDefaultLogger(t *testing.T) {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	path := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(path, popauthtest.NewCA(t).PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	roots, err := clientcert.RootsFile(path, clientcert.RootsFileOptions{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	if _, err := roots(new(http.Request), nil); err != nil || !strings.Contains(log.String(), "roots can't be read") {
		t.Errorf("got %v, and the log %q", err, &log)
	}
}
