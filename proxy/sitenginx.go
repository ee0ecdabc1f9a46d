package proxy

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

//go:embed nginx.conf.tmpl
var nginxTemplate string

// Nginx writes the upstream and the server of nginx, for http { }, in its 1.13.5 or later. The format is that of [Nginx], or of
// [IngressNginx] under a plain nginx.
//
// It is an error for a secret or a file's name to have a dollar sign, which nginx takes for a variable's.
func (s Site) Nginx() (string, error) {
	wrong := []error{s.validate()}
	if s.Format.program != "nginx" {
		wrong = append(wrong, fmt.Errorf("proxy: Site.Format: nginx doesn't write %q: use proxy.Nginx", s.Format.name))
	}
	for _, text := range append([]string{s.Secret, s.Certificate, s.Key, s.Clients}, s.API...) {
		if strings.Contains(text, "$") {
			wrong = append(wrong, errors.New("proxy: Site: nginx takes a dollar sign for a variable's: choose a secret and names without"))
			break
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return "", err
	}
	return proxyfile.Fill(nginxTemplate, s, template.FuncMap{
		"word": proxyfile.NginxWord, "quoted": proxyfile.NginxQuoted,
		"certificate": func() string { return s.Format.cert },
		"verdicts":    func() []string { return s.Format.verdicts },
		"others":      func() []string { return s.Format.others },
	})
}
