package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// opaque is a token that is no JWT, with a character at which a parser of challenges stops.
const opaque = "Zm9vYmFyYmF6cXV4/cXV4YmF6YmFyZm9v"

// What an API answers gets into no report with the token in it, whole or in parts, nor with what the owner's other headers have.
func TestRepeatedSecrets(t *testing.T) {
	l := newLab(t)
	const key = "gateway-key-12345678"
	for name, answer := range map[string]string{
		"a challenge":           "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm=" + opaque + "\r\nContent-Length: 0\r\n\r\n",
		"a part of it":          "HTTP/1.1 401 No\r\nWWW-Authenticate: , " + opaque + "\r\nContent-Length: 0\r\n\r\n",
		"another header":        "HTTP/1.1 401 No\r\nWWW-Authenticate: Key \"" + key + "\"\r\nContent-Length: 0\r\n\r\n",
		"a header without name": "HTTP/1.1 200 OK\r\n" + opaque + "\r\n\r\n",
		"no HTTP":               opaque + "\r\n\r\n",
	} {
		for _, later := range []bool{false, true} {
			var n atomic.Int64
			url := l.raw(func(c net.Conn) {
				if n.Add(1); later && n.Load() <= 4 { // the owner twice, and who connects
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
					return
				}
				_, _ = io.WriteString(c, answer)
			})
			o := l.options("certificate", url, l.ca.Pool())
			o.Token, o.Header, o.Checks = opaque, http.Header{"X-Key": {key}}, []string{"no-token", "challenge-syntax", "status-401"}
			r, err := Run(context.Background(), o)
			var b bytes.Buffer
			if (r != nil) != later {
				t.Fatalf("%s: got %v, %v", name, r, err)
			}
			if r == nil {
				fmt.Fprint(&b, err)
			} else if err := errors.Join(r.JSON(&b), r.SARIF(&b), r.JUnit(&b, Info), r.Table(&b, true, false)); err != nil {
				t.Fatal(err)
			}
			for _, bad := range []string{opaque[:16], opaque[17:], key} {
				if strings.Contains(b.String(), bad) {
					t.Errorf("%s, later %v: got %q in it:\n%.600s", name, later, bad, b.String())
				}
			}
		}
	}
}

// raw answers each connection, whatever is asked.
func (l *lab) raw(answer func(net.Conn)) string {
	l.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{l.ca.Server()},
		ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return // it is closed
			}
			go func() {
				defer func() { _ = c.Close() }()
				_ = c.SetDeadline(time.Now().Add(5 * time.Second))
				if _, err := c.Read(make([]byte, 16<<10)); err == nil {
					answer(c)
				}
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return "https://localhost:" + port + "/orders"
}

// The headers of an answer have a bound of their own. More of them are no end that the API has chosen, so that nothing is said.
func TestHeadBound(t *testing.T) {
	many := "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxHead/6)
	for name, text := range map[string]string{
		"headers": many, "headers to the end": many + "\r\n",
		"informational answers": strings.Repeat("HTTP/1.1 103 Early\r\n\r\n", maxHead/10),
	} {
		a := read(strings.NewReader(text), http.MethodGet)
		if a.status != 0 || a.unknown() == "" {
			t.Errorf("%s: got %d, %q, want that nothing can be said", name, a.status, a.unknown())
		}
	}
	body := "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200_000)
	if a := read(strings.NewReader(body), http.MethodGet); len(a.body) != 200_000 {
		t.Errorf("got %d bytes of the body, %v", len(a.body), a.err)
	}
}

// What refusals have beside what checks look at is not kept.
func TestRefusalsInMemory(t *testing.T) {
	s := &session{options: Options{MaxRequests: 1000}}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 300 {
		h := http.Header{"Www-Authenticate": {"Bearer"}}
		for i := range 5000 {
			h[textproto.CanonicalMIMEHeaderKey(fmt.Sprint("x-", i))] = []string{"x"}
		}
		s.note(answer{status: 401, header: h, body: append(make([]byte, maxBody), "goroutine 1 ["...)}, "")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("got %d bytes more, want 8 MiB at most", grown)
	}
	if r := s.refusals[0]; r.trace == "" || r.header.Get("WWW-Authenticate") == "" {
		t.Errorf("got %+v, want what checks look at", r)
	}
}

// A refused stream of HTTP/2 is not sent again: the request counts once.
func TestRefusedStream(t *testing.T) {
	l := newLab(t)
	var streams atomic.Int64
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{l.ca.Server()},
		NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
				f := http2.NewFramer(c, c)
				_ = f.WriteSettings()
				for {
					frame, err := f.ReadFrame()
					if err != nil {
						return
					}
					if h, ok := frame.(*http2.HeadersFrame); ok {
						streams.Add(1)
						_ = f.WriteRSTStream(h.StreamID, http2.ErrCodeRefusedStream)
					}
				}
			}()
		}
	}()
	address := netip.MustParseAddrPort(listener.Addr().String())
	o := l.options("key", "https://localhost/orders", l.ca.Pool())
	o.Timeout = 5 * time.Second
	u, err := o.complete()
	if err != nil {
		t.Fatal(err)
	}
	s := &session{ctx: t.Context(), options: o, url: u, port: address.Port(), addresses: []netip.Addr{address.Addr()}}
	c := s.owner()
	c.link.http2 = true
	if a := s.once(c); !a.closed() || streams.Load() != 1 {
		t.Errorf("got %d streams and %v, want one that is refused", streams.Load(), a.err)
	}
}

// A token goes by http to this machine alone, whatever its name has for addresses.
func TestPlainElsewhere(t *testing.T) {
	l := newLab(t)
	o := l.options("key", "http://localhost/orders", nil)
	o.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	o.Timeout = time.Second
	if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "https only") {
		t.Errorf("got %v, want https only", err)
	}
}

// Not even an Arabic letter mark, which changes the direction of writing, gets to a terminal.
func TestShownDirections(t *testing.T) {
	for _, r := range "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" { // Bidi_Control of Unicode
		if got := shown(string(r)); got != "?" {
			t.Errorf("got %q of %U, want ?", got, r)
		}
	}
}
