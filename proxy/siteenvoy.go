package proxy

import (
	_ "embed"
	"errors"
	"fmt"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
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
	kind, err := proxyfile.EnvoyKind(s.API)
	if err != nil {
		wrong = append(wrong, fmt.Errorf("proxy: Site.API: %w", err))
	}
	if err := errors.Join(wrong...); err != nil {
		return "", err
	}
	return proxyfile.Fill(envoyTemplate, s, template.FuncMap{
		"quoted": proxyfile.YAMLQuoted, "value": proxyfile.EnvoyValue, "address": proxyfile.EnvoyAddress,
		"kind":     func() string { return kind },
		"listen":   func() string { return proxyfile.EnvoyListen(s.Listen) },
		"patterns": s.removedByEnvoy,
	})
}

// removedByEnvoy are the patterns of what a client may not send, once Envoy has set the certificate's header.
func (s Site) removedByEnvoy() []string {
	patterns := []string{proxyfile.OtherSpellings(s.Format.cert)}
	if s.SecretHeader != "" {
		patterns = append(patterns, proxyfile.Spellings(s.SecretHeader))
	}
	for _, name := range proxyfile.Overrides() {
		patterns = append(patterns, proxyfile.Spellings(name))
	}
	return patterns
}
