package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/field"
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

// managedBySite are the headers that a configuration sets or needs for a reason of its own, and overridesRequest those that frameworks
// take for the method or the path.
var (
	managedBySite    = [...]string{"Authorization", "Dpop", "Cookie", "Early-Data", "Http2-Settings"}
	overridesRequest = [...]string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"}
)

// validate reports every problem that the site has whatever the proxy is, outside of a cluster.
func (s Site) validate() error {
	wrong := []error{s.validateHeaders()}
	problem := func(name, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("proxy: Site."+name+": "+format, args...))
	}
	if !s.Cluster.isZero() {
		problem("Cluster", "is for IngressNginx and Istio: leave it empty")
	}
	if !isListen(s.Listen) {
		problem("Listen", "got %q, want a port, or an IP address and a port: 443 or 192.0.2.1:443", s.Listen)
	}
	if len(s.API) == 0 {
		problem("API", "no address of the API")
	}
	for _, address := range s.API {
		if !isUpstream(address) {
			problem("API", "got %q, want host:port or unix:/path", address)
		}
	}
	for _, host := range s.Hosts {
		if s.Format.program != "traefik" {
			problem("Hosts", "got %q, and only Traefik's configuration compares names: leave it empty, and set dpop.Options.BaseURL", host)
		} else if !isHost(host) {
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
		} else if !isFile(file.path) {
			problem(file.name, "got %q, want an absolute path of printable ASCII", file.path)
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
		if !isPrintable(s.Secret) || strings.TrimSpace(s.Secret) != s.Secret {
			problem("Secret", "a header's value is printable ASCII without spaces at its ends: choose such a secret")
		}
		names = append(names, s.SecretHeader)
	}
	seen := map[string]bool{}
	for _, name := range slices.Concat(managedBySite[:], overridesRequest[:]) {
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

// written fills a configuration's template. It is parsed here, so that a program that writes none holds no templates.
func (s Site) written(text string, functions template.FuncMap) (string, error) {
	t, err := template.New("").Funcs(functions).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, s); err != nil {
		return "", err
	}
	return b.String(), nil
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0 && text[0] != '0'
}

func isListen(text string) bool {
	if isPort(text) {
		return true
	}
	a, err := netip.ParseAddrPort(text)
	return err == nil && a.Port() > 0 && a.Addr().Zone() == "" && a.String() == text
}

// isUpstream takes a host by its characters: of a name, of an IPv4 address, or an IPv6 address in brackets.
func isUpstream(text string) bool {
	if file, ok := strings.CutPrefix(text, "unix:"); ok {
		return isFile(file) && !strings.Contains(file, ":")
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return a.Port() > 0 && a.Addr().Zone() == "" && a.String() == text
	}
	host, port, ok := strings.Cut(text, ":")
	return ok && isPort(port) && isHost(host)
}

// isHost takes a name or an IPv4 address, by its characters.
func isHost(text string) bool {
	return text != "" && strings.Trim(text, "-.") == text && !strings.ContainsFunc(text, func(c rune) bool {
		return c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
}

// isFile requires a plain path. Programs take others for something else: "data:" and "engine:" are nginx's.
func isFile(text string) bool {
	return path.IsAbs(text) && path.Clean(text) == text && text != "/" && isPrintable(text)
}

func isPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' })
}

// isBare tells whether no configuration's language has a use for a character of text.
func isBare(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		return !slices.Contains([]rune("-._/:[]"), c) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
}
