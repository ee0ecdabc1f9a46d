package proxy

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

//go:embed traefik.yaml.tmpl
var traefikTemplate string

//go:embed traefik-static.yaml.tmpl
var traefikStaticTemplate string

// Traefik writes both configurations of Traefik, for 3.7.12 or later: the static one, which it is started with, and the dynamic
// one, which belongs into file, an absolute path. The format is that of the function [Traefik]. Callers may have any certificate;
// with Clients only a valid one of these authorities, which Traefik doesn't report to the API.
//
//	static, dynamic, err := site.Traefik("/etc/traefik/api.yaml")
//
// To add the API to a Traefik that runs already, take the dynamic one, and from the static one what its entry point has under
// http. No other provider may have tls.options called default: Traefik takes neither then, and asks for no certificate. Traefik
// reads the dynamic file as soon as it changes, so write another and rename it.
//
// It is an error for the API to be at a unix socket, which Traefik doesn't reach.
func (s Site) Traefik(file string) (static, dynamic string, err error) {
	wrong := []error{s.validate()}
	problem := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf("proxy: Site."+format, args...)) }
	if s.Format.program != "traefik" {
		problem("Format: Traefik doesn't write %q: use proxy.Traefik", s.Format.name)
	}
	for _, address := range s.API {
		if strings.HasPrefix(address, "unix:") {
			problem("API: got %q, and Traefik reaches no unix socket: give host:port", address)
		}
	}
	if !proxyfile.IsFile(file) {
		problem("Traefik: got the file %q, want an absolute path of printable ASCII, without /../ and the like", file)
	}
	if err := errors.Join(wrong...); err != nil {
		return "", "", err
	}
	functions := template.FuncMap{
		"quoted":    traefikQuoted,
		"headers":   s.Format.Headers,
		"overrides": func() []string { return proxyfile.Overrides() },
		"file":      func() string { return file },
		"rule":      s.traefikRule,
		"listen": func() string {
			if proxyfile.IsPort(s.Listen) {
				return ":" + s.Listen
			}
			return s.Listen
		},
	}
	if static, err = proxyfile.Fill(traefikStaticTemplate, s, functions); err != nil {
		return "", "", err
	}
	if dynamic, err = proxyfile.Fill(traefikTemplate, s, functions); err != nil {
		return "", "", err
	}
	return static, dynamic, nil
}

// traefikRule is the rule of the API's router.
func (s Site) traefikRule() string {
	if len(s.Hosts) == 0 {
		return "PathPrefix(`/`)"
	}
	return "Host(`" + strings.Join(s.Hosts, "`) || Host(`") + "`)"
}

// traefikQuoted is a string in double quotes of YAML. Traefik reads a dynamic file as a template of Go first, in which two braces
// begin an action, so that there are none.
func traefikQuoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `{`, `\u007b`).Replace(text) + `"`
}
