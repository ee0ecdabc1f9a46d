package forwardauth

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

//go:embed ingress.yaml.tmpl
var ingressTemplate string

// Ingress names the objects of Kubernetes that Site.IngressNginx needs, beside those of the Site. All are in one namespace.
type Ingress struct {
	_ [0]func()

	Namespace   string
	Name        string // of the Ingress, and of the ConfigMap with "-question" behind
	Host        string // that callers know: api.example.com
	Certificate string // the Secret with the certificate and key for the host
	Clients     string // the Secret with ca.crt; empty where the Site has no Format
	API         string // the Service of the API
	Port        int    // of that Service

	// Snippets uses configuration-snippet, which lets WebSockets pass, hands on DPoP-Nonce and removes what frameworks take for the
	// method. The controller refuses it unless it has allow-snippet-annotations and annotations-risk-level: Critical. Without it
	// nothing is upgraded, and with dpop.Options.Nonces no DPoP client ever gets in.
	Snippets bool
}

// IngressNginx writes an Ingress for ingress-nginx, and the ConfigMap with the secret that it needs; who may read that can speak for
// the proxy. The Endpoint's Headers are those of [IngressNginx], the format is proxy.IngressNginx, and Service is one host:port, as
// auth.default.svc.cluster.local:80. Listen, API, Certificate, Key and Clients of the Site have no use.
//
// It is an error for the secret to have a dollar sign, which nginx takes for a variable's.
//
// ingress-nginx hands on 401 and 403 of the service and turns the rest into 500. It has no check of the answer: an API must refuse a
// request without X-Auth-Issuer. Its paths go by letter case: /ORDERS has 404 where /orders is the route.
func (s Site) IngressNginx(i Ingress) (string, error) {
	wrong := append(s.problems(), i.problems(s.Format != nil)...)
	problem := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("forwardauth: Site."+format, args...))
	}
	if s.Endpoint != nil {
		want := IngressNginx().canonical()
		want.DropsNonces = s.Endpoint.headers.DropsNonces // off with Snippets, or where the Endpoint asks for none
		if s.Endpoint.headers != want {
			problem("Endpoint: its Headers are those of another proxy than ingress-nginx")
		}
	}
	if s.Format != nil && (s.Format.Name() != "ingress-nginx" || len(s.Format.Headers()) != 4) {
		problem("Format: ingress-nginx doesn't write %q: use proxy.IngressNginx", s.Format.Name())
	}
	if len(s.Service) != 1 || !proxyfile.IsUpstream(s.Service[0]) || strings.HasPrefix(s.Service[0], "unix:") {
		problem("Service: got %q, want one host:port", s.Service)
	}
	if strings.Contains(s.Secret, "$") {
		problem("Secret: nginx takes a dollar sign for a variable's: choose one without")
	}
	if err := errors.Join(wrong...); err != nil {
		return "", err
	}
	functions := s.functions(template.FuncMap{
		"quoted":  proxyfile.YAMLQuoted,
		"unasked": func() []string { return append(proxyfile.Overrides(), reports[:4]...) },
		// What the endpoint compares with X-Original-URL, and a client may have sent.
		"hidden": func() []string { return []string{"X-Original-URI", "X-Original-Proto", "X-Original-Host"} },
	})
	return proxyfile.Fill(ingressTemplate, struct {
		Site    Site
		Ingress Ingress
	}{s, i}, functions)
}

func (i Ingress) problems(certificates bool) (wrong []error) {
	for _, object := range []struct{ field, name string }{
		{"Namespace", i.Namespace}, {"Name", i.Name}, {"Certificate", i.Certificate}, {"API", i.API}, {"Clients", i.Clients},
	} {
		switch {
		case object.field == "Clients" && !certificates:
			if object.name != "" {
				wrong = append(wrong, fmt.Errorf("forwardauth: Ingress.Clients: got %q, and no certificates are reported: leave it empty",
					object.name))
			}
		case !isLabel(object.name) || len(object.name) > 50:
			wrong = append(wrong, fmt.Errorf("forwardauth: Ingress.%s: got %q, want an object's name: up to 50 of a-z, 0-9 and hyphens",
				object.field, object.name))
		}
	}
	for label := range strings.SplitSeq(i.Host, ".") {
		if !isLabel(label) {
			wrong = append(wrong, fmt.Errorf("forwardauth: Ingress.Host: got %q, want a host's name in lower case", i.Host))
			break
		}
	}
	if i.Port < 1 || i.Port > 65535 {
		wrong = append(wrong, fmt.Errorf("forwardauth: Ingress.Port: got %d, want that of the API's Service", i.Port))
	}
	return wrong
}

// isLabel is that of RFC 1123, in lower case, as Kubernetes has it for names.
func isLabel(text string) bool {
	return text != "" && len(text) <= 63 && strings.Trim(text, "-") == text && !strings.ContainsFunc(text, func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z')
	})
}
