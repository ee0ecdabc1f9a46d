package forwardauth

import (
	_ "embed"
	"errors"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

//go:embed nginx.conf.tmpl
var nginxTemplate string

// Nginx writes the upstreams, maps and the server of nginx, for http { }, in its 1.13.5 or later with
// ngx_http_auth_request_module. The Endpoint's Headers are those of [Nginx], and the format is proxy.Nginx.
//
// It is an error for a secret or a file's name to have a dollar sign, which nginx takes for a variable's.
//
// nginx hands on no body of a refusal, and no header of an answer but those that the file names.
func (s Site) Nginx() (string, error) {
	wrong := []error{s.validate("nginx", 2, Nginx())}
	if slices.ContainsFunc(slices.Concat([]string{s.Secret, s.Certificate, s.Key, s.Clients}, s.API, s.Service), func(text string) bool {
		return strings.Contains(text, "$")
	}) {
		wrong = append(wrong, errors.New("forwardauth: Site: nginx takes a dollar sign for a variable's: choose values without"))
	}
	if err := errors.Join(wrong...); err != nil {
		return "", err
	}
	return s.written(nginxTemplate, template.FuncMap{
		"word": proxyfile.NginxWord, "quoted": proxyfile.NginxQuoted,
		"pattern":   pattern,
		"origin":    func(text string) string { return "~^" + regexp.QuoteMeta(text) + "$" }, // a long text doesn't fit nginx's hash
		"lower":     nginxName,
		"variable":  func(header string) string { return "said_" + nginxName(header) },
		"verdict":   func() string { return s.Format.Headers()[1] },
		"unsent":    s.unsent,
		"reports":   func() []string { return reports[:] },
		"overrides": proxyfile.Overrides,
	})
}

// unsent are the headers of the question that the API must not see.
func (s Site) unsent() []string {
	var names []string
	if s.Format != nil {
		names = s.Format.Headers()
	}
	if name := s.secretHeader(); name != "" {
		names = append(names, name)
	}
	return names
}

// nginxName is a header's name in those of variables.
func nginxName(header string) string { return strings.ReplaceAll(strings.ToLower(header), "-", "_") }

// pattern is that of a path and what is below it, behind ^.
func pattern(path string) string {
	if path == "/" {
		return "/"
	}
	return strings.ReplaceAll(regexp.QuoteMeta(path), `\.`, "[.]") + "(/|$)"
}
