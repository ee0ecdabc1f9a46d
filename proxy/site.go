package proxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

// Site is an API behind a proxy, as the configuration of that proxy needs it. Its methods write that configuration, so that
// both halves are made from the same names.
//
//	site := proxy.Site{Format: format, SecretHeader: "X-Proxy-Secret", Secret: secret, …}
//	text, err := site.Nginx()
//	source, err := proxy.Certificate(format, proxy.TrustPeers(nginx), proxy.TrustSecret("X-Proxy-Secret", secret))
//
// What it writes has the secret in it: keep it as you keep the proxy's key. Every value is checked and quoted for the language
// of its proxy, and one that can't be written there is an error.
type Site struct {
	_ [0]func()

	Format Format // as for Certificate

	// SecretHeader and Secret are those of TrustSecret; both empty where there is no such rule.
	SecretHeader, Secret string

	Listen      string   // where the proxy listens by TLS: a port, or an IP address and a port
	API         []string // where the API listens, by HTTP: host:port, or unix:/path
	Certificate string   // the file with the proxy's certificate: an absolute path, as all files
	Key         string   // the file with the key for it

	// Clients is the file with the authorities whose certificates the proxy reports as verified. Caddy and Envoy report none: leave
	// it empty. Traefik reports none either, but lets other certificates than theirs not in; empty: any certificate.
	Clients string

	// Hosts are the names by which callers ask, for Traefik alone; empty: any name. Where the API learns its name from the proxy, as by
	// URL, a caller chooses it otherwise: a proof for evil.example, which somebody has got there, is one for the API then.
	Hosts []string

	Cluster Cluster // for IngressNginx and Istio, in place of Listen and what follows
}

// managedBySite are the headers that a configuration sets or needs for a reason of its own.
var managedBySite = [...]string{"Authorization", "Dpop", "Cookie", "Early-Data", "Http2-Settings"}

// validate reports every problem that the site has whatever the proxy is, outside of a cluster.
func (s Site) validate() error {
	wrong := []error{s.validateHeaders()}
	problem := func(name, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("proxy: Site."+name+": "+format, args...))
	}
	if !s.Cluster.isZero() {
		problem("Cluster", "is for IngressNginx and Istio: leave it empty")
	}
	if !proxyfile.IsListen(s.Listen) {
		problem("Listen", "got %q, want a port, or an IP address and a port: 443 or 192.0.2.1:443", s.Listen)
	}
	if len(s.API) == 0 {
		problem("API", "no address of the API")
	}
	for _, address := range s.API {
		if !proxyfile.IsUpstream(address) {
			problem("API", "got %q, want host:port or unix:/path", address)
		}
	}
	for _, host := range s.Hosts {
		if s.Format.program != "traefik" {
			problem("Hosts", "got %q, and only Traefik's configuration compares names: leave it empty, and set dpop.Options.BaseURL", host)
		} else if !proxyfile.IsHost(host) {
			problem("Hosts", "got %q, want a host's name without a port", host)
		}
	}
	for _, file := range []struct{ name, path string }{
		{"Certificate", s.Certificate}, {"Key", s.Key}, {"Clients", s.Clients},
	} {
		p := s.Format.program
		if file.name == "Clients" && p == "traefik" && file.path == "" {
			continue
		}
		if file.name == "Clients" && (p == "caddy" || p == "envoy") { // these trust no authority
			if file.path != "" {
				problem(file.name, "got %q, and %s reports no verdict: leave it empty", file.path, s.Format.name)
			}
		} else if !proxyfile.IsFile(file.path) {
			problem(file.name, "got %q, want an absolute path of printable ASCII, without /../ and the like", file.path)
		}
	}
	return errors.Join(wrong...)
}

// validateHeaders reports every problem of the format, of the secret, and of the names of both together.
func (s Site) validateHeaders() error {
	wrong := []error{s.Format.Validate()}
	problem := func(name, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("proxy: Site."+name+": "+format, args...))
	}
	names := s.Format.Headers()
	if (s.SecretHeader == "") != (s.Secret == "") {
		problem("Secret", "a header and a secret belong together: set both, or neither")
	} else if s.Secret != "" {
		if why := TrustSecret(s.SecretHeader, s.Secret).problem; why != nil {
			problem("Secret", "%w", why)
		}
		if !proxyfile.IsPrintable(s.Secret) || strings.TrimSpace(s.Secret) != s.Secret {
			problem("Secret", "a header's value is printable ASCII without spaces at its ends: choose such a secret")
		}
		names = append(names, s.SecretHeader)
	}
	seen := map[string]bool{}
	for _, name := range slices.Concat(managedBySite[:], proxyfile.Overrides()) {
		seen[field.Fold(name)] = true
	}
	for _, name := range names {
		if key := field.Fold(name); seen[key] || field.Taken(name) != "" {
			problem("Format", "%q has another use: name another header", name)
		} else {
			seen[key] = true
		}
	}
	return errors.Join(wrong...)
}
