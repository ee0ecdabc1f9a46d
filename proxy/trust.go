package proxy

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/mismatch"
)

// Trust is a rule by which the peer of a connection is known as the proxy whose headers count. Rules that are given
// together must all hold. The zero Trust is a configuration error.
type Trust struct {
	peer    func(*http.Request) bool // what can be told from the connection; nil if nothing
	request func(*http.Request) bool // what every request of the proxy must carry; nil if nothing
	headers []string                 // that request reads
	problem error
}

// Headers names the headers that the rule reads, such as that of TrustSecret. They are for popauth alone.
func (t Trust) Headers() []string { return slices.Clone(t.headers) }

// problems returns what is wrong with rules that are given to the function named.
func problems(function string, trust []Trust) []error {
	var wrong []error
	if len(trust) == 0 {
		wrong = append(wrong, fmt.Errorf("proxy: %s: no rule says which peers are trusted", function))
	}
	for _, t := range trust {
		if t.peer == nil && t.request == nil {
			wrong = append(wrong, fmt.Errorf("proxy: %s: zero Trust", function))
		}
		if t.problem != nil {
			wrong = append(wrong, fmt.Errorf("proxy: %s: %w", function, t.problem))
		}
	}
	return wrong
}

// accepts asks all the rules. What can be told from the connection comes first: a request from the proxy's own
// connection that lacks what each of its requests must carry was not made by it, and is nobody else's either. A request
// with another one's context has the proxy's connection in it, but a handler may have made it of what a client has sent
// through that: it is refused whatever the rules are.
func accepts(trust []Trust, r *http.Request) (bool, error) {
	if err := popauth.CheckContext(r); err != nil {
		return false, err
	}
	known := false
	for _, t := range trust {
		if t.peer == nil {
			continue
		}
		if !t.peer(r) {
			return false, nil
		}
		known = true
	}
	for _, t := range trust {
		if t.request != nil && !t.request(r) {
			if known {
				return false, &popauth.Error{Reason: popauth.ErrProxySecret, Err: t.missing(r)}
			}
			return false, nil
		}
	}
	return true, nil
}

// missing says what the request lacks: none, or another than those that count.
func (t Trust) missing(r *http.Request) error {
	return fmt.Errorf("%s came in %d lines, and one with the proxy's secret is wanted: compare the proxy's with that of TrustSecret, and "+
		"let no client go around it", strings.Join(t.headers, ", "), len(r.Header.Values(t.headers[0])))
}

// TrustedPeer knows which requests come from a peer that all of its rules accept, for programs that read other headers of their
// proxy's, and for forwardauth.Options. Make it with Trusted; the zero one, and nil, trust nobody.
type TrustedPeer struct{ trust []Trust }

// Trusted returns the peer that these rules describe. No rule, or a prefix of length 0, is an error.
func Trusted(trust ...Trust) (*TrustedPeer, error) {
	if err := errors.Join(problems("Trusted", trust)...); err != nil {
		return nil, err
	}
	return &TrustedPeer{slices.Clone(trust)}, nil
}

// Check tells whether a request comes from the peer: nil, or a *popauth.Error with ErrPeerUntrusted, with ErrProxySecret for
// a request from that peer without the secret, or with ErrAnotherRequest for one that has the context of a request that a
// handler of package popauth has decided about, and isn't that. It removes no header.
func (p *TrustedPeer) Check(r *http.Request) error {
	if p == nil || len(p.trust) == 0 { // which all requests would keep to
		return &popauth.Error{Reason: popauth.ErrPeerUntrusted, Err: errors.New("a TrustedPeer that Trusted has not made")}
	}
	trusted, err := accepts(p.trust, r)
	switch {
	case err != nil:
		return err
	case !trusted:
		return &popauth.Error{Reason: popauth.ErrPeerUntrusted, Err: &popauth.Mismatch{
			What: "peer", Got: mismatch.Text(r.RemoteAddr), Want: "the proxy's connection, by all of the Trust rules",
			Advice: "add the address if the proxy is yours; else somebody goes around it",
		}}
	}
	return nil
}

// Headers names the headers that the rules read, such as that of TrustSecret. They are for popauth alone.
func (p *TrustedPeer) Headers() []string {
	if p == nil {
		return nil
	}
	return marks(p.trust)
}

// marks are the headers that rules read.
func marks(trust []Trust) []string {
	var names []string
	for _, t := range trust {
		names = append(names, t.headers...)
	}
	return names
}

// TrustPeers trusts connections from addresses in these prefixes; 4-in-6 addresses count as IPv4, those with a zone
// never. The address is that of the connection which ConnContext kept, else Request.RemoteAddr, which a handler further
// out may have set from a header. Loopback is not implied, and whatever else runs at these addresses is trusted too:
// prefer TrustProxyTLS, or add TrustSecret. A prefix of length 0 or of 4-in-6 addresses is a configuration error.
func TrustPeers(prefixes ...netip.Prefix) Trust {
	prefixes = slices.Clone(prefixes)
	t := Trust{peer: func(r *http.Request) bool {
		a, ok := peerAddress(r)
		return ok && slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
	}}
	if len(prefixes) == 0 {
		t.problem = errors.New("TrustPeers: no prefix")
	}
	for _, p := range prefixes {
		if !p.IsValid() || p.Bits() == 0 || p.Addr().Is4In6() {
			t.problem = fmt.Errorf("TrustPeers: %v: invalid, everything, or 4-in-6", p)
		}
	}
	return t
}

// TrustUnixSocket trusts connections that came in on a unix socket: who may connect is up to the socket's permissions.
func TrustUnixSocket() Trust {
	return Trust{peer: func(r *http.Request) bool {
		_, ok := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr)
		return ok
	}}
}

// minSecret is how long a shared secret must be, in bytes.
const minSecret = 16

// TrustSecret trusts requests that carry one of these secrets, of at least 16 bytes, in a header: two, while one
// replaces the other. It is the one rule that also stops a request that was smuggled into the proxy's own connection,
// so it goes well with another: a request from that peer without the secret is then refused with ErrProxySecret. The
// header is removed from the request, so a source with this rule is for the outermost handler alone: inside of one that has
// removed the secret, it refuses with ErrProxySecret what may have come by the proxy.
func TrustSecret(header string, secrets ...string) Trust {
	header = http.CanonicalHeaderKey(header)
	t := Trust{headers: []string{header}}
	if !isPlainName(header) {
		t.problem = errors.New("TrustSecret: not a header's name of letters, digits and hyphens, a letter first")
	}
	if why := field.Taken(header); why != "" {
		t.problem = fmt.Errorf("TrustSecret: no secret arrives in %s, since %s: name another, such as X-Proxy-Secret", header, why)
	}
	if len(secrets) == 0 || len(secrets) > 2 {
		t.problem = errors.New("TrustSecret: one secret or two")
	}
	var want [][sha256.Size]byte
	for _, s := range secrets {
		if len(s) < minSecret {
			t.problem = fmt.Errorf("TrustSecret: a secret of less than %d bytes", minSecret)
		}
		want = append(want, sha256.Sum256([]byte(s)))
	}
	t.request = func(r *http.Request) bool {
		lines := r.Header[header]
		if len(lines) != 1 {
			return false
		}
		got, ok := sha256.Sum256([]byte(lines[0])), 0
		for _, w := range want {
			ok |= subtle.ConstantTimeCompare(got[:], w[:])
		}
		return ok == 1
	}
	return t
}

// isPlainName tells a name that no configuration's language takes for something else, and no program for another name.
func isPlainName(name string) bool {
	return isName(name) && strings.ContainsRune("abcdefghijklmnopqrstuvwxyz", rune(name[0]|0x20))
}

type peerKey struct{}

// ConnContext keeps a connection for TrustPeers, which asks it for its peer's address: once, when a request needs it, and
// not in the hook, since a server accepts no other connection meanwhile. Set it as http.Server.ConnContext, or call it
// there. Behind a listener that speaks the PROXY protocol the address is what the peer says.
func ConnContext(ctx context.Context, c net.Conn) context.Context { return WithPeer(ctx, c) }

// WithPeer is ConnContext for the hooks of other servers, whose connections are no net.Conn:
//
//	server := &http3.Server{ConnContext: func(ctx context.Context, c *quic.Conn) context.Context {
//		return proxy.WithPeer(ctx, c)
//	}}
func WithPeer(ctx context.Context, c interface{ RemoteAddr() net.Addr }) context.Context {
	return context.WithValue(ctx, peerKey{}, &peer{connection: c})
}

// peer is the other end of a connection.
type peer struct {
	connection interface{ RemoteAddr() net.Addr }
	once       sync.Once
	kept       net.Addr
}

// address is the one that the connection has told first. The requests of a connection that is slow to tell wait; those of
// others don't.
func (p *peer) address() net.Addr {
	p.once.Do(func() {
		if p.connection != nil {
			p.kept = p.connection.RemoteAddr()
		}
	})
	return p.kept
}

// peerAddress returns the address of the peer; false if it is not a plain one. A client on a unix socket can bind its
// own end to a name that reads like an address. What a connection doesn't tell is not read from the request.
func peerAddress(r *http.Request) (netip.Addr, bool) {
	if p, ok := r.Context().Value(peerKey{}).(*peer); ok {
		a, ok := p.address().(interface{ AddrPort() netip.AddrPort }) // *net.TCPAddr, *net.UDPAddr
		if !ok {
			return netip.Addr{}, false
		}
		return a.AddrPort().Addr().Unmap(), true // no prefix contains one with a zone
	}
	_, unix := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr)
	a, err := netip.ParseAddrPort(r.RemoteAddr) // an address without a port is none that net/http has written
	if unix || err != nil {
		return netip.Addr{}, false
	}
	return a.Addr().Unmap(), true
}
