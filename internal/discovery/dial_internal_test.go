package discovery

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"
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
