package proxyfile

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// EnvoyKind is the type of a cluster: only one that looks names up takes names, and only one that doesn't takes sockets.
func EnvoyKind(addresses []string) (string, error) {
	socket, name := "", ""
	for _, address := range addresses {
		if strings.HasPrefix(address, "unix:") {
			socket = address
		} else if _, err := netip.ParseAddrPort(address); err != nil {
			name = address
		}
	}
	switch {
	case socket != "" && name != "":
		return "", fmt.Errorf("%s beside %s, which Envoy doesn't take: give an IP address", name, socket)
	case name != "":
		return "STRICT_DNS", nil
	}
	return "STATIC", nil
}

// EnvoyAddress is a config.core.v3.Address.
func EnvoyAddress(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "{ pipe: { path: " + YAMLQuoted(path) + " } }"
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "" // not one that IsListen or IsUpstream takes
	}
	return "{ socket_address: { address: " + YAMLQuoted(host) + ", port_value: " + port + " } }"
}

// EnvoyListen is the address of what IsListen takes.
func EnvoyListen(listen string) string {
	if IsPort(listen) {
		return EnvoyAddress("0.0.0.0:" + listen)
	}
	return EnvoyAddress(listen)
}

// EnvoyValue is a header's value, in which a percent sign begins a command.
func EnvoyValue(text string) string {
	return YAMLQuoted(strings.ReplaceAll(text, "%", "%%"))
}

// YAMLQuoted is a string in double quotes of YAML.
func YAMLQuoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
