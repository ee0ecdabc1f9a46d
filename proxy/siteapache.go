package proxy

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

//go:embed apache.conf.tmpl
var apacheTemplate string

// Apache writes a virtual host of Apache httpd 2.4, and Listen for it. The format is that of [Apache]; without the verdict, callers
// may have any certificate.
//
// It is an error for a secret or a file's name to have "${" in it, which httpd takes for a variable wherever it stands, or for a
// secret to begin with "expr=". ProxyPass takes one address of the API.
//
// httpd removes headers by exact names only. What the API reads is safe: popauth knows the other spellings, too. Those of
// X-Original-URL and X-Rewrite-URL reach the API, unless mod_lua refuses them: see apache-names.lua in examples/proxies.
func (s Site) Apache() (string, error) {
	wrong := []error{s.validate()}
	problem := func(name, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("proxy: Site."+name+": "+format, args...))
	}
	if s.Format.program != "apache" {
		problem("Format", "Apache doesn't write %q: use proxy.Apache", s.Format.name)
	}
	for _, text := range append([]string{s.Secret, s.Certificate, s.Key, s.Clients}, s.API...) {
		if strings.Contains(text, "${") {
			wrong = append(wrong, errors.New(`proxy: Site: httpd takes "${" for a variable: choose a secret and names without`))
			break
		}
	}
	if strings.HasPrefix(s.Secret, "expr=") {
		problem("Secret", `httpd takes what begins with "expr=" for an expression: choose another secret`)
	}
	if len(s.API) > 1 {
		problem("API", "got %d addresses, and ProxyPass takes one", len(s.API))
	}
	for _, address := range s.API {
		if strings.Contains(address, "|") {
			problem("API", "httpd ends the path of a socket at |: choose one without")
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return "", err
	}
	return proxyfile.Fill(apacheTemplate, s, template.FuncMap{
		"quoted": apacheQuoted, "value": apacheValue,
		"reads":       func() string { return s.reads("Apache") },
		"certificate": func() string { return s.Format.cert },
		"verdicts":    func() []string { return s.Format.verdicts },
		"chain":       func() []string { return s.Format.chain },
		"others":      func() []string { return s.Format.others },
		"overrides":   func() []string { return proxyfile.Overrides() },
		"host": func() string {
			if proxyfile.IsPort(s.Listen) {
				return "*:" + s.Listen
			}
			return s.Listen
		},
		"upstream": func() string {
			if strings.HasPrefix(s.API[0], "unix:") {
				return apacheQuoted(s.API[0] + "|http://localhost/")
			}
			return "http://" + s.API[0] + "/"
		},
	})
}

// apacheQuoted is a parameter in quotes: a backslash takes the meaning of the quotes and of another backslash.
func apacheQuoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// apacheValue is a header's value, in which mod_headers reads percent signs and backslashes once more.
func apacheValue(text string) string {
	return apacheQuoted(strings.NewReplacer(`\`, `\\`, `%`, `%%`).Replace(text))
}
