package decisions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// What docs/observability.md says about the log: events, levels, attributes, and nothing else.
func TestLogDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	l := lab.New(t)
	var log bytes.Buffer
	g := l.Guard(func(o *popauth.Options) {
		o.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Revoked = func(_ context.Context, t *popauth.Token) (bool, error) {
			if t.Subject() == "unknown" {
				return false, errors.New("down")
			}
			return false, nil
		}
	})
	read := lab.Chain(g.Confirm, g.Authorize(popauth.Scope("orders.read")))
	genuine := []string{"client", "issuer", "token_id"}
	compared := append([]string{"what", "got", "want"}, genuine...)
	for _, tt := range []struct {
		name, token, level string
		client             *popauthtest.Client
		attributes         []string
	}{
		{"passed", l.Bound(), "", l.Owner, nil},
		{"no token", "", "INFO", l.Owner, nil},
		{"malformed", "x", "INFO", l.Owner, nil},
		{"thief", l.Bound(), "INFO", l.Thief, append([]string{"advice"}, compared...)},
		{"scope", l.Bound(popauthtest.Claims{"scope": "x"}), "INFO", l.Owner, append([]string{"advice"}, compared...)},
		{"down", l.Bound(popauthtest.Claims{"sub": "unknown"}), "WARN", l.Owner, append([]string{"error"}, genuine...)},
	} {
		log.Reset()
		lab.Send(read, tt.client.Request("GET", "/orders", tt.token))
		if tt.level == "" {
			if log.Len() > 0 {
				t.Errorf("%s: got %s", tt.name, &log)
			}
			continue
		}
		var line map[string]any
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v in %s", tt.name, err, &log)
		}
		if line["msg"] != "request refused" || line["level"] != tt.level {
			t.Errorf("%s: got %v", tt.name, line)
		}
		delete(line, "msg")
		delete(line, "level")
		delete(line, "time")
		if tt.name == "malformed" {
			delete(line, "error") // whether there is a cause is up to the reader of tokens
		}
		want := slices.Sorted(slices.Values(append([]string{"code", "reason", "status", "method", "path", "peer"}, tt.attributes...)))
		if got := slices.Sorted(maps.Keys(line)); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, want)
		}
		for name := range line {
			if !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/observability.md doesn't name %s", name)
			}
		}
		if tt.token != "" && strings.Contains(log.String(), tt.token) && len(tt.token) > 1 {
			t.Errorf("%s: the token is in %s", tt.name, &log)
		}
	}
	for _, stage := range []popauth.Stage{popauth.StageAuthenticate, popauth.StageConfirm, popauth.StageAuthorize, popauth.StageRecheck,
		popauth.StageOutside} {
		if !strings.Contains(string(page), "| `"+string(stage)+"` |") {
			t.Errorf("docs/observability.md doesn't name %s", stage)
		}
	}
	for _, reason := range []popauth.Reason{popauth.ErrCertificateMismatch, popauth.ErrProofKey, popauth.ErrProofReplayed,
		popauth.ErrUnavailable,
		popauth.ErrCertificateMalformed, popauth.ErrProxySecret, popauth.ErrPeerUntrusted, popauth.ErrTokenKey} {
		if !strings.Contains(string(page), "`"+string(reason)+"`") {
			t.Errorf("docs/observability.md doesn't name %q", reason)
		}
	}
}
