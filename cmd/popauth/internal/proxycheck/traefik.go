package proxycheck

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// traefikConfig is what counts here of Traefik's dynamic configuration, and of the static one.
type traefikConfig struct {
	HTTP struct {
		Routers     map[string]traefikRouter     `yaml:"routers"`
		Middlewares map[string]traefikMiddleware `yaml:"middlewares"`
	} `yaml:"http"`
	TLS struct {
		Options map[string]struct {
			Clients struct {
				Type string `yaml:"clientAuthType"`
			} `yaml:"clientAuth"`
		} `yaml:"options"`
	} `yaml:"tls"`
	EntryPoints map[string]traefikEntryPoint `yaml:"entryPoints"`
}

type traefikEntryPoint struct {
	Address string `yaml:"address"`
	HTTP    struct {
		Aliases     string   `yaml:"aliasHeadersStrategy"`
		Middlewares []string `yaml:"middlewares"`
		TLS         *struct {
			Options string `yaml:"options"`
		} `yaml:"tls"`
	} `yaml:"http"`
}

type traefikRouter struct {
	Rule        string   `yaml:"rule"`
	EntryPoints []string `yaml:"entryPoints"`
	Middlewares []string `yaml:"middlewares"`
	Service     string   `yaml:"service"`
	TLS         *struct {
		Options string `yaml:"options"`
	} `yaml:"tls"`
}

type traefikMiddleware struct {
	Headers *struct {
		Request map[string]string `yaml:"customRequestHeaders"`
	} `yaml:"headers"`
	Pass *struct {
		PEM bool `yaml:"pem"`
	} `yaml:"passTLSClientCert"`
	Chain *struct {
		Middlewares []string `yaml:"middlewares"`
	} `yaml:"chain"`
	Retry *struct {
		Attempts int `yaml:"attempts"`
	} `yaml:"retry"`
}

type traefikCheck struct {
	report
	expect Expect
	config traefikConfig
	static bool // the entry points are known
}

// Traefik reads the dynamic configuration, and the static one if it is among the texts.
func Traefik(name string, texts [][]byte, e Expect) ([]Finding, error) {
	c := &traefikCheck{expect: e}
	for _, text := range texts {
		if err := readYAML(text, &c.config); err != nil {
			return nil, err
		}
	}
	c.static = len(c.config.EntryPoints) > 0
	if len(c.config.HTTP.Routers) == 0 {
		c.add(NoUpstream, name, "give the file with http.routers", "there is no router in it")
		return c.sorted(), nil
	}
	for id, r := range c.config.HTTP.Routers {
		c.router("routers/"+id, r)
	}
	return c.sorted(), nil
}

// readYAML reads every document of a text into one value. No key may be there twice, as the decoder has it.
func readYAML(text []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		switch err := d.Decode(into); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("not the YAML that is expected: %w", err)
		}
	}
}

// maxMiddlewares bounds those of one router: chains may have chains, and each may have another one often.
const maxMiddlewares = 1000

// flat are the middlewares of a router by name, those of its entry points first, chains taken apart.
func (c *traefikCheck) flat(where string, names []string) []traefikMiddleware {
	var all []traefikMiddleware
	seen := 0
	var take func(names, within []string)
	take = func(names, within []string) {
		for _, name := range names {
			if seen++; seen > maxMiddlewares {
				return
			}
			name = strings.TrimSuffix(name, "@file")
			m, ok := c.config.HTTP.Middlewares[name]
			switch {
			case !ok:
				c.add(Unread, where, "give the file that has it", "the middleware %q isn't in these files", name)
			case slices.Contains(within, name):
				c.add(Unread, where, "leave it out of its own chain", "the middleware %q is in its own chain", name)
			case m.Chain != nil:
				take(m.Chain.Middlewares, append(slices.Clone(within), name))
			default:
				all = append(all, m)
			}
		}
	}
	if take(names, nil); seen > maxMiddlewares {
		c.add(Unread, where, "use fewer", "it has more than %d middlewares, chains taken apart", maxMiddlewares)
	}
	return all
}

func (c *traefikCheck) router(where string, r traefikRouter) {
	var names []string
	for id, point := range c.config.EntryPoints {
		if len(r.EntryPoints) == 0 || slices.Contains(r.EntryPoints, id) {
			names = append(names, point.HTTP.Middlewares...)
			if point.HTTP.Aliases != "delete" {
				c.add(Spellings, "entryPoints/"+id, "http.aliasHeadersStrategy: delete (from 3.7.12 and 2.11.56)",
					"a client's X_Forwarded_Tls_Client_Cert and other spellings reach the API")
			}
			if r.TLS == nil && point.HTTP.TLS != nil {
				r.TLS = point.HTTP.TLS
			}
		}
	}
	list := c.flat(where, append(names, r.Middlewares...))
	c.certificate(where, list)
	c.rest(where, list)
	c.tls(where, r)
}

// certificate follows the header through the middlewares in their order.
func (c *traefikCheck) certificate(where string, list []traefikMiddleware) {
	name := c.expect.Certificate
	const fix = "a middleware with headers.customRequestHeaders {%s: \"\"} before one with passTLSClientCert {pem: true}"
	cleared, passed := false, false
	for _, m := range list {
		value, set := headerOf(m, name)
		switch {
		case m.Pass != nil && !m.Pass.PEM:
			c.add(WrongValue, where, "passTLSClientCert: {pem: true}", "passTLSClientCert has no pem: the API gets a certificate from "+
				"nobody")
			passed = true
		case m.Pass != nil && !cleared:
			c.add(NotSet, where, fmt.Sprintf(fix, name), "%s isn't cleared before passTLSClientCert, which leaves a client's own in "+
				"place where there "+
				"is no certificate", name)
			passed = true
		case m.Pass != nil:
			passed = true
		case set && passed:
			c.add(RemovedAgain, where, fmt.Sprintf(fix, name), "%s is set by a middleware after passTLSClientCert: the certificate is "+
				"gone", name)
		case set && value == "":
			cleared = true
		case set:
			c.add(WrongValue, where, fmt.Sprintf(fix, name), "%s is set to a text: every caller has the same certificate", name)
			cleared = true
		}
	}
	if !passed {
		c.add(NotSet, where, fmt.Sprintf(fix, name), "there is no passTLSClientCert: no owner's certificate reaches the API, and a "+
			"client's own "+
			"header may")
	}
}

// headerOf is what a middleware sets a header to.
func headerOf(m traefikMiddleware, name string) (value string, set bool) {
	if m.Headers == nil {
		return "", false
	}
	for key, value := range m.Headers.Request {
		if strings.EqualFold(key, name) {
			return value, true
		}
	}
	return "", false
}

func (c *traefikCheck) rest(where string, list []traefikMiddleware) {
	last := map[string]string{}
	for _, m := range list {
		if m.Headers != nil {
			for name, value := range m.Headers.Request {
				last[strings.ToLower(name)] = value
			}
		}
		if m.Retry != nil {
			c.add(Repeated, where, "leave the retry middleware out", "a request is sent again: its DPoP proof is used by then")
		}
	}
	var open []string
	for _, name := range append(slices.Clone(c.expect.Others), overrides...) {
		if _, ok := last[strings.ToLower(name)]; ok {
			continue
		}
		if slices.Contains(overrides, name) {
			open = append(open, name)
			continue
		}
		c.add(NotSet, where, fmt.Sprintf(`customRequestHeaders: {%s: ""}`, name), "%s is not cleared: a client's own header passes", name)
	}
	if len(open) > 0 {
		c.add(Override, where, fmt.Sprintf(`customRequestHeaders: {%s: ""}`, open[0]),
			overridesText, strings.Join(open, ", "))
	}
	if name := c.expect.Secret; name != "" && last[strings.ToLower(name)] == "" {
		c.add(NoSecret, where, fmt.Sprintf(`customRequestHeaders: {%s: "…"}`, name),
			"%s is not set: the API refuses what comes from here", name)
	}
	for _, name := range []string{"Authorization", "DPoP"} {
		if value, ok := last[strings.ToLower(name)]; ok {
			c.add(Credentials, where, "leave "+name+" alone", "%s is set to %.10q: no owner's token reaches the API", name, value)
		}
	}
}

func (c *traefikCheck) tls(where string, r traefikRouter) {
	if r.TLS == nil {
		c.add(Plain, where, "tls: {options: clients}", "a router without TLS leads to the API: tokens can be read on the way, and no "+
			"certificate "+
			"comes")
		return
	}
	name := r.TLS.Options
	if name == "" {
		name = "default"
	}
	name = strings.TrimSuffix(name, "@file")
	options, ok := c.config.TLS.Options[name]
	switch {
	case !ok && name != "default":
		c.add(Unread, where, "give the file with tls.options", "tls.options.%s isn't in these files; there are %v", name,
			slices.Sorted(maps.Keys(c.config.TLS.Options)))
		return
	case options.Clients.Type == "" || options.Clients.Type == "NoClientCert":
		c.add(NoCertificate, where, "tls.options."+name+": {clientAuth: {clientAuthType: RequestClientCert}}",
			"tls.options.%s asks for no certificate: no owner can show one", name)
	}
	if name != "default" && !strings.Contains(r.Rule, "Host(") && !strings.Contains(r.Rule, "HostSNI(") {
		c.add(OptionsUnused, where, "rule: Host(`…`) && …", "the rule names no host, so Traefik ignores tls.options.%s, and asks for "+
			"no certificate",
			name)
	}
}
