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
	site                     proxy.Site
	check                    []string
}

// writers are the proxies that can be written for.
var writers = map[string]struct {
	format func(h half) proxy.Format
	write  func(proxy.Site) (string, error)
}{
	"nginx":   {func(h half) proxy.Format { return h.judged(proxy.Nginx(h.header, h.verify)) }, proxy.Site.Nginx},
	"apache":  {func(h half) proxy.Format { return h.judged(proxy.Apache(h.header, h.verify)) }, proxy.Site.Apache},
	"haproxy": {half.haproxy, proxy.Site.HAProxy},
	"caddy":   {func(h half) proxy.Format { return proxy.Caddy(h.header) }, proxy.Site.Caddy},
	"envoy":   {func(half) proxy.Format { return proxy.Envoy() }, proxy.Site.Envoy},
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
	names := append(slices.Sorted(maps.Keys(writers)), "traefik")
	c := &cobra.Command{
		Use:   "proxy " + strings.Join(names, "|"),
		Short: "Print the configuration of the proxy in front of an API",
		Long: "proxy prints the configuration of a proxy that ends TLS, and hands the client's certificate to an API with " +
			"proxy.Certificate.\n" +
			"What a client may not send is removed in every spelling. The secret is in what is printed: keep it as you keep the key.\n" +
			"--check reads a configuration that you have, of nginx, Caddy, Traefik or Envoy, and says what in it lets a client's own\n" +
			"header through, or keeps an owner's certificate away. The exit status is 1 then.",
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
	f.StringVar(&h.site.Listen, "listen", "443", "where the proxy listens: a port, or an IP address and a port")
	f.StringSliceVar(&h.site.API, "api", nil, "where the API listens by HTTP: host:port, or unix:/path (required)")
	f.StringVar(&h.site.Certificate, "certificate", "", "file with the proxy's certificate, an absolute path (required)")
	f.StringVar(&h.site.Key, "key", "", "file with its key (required)")
	f.StringVar(&h.site.Clients, "clients", "", "file with the authorities of clients' certificates, where the proxy gives a verdict")
	f.StringArrayVar(&h.check, "check", nil, "configuration to read instead, or - ; Traefik's second file after another --check")
	return c
}

// complete tells what is missing of a site.
func (h half) complete(name string) error {
	if _, ok := writers[name]; !ok {
		return fmt.Errorf("%s: nothing is written for it: copy examples/proxies/%s.yaml, and check it by --check", name, name)
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
	text, err := w.write(h.site)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}
