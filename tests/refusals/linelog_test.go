package refusals_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A RequestLine's own bound counts for its lines, and what it quotes is cut, whatever escapes make of it.
func TestRequestLineLog(t *testing.T) {
	l := lab.New(t)
	for name, rest := range map[string]string{"long": strings.Repeat("x", 2000), "escapes": strings.Repeat("\x01", 200)} {
		var log bytes.Buffer
		line := popauth.RequestLine{Logger: slog.New(slog.NewTextHandler(&log, nil)), LogPerMinute: 2}
		spy := &popauthtest.Spy{}
		h := line.Handler(spy)
		for range 10 {
			r := l.Owner.Request(http.MethodGet, "/orders", "")
			r.URL.Path, r.RequestURI = "/a/../"+rest, "/a/../"+rest
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		if spy.Ran() > 0 {
			t.Errorf("%s: the handler ran", name)
		}
		if got := strings.Count(log.String(), "\n"); got != 2 {
			t.Errorf("%s: got %d lines, want 2", name, got)
		}
		first, _, _ := strings.Cut(log.String(), "\n")
		if _, why, _ := strings.Cut(first, "error="); len(why) > 300 || why == "" {
			t.Errorf("%s: got %d bytes of error: %s", name, len(why), why)
		}
	}
}
