package main

import (
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
	site                     proxy.Site
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
			"What a client may not send is removed in every spelling, but by Apache, which knows exact names only.\n" +
			"The secret is in what is printed: keep it as you keep the key.",
		Example: "  popauth proxy nginx --secret-file secret --listen 443 --api 10.0.4.8:8080 \\\n" +
			"    --certificate /etc/tls/server.crt --key /etc/tls/server.key --clients /etc/tls/clients.crt >nginx.conf\n" +
			"  popauth proxy envoy --listen 443 --api 127.0.0.1:8080 --certificate /etc/tls/server.crt --key /etc/tls/server.key",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
		RunE: func(c *cobra.Command, args []string) error {
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
	f.StringSliceVar(&h.site.Hosts, "host", nil, "traefik: a name by which callers ask; without it any")
	f.StringVar(&h.site.Listen, "listen", "443", "where the proxy listens: a port, or an IP address and a port")
	f.StringSliceVar(&h.site.API, "api", nil, "where the API listens by HTTP: host:port, or unix:/path (required)")
	f.StringVar(&h.site.Certificate, "certificate", "", "file with the proxy's certificate, an absolute path (required)")
	f.StringVar(&h.site.Key, "key", "", "file with its key (required)")
	f.StringVar(&h.site.Clients, "clients", "",
		"file with the authorities of clients' certificates, where the proxy gives a verdict; traefik lets only these in")
	for _, name := range []string{"api", "certificate", "key"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return c
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
	text, err := w.write(h)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}
