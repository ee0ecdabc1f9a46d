package mcpsession

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// No two callers have the same owner, wherever one part ends and the next begins.
func TestOwnerKey(t *testing.T) {
	parts := []string{"", "a", "b", "ab", "a|b", "|", "1:a", ",1:a", "1:a,", "0:,", "0:,0:,", "1:a,1:b", "a,1:b", ":", ",", "é"}
	seen := map[string]popauth.Principal{}
	for _, issuer := range parts {
		for _, subject := range parts {
			for _, client := range parts {
				p := popauth.Principal{Issuer: issuer, Subject: subject, ClientID: client}
				key := owner(&p, clientNames{})
				if q, twice := seen[key]; twice {
					t.Fatalf("%q is the owner of %q %q %q and of %q %q %q", key, q.Issuer, q.Subject, q.ClientID, issuer, subject, client)
				}
				seen[key] = p
			}
		}
	}
}

// A server gets the middleware once, and is not kept alive by that.
func TestPrepare(t *testing.T) {
	e := &endpoint{}
	same := mcp.NewServer(&mcp.Implementation{Name: "x"}, nil)
	for range 100 {
		e.prepare(same)
		e.prepare(mcp.NewServer(&mcp.Implementation{Name: "x"}, nil))
	}
	left := func() int {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(e.prepared)
	}
	for range 100 {
		runtime.GC()
		if left() == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := left(); got != 1 {
		t.Errorf("got %d servers, want 1", got)
	}
	runtime.KeepAlive(same)
}

// Without a stage of a Guard in front there is no caller, and so no answer but a refusal.
func TestNoStage(t *testing.T) {
	spy := 0
	e := &endpoint{session: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { spy++ })}
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, httptest.NewRequest("POST", "/mcp", nil))
	if rec.Code != http.StatusInternalServerError || spy != 0 {
		t.Errorf("got %d, ran %d times", rec.Code, spy)
	}
}

// The client's other names count, each for itself.
func TestOwnerKeyClientNames(t *testing.T) {
	p := &popauth.Principal{Issuer: "i", Subject: "s"}
	seen := map[string]bool{}
	for _, c := range []clientNames{{}, {AZP: "a"}, {CID: "a"}, {AppID: "a"}, {AZP: "b"}, {AZP: "a", CID: "a"}} {
		if key := owner(p, c); seen[key] {
			t.Errorf("%+v is another's", c)
		} else {
			seen[key] = true
		}
	}
}

// The zero Interval is 30 s.
func TestDefaultInterval(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	g, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEndpoint(Options{Guard: g, Server: func(*http.Request) *mcp.Server { return nil }})
	if err != nil || e.interval != 30*time.Second {
		t.Errorf("got %v, %v", e, err)
	}
}
