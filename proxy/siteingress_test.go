package proxy_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/proxy"
)

func ExampleSite_IngressNginx() {
	text, err := proxy.Site{
		Format: proxy.IngressNginx(), SecretHeader: "X-Proxy-Secret", Secret: "0123456789abcdef", // of the environment, in earnest
		Cluster: proxy.Cluster{
			Host: "api.example.com", Namespace: "shop", Service: "orders:8080", Certificate: "api-tls", Clients: "clients-ca",
		},
	}.IngressNginx()
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "io/auth-tls") || strings.Contains(line, `Ssl-Client-Cert"`) || strings.Contains(line, "proxy-set") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// "Ssl-Client-Cert": ""
	// proxy-set-headers: "ingress-nginx/orders-headers"
	// nginx.ingress.kubernetes.io/auth-tls-secret: "shop/clients-ca"
	// nginx.ingress.kubernetes.io/auth-tls-verify-client: "optional_no_ca"
	// nginx.ingress.kubernetes.io/auth-tls-verify-depth: "3"
	// nginx.ingress.kubernetes.io/auth-tls-pass-certificate-to-upstream: "true"
}

func ingressSite() proxy.Site {
	return proxy.Site{
		Format: proxy.IngressNginx(), SecretHeader: "X-Secret", Secret: "0123456789abcdef",
		Cluster: proxy.Cluster{
			Host: "api.example.com", Namespace: "shop", Service: "orders:8080", Certificate: "api-tls", Clients: "clients-ca",
		},
	}
}

func TestSiteIngressNginxRefuses(t *testing.T) {
	if _, err := ingressSite().IngressNginx(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*proxy.Site)
		want   string
	}{
		{"nginx's format under its own names", func(s *proxy.Site) { s.Format = proxy.Nginx("X-Cert", "X-Verify") },
			"use proxy.IngressNginx"},
		{"a format under its name", func(s *proxy.Site) {
			s.Format = proxy.Custom(proxy.CustomHeaders{Name: "ingress-nginx", Certificate: "X-Cert", Encoding: proxy.Base64DER})
		}, "use proxy.IngressNginx"},
		{"the zero Format", func(s *proxy.Site) { s.Format = proxy.Format{} }, "zero Format"},
		{"a variable in the secret", func(s *proxy.Site) { s.Secret = "0123456789$host" }, "dollar"},
		{"a secret of two lines", func(s *proxy.Site) { s.Secret = "0123456789abcdef\n" }, "printable"},
		{"a short secret", func(s *proxy.Site) { s.Secret = "0123" }, "TrustSecret"},
		{"a header without a secret", func(s *proxy.Site) { s.Secret = "" }, "belong together"},
		{"the secret in a header that it sets itself", func(s *proxy.Site) { s.SecretHeader = "X-Request-Id" }, "name another header"},
		{"the secret in the verdict's header", func(s *proxy.Site) { s.SecretHeader = "Ssl-Client-Verify" }, "another use"},
		{"a file", func(s *proxy.Site) { s.Certificate = "/c/crt" }, "set Cluster"},
		{"an address", func(s *proxy.Site) { s.API = []string{"127.0.0.1:80"} }, "set Cluster"},
		{"a port to listen at", func(s *proxy.Site) { s.Listen = "443" }, "set Cluster"},
		{"no cluster", func(s *proxy.Site) { s.Cluster = proxy.Cluster{} }, "Cluster.Host"},
		{"no host", func(s *proxy.Site) { s.Cluster.Host = "" }, "Cluster.Host"},
		{"every host", func(s *proxy.Site) { s.Cluster.Host = "*.example.com" }, "Cluster.Host"},
		{"a host with a port", func(s *proxy.Site) { s.Cluster.Host = "api.example.com:443" }, "Cluster.Host"},
		{"an address as the host", func(s *proxy.Site) { s.Cluster.Host = "192.0.2.1" }, "Cluster.Host"},
		{"a host in upper case", func(s *proxy.Site) { s.Cluster.Host = "API.example.com" }, "Cluster.Host"},
		{"a Service without a port", func(s *proxy.Site) { s.Cluster.Service = "orders" }, "Cluster.Service"},
		{"a Service's port by name", func(s *proxy.Site) { s.Cluster.Service = "orders:http" }, "Cluster.Service"},
		{"a Service elsewhere", func(s *proxy.Site) { s.Cluster.Service = "orders.other:80" }, "Cluster.Service"},
		{"no namespace", func(s *proxy.Site) { s.Cluster.Namespace = "" }, "Cluster.Namespace"},
		{"a namespace of two lines", func(s *proxy.Site) { s.Cluster.Namespace = "a\nb" }, "Cluster.Namespace"},
		{"a Secret elsewhere", func(s *proxy.Site) { s.Cluster.Certificate = "other/api-tls" }, "Cluster.Certificate"},
		{"no authorities", func(s *proxy.Site) { s.Cluster.Clients = "" }, "Cluster.Clients"},
		{"a controller without a namespace", func(s *proxy.Site) { s.Cluster.Controller = "ingress-nginx-controller" },
			"Cluster.Controller"},
		{"a class with a quote", func(s *proxy.Site) { s.Cluster.Class = `nginx"` }, "Cluster.Class"},
		{"a label of Istio's", func(s *proxy.Site) { s.Cluster.Pods = "app=orders" }, "leave them empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := ingressSite()
			tt.change(&s)
			if text, err := s.IngressNginx(); err == nil || !strings.Contains(err.Error(), tt.want) || text != "" {
				t.Errorf("got %q, %v, want an error with %q", text, err, tt.want)
			}
		})
	}
	s := site()
	s.Cluster = ingressSite().Cluster
	if text, err := s.Nginx(); err == nil || !strings.Contains(err.Error(), "Site.Cluster") || text != "" {
		t.Errorf("a cluster for nginx: got %v", err)
	}
}

// names reads the annotations, or the keys of the ConfigMap, that ingress-nginx publishes, each with its risk or type.
func names(t *testing.T, kind string) map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/schemas/ingress-nginx.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); f[0] == kind {
			all[f[1]] = f[2]
		}
	}
	return all
}

// Each object is of a published form, each annotation is one that the controller knows and takes by default, and each key of its
// ConfigMap exists.
func TestSiteIngressNginxShape(t *testing.T) {
	for _, tt := range []struct {
		name       string
		change     func(*proxy.Site)
		controller string
	}{
		{name: "as it is", change: func(*proxy.Site) {}, controller: "ingress-nginx/ingress-nginx-controller"},
		{name: "no secret", change: func(s *proxy.Site) { s.SecretHeader, s.Secret = "", "" },
			controller: "ingress-nginx/ingress-nginx-controller"},
		{name: "another controller", change: func(s *proxy.Site) { s.Cluster.Controller, s.Cluster.Class = "edge/c.x", "edge" },
			controller: "edge/c.x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := ingressSite()
			tt.change(&s)
			text, err := s.IngressNginx()
			if err != nil {
				t.Fatal(err)
			}
			all := objects(t, text, published(t, "kubernetes.json"))
			if len(all) != 3 {
				t.Errorf("got %d objects, want 3", len(all))
			}
			config := under(all["ConfigMap "+tt.controller], "data")
			published := names(t, "configmap")
			for key := range config.(map[string]any) {
				if published[key] == "" {
					t.Errorf("no key %s of the ConfigMap", key)
				}
			}
			headers := under(all["ConfigMap "+fmt.Sprint(under(config, "proxy-set-headers"))], "data").(map[string]any)
			if got := headers["X-Secret"]; s.Secret != "" && got != s.Secret || s.Secret == "" && got != nil {
				t.Errorf("got the secret %v", got)
			}
			for _, name := range slices.Concat(s.Format.Headers(), []string{"X-HTTP-Method-Override", "X-Original-URL"}) {
				if headers[name] != "" {
					t.Errorf("%s isn't removed", name)
				}
			}
			annotations := under(all["Ingress shop/orders"], "metadata", "annotations").(map[string]any)
			known := names(t, "annotation")
			for name := range annotations {
				short, ok := strings.CutPrefix(name, "nginx.ingress.kubernetes.io/")
				if risk := known[short]; !ok || risk == "" || risk == "Critical" { // which it refuses unless told otherwise
					t.Errorf("%s: risk %q", name, risk)
				}
			}
			if got := annotations["nginx.ingress.kubernetes.io/auth-tls-secret"]; got != "shop/clients-ca" {
				t.Errorf("got the authorities %v", got)
			}
		})
	}
}

// Whatever the values are, the objects are the same, and Kubernetes reads the values as they are.
func FuzzSiteIngressNginx(f *testing.F) {
	f.Add(`0123456789abcdef": x #'\`, "api.example.com", "clients-ca")
	f.Add(`0123456789abcdef{{.Format}}`, "a.b", "c.d")
	f.Fuzz(func(t *testing.T, secret, host, clients string) {
		s := ingressSite()
		s.Secret, s.Cluster.Host, s.Cluster.Clients = secret, host, clients
		text, err := s.IngressNginx()
		if err != nil {
			return
		}
		documents, err := lab.YAML(text)
		if err != nil || len(documents) != 3 {
			t.Fatalf("%v, %d documents in\n%s", err, len(documents), text)
		}
		if got := under(documents[0], "data", "X-Secret"); got != secret {
			t.Errorf("got %q, want %q", got, secret)
		}
		if got := under(documents[2], "metadata", "annotations", "nginx.ingress.kubernetes.io/auth-tls-secret"); got != "shop/"+clients {
			t.Errorf("got %q, want %q", got, clients)
		}
	})
}
