package forwardauth

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

//go:embed traefik.yaml.tmpl
var traefikTemplate string

//go:embed traefik-static.yaml.tmpl
var traefikStaticTemplate string

// Traefik writes the two configurations of Traefik 3.7.12 or later: the static one, and the dynamic one, which that reads from the
// file named. The Endpoint's Headers are those of [Traefik], and the format is proxy.Traefik. Their TLS options are the default
// ones, for all routers of this Traefik.
//
// It is an error for the API or the service to be at a unix socket, and for the service to have two addresses.
//
// Traefik can't look at the service's answer: an API must refuse a request without X-Auth-Issuer, which an answer with 2xx of any
// other program leaves out. It waits 30 s for a silent service, drops the headers of an answer with 200, and merges slashes before it
// asks. Like Caddy it may ask a second time.
func (s Site) Traefik(file string) (static, dynamic string, err error) {
	wrong := []error{s.validate("traefik", 2, Traefik())}
	problem := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("forwardauth: Site."+format, args...))
	}
	if !proxyfile.IsFile(file) {
		problem("Traefik: file: got %q, want an absolute path of printable ASCII, without /../ and the like", file)
	}
	if len(s.Service) > 1 {
		problem("Service: got %d addresses, and ForwardAuth takes one", len(s.Service))
	}
	for _, address := range slices.Concat(s.API, s.Service) {
		if strings.HasPrefix(address, "unix:") {
			problem("API: got %q, and Traefik takes no unix socket", address)
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return "", "", err
	}
	functions := template.FuncMap{
		"pattern": pattern, "quoted": traefikQuoted, "unsent": s.unsent,
		"dynamic": func() string { return file },
		"other":   otherThan,
		"list": func(all []string) string {
			quoted := make([]string, len(all))
			for i, text := range all {
				quoted[i] = traefikQuoted(text)
			}
			return strings.Join(quoted, ", ")
		},
		"listen": func() string {
			if proxyfile.IsPort(s.Listen) {
				return ":" + s.Listen
			}
			return s.Listen
		},
	}
	if static, err = s.written(traefikStaticTemplate, functions); err != nil {
		return "", "", err
	}
	if dynamic, err = s.written(traefikTemplate, functions); err != nil {
		return "", "", err
	}
	return static, dynamic, nil
}

// traefikQuoted is a string of YAML in a file that Traefik takes for a template first, in which two braces begin an action.
func traefikQuoted(text string) string {
	return strings.ReplaceAll(proxyfile.YAMLQuoted(text), "{", `\x7B`)
}

// otherThan is a regular expression without lookahead for every text but a word, in any case: one that is shorter or longer, or that
// has another letter somewhere.
func otherThan(word string) string {
	all := []string{fmt.Sprintf(".{0,%d}", len(word)-1), fmt.Sprintf(".{%d,}", len(word)+1)}
	for i := range len(word) {
		all = append(all, fmt.Sprintf(".{%d}[^%s%s].*", i, word[i:i+1], strings.ToUpper(word[i:i+1])))
	}
	return "^(" + strings.Join(all, "|") + ")$"
}
