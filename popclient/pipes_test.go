package popclient_test

import (
	"bytes"
	"context"
	"net"
	"sync"
)

// pipes is a listener and its dialer.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	one, other := net.Pipe()
	client, server := newBuffered(one), newBuffered(other)
	select {
	case p.conns <- server:
		return client, nil
	case <-ctx.Done():
		client.Close()
		server.Close()
		return nil, ctx.Err()
	}
}

// buffered is an end of a pipe that doesn't wait for the other end to read: when both say goodbye at the same time, as
// TLS has them do, neither would.
type buffered struct {
	net.Conn
	out  chan []byte
	done chan struct{}
	once sync.Once
}

func newBuffered(end net.Conn) *buffered {
	b := &buffered{Conn: end, out: make(chan []byte, 100), done: make(chan struct{})}
	go func() {
		for {
			select {
			case p := <-b.out:
				if _, err := end.Write(p); err != nil {
					return
				}
			case <-b.done:
				return
			}
		}
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case b.out <- bytes.Clone(p):
		return len(p), nil
	case <-b.done:
		return 0, net.ErrClosed
	}
}

func (b *buffered) Close() error {
	b.once.Do(func() { close(b.done) })
	return b.Conn.Close()
}
