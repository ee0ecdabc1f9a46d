package forwardauth

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

//go:embed envoy.yaml.tmpl
var envoyTemplate string

// Envoy writes the bootstrap of Envoy, with a listener and two clusters; for a control plane, take them out of it. The Endpoint's
// Headers are those of [Envoy], and the format is proxy.Envoy.
//
// It is an error for the API, or the service, to be at a unix socket and at a host's name too: Envoy has a cluster of one kind. So is
// an Endpoint whose RequestLine has AllowOtherEncodings or AllowEncodedSlash: Envoy chooses by the path as it is encoded.
//
// Envoy hands on no header of an answer with 5xx, as Retry-After of 503.
func (s Site) Envoy() (string, error) {
	wrong := []error{s.validate("envoy", 1, Envoy())}
	if s.Endpoint != nil && (s.Endpoint.line.AllowOtherEncodings || s.Endpoint.line.AllowEncodedSlash) {
		wrong = append(wrong, errors.New("forwardauth: Site.Endpoint: Envoy chooses the route by the path as it is encoded: leave "+
			"AllowOtherEncodings and AllowEncodedSlash of RequestLine off"))
	}
	kinds := map[string]string{}
	for field, addresses := range map[string][]string{"API": s.API, "Service": s.Service} {
		kind, err := proxyfile.EnvoyKind(addresses)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("forwardauth: Site.%s: %w", field, err))
		}
		kinds[strings.Join(addresses, " ")] = kind
	}
	if err := errors.Join(wrong...); err != nil {
		return "", err
	}
	return s.written(envoyTemplate, template.FuncMap{
		"quoted": proxyfile.YAMLQuoted, "value": proxyfile.EnvoyValue, "address": proxyfile.EnvoyAddress, "lower": strings.ToLower,
		"kind":     func(addresses []string) string { return kinds[strings.Join(addresses, " ")] },
		"listen":   func() string { return proxyfile.EnvoyListen(s.Listen) },
		"patterns": s.envoyPatterns,
	})
}

// envoyPatterns are those of the headers to remove before the question.
func (s Site) envoyPatterns() []string {
	patterns := []string{"x[^a-z0-9]auth[^a-z0-9].*", "x[^a-z0-9]envoy[^a-z0-9].*"}
	for _, name := range s.further() {
		patterns = append(patterns, proxyfile.Spellings(name))
	}
	if name := s.secretHeader(); name != "" {
		patterns = append(patterns, proxyfile.Spellings(name))
	}
	for _, name := range append(s.others(), "X-Forwarded-Host") {
		if name != "X-Forwarded-Client-Cert" { // which Envoy has removed or set
			patterns = append(patterns, proxyfile.Spellings(name))
		}
	}
	for _, name := range []string{"X-Forwarded-Client-Cert", "X-Forwarded-For", "X-Forwarded-Proto"} {
		patterns = append(patterns, proxyfile.OtherSpellings(name))
	}
	return patterns
}
