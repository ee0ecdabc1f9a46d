package forwardauth

import (
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

//go:embed Caddyfile.tmpl
var caddyTemplate string

// Caddy writes the site of a Caddyfile, for Caddy 2.6 or later: for all names that the certificate has. The Endpoint's Headers are
// those of [Caddy], and the format is proxy.Caddy.
//
// It is an error for a value to have a brace, which Caddy takes for a placeholder's, or a backslash and a backquote both, which it
// can't quote.
//
// Caddy drops the headers of an answer with 200, a new nonce among them. It asks a second time where a connection to the service ends
// before the answer: the owner's proof has been used then, and he is refused.
func (s Site) Caddy() (string, error) {
	wrong := []error{s.validate("caddy", 1, Caddy())}
	problem := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("forwardauth: Site."+format, args...))
	}
	for _, value := range []struct{ name, text string }{{"Secret", s.Secret}, {"Certificate", s.Certificate}, {"Key", s.Key}} {
		if strings.ContainsAny(value.text, "{}") {
			problem("%s: Caddy takes a brace for a placeholder's: choose one without", value.name)
		}
		if strings.Contains(value.text, `\`) && strings.Contains(value.text, "`") {
			problem("%s: Caddy can't quote a backslash and a backquote together: choose one without", value.name)
		}
	}
	for _, address := range slices.Concat(s.API, s.Service) {
		if !proxyfile.IsBare(address) {
			problem("API: got %q, and Caddy has a use for some of its characters: choose letters, digits and -._/", address)
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return "", err
	}
	for _, name := range append(s.Endpoint.caller.Names(), s.unsent()...) {
		if strings.HasPrefix(name, "-") {
			return "", fmt.Errorf("forwardauth: Site.Endpoint: Caddy takes a hyphen before %q for a removal: name another header", name)
		}
	}
	address, port := "", s.Listen
	if a, err := netip.ParseAddrPort(s.Listen); err == nil {
		address, port = a.Addr().String(), fmt.Sprint(a.Port())
	}
	return s.written(caddyTemplate, template.FuncMap{
		"word": proxyfile.CaddyWord, "quoted": proxyfile.CaddyQuoted, "upstream": proxyfile.CaddyUpstream,
		"address":         func() string { return address },
		"port":            func() string { return port },
		"otherCharacters": proxyfile.CaddyOther,
		"unsent":          s.unsent,
		"cel":             func(text string) string { return strings.ReplaceAll(text, `\`, `\\`) },
		"paths": func(path string) []string { // which Caddy compares without case
			if path == "/" {
				return []string{"/*"}
			}
			return []string{path, path + "/*"}
		},
	})
}
