package popauth

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// Clients are told apart by issuer and name together, and however many come with however long names, they take little memory and
// bring about few lines.
func TestUnboundLogIsBounded(t *testing.T) {
	var log bytes.Buffer
	l := newUnboundLog(slog.New(slog.NewTextHandler(&log, nil)))
	r := httptest.NewRequest("GET", "/", nil)
	for _, w := range []who{
		{issuer: "a", client: "b"}, {issuer: "a", client: "c"}, {issuer: "c", client: "b"}, {issuer: "a b", client: "c"},
		{issuer: "a", client: "b c"},
	} {
		for range 3 {
			l.write(r, w, bearer)
		}
	}
	if got := strings.Count(log.String(), "\n"); got != 5 {
		t.Errorf("got %d lines, want one for each of 5 clients:\n%s", got, &log)
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	log = bytes.Buffer{}
	before, long := heap(), strings.Repeat("x", 12<<10)
	for i := range 3 * maxAnnounced {
		l.write(r, who{issuer: "a", client: long + strconv.Itoa(i)}, bearer)
	}
	if got := strings.Count(log.String(), "\n"); got > maxAnnounced {
		t.Errorf("got %d lines, want %d at most", got, maxAnnounced)
	}
	log = bytes.Buffer{}
	if after := heap(); after > before+1<<20 {
		t.Errorf("got %d KB for %d clients, want 1000 at most", (after-before)>>10, maxAnnounced)
	}
	runtime.KeepAlive(l)
}
