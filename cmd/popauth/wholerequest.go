package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/cmd/popauth/internal/captured"
	"github.com/seed-171ab058/popauth/proxy"
)

// formats are those of package proxy, by their names in lower case.
var formats = map[string]func(cert, verify string) proxy.Format{
	"nginx":            judged(proxy.Nginx),
	"apache":           judged(proxy.Apache),
	"haproxy":          judged(proxy.HAProxy),
	"caddy":            func(cert, _ string) proxy.Format { return proxy.Caddy(cert) },
	"envoy":            func(string, string) proxy.Format { return proxy.Envoy() },
	"traefik":          func(string, string) proxy.Format { return proxy.Traefik() },
	"rfc9440":          func(string, string) proxy.Format { return proxy.RFC9440() },
	"rfc9440-template": func(string, string) proxy.Format { return proxy.RFC9440Template() },
	"ingress-nginx":    func(string, string) proxy.Format { return proxy.IngressNginx() },
	"kong":             func(string, string) proxy.Format { return proxy.Kong() },
	"aws-alb-verify":   func(string, string) proxy.Format { return proxy.AWSALBVerify() },
	"f5":               judged(proxy.F5),

	"aws-alb-passthrough":       func(string, string) proxy.Format { return proxy.AWSALBPassthrough() },
	"aws-lambda-web-adapter":    func(string, string) proxy.Format { return proxy.AWSLambdaWebAdapter() },
	"azure-application-gateway": judged(proxy.AzureApplicationGateway),
	"azure-container-apps":      func(string, string) proxy.Format { return proxy.AzureContainerApps() },
	"cloudfront":                func(string, string) proxy.Format { return proxy.CloudFront() },
	"cloudfront-passthrough":    func(string, string) proxy.Format { return proxy.CloudFrontPassthrough() },

	"google-cloud":      func(string, string) proxy.Format { return proxy.GoogleCloud(proxy.GoogleCloudHeaders{}) },
	"cloudflare":        func(string, string) proxy.Format { return proxy.Cloudflare() },
	"azure-app-service": func(string, string) proxy.Format { return proxy.AzureAppService() },
	"cloud-foundry":     func(string, string) proxy.Format { return proxy.CloudFoundry() },
	"iis-arr":           func(string, string) proxy.Format { return proxy.IISARR() },
	"cloudflare-legacy": func(string, string) proxy.Format { return proxy.CloudflareLegacy() },
}

func formatNames() []string { return slices.Sorted(maps.Keys(formats)) }

// judged is a format with the verdict's header, or without one where that is empty.
func judged(format func(cert, verify string) proxy.Format) func(cert, verify string) proxy.Format {
	return func(cert, verify string) proxy.Format {
		if verify == "" {
			return format(cert, "X-Unused-Verdict").WithoutVerdict()
		}
		return format(cert, verify)
	}
}

// asProxy is where the request comes from, of which the certificate's headers are believed.
var asProxy = netip.MustParsePrefix("192.0.2.1/32") // of TEST-NET-1: nobody's

// certificates are where the caller's certificate comes from; nil is the TLS connection.
func (q question) certificates() (popauth.CertificateSource, error) {
	if q.format == "" {
		return nil, nil //nolint:nilnil // as Options have it
	}
	format, ok := formats[q.format]
	if !ok {
		return nil, fmt.Errorf("--proxy-format: got %q, want %s", q.format, strings.Join(formatNames(), ", "))
	}
	source, err := proxy.Certificate(format(q.header, q.verify), proxy.TrustPeers(asProxy))
	if err != nil {
		return nil, fmt.Errorf("--proxy-format: %w", err)
	}
	return source, nil
}

// explainRequest is explain for a whole request.
func (q question) explainRequest(ctx context.Context, in io.Reader, out, errOut io.Writer, args []string, f *pflag.FlagSet) error {
	if len(args) > 0 {
		return errors.New("the token is in the request of --request: leave out the other one")
	}
	for _, name := range []string{"proof", "scheme", "method"} {
		if f.Changed(name) {
			return fmt.Errorf("--%s: it is in the request of --request: leave it out", name)
		}
	}
	if q.cert != "" && q.format != "" {
		return errors.New("--cert and --proxy-format: a certificate comes by the connection, or in headers: give one of them")
	}
	b, err := readWhole(q.request, in)
	if err != nil {
		return fmt.Errorf("--request: %w", err)
	}
	kept, err := captured.Read(b, q.entry)
	if err != nil {
		return fmt.Errorf("--request: %s: %w", q.request, err)
	}
	r := kept.WithContext(ctx)
	origin, err := q.origin(kept)
	if err != nil {
		return err
	}
	r.RemoteAddr = net.JoinHostPort(asProxy.Addr().String(), "443")
	if q.format == "" {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: r.Host}
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			r.TLS.ServerName = host
		}
	}
	if err := q.present(r); err != nil {
		return err
	}
	target, _, _ := strings.Cut(r.RequestURI, "?")
	_, err = fmt.Fprintf(errOut, "%s: %s %s, Host %s\n", kept.Kind, shown(r.Method), shown(target), shown(r.Host))
	for _, note := range kept.Notes {
		_, _ = fmt.Fprintln(errOut, "note:", note)
	}
	if err != nil {
		return err
	}
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	s, err := q.settingOf(r, origin, strings.TrimSpace(token))
	if err != nil {
		return err
	}
	return s.explain(ctx, out)
}

// origin is the one by which the client knows the API.
func (q question) origin(r *captured.Request) (string, error) {
	if q.url == "" {
		scheme := r.Scheme
		if scheme == "" {
			scheme = "https"
		}
		u, err := url.Parse(scheme + "://" + r.Host)
		if err != nil || u.Host == "" || u.Host != r.Host {
			return "", fmt.Errorf("--request: its Host is %q: want a host; --url says as what its client knows the API", r.Host)
		}
		return scheme + "://" + r.Host, nil
	}
	u, err := url.Parse(q.url)
	if err != nil || u.Host == "" {
		return "", errors.New("--url: no URL with a host")
	}
	return u.Scheme + "://" + u.Host, nil
}

// readWhole is readFile for a file of another size.
func readWhole(name string, in io.Reader) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // whoever runs the program names it
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, captured.Max+1))
}
