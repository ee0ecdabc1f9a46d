package discovery

import (
	"net/netip"
	"strings"
)

// isInternal tells whether a host is written as an address inside of a network, or as one of this machine. What a name
// stands for shows only when it is dialled: see Transport.
func isInternal(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return IsInside(a)
	}
	// 127.1, 0x7f000001 and 2130706433 are addresses to C libraries.
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && (strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x"))
}

// inside are address ranges that no stranger's server is in (IANA's special-purpose registries), beside those that
// net/netip knows.
var inside = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"240.0.0.0/4", "64:ff9b:1::/48", "100::/64", "2001:db8::/32", "fec0::/10")

// embedding are ranges of IPv6 in which an IPv4 address follows at that byte: NAT64 (RFC 6052), 6to4 (RFC 3056), and the
// deprecated form of compatible addresses.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, {netip.MustParsePrefix("2002::/16"), 2}, {netip.MustParsePrefix("::/96"), 12},
}

func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, s := range list {
		all[i] = netip.MustParsePrefix(s)
	}
	return all
}

// IsInside tells whether an address is of this machine or inside of a network: loopback, private, link-local, shared,
// reserved, or an IPv6 form of such an IPv4 address.
func IsInside(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsPrivate() || !a.IsGlobalUnicast() {
		return true
	}
	for _, p := range inside {
		if p.Contains(a) {
			return true
		}
	}
	for _, e := range embedding {
		if e.prefix.Contains(a) {
			b := a.As16()
			return IsInside(netip.AddrFrom4([4]byte(b[e.at : e.at+4])))
		}
	}
	return false
}
