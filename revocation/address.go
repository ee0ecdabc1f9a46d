package revocation

import (
	"fmt"
	"net/netip"
	"slices"
)

// checkAddress looks at what is about to be dialled: a name may stand for anything, and be spelled in many ways.
func checkAddress(address string, internal bool) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("an address that can't be read: %w", err)
	}
	ip := to.Addr().Unmap().WithZone("")
	all := append(embedded(ip), ip)
	for _, a := range all {
		if neverNamed(a) {
			return fmt.Errorf("the address %s, which no certificate may name", ip)
		}
	}
	if internal || !slices.ContainsFunc(all, isInternal) {
		return nil
	}
	return fmt.Errorf("the address %s, which is not public: set Options.InternalAddresses if the authority's servers are there", ip)
}

// metadata are where clouds tell a machine about itself, its secrets too, apart from link-local addresses.
var metadata = prefixes(
	"168.63.129.16/32",       // Azure
	"100.100.100.200/32",     // Alibaba
	"192.0.0.192/32",         // Oracle
	"fd00:c1::a9fe:a9fe/128", // Oracle
	"fd00:ec2::/32",          // Amazon, and what its containers ask
	"fd20:ce::254/128",       // Google
	"fd00:42::42/128",        // Scaleway
)

// teredo is RFC 4380: an address of two of IPv4, neither of which is where an authority's server is.
var teredo = prefixes("2001::/32")

// notPublic is RFC 6890 and its successors, as far as net/netip doesn't say so itself and there may be somebody to talk to.
var notPublic = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"240.0.0.0/4", "::/96", "64:ff9b:1::/48", "100::/64", "2001:2::/48", "2001:db8::/32", "3fff::/20", "5f00::/16", "fec0::/10",
)

func prefixes(all ...string) (out []netip.Prefix) {
	for _, p := range all {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func below(prefix string, ip netip.Addr) bool { return netip.MustParsePrefix(prefix).Contains(ip) }

func isOf(all []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// neverNamed are addresses that name no server, and those of clouds' metadata services.
func neverNamed(ip netip.Addr) bool {
	return ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) ||
		isOf(metadata, ip) || isOf(teredo, ip)
}

func isInternal(ip netip.Addr) bool {
	return ip.IsLoopback() || ip.IsPrivate() || !ip.IsGlobalUnicast() || isOf(notPublic, ip)
}

// embedded are the IPv4 addresses that one of IPv6 may lead to.
func embedded(ip netip.Addr) (all []netip.Addr) {
	if ip.Is4() {
		return nil
	}
	b := ip.As16()
	last := netip.AddrFrom4([4]byte(b[12:16]))
	switch {
	case ip.IsLoopback(), ip.IsUnspecified():
	case below("64:ff9b::/96", ip), // NAT64: RFC 6052, section 2.1
		below("::/96", ip),           // IPv4-compatible: RFC 4291, section 2.5.5.1
		below("::ffff:0:0:0/96", ip): // IPv4-translated: RFC 7915, section 2
		all = append(all, last)
	case below("64:ff9b:1::/48", ip): // NAT64 of one's own (RFC 8215), in any of the forms of RFC 6052, section 2.2
		all = append(all, last)
		for _, other := range [][4]byte{{b[6], b[7], b[9], b[10]}, {b[7], b[9], b[10], b[11]}, [4]byte(b[9:13])} {
			if ip := netip.AddrFrom4(other); ip.IsLinkLocalUnicast() || isOf(metadata, ip) { // or it is of another form
				all = append(all, ip)
			}
		}
	case below("2002::/16", ip): // 6to4: RFC 3056
		all = append(all, netip.AddrFrom4([4]byte(b[2:6])))
	}
	// ISATAP: RFC 5214, section 6.1, below any prefix.
	if (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		all = append(all, last)
	}
	return all
}
