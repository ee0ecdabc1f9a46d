package popclient_test

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/seed-171ab058/popauth/popclient"
)

// A log that hangs has so many lines wait for it and no more, however long it does. Those are written once it goes on.
func TestLogThatHangsHoldsFewLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		var written atomic.Int32
		log := slog.New(handler{slog.DiscardHandler, func(slog.Record) { <-hold; written.Add(1) }})
		if got := popclient.Backlog(log, 10_000); got != 64 {
			t.Errorf("got %d lines, want 64", got)
		}
		close(hold)
		synctest.Wait()
		if got := written.Load(); got != 65 { // the one that hung, too
			t.Errorf("got %d lines written, want 65", got)
		}
	})
}

// Without a log nothing waits for one, and no goroutine is started that would write to it.
func TestNoLogHoldsNothing(t *testing.T) {
	if popclient.Unlogged() {
		t.Error("got a line kept for a log that isn't there")
	}
}
