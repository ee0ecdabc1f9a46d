package mcpsession_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth/internal/reused"
)

// Behind a server that reads each request into the memory of the one before, a session stays its owner's, and a tool sees
// who calls it now.
func TestSessionsInReusedMemory(t *testing.T) {
	var b reused.Buffer
	var one sync.Mutex // a connection has one request at a time
	l := newLab(t, setup{outer: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			one.Lock()
			defer one.Unlock()
			next.ServeHTTP(w, b.Request(r))
			b.Scribble()
		})
	}})
	callers := []identity{
		{name: "a", sub: "alice", client: "agent", scope: "read"},
		{name: "b", sub: "bobby", client: "agent", scope: "read"},
		{name: "c", sub: "alice", client: "other", scope: "read"},
	}
	var sessions []string
	for _, c := range callers {
		sessions = append(sessions, l.connect(c))
	}
	ran := l.seen.count()
	for _, i := range reused.Order(len(callers)) {
		for j, session := range sessions {
			for _, body := range []string{callTool, getPrompt, readOne} {
				status, answer := l.send(callers[i], request{method: "POST", session: session, body: body})
				if i != j {
					if status != http.StatusNotFound || l.seen.count() != ran {
						t.Fatalf("VULNERABLE: session of caller %d, token of caller %d: got %d %s", j, i, status, answer)
					}
					continue
				}
				ran++
				want := callers[i].sub + "/" + callers[i].client + " with read"
				if status != http.StatusOK || !strings.Contains(answer, want) || l.seen.count() != ran {
					t.Fatalf("got %d %s, want %q", status, answer, want)
				}
			}
		}
	}
}
