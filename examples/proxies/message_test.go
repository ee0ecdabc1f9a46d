package proxies_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// A message is a request that is more than a GET with headers.
type message struct {
	name   string
	as     *popauthtest.Client
	token  bool // the owner's
	method string
	fields func(l *lane) []field
	body   func(l *lane) string
	want   string
	except map[string]string // by proxy
}

func messages(c *cast) []message {
	upgrade := func(*lane) []field {
		return []field{
			{"Connection", "Upgrade"}, {"Upgrade", "websocket"},
			{"Sec-WebSocket-Version", "13"},
			{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
		}
	}
	forgedUpgrade := func(l *lane) []field {
		fields := upgrade(l)
		fields[0].value += ", " + strings.Join(l.names, ", ")
		return append(fields, l.forged()...)
	}
	chunked := func(l *lane) []field {
		var names []string
		for _, f := range l.forged() {
			names = append(names, f.name)
		}
		return []field{{"Transfer-Encoding", "chunked"}, {"Trailer", strings.Join(names, ", ")}, {"Connection", "close"}}
	}
	trailers := func(l *lane) string {
		var b strings.Builder
		b.WriteString("2\r\n{}\r\n0\r\n")
		for _, f := range l.forged() {
			fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
		}
		return b.String() + "\r\n"
	}
	preflight := func(*lane) []field {
		return []field{
			{"Origin", "https://app.example"}, {"Access-Control-Request-Method", "DELETE"},
			{"Access-Control-Request-Headers", "authorization, dpop"},
		}
	}
	// Both files leave Upgrade out.
	plain := map[string]string{"nginx": "200", "apache": "200"}
	return []message{
		{name: "the owner, forged trailers", as: c.owner, token: true, method: "POST", fields: chunked, body: trailers, want: "200"},
		{name: "no certificate, forged trailers", token: true, method: "POST", fields: chunked, body: trailers,
			want: "401"},
		{name: "another certificate, forged trailers", as: c.thief, token: true, method: "POST", fields: chunked, body: trailers,
			want: "401"},
		{name: "the owner, WebSocket", as: c.owner, token: true, method: "GET", fields: upgrade, want: "101", except: plain},
		{name: "no certificate, WebSocket", token: true, method: "GET", fields: upgrade, want: "401"},
		{name: "another certificate, WebSocket, forged headers", as: c.thief, token: true, method: "GET", fields: forgedUpgrade,
			want: "401"},
		{name: "a preflight, which has no token", method: "OPTIONS", fields: preflight, want: "401"},
		{name: "the same, of a caller with a certificate", as: c.owner, method: "OPTIONS", fields: preflight, want: "401"},
	}
}

// Trailers, upgrades and preflights reach the API with the headers of the proxy only, and no handler without the owner.
func TestMessages(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	all := messages(c)
	table := [][]string{{"HTTP/1.1"}}
	for _, m := range all {
		table = append(table, []string{m.name})
	}
	got := make([][]string, len(kinds))
	t.Run("", func(t *testing.T) {
		for i, k := range kinds {
			table[0] = append(table[0], k.name)
			t.Run(k.name, func(t *testing.T) {
				t.Parallel()
				l := newLane(t, c, k, "")
				var mu sync.Mutex
				var trailers []string
				l.spy.Next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					mu.Lock()
					defer mu.Unlock()
					for name := range r.Trailer {
						trailers = append(trailers, name)
					}
					if r.Header.Get("Upgrade") != "" {
						w.Header().Set("Upgrade", "websocket")
						w.Header().Set("Connection", "Upgrade")
						w.Header().Set("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") // RFC 6455, section 1.3
						w.WriteHeader(http.StatusSwitchingProtocols)
					}
				})
				for _, m := range all {
					outcome := l.message(t, m)
					want, ok := m.except[k.proxy]
					if !ok {
						want = m.want
					}
					if outcome != want {
						t.Errorf("%s: got %s, want %s", m.name, outcome, want)
					}
					got[i] = append(got[i], outcome)
				}
				mu.Lock()
				defer mu.Unlock()
				if slices.Sort(trailers); len(trailers) > 0 {
					t.Errorf("a handler saw the trailers %q", trailers)
				}
			})
		}
	})
	for i := range all {
		for _, column := range got {
			table[i+1] = append(table[i+1], column[i])
		}
	}
	document(t, "messages", table)
}

func (l *lane) message(t *testing.T, m message) string {
	t.Helper()
	conn, err := tls.Dial("tcp", l.front.Address, l.config(ways[1], m.as))
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fields, body := m.fields(l), ""
	if m.token {
		fields = append(fields, field{"Authorization", "Bearer " + l.token(l.owner)})
	}
	if m.body != nil {
		body = m.body(l)
	}
	before := l.spy.Ran()
	answer, err := exchangeMessage(conn, m.method, "/orders", fields, body)
	if err != nil {
		return l.judge(reply{}, err, before)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusSwitchingProtocols && l.spy.Ran() == before+1 {
		return "101"
	}
	return l.judge(reply{status: answer.StatusCode}, nil, before)
}
