package proxy

import (
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

//go:embed Caddyfile.tmpl
var caddyTemplate string

// Caddy writes the site of a Caddyfile, for Caddy 2.6 or later: for all names that the certificate has. The format is that of the
// function [Caddy], and Clients is empty, since Caddy reports no verdict.
//
// It is an error for a value to have a brace, which Caddy takes for a placeholder's, or a backslash and a backquote both, which it
// can't quote.
func (s Site) Caddy() (string, error) {
	wrong := []error{s.validate()}
	problem := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf("proxy: Site."+format, args...)) }
	if s.Format.program != "caddy" {
		problem("Format: Caddy doesn't write %q: use proxy.Caddy", s.Format.name)
	}
	for _, name := range append(s.Format.Headers(), s.SecretHeader) {
		if strings.HasPrefix(name, "-") {
			problem("Format: Caddy takes a hyphen before %q for a removal: name another header", name)
		}
	}
	for _, value := range []struct{ name, text string }{{"Secret", s.Secret}, {"Certificate", s.Certificate}, {"Key", s.Key}} {
		if strings.ContainsAny(value.text, "{}") {
			problem("%s: Caddy takes a brace for a placeholder's: choose one without", value.name)
		}
		if strings.Contains(value.text, `\`) && strings.Contains(value.text, "`") {
			problem("%s: Caddy can't quote a backslash and a backquote together: choose one without", value.name)
		}
	}
	for _, address := range s.API {
		if !proxyfile.IsBare(address) {
			problem("API: got %q, and Caddy has a use for some of its characters: choose letters, digits and -._/", address)
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return "", err
	}
	address, port := "", s.Listen
	if a, err := netip.ParseAddrPort(s.Listen); err == nil {
		address, port = a.Addr().String(), fmt.Sprint(a.Port())
	}
	return proxyfile.Fill(caddyTemplate, s, template.FuncMap{
		"word": proxyfile.CaddyWord, "quoted": proxyfile.CaddyQuoted, "upstream": proxyfile.CaddyUpstream,
		"certificate":     func() string { return s.Format.cert },
		"address":         func() string { return address },
		"port":            func() string { return port },
		"otherCharacters": proxyfile.CaddyOther,
	})
}
