package proxy

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

//go:embed haproxy.cfg.tmpl
var haproxyTemplate string

// HAProxy writes a frontend and a backend of HAProxy, in its 2.2 or later. The format is that of [HAProxy] or of [RFC9440].
//
// HAProxy finds the key in the file of the certificate, so that Key is the same as Certificate, or in a file beside it, whose name
// is the certificate's with ".key" behind.
func (s Site) HAProxy() (string, error) {
	wrong := []error{s.validate()}
	if s.Format.program != "haproxy" && s.Format.program != "rfc9440" {
		wrong = append(wrong, fmt.Errorf("proxy: Site.Format: HAProxy doesn't write %q: use proxy.HAProxy or proxy.RFC9440", s.Format.name))
	}
	if s.Key != s.Certificate && s.Key != s.Certificate+".key" {
		wrong = append(wrong, fmt.Errorf("proxy: Site.Key: got %q, and HAProxy finds the key in %q or in %q", s.Key, s.Certificate,
			s.Certificate+".key"))
	}
	if err := errors.Join(wrong...); err != nil {
		return "", err
	}
	return proxyfile.Fill(haproxyTemplate, s, template.FuncMap{
		"quoted": haproxyQuoted, "value": haproxyValue,
		"rfc":         func() bool { return s.Format.program == "rfc9440" },
		"reads":       func() string { return s.reads("HAProxy") },
		"certificate": func() string { return s.Format.cert },
		"verdicts":    func() []string { return s.Format.verdicts },
		"chain":       func() []string { return s.Format.chain },
		"patterns":    s.removed,
		"listen": func() string {
			if proxyfile.IsPort(s.Listen) {
				return haproxyQuoted("*:" + s.Listen)
			}
			return haproxyQuoted(s.Listen)
		},
		"address": func(address string) string {
			if path, ok := strings.CutPrefix(address, "unix:"); ok {
				address = "unix@" + path
			}
			return haproxyQuoted(address)
		},
	})
}

// haproxyQuoted is a word in quotes, in which a backslash takes the meaning of quotes, a dollar sign and another backslash.
func haproxyQuoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(text) + `"`
}

// haproxyValue is a header's value, in which a percent sign begins an expression.
func haproxyValue(text string) string {
	return haproxyQuoted(strings.ReplaceAll(text, "%", "%%"))
}
