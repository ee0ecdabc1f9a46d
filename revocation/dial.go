package revocation

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// direct sends requests by the proxy of the environment, where there is one for them, and else to addresses that a
// certificate may choose.
type direct struct{ proxied, own *http.Transport }

func newDirect(internal bool) *direct {
	dialer := &net.Dialer{Timeout: maxTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		return checkAddress(address, internal)
	}}
	return &direct{
		proxied: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		own: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
			TLSHandshakeTimeout: 10 * time.Second,
		},
	}
}

// RoundTrip implements http.RoundTripper.
func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	// A proxy connects for us, and has rules of its own.
	if proxy, err := http.ProxyFromEnvironment(r); err != nil || proxy != nil {
		return d.proxied.RoundTrip(r)
	}
	return d.own.RoundTrip(r)
}

// checkAddress looks at what is about to be dialled: a name may stand for anything, and be spelled in many ways.
func checkAddress(address string, internal bool) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("an address that can't be read: %w", err)
	}
	ip := embedded(to.Addr().Unmap().WithZone(""))
	switch {
	case ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}),
		ip == netip.MustParseAddr("fd00:ec2::254"):
		return fmt.Errorf("the address %s, which no certificate may name", ip)
	case internal || !isInternal(ip):
		return nil
	}
	return fmt.Errorf("the address %s, which is not public: set Options.InternalAddresses if the authority's servers are there", ip)
}

// embedded is the IPv4 address that one of IPv6 leads to, by NAT64 (RFC 6052, section 2.1) or 6to4 (RFC 3056).
func embedded(ip netip.Addr) netip.Addr {
	b := ip.As16()
	switch {
	case ip.Is4():
	case netip.MustParsePrefix("64:ff9b::/96").Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case netip.MustParsePrefix("2002::/16").Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return ip
}

// isInternal: RFC 6890, as far as there may be somebody to talk to.
func isInternal(ip netip.Addr) bool {
	if ip.IsLoopback() || ip.IsPrivate() || !ip.IsGlobalUnicast() {
		return true
	}
	for _, net := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4", "64:ff9b:1::/48", "fec0::/10"} {
		if netip.MustParsePrefix(net).Contains(ip) {
			return true
		}
	}
	return false
}
