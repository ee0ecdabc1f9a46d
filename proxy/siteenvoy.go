package proxy

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"text/template"
)

//go:embed envoy.yaml.tmpl
var envoyTemplate string

// Envoy writes the bootstrap of Envoy, with a listener and a cluster; for a control plane, take them out of it. The format is
// that of [Envoy].
//
// It is an error for the API to be at a unix socket and at a host's name too: Envoy has a cluster of one kind.
func (s Site) Envoy() (string, error) {
	wrong := []error{s.validate()}
	if s.Format.program != "envoy" {
		wrong = append(wrong, fmt.Errorf("proxy: Site.Format: Envoy doesn't write %q: use proxy.Envoy", s.Format.name))
	}
	kind, err := envoyKind(s.API)
	if err := errors.Join(append(wrong, err)...); err != nil {
		return "", err
	}
	return s.written(envoyTemplate, template.FuncMap{
		"quoted": envoyQuoted, "value": envoyValue, "address": envoyAddress,
		"kind": func() string { return kind },
		"listen": func() string {
			if isPort(s.Listen) {
				return envoyAddress("0.0.0.0:" + s.Listen)
			}
			return envoyAddress(s.Listen)
		},
		"patterns": s.removedByEnvoy,
	})
}

// removedByEnvoy are the patterns of what a client may not send, once Envoy has set the certificate's header.
func (s Site) removedByEnvoy() []string {
	patterns := []string{otherSpellings(s.Format.cert)}
	if s.SecretHeader != "" {
		patterns = append(patterns, spellings(s.SecretHeader))
	}
	for _, name := range overridesRequest {
		patterns = append(patterns, spellings(name))
	}
	return patterns
}

// envoyKind is the type of a cluster: only one that looks names up takes names, and only one that doesn't takes sockets.
func envoyKind(api []string) (string, error) {
	socket, name := "", ""
	for _, address := range api {
		if strings.HasPrefix(address, "unix:") {
			socket = address
		} else if _, err := netip.ParseAddrPort(address); err != nil {
			name = address
		}
	}
	switch {
	case socket != "" && name != "":
		return "", fmt.Errorf("proxy: Site.API: Envoy takes no %s beside %s: give an IP address", name, socket)
	case name != "":
		return "STRICT_DNS", nil
	}
	return "STATIC", nil
}

// envoyAddress is a config.core.v3.Address.
func envoyAddress(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "{ pipe: { path: " + envoyQuoted(path) + " } }"
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "" // not one that validate takes
	}
	return "{ socket_address: { address: " + envoyQuoted(host) + ", port_value: " + port + " } }"
}

// envoyQuoted is a string in double quotes of YAML.
func envoyQuoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// envoyValue is a header's value, in which a percent sign begins a command.
func envoyValue(text string) string {
	return envoyQuoted(strings.ReplaceAll(text, "%", "%%"))
}
