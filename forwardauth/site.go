package forwardauth

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

// Site is an API behind a proxy that asks an Endpoint. Its methods write the proxy's configuration, and its Handler is the service
// that is asked, so that both halves are made from the same names: a claim that is added to Options.Claims is in both.
//
//	site := forwardauth.Site{
//		Endpoint: endpoint, Format: format, Secret: secret,
//		Routes: []forwardauth.Route{{Path: "/orders", Handler: endpoint.Authorize(popauth.Bound(), popauth.Scope("orders.read"))}},
//		Listen: "443", API: []string{"127.0.0.1:8080"}, Service: []string{"127.0.0.1:9090"}, …
//	}
//	text, err := site.Nginx()
//	service, err := site.Handler()
//
// What it writes has the secret in it: keep it as you keep the proxy's key. Every value is checked and quoted for the language
// of its proxy, and one that can't be written there is an error. What a configuration can't do, the method that writes it says.
type Site struct {
	_ [0]func()

	Endpoint *Endpoint // whose Headers are those of the proxy: Nginx for Site.Nginx, and so on

	// Format is the form in which the proxy reports certificates to the service: the proxy.Format of Options.Guard.Certificate. If
	// nil, it reports none.
	Format CertificateFormat

	// Secret is that of the proxy.TrustSecret by which Options.Proxy knows it; empty where there is no such rule.
	Secret string

	Routes []Route // all that the proxy lets pass; it answers 404 for the rest

	// CORS has the proxy answer the preflights of browsers, which have no token. If nil, they are asked about, and refused, as every
	// request without a token is.
	CORS *CORS

	Listen      string   // where the proxy listens by TLS: a port, or an IP address and a port
	API         []string // where the API listens, by HTTP: host:port, or unix:/path
	Service     []string // where the Handler listens, by HTTP
	Certificate string   // the file with the proxy's certificate: an absolute path, as all files
	Key         string   // the file with the key for it
	Clients     string   // the file with the authorities whose certificates nginx reports as verified; empty for the others
}

// CertificateFormat tells in which headers a proxy reports certificates. A proxy.Format does.
type CertificateFormat interface {
	Name() string      // of the proxy
	Headers() []string // that with the certificate first
	Validate() error
}

// question is the path at which the proxies ask. Envoy puts the original one behind it.
const question = "/auth"

// reports are the headers in which some proxy reports a request. One of a client's own would be read by an API that stands behind
// such a proxy, too.
var reports = [...]string{"X-Original-Method", "X-Original-URI", "X-Original-Proto", "X-Original-Host", "X-Forwarded-Method",
	"X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Forwarded-Scheme",
	"X-Real-Ip", "Forwarded", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info"}

// validate reports every problem that the site has for a proxy: its name for formats, how many headers those have, and the Headers of
// its question.
func (s Site) validate(program string, names int, headers Headers) error {
	wrong := s.problems()
	problem := func(field, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("forwardauth: Site."+field+": "+format, args...))
	}
	if s.Endpoint != nil && s.Endpoint.headers != headers.canonical() {
		problem("Endpoint", "its Headers are those of another proxy than %s", program)
	}
	if s.Format != nil && (s.Format.Name() != program || len(s.Format.Headers()) != names) {
		problem("Format", "%s doesn't write %q: use package proxy's format of that name", program, s.Format.Name())
	}
	if !proxyfile.IsListen(s.Listen) {
		problem("Listen", "got %q, want a port, or an IP address and a port: 443 or 192.0.2.1:443", s.Listen)
	}
	for _, list := range []struct {
		name      string
		addresses []string
	}{{"API", s.API}, {"Service", s.Service}} {
		if len(list.addresses) == 0 {
			problem(list.name, "no address")
		}
		for _, address := range list.addresses {
			if !proxyfile.IsUpstream(address) {
				problem(list.name, "got %q, want host:port or unix:/path", address)
			}
		}
	}
	for _, file := range []struct{ name, path string }{
		{"Certificate", s.Certificate}, {"Key", s.Key}, {"Clients", s.Clients},
	} {
		if file.name == "Clients" && (s.Format == nil || program != "nginx") { // no authority is trusted
			if file.path != "" {
				problem(file.name, "got %q, and no verdict is reported: leave it empty", file.path)
			}
		} else if !proxyfile.IsFile(file.path) {
			problem(file.name, "got %q, want an absolute path of printable ASCII, without /../ and the like", file.path)
		}
	}
	return errors.Join(wrong...)
}

// problems are those of what both halves are made from.
func (s Site) problems() (wrong []error) {
	problem := func(field, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("forwardauth: Site."+field+": "+format, args...))
	}
	if s.Endpoint == nil || s.Endpoint.guard == nil {
		problem("Endpoint", "none that New has made")
	} else {
		wrong = append(wrong, s.agree()...)
	}
	seen := map[string]bool{}
	for _, r := range s.Routes {
		if !isRoute(r.Path) {
			problem("Routes", "got %q, want a path of letters, digits and -._~ between slashes, without one at its end", r.Path)
		}
		if key := strings.ToLower(r.Path); seen[key] {
			problem("Routes", "%s: twice; letter case doesn't count", r.Path)
		} else {
			seen[key] = true
		}
	}
	if len(s.Routes) == 0 {
		problem("Routes", "none: the proxy would let nothing pass")
	}
	return append(wrong, s.CORS.problems()...)
}

// agree compares the site with its Endpoint: what the service reads, the proxy must set.
func (s Site) agree() (wrong []error) {
	problem := func(field, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("forwardauth: Site."+field+": "+format, args...))
	}
	secrets := s.Endpoint.proxy.Headers()
	switch {
	case len(secrets) > 1:
		problem("Endpoint", "its Proxy reads %d headers, and a configuration sends one", len(secrets))
	case (len(secrets) == 0) != (s.Secret == ""):
		problem("Secret", "the Endpoint's Proxy and the Site have one, or neither has")
	case s.Secret != "" && (!proxyfile.IsPrintable(s.Secret) || strings.TrimSpace(s.Secret) != s.Secret || len(s.Secret) < 16):
		problem("Secret", "want 16 characters or more of printable ASCII without spaces at the ends, as a header's value has")
	}
	var sent []string
	if s.Format != nil {
		if err := s.Format.Validate(); err != nil {
			problem("Format", "%w", err)
		}
		sent = s.Format.Headers()
	}
	for _, name := range s.Endpoint.told {
		if !among(slices.Concat(sent, secrets), name) {
			problem("Format", "the Endpoint's Guard.Certificate reads %s, which the proxy doesn't set: give the Site the same format", name)
		}
	}
	for _, name := range sent {
		if !among(s.Endpoint.told, name) {
			problem("Format", "the Endpoint's Guard.Certificate doesn't read %s: give it the same format", name)
		}
	}
	used := s.others()
	for _, name := range slices.Concat(sent, secrets, s.Endpoint.caller.Names()) {
		if among(used, name) || field.Taken(name) != "" {
			problem("Endpoint", "%q has another use: name another header", name)
		}
		used = append(used, name)
	}
	return wrong
}

// secretHeader names the header of the secret; "" if there is none.
func (s Site) secretHeader() string {
	if names := s.Endpoint.proxy.Headers(); len(names) > 0 {
		return http.CanonicalHeaderKey(names[0])
	}
	return ""
}

// odd is the pattern of what programs take for different paths: dot segments, empty segments, encoded slashes and dots, backslashes,
// parameters. What RequestLine has opened for the Endpoint is left out.
func (s Site) odd() string {
	line := s.Endpoint.line
	all := []string{`/[.][.]?([/;?]|$)`, `%2e`, `%5c`, `%25[0-9a-f][0-9a-f]`, `%[01][0-9a-f]`, `%7f`, `\x5c`}
	if !line.AllowEmptySegments {
		all = append(all, `//`)
	}
	if !line.AllowEncodedSlash {
		all = append(all, `%2f`)
	}
	if !line.AllowPathParameters {
		all = append(all, `;`, `%3b`)
	}
	return strings.Join(all, "|")
}

// others are the headers of a client's that an API may take for something else, and that this proxy doesn't set.
func (s Site) others() []string {
	var sent []string
	if s.Format != nil {
		sent = s.Format.Headers()
	}
	return slices.DeleteFunc(slices.Concat(proxyfile.Overrides(), reports[:]), func(name string) bool { return among(sent, name) })
}

// written fills a template.
func (s Site) written(text string, functions template.FuncMap) (string, error) {
	return proxyfile.Fill(text, s, s.functions(functions))
}

// further are the headers of the identity that a pattern for X-Auth-… doesn't match.
func (s Site) further() []string {
	return slices.DeleteFunc(s.Endpoint.caller.Names(), func(name string) bool { return strings.HasPrefix(name, "X-Auth-") })
}

// functions are those that every template has, and further ones.
func (s Site) functions(more template.FuncMap) template.FuncMap {
	all := template.FuncMap{
		"identity": s.Endpoint.caller.Names,
		"further":  s.further,
		"secret":   s.secretHeader,
		"others":   s.others,
		"routes":   s.routes,
		"odd":      s.odd,
		"question": func() string { return question },
		"reads":    s.reads,
		"certificate": func() string {
			if s.Format == nil {
				return ""
			}
			return s.Format.Headers()[0]
		},
		"join":    func(list []string) string { return strings.Join(list, ", ") },
		"allowed": func() string { return strings.Join(append([]string{"Authorization", "DPoP"}, s.CORS.Headers...), ", ") },
	}
	maps.Copy(all, more)
	return all
}

// reads says what the Endpoint has, beside its Headers.
func (s Site) reads() []string {
	var lines []string
	if name := s.secretHeader(); name != "" {
		lines = append(lines, "Proxy: one that knows the secret in "+name)
	}
	if s.Format != nil {
		lines = append(lines, "Guard.Certificate: of the format "+s.Format.Name()+", in "+strings.Join(s.Format.Headers(), " and "))
	}
	claims := slices.DeleteFunc(s.Endpoint.caller.Names(), func(name string) bool { return slices.Contains(identity, name) })
	if len(claims) > 0 {
		lines = append(lines, "Claims: those in "+strings.Join(claims, ", "))
	}
	return lines
}
