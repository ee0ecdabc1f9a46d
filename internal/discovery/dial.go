package discovery

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// Reach is where a request may lead. The address that is dialled decides, not the name: a name can be made to stand for
// any address, and for another one at each look.
type Reach struct {
	Inside bool        // addresses inside of a network are fine too
	Only   bool        // no others are
	Went   atomic.Bool // the connection led inside
}

type reachKey struct{}

// WithReach returns a context for a request through Transport.
func WithReach(ctx context.Context, r *Reach) context.Context {
	return context.WithValue(ctx, reachKey{}, r)
}

// ReachOf returns where a request may lead; nil if nothing was said.
func ReachOf(ctx context.Context) *Reach {
	r, _ := ctx.Value(reachKey{}).(*Reach)
	return r
}

// maxHeader bounds the header of an answer, in bytes.
const maxHeader = 1 << 16

// Transport returns one that holds each connection to the Reach of its request. It uses the proxy of the environment;
// a request that goes through one has no Reach, since the proxy resolves the name.
func Transport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial(nil),
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// ToProxy tells whether a request of a Transport goes through a proxy.
func ToProxy(r *http.Request) bool {
	u, err := http.ProxyFromEnvironment(r)
	return err != nil || u != nil
}

// dial returns a DialContext that resolves by r; nil stands for the resolver of the machine.
func dial(r *net.Resolver) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, Resolver: r}
		if reach := ReachOf(ctx); reach != nil {
			d.Control = reach.control
		}
		return d.DialContext(ctx, network, address)
	}
}

// control sees each address just before it is connected to.
func (r *Reach) control(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("no address: %w", err)
	}
	if !IsInside(a.Addr()) {
		if r.Only {
			return fmt.Errorf("%s is outside of networks, and the URL is http, which passes for a private address alone", a.Addr())
		}
		return nil
	}
	if !r.Inside {
		return fmt.Errorf("%s is inside of a network, or of this machine, and the issuer is not: if that is meant, set the URL of the "+
			"keys yourself, or give popauth a Client of your own", a.Addr())
	}
	r.Went.Store(true)
	return nil
}
