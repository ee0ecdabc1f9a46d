package discovery

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// names is a resolver for which every name stands for 127.0.0.1, as an attacker's name server could say.
func names(t *testing.T) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			end := 12
			for b[end] != 0 { // the name in question
				end += int(b[end]) + 1
			}
			answers := uint16(0)
			if kind := binary.BigEndian.Uint16(b[end+1:]); kind == 1 && n > end {
				answers = 1
			}
			reply := append([]byte{b[0], b[1], 0x81, 0x80, 0, 1, 0, byte(answers), 0, 0, 0, 0}, b[12:end+5]...)
			if answers == 1 {
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
			}
			_, _ = server.WriteTo(reply, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// What is dialled and is no address leads nowhere, and one outside leads nobody inside.
func TestControl(t *testing.T) {
	for _, tt := range []struct {
		address    string
		inside, ok bool // the request may lead inside; it is let through
		went       bool
		only       bool // and nowhere else
	}{
		{address: "93.184.215.14:80", inside: true, only: true},
		{address: "[2606:2800:21f:cb07::1]:80", inside: true, only: true},
		{address: "10.0.0.1:80", inside: true, only: true, ok: true, went: true},
		{address: "10.0.0.1:80", only: true},
		{address: "93.184.215.14:443", ok: true},
		{address: "93.184.215.14:443", inside: true, ok: true},
		{address: "[2606:2800:21f:cb07::1]:443", ok: true},
		{address: "10.0.0.1:443"},
		{address: "10.0.0.1:443", inside: true, ok: true, went: true},
		{address: "no address"},
		{address: "no address", inside: true},
		{address: "localhost:443", inside: true},
	} {
		r := &Reach{Inside: tt.inside, Only: tt.only}
		if err := r.control("tcp", tt.address, nil); (err == nil) != tt.ok || r.Went.Load() != tt.went {
			t.Errorf("%s, inside %t: got %v, went inside: %t, want %t, %t", tt.address, tt.inside, err, r.Went.Load(), tt.ok, tt.went)
		}
	}
}

// A name that stands for an address inside is refused by the address, however harmless it looks.
func TestDialledAddressDecides(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	_, port, _ := net.SplitHostPort(target.Addr().String())
	connect := dial(names(t))
	for _, tt := range []struct {
		name  string
		reach *Reach
		want  string // in the error
	}{
		{name: "a stranger's", reach: &Reach{}, want: "127.0.0.1 is inside"},
		{name: "the issuer's", reach: &Reach{Inside: true}},
		{name: "nothing said", reach: nil},
	} {
		ctx := t.Context()
		if tt.reach != nil {
			ctx = WithReach(ctx, tt.reach)
		}
		c, err := connect(ctx, "tcp", net.JoinHostPort("keys.example.com", port))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if err == nil {
			_ = c.Close()
		}
		if tt.reach != nil && tt.reach.Went.Load() != (tt.want == "") {
			t.Errorf("%s: went inside: got %t", tt.name, tt.reach.Went.Load())
		}
	}
}

// By http a document comes from a private address, under whatever name, and never through what can't be held to that.
func TestGetByPrivateHTTP(t *testing.T) {
	for _, v := range []string{"HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"} {
		t.Setenv(v, "")
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("keys")) }))
	defer s.Close()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	u := &url.URL{Scheme: "http", Host: "keycloak:" + port, Path: "/"}
	c := NewClient(nil, time.Now)
	if transport, ok := c.HTTP.Transport.(*http.Transport); ok {
		transport.DialContext = dial(names(t))
	}
	reach := &Reach{Inside: true}
	if b, _, err := c.Get(t.Context(), u, "", reach); err != nil || string(b) != "keys" || !reach.Only {
		t.Errorf("got %q, %v, held to private addresses: %t", b, err, reach.Only)
	}
	other := NewClient(&http.Client{Transport: http.DefaultTransport}, time.Now)
	if _, _, err := other.Get(t.Context(), u, "", &Reach{Inside: true}); !errors.Is(err, errUnheld) {
		t.Errorf("another Transport: got %v, want %v", err, errUnheld)
	}
}
