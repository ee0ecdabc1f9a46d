package proxies_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
)

// The shipped configurations with early data on (TLS 1.3, 0-RTT): what somebody has recorded and sends again, byte for byte
// and without any key, runs no handler where the proxy marks it or waits for the handshake.
func TestEarlyData(t *testing.T) {
	need(t, "nginx", "haproxy")
	_, err := exec.LookPath("openssl")
	installed(t, err)
	for _, tt := range []struct {
		name, proxy string
		changes     [][2]string // of the shipped configuration
		early       []string    // what the owner's early request may be answered with; the same one after the handshake is let in
		refused     bool        // the early request, and what was recorded of it
		replayed    int         // how often the handler runs for whoever has recorded the flight
	}{
		{"nginx", "nginx", [][2]string{{"ssl_protocols", "ssl_early_data on;\n\tssl_protocols"}}, []string{"425"}, true, 0},
		{"nginx without the mark: popauth can't tell", "nginx", [][2]string{
			{"ssl_protocols", "ssl_early_data on;\n\tssl_protocols"}, {"proxy_set_header Early-Data", "#"},
		}, []string{"200"}, false, 2},
		// HAProxy 2.6 passes it on when the handshake is complete, though its manual has the mark.
		{"haproxy", "haproxy", [][2]string{{"alpn h2", "allow-0rtt alpn h2"}}, []string{"200", "425"}, false, 0},
		{"haproxy that waits", "haproxy", [][2]string{
			{"alpn h2", "allow-0rtt alpn h2"}, {"\thttp-request", "\thttp-request wait-for-handshake\n\thttp-request"},
		}, []string{"200"}, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			c := newCast(t)
			k := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == tt.proxy })]
			text := file(k)
			for _, change := range tt.changes {
				if !strings.Contains(text, change[0]) {
					t.Fatalf("%s: no %q", tt.proxy, change[0])
				}
				text = strings.Replace(text, change[0], change[1], 1)
			}
			l := newLane(t, c, k, text)
			tape := record(t, l.front.Address)
			got := l.early(t, tape)
			if len(got) != 2 || !slices.Contains(tt.early, got[0]) || got[1] != "200" {
				t.Errorf("the owner: got %q, want %q, then 200", got, tt.early)
			}
			if reasons := l.refusals(); len(got) > 0 && (got[0] == "425") != slices.Equal(reasons, []popauth.Reason{popauth.ErrEarlyData}) {
				t.Errorf("the owner: got %q, refused for %q", got, reasons)
			}
			flight := tape.first()
			if len(flight) < 1000 {
				t.Fatalf("got a flight of %d bytes, want the request in it", len(flight))
			}
			before := l.spy.Ran()
			for range 2 {
				again(t, l.front.Address, flight)
			}
			if got := l.spy.Ran() - before; got != tt.replayed {
				t.Errorf("sent again: the handler ran %d times, want %d", got, tt.replayed)
			}
			if got := l.refusals(); tt.refused && !slices.Equal(got, []popauth.Reason{popauth.ErrEarlyData, popauth.ErrEarlyData}) {
				t.Errorf("sent again: got %q, want it refused for early data, twice", got)
			}
		})
	}
}

var statusLine = regexp.MustCompile(`HTTP/1\.1 (\d\d\d)`)

// early has the owner send a POST in early data, and once more after the handshake, and returns what was answered.
func (l *lane) early(t *testing.T, tape *tape) []string {
	t.Helper()
	dir := t.TempDir()
	crt, key, err := l.owner.WritePEM(dir)
	if err != nil {
		t.Fatal(err)
	}
	post := func(more string) string {
		return fmt.Sprintf("POST /orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n%s\r\n",
			l.token(l.owner), more)
	}
	early, session, trusted := filepath.Join(dir, "early"), filepath.Join(dir, "session"), filepath.Join(dir, "ca.crt")
	for name, content := range map[string]string{early: post(""), trusted: string(l.authority.PEM())} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client := func(input string, more ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		command := exec.CommandContext(ctx, "openssl",
			append([]string{"s_client", "-connect", tape.address, "-tls1_3", "-servername", "localhost",
				"-CAfile", trusted, "-cert", crt, "-key", key, "-ign_eof"}, more...)...)
		command.Stdin = strings.NewReader(input)
		out, err := command.CombinedOutput()
		if ctx.Err() != nil {
			t.Fatalf("openssl: %v\n%s", err, out)
		}
		return string(out)
	}
	out := client("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "-sess_out", session)
	if _, err := os.Stat(session); err != nil {
		t.Fatalf("no session: %v\n%s", err, out)
	}
	l.refusals()
	out = client(post("Connection: close\r\n"), "-sess_in", session, "-early_data", early)
	if !strings.Contains(out, "Early data was accepted") {
		t.Fatalf("no early data: is it on?\n%s", out)
	}
	var statuses []string
	for _, m := range statusLine.FindAllStringSubmatch(out, -1) {
		statuses = append(statuses, m[1])
	}
	return statuses
}

// again sends a recorded flight, and waits until nothing more comes.
func again(t *testing.T, address string, flight []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(flight); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, conn) // ends by the deadline: nobody here could finish the handshake
}

// tape is somebody on the way who records what clients send.
type tape struct {
	address string
	mu      sync.Mutex
	flight  []byte
}

// first is what the client of the last connection sent before it had an answer.
func (p *tape) first() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.flight)
}

func record(t *testing.T, to string) *tape {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	p := &tape{address: listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.pass(conn, to)
		}
	}()
	return p
}

func (p *tape) pass(conn net.Conn, to string) {
	defer conn.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	// All that comes before the server has seen a byte is the first flight, early data included.
	var flight []byte
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	for b := make([]byte, 64<<10); ; {
		n, err := conn.Read(b)
		flight = append(flight, b[:n]...)
		if err != nil {
			break
		}
	}
	_ = conn.SetReadDeadline(time.Time{})
	p.mu.Lock()
	p.flight = flight
	p.mu.Unlock()
	if _, err := server.Write(flight); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(conn, server)
		_ = conn.Close()
	}()
	// The rest completes the handshake. A while on the way, as on any way, and the proxy has decided about the early request.
	time.Sleep(300 * time.Millisecond)
	_, _ = io.Copy(server, conn)
}
