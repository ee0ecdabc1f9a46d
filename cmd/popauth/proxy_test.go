package main

import (
	"os"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func traefikStatic(s proxy.Site) (string, error) {
	static, _, err := s.Traefik("/t/a.yaml")
	return static, err
}

func traefikDynamic(s proxy.Site) (string, error) {
	s.Hosts = []string{"api.example"}
	_, dynamic, err := s.Traefik("/etc/traefik/api.yaml")
	return dynamic, err
}

// Each proxy's configuration is what a Site writes for the same options, and a secret never comes by a flag.
func TestProxy(t *testing.T) {
	l := newLab(t)
	l.file("secret", []byte("a secret of the proxy's\n"))
	common := []string{"--listen", "8443", "--api", "127.0.0.1:8080", "--certificate", "/tls/crt", "--key", "/tls/crt.key",
		"--secret-file", l.path("secret")}
	site := proxy.Site{SecretHeader: "X-Proxy-Secret", Secret: "a secret of the proxy's", Listen: "8443", API: []string{"127.0.0.1:8080"},
		Certificate: "/tls/crt", Key: "/tls/crt.key"}
	for _, tt := range []struct {
		name    string
		args    []string
		format  proxy.Format
		clients string
		write   func(proxy.Site) (string, error)
	}{
		{"nginx", []string{"--clients", "/tls/ca"}, proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"), "/tls/ca", proxy.Site.Nginx},
		{"apache", []string{"--clients", "/tls/ca"}, proxy.Apache("X-SSL-Client-Cert", "X-SSL-Client-Verify"), "/tls/ca",
			proxy.Site.Apache},
		{"haproxy", []string{"--clients", "/tls/ca", "--rfc9440"}, proxy.RFC9440(), "/tls/ca", proxy.Site.HAProxy},
		{"caddy", []string{"--header", "X-Cert"}, proxy.Caddy("X-Cert"), "", proxy.Site.Caddy},
		{"traefik", []string{"--part", "static", "--dynamic-file", "/t/a.yaml"}, proxy.Traefik(), "",
			traefikStatic},
		{"traefik", []string{"--part", "dynamic", "--host", "api.example", "--clients", "/tls/ca"}, proxy.Traefik(), "/tls/ca",
			traefikDynamic},
		{"envoy", nil, proxy.Envoy(), "", proxy.Site.Envoy},
	} {
		s := site
		s.Format, s.Clients = tt.format, tt.clients
		want, err := tt.write(s)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		status, out, errOut := l.run("", append(append([]string{"proxy", tt.name}, common...), tt.args...)...)
		if status != exitOK || out != want {
			t.Errorf("%s: got %d, %s%s, want %s", tt.name, status, out, errOut, want)
		}
	}
	cluster := proxy.Cluster{Host: "api.example.com", Namespace: "shop", Service: "orders:8080", Certificate: "api-tls", Clients: "ca"}
	placed := []string{"--host", "api.example.com", "--namespace", "shop", "--service", "orders:8080", "--certificate", "api-tls",
		"--clients", "ca", "--secret-file", l.path("secret")}
	for _, tt := range []struct {
		name   string
		args   []string
		format proxy.Format
		change func(*proxy.Cluster)
		write  func(proxy.Site) (string, error)
	}{
		{"ingress-nginx", []string{"--controller", "edge/c", "--class", "edge"}, proxy.IngressNginx(),
			func(c *proxy.Cluster) { c.Controller, c.Class = "edge/c", "edge" }, proxy.Site.IngressNginx},
		{"istio", []string{"--pods", "app=orders", "--gateway", "istio=edge", "--gateway-id", "spiffe://x/ns/edge/sa/g"},
			proxy.Envoy().WithHops("spiffe://x/ns/edge/sa/g"),
			func(c *proxy.Cluster) { c.Pods, c.Gateway = "app=orders", "istio=edge" }, proxy.Site.Istio},
	} {
		s := proxy.Site{Format: tt.format, SecretHeader: site.SecretHeader, Secret: site.Secret, Cluster: cluster}
		tt.change(&s.Cluster)
		want, err := tt.write(s)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		status, out, errOut := l.run("", append(append([]string{"proxy", tt.name}, placed...), tt.args...)...)
		if status != exitOK || out != want {
			t.Errorf("%s: got %d, %s%s, want %s", tt.name, status, out, errOut, want)
		}
	}
	for name, args := range map[string][]string{
		"no such proxy": {"proxy", "squid"}, "nothing": {"proxy", "nginx"},
		"neither of two parts": {"proxy", "traefik", "--api", "127.0.0.1:1", "--certificate", "/c", "--key", "/k"},
		"another part":         {"proxy", "traefik", "--part", "both", "--api", "127.0.0.1:1", "--certificate", "/c", "--key", "/k"},
		"a relative dynamic file": {"proxy", "traefik", "--part", "static", "--dynamic-file", "a", "--api", "127.0.0.1:1", "--certificate",
			"/c", "--key", "/k"},
		"a file in a cluster": append([]string{"proxy", "istio", "--key", "/k"}, placed...), "no cluster": {"proxy", "ingress-nginx"},
		"a cluster for nginx": append([]string{"proxy", "nginx"}, placed...),
		"relative path":       {"proxy", "envoy", "--api", "127.0.0.1:1", "--certificate", "crt", "--key", "/k"},
	} {
		if status, out, errOut := l.run("", args...); status != exitUsage || out != "" || !strings.HasPrefix(errOut, "popauth: ") {
			t.Errorf("%s: got %d, %s%s", name, status, out, errOut)
		}
	}
	if err := os.WriteFile(l.path("secret"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errOut := l.run("", append([]string{"proxy", "envoy"}, common...)...); status != exitUsage ||
		!strings.Contains(errOut, "16 bytes") {
		t.Errorf("short secret: got %d, %s", status, errOut)
	}
}
