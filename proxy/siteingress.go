package proxy

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

//go:embed ingress-nginx.yaml.tmpl
var ingressTemplate string

// setByIngressNginx are the headers that its template sets in each location. A second line of one of these would be a second header.
var setByIngressNginx = [...]string{
	"X-Request-ID", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Forwarded-Scheme",
	"X-Scheme", "X-Original-URI", "X-Original-Forwarded-For", "X-Original-Forwarded-Host", "Proxy", "Upgrade",
}

// IngressNginx writes an Ingress for ingress-nginx, for kubectl apply, and the ConfigMaps that it needs: one with headers, and the
// keys of the controller's own that name it. The format is that of the function [IngressNginx]. The Secrets of Cluster have to be there.
//
// The controller sends the headers of that ConfigMap to every backend behind it: whoever runs one gets to know the secret. So have
// TrustPeers name the controller's pods alone, or a NetworkPolicy admit nobody else.
//
// It is an error for a secret to have a dollar sign, which nginx takes for a variable's.
func (s Site) IngressNginx() (string, error) {
	wrong := []error{s.validateCluster()}
	problem := func(name, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("proxy: Site."+name+": "+format, args...))
	}
	if s.Format.program != "nginx" || s.Format.name != "ingress-nginx" {
		problem("Format", "ingress-nginx doesn't write %q: use proxy.IngressNginx", s.Format.name)
	}
	if strings.Contains(s.Secret, "$") {
		problem("Secret", "nginx takes a dollar sign for a variable's: choose one without")
	}
	if slices.ContainsFunc(setByIngressNginx[:], func(name string) bool { return field.Fold(name) == field.Fold(s.SecretHeader) }) {
		problem("SecretHeader", "ingress-nginx sets %s itself: name another header", s.SecretHeader)
	}
	c := s.Cluster
	if !isDomain(c.Clients) {
		problem("Cluster.Clients", "got %q, want the name of a Secret: without one ingress-nginx asks for no certificate", c.Clients)
	}
	namespace, name := c.controller()
	if !isLabel(namespace) || !isDomain(name) {
		problem("Cluster.Controller", "got %q, want a namespace and the name of a ConfigMap: ingress-nginx/ingress-nginx-controller",
			c.Controller)
	}
	class := cmp.Or(c.Class, "nginx")
	if !isDomain(class) {
		problem("Cluster.Class", "got %q, want the name of an IngressClass", c.Class)
	}
	if c.Pods != "" || c.Gateway != "" {
		problem("Cluster.Pods", "this and Gateway are for Istio: leave them empty")
	}
	if err := errors.Join(wrong...); err != nil {
		return "", err
	}
	service, port := c.service()
	verdict := "proxy.IngressNginx()"
	if len(s.Format.verdicts) == 0 {
		verdict += ".WithoutVerdict()"
	}
	return proxyfile.Fill(ingressTemplate, s, template.FuncMap{
		"quoted":    proxyfile.YAMLQuoted,
		"reads":     func() string { return verdict },
		"removed":   func() []string { return slices.Concat(s.Format.Headers(), proxyfile.Overrides()) },
		"name":      c.name,
		"namespace": func() string { return namespace },
		"config":    func() string { return name },
		"class":     func() string { return class },
		"service":   func() string { return service },
		"port":      func() string { return port },
	})
}
