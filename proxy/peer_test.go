package proxy_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// slowConn is a connection whose address is not known before its client has sent it, as behind the PROXY protocol.
type slowConn struct {
	net.Conn
	known <-chan struct{}
	asked atomic.Int64
}

func (c *slowConn) RemoteAddr() net.Addr {
	c.asked.Add(1)
	select {
	case <-c.known:
	case <-time.After(5 * time.Second): // whoever asks too early fails, and does not hang
		return nil
	}
	return &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}
}

// slowListener makes the first connection a slow one.
type slowListener struct {
	net.Listener
	known    <-chan struct{}
	accepted atomic.Int64
}

func (l *slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil && l.accepted.Add(1) == 1 {
		c = &slowConn{Conn: c, known: l.known}
	}
	return c, err
}

// A connection whose address is long in coming keeps no other from being accepted and served.
func TestConnContextWaitsForNoAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := proxy.Trusted(proxy.TrustPeers(netip.MustParsePrefix("192.0.2.1/32")))
	if err != nil {
		t.Fatal(err)
	}
	known := make(chan struct{})
	spy := &popauthtest.Spy{}
	server := &http.Server{ //nolint:gosec // no slow client here
		ConnContext: proxy.ConnContext,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.RemoteAddr = "" // ConnContext has the last word
			if trusted.Check(r) != nil {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			spy.ServeHTTP(w, r)
		}),
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(&slowListener{Listener: listener, known: known}) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	ask := func() net.Conn {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(3 * time.Second))
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: api\r\n\r\n")
		return c
	}
	status := func(c net.Conn) int {
		t.Helper()
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	slow := ask()
	for range 3 { // one after the other behind the slow one, which says nothing meanwhile
		if got := status(ask()); got != http.StatusForbidden || spy.Ran() != 0 {
			t.Fatalf("another peer: got %d, ran %d times, want 403 at once", got, spy.Ran())
		}
	}
	close(known)
	if got := status(slow); got != http.StatusOK || spy.Ran() != 1 {
		t.Errorf("the slow one: got %d, ran %d times, want 200 for its own address", got, spy.Ran())
	}
}

// A request that waits for its connection's address holds no request of another connection, and the address is asked for
// once: it stays the same as long as the connection.
func TestWithPeerAsksOnce(t *testing.T) {
	trusted, err := proxy.Trusted(proxy.TrustPeers(netip.MustParsePrefix("192.0.2.1/32")))
	if err != nil {
		t.Fatal(err)
	}
	from := func(ctx context.Context) *http.Request {
		return httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	}
	known, ready := make(chan struct{}), make(chan struct{})
	close(ready)
	slow, quick := &slowConn{known: known}, &slowConn{known: ready}
	held, free := proxy.WithPeer(t.Context(), slow), proxy.ConnContext(t.Context(), quick)
	if slow.asked.Load()+quick.asked.Load() != 0 {
		t.Error("a hook has asked for an address")
	}
	answers := make(chan error, 2)
	for range 2 {
		go func() { answers <- trusted.Check(from(held)) }()
	}
	for range 3 {
		if err := trusted.Check(from(free)); err != nil {
			t.Errorf("another connection: got %v", err)
		}
	}
	close(known)
	for range 2 {
		if err := <-answers; err != nil {
			t.Errorf("the slow one: got %v", err)
		}
	}
	if slow.asked.Load() != 1 || quick.asked.Load() != 1 {
		t.Errorf("asked %d and %d times, want once each", slow.asked.Load(), quick.asked.Load())
	}
}

// addressless is a connection that does not say where its peer is.
type addressless struct{ net.Conn }

func (addressless) RemoteAddr() net.Addr { return nil }

// An address that the connection does not tell is not taken from anywhere else.
func TestPeerWithoutAddressIsNobody(t *testing.T) {
	trusted, err := proxy.Trusted(proxy.TrustPeers(netip.MustParsePrefix("192.0.2.1/32")))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"without an address": addressless{}, "nil": nil} {
		r := httptest.NewRequestWithContext(proxy.ConnContext(t.Context(), c), http.MethodGet, "/", nil)
		r.RemoteAddr = "192.0.2.1:1" // as a middleware may have set it from a header
		if trusted.Check(r) == nil {
			t.Errorf("VULNERABLE: %s: RemoteAddr counts", name)
		}
	}
}
