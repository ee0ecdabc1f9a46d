package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-171ab058/popauth/proxy"
)

// half is the proxy's half of an API's configuration.
type half struct {
	header, verify           string
	rfc9440, verdict         bool
	secretHeader, secretFile string
	part, dynamicFile        string // of Traefik
	gatewayID                string
	site                     proxy.Site
	check                    []string
}

// writers are the proxies that can be written for.
var writers = map[string]struct {
	format func(h half) proxy.Format
	write  func(half) (string, error)
}{
	"nginx":   {func(h half) proxy.Format { return h.judged(proxy.Nginx(h.header, h.verify)) }, site(proxy.Site.Nginx)},
	"apache":  {func(h half) proxy.Format { return h.judged(proxy.Apache(h.header, h.verify)) }, site(proxy.Site.Apache)},
	"haproxy": {half.haproxy, site(proxy.Site.HAProxy)},
	"caddy":   {func(h half) proxy.Format { return proxy.Caddy(h.header) }, site(proxy.Site.Caddy)},
	"traefik": {func(half) proxy.Format { return proxy.Traefik() }, half.traefik},
	"envoy":   {func(half) proxy.Format { return proxy.Envoy() }, site(proxy.Site.Envoy)},

	"ingress-nginx": {func(h half) proxy.Format { return h.judged(proxy.IngressNginx()) }, site(proxy.Site.IngressNginx)},
	"istio":         {func(h half) proxy.Format { return proxy.Envoy().WithHops(h.gatewayID) }, site(proxy.Site.Istio)},
}

func site(write func(proxy.Site) (string, error)) func(half) (string, error) {
	return func(h half) (string, error) { return write(h.site) }
}

// traefik is one of Traefik's two files.
func (h half) traefik() (string, error) {
	static, dynamic, err := h.site.Traefik(h.dynamicFile)
	switch {
	case err != nil:
		return "", err
	case h.part == "static":
		return static, nil
	case h.part == "dynamic":
		return dynamic, nil
	}
	return "", fmt.Errorf("--part: got %q, want static or dynamic: Traefik has two files", h.part)
}

// clustered tells which of them write for a cluster.
func clustered(name string) bool { return name == "ingress-nginx" || name == "istio" }

func (h half) judged(f proxy.Format) proxy.Format {
	if h.verdict {
		return f
	}
	return f.WithoutVerdict()
}

func (h half) haproxy() proxy.Format {
	if h.rfc9440 {
		return proxy.RFC9440()
	}
	return h.judged(proxy.HAProxy(h.header, h.verify))
}

func newProxy() *cobra.Command {
	h := half{site: proxy.Site{}}
	names := slices.Sorted(maps.Keys(writers))
	c := &cobra.Command{
		Use:   "proxy " + strings.Join(names, "|"),
		Short: "Print the configuration of the proxy in front of an API",
		Long: "proxy prints the configuration of a proxy that ends TLS, and hands the client's certificate to an API with " +
			"proxy.Certificate.\n" +
			"What a client may not send is removed in every spelling, but by Apache, which knows exact names only. The secret is in\n" +
			"what is printed: keep it as you keep the key. --check reads a configuration that you have, of nginx, Caddy, Traefik or\n" +
			"Envoy, and says what in it lets a client's own header through, or keeps an owner's certificate away: exit status 1.",
		Example: "  popauth proxy nginx --secret-file secret --listen 443 --api 10.0.4.8:8080 \\\n" +
			"    --certificate /etc/tls/server.crt --key /etc/tls/server.key --clients /etc/tls/clients.crt >nginx.conf\n" +
			"  popauth proxy nginx --check /etc/nginx/nginx.conf --header X-SSL-Client-Cert --secret-header X-Proxy-Secret",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
		RunE: func(c *cobra.Command, args []string) error {
			if len(h.check) > 0 {
				secret := ""
				if h.secretFile != "" || c.Flags().Changed("secret-header") {
					secret = h.secretHeader
				}
				if secret == "" {
					_, _ = fmt.Fprintln(c.ErrOrStderr(), "note: no secret is checked; --secret-header names its header")
				}
				return h.examine(c.Context(), c.InOrStdin(), c.OutOrStdout(), args[0], secret)
			}
			if err := h.complete(args[0]); err != nil {
				return err
			}
			text, err := h.write(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.OutOrStdout(), text)
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&h.header, "header", "X-SSL-Client-Cert", "header with the certificate")
	f.StringVar(&h.verify, "verify-header", "X-SSL-Client-Verify", "header with the proxy's verdict")
	f.BoolVar(&h.verdict, "verdict", true, "the API goes by the proxy's verdict")
	f.BoolVar(&h.rfc9440, "rfc9440", false, "haproxy: send Client-Cert as RFC 9440 has it")
	f.StringVar(&h.secretHeader, "secret-header", "X-Proxy-Secret", "header with the secret by which the API knows the proxy")
	f.StringVar(&h.secretFile, "secret-file", "", "file with that secret, of 16 bytes or more; without it there is none")
	f.StringVar(&h.part, "part", "", "traefik: which of its two files to print: static or dynamic (required there)")
	f.StringVar(&h.dynamicFile, "dynamic-file", "/etc/traefik/api.yaml", "traefik: where the dynamic file will be")
	f.StringSliceVar(&h.site.Hosts, "host", nil, "traefik: a name by which callers ask, any if empty; cluster: that of the API")
	f.StringVar(&h.site.Listen, "listen", "", "where the proxy listens: a port, or an IP address and a port; 443 if empty")
	f.StringSliceVar(&h.site.API, "api", nil, "where the API listens by HTTP: host:port, or unix:/path")
	f.StringVar(&h.site.Certificate, "certificate", "", "file with the proxy's certificate, an absolute path; cluster: the Secret with it")
	f.StringVar(&h.site.Key, "key", "", "file with its key")
	f.StringVar(&h.site.Clients, "clients", "", "file with the clients' authorities, where the proxy gives a verdict; cluster: the Secret")
	h.clusterFlags(c)
	f.StringArrayVar(&h.check, "check", nil, "configuration to read instead, or - ; Traefik's second file after another --check")
	return c
}

// complete tells what is missing of a site.
func (h half) complete(name string) error {
	if clustered(name) {
		return nil // Site says it, by the names of Cluster
	}
	var wrong []error
	for _, f := range []struct {
		name  string
		empty bool
	}{{"api", len(h.site.API) == 0}, {"certificate", h.site.Certificate == ""}, {"key", h.site.Key == ""}} {
		if f.empty {
			wrong = append(wrong, fmt.Errorf("--%s is required", f.name))
		}
	}
	return errors.Join(wrong...)
}

// clusterFlags are those of a cluster, for ingress-nginx and Istio.
func (h *half) clusterFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&h.site.Cluster.Namespace, "namespace", "", "cluster: that of the API")
	f.StringVar(&h.site.Cluster.Service, "service", "", "cluster: the API's Service, and the number of its port: orders:8080")
	f.StringVar(&h.site.Cluster.Controller, "controller", "", "ingress-nginx: its ConfigMap; "+
		"ingress-nginx/ingress-nginx-controller if empty")
	f.StringVar(&h.site.Cluster.Class, "class", "", "ingress-nginx: its IngressClass; nginx if empty")
	f.StringVar(&h.site.Cluster.Pods, "pods", "", "istio: a label that the API's pods have, and no others: app=orders")
	f.StringVar(&h.site.Cluster.Gateway, "gateway", "", "istio: a label of the gateway's pods; istio=ingressgateway if empty")
	f.StringVar(&h.gatewayID, "gateway-id", "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway",
		"istio: the gateway's SPIFFE ID")
}

func (h half) write(name string) (string, error) {
	w, ok := writers[name]
	if !ok {
		return "", errors.New("no such proxy")
	}
	h.site.Format = w.format(h)
	if h.secretFile != "" {
		b, err := readFile(h.secretFile, nil)
		if err != nil {
			return "", err
		}
		h.site.SecretHeader, h.site.Secret = h.secretHeader, strings.TrimRight(string(b), "\r\n")
	}
	if clustered(name) {
		if len(h.site.Hosts) > 1 {
			return "", fmt.Errorf("--host: got %q, want one name in a cluster", h.site.Hosts)
		}
		h.site.Cluster.Host, h.site.Hosts = strings.Join(h.site.Hosts, ""), nil
		h.site.Cluster.Certificate, h.site.Cluster.Clients = h.site.Certificate, h.site.Clients
		h.site.Certificate, h.site.Clients = "", ""
	} else {
		h.site.Listen = cmp.Or(h.site.Listen, "443")
	}
	text, err := w.write(h)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}
