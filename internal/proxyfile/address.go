package proxyfile

import (
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// IsPort tells whether text is the number of a port.
func IsPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0 && text[0] != '0'
}

// IsListen takes a port, or an IP address and a port.
func IsListen(text string) bool {
	if IsPort(text) {
		return true
	}
	a, err := netip.ParseAddrPort(text)
	return err == nil && a.Port() > 0 && a.Addr().Zone() == "" && a.String() == text
}

// IsUpstream takes host:port and unix:/path. It takes a host by its characters: of a name, of an IPv4 address, or an IPv6 address in
// brackets.
func IsUpstream(text string) bool {
	if file, ok := strings.CutPrefix(text, "unix:"); ok {
		return IsFile(file) && !strings.Contains(file, ":")
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return a.Port() > 0 && a.Addr().Zone() == "" && a.String() == text
	}
	host, port, ok := strings.Cut(text, ":")
	return ok && IsPort(port) && IsHost(host)
}

// IsHost takes a name or an IPv4 address, by its characters.
func IsHost(text string) bool {
	return text != "" && strings.Trim(text, "-.") == text && !strings.ContainsFunc(text, func(c rune) bool {
		return c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
}

// IsFile requires a plain path. Programs take others for something else: "data:" and "engine:" are nginx's.
func IsFile(text string) bool {
	return path.IsAbs(text) && path.Clean(text) == text && text != "/" && IsPrintable(text)
}
