package proxycheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// caddyConfig is what counts here of Caddy's own form, which caddy adapt prints.
type caddyConfig struct {
	Apps struct {
		HTTP struct {
			Servers map[string]caddyServer `json:"servers"`
		} `json:"http"`
	} `json:"apps"`
}

type caddyServer struct {
	Listen   []string      `json:"listen"`
	Routes   []caddyRoute  `json:"routes"`
	Policies []caddyPolicy `json:"tls_connection_policies"`
}

// caddyPolicy is for the names that it matches, and the first one that does counts.
type caddyPolicy struct {
	Match *struct {
		SNI []string `json:"sni"`
	} `json:"match"`
	Clients *struct {
		Mode string `json:"mode"`
	} `json:"client_authentication"`
}

type caddyRoute struct {
	Match  []map[string]json.RawMessage `json:"match"`
	Handle []caddyHandler               `json:"handle"`
}

type caddyHandler struct {
	Handler  string       `json:"handler"`
	Routes   []caddyRoute `json:"routes"` // of subroute
	Request  *caddyOps    `json:"request"`
	Status   any          `json:"status_code"`
	Balance  caddyBalance `json:"load_balancing"`
	Upstream []any        `json:"upstreams"`
	Headers  struct {
		Request *caddyOps `json:"request"`
	} `json:"headers"`
}

type caddyBalance struct {
	Retries int `json:"retries"`
	Try     any `json:"try_duration"`
}

// caddyOps change headers. Caddy adds, sets, and removes last.
type caddyOps struct {
	Add    map[string][]string `json:"add"`
	Set    map[string][]string `json:"set"`
	Delete []string            `json:"delete"`
}

const caddyCertificate = "{http.request.tls.client.certificate_der_base64}"

// caddyState is what has been done to a request on its way to a handler.
type caddyState struct {
	set     map[string]string // by names in lower case
	deleted []string          // patterns in lower case
	opaque  bool              // targets without path are answered
	hosts   []string          // that it may be for; nil: any
}

func (s caddyState) clone() caddyState {
	set := map[string]string{}
	for name, value := range s.set {
		set[name] = value
	}
	return caddyState{set, slices.Clone(s.deleted), s.opaque, s.hosts}
}

// gone tells whether a name that a client sends is removed or replaced.
func (s caddyState) gone(name string) bool {
	name = strings.ToLower(name)
	if _, ok := s.set[name]; ok {
		return true
	}
	return slices.ContainsFunc(s.deleted, func(pattern string) bool { return caddyMatches(pattern, name) })
}

// caddyMatches is Caddy's own: an asterisk at an end stands for anything.
func caddyMatches(pattern, name string) bool {
	before, after := strings.HasPrefix(pattern, "*"), strings.HasSuffix(pattern, "*")
	switch {
	case pattern == "*":
		return true
	case before && after:
		return strings.Contains(name, pattern[1:len(pattern)-1])
	case before:
		return strings.HasSuffix(name, pattern[1:])
	case after:
		return strings.HasPrefix(name, pattern[:len(pattern)-1])
	}
	return pattern == name
}

type caddyCheck struct {
	report
	expect Expect

	reached bool
	hosts   []string // that lead to the API; "" is any
}

// Caddy reads Caddy's configuration as JSON.
func Caddy(name string, text []byte, e Expect) ([]Finding, error) {
	var config caddyConfig
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("not Caddy's JSON: %w", err)
	}
	if len(config.Apps.HTTP.Servers) == 0 {
		return nil, errors.New("no apps.http.servers: not Caddy's JSON, or no site in it")
	}
	c := &caddyCheck{expect: e}
	for id, server := range config.Apps.HTTP.Servers {
		where := "servers/" + id
		before := c.reached
		c.reached, c.hosts = false, nil
		c.routes(where, server.Routes, caddyState{set: map[string]string{}})
		if c.reached {
			c.connection(where, server)
		}
		c.reached = c.reached || before
	}
	if !c.reached {
		c.add(NoUpstream, name, "give the file with the reverse_proxy", "there is no reverse_proxy in it")
	}
	return c.sorted(), nil
}

func (c *caddyCheck) connection(where string, server caddyServer) {
	if slices.ContainsFunc(server.Listen, func(s string) bool { return strings.HasSuffix(s, ":80") }) {
		c.add(Plain, where, "https://…", "port 80 leads to the API: tokens can be read on the way, and no certificate comes")
	}
	asks := true
	for _, host := range c.hosts {
		at := slices.IndexFunc(server.Policies, func(p caddyPolicy) bool {
			return p.Match == nil || host != "" &&
				slices.Contains(p.Match.SNI, host)
		})
		asks = asks && at >= 0 && server.Policies[at].Clients != nil && server.Policies[at].Clients.Mode != ""
	}
	if !asks {
		c.add(NoCertificate, where, "tls { client_auth { mode request } }",
			"there is no client_auth, or not for all names: no owner can show a "+
				"certificate")
	}
}

// routes follows a request through handlers in their order.
func (c *caddyCheck) routes(where string, list []caddyRoute, s caddyState) {
	for i, route := range list {
		at := fmt.Sprintf("%s/routes/%d", where, i)
		own := s
		if len(route.Match) > 0 {
			own = s.clone() // what it does, it may not do to every request
			if hosts := hostsOf(route.Match); hosts != nil {
				own.hosts = hosts
			}
		}
		for j, h := range route.Handle {
			place := fmt.Sprintf("%s/handle/%d", at, j)
			switch h.Handler {
			case "headers":
				own.apply(h.Request)
			case "subroute":
				c.routes(place, h.Routes, own)
			case "static_response":
				if odd(route.Match) {
					s.opaque = true
				}
			case "reverse_proxy":
				c.reached = true
				if c.hosts = append(c.hosts, own.hosts...); own.hosts == nil {
					c.hosts = append(c.hosts, "")
				}
				c.proxy(place, h, own.clone())
			}
		}
		if len(route.Match) == 0 {
			s = own
		}
	}
}

// hostsOf are the hosts that a route is for; nil if it is for any.
func hostsOf(match []map[string]json.RawMessage) []string {
	var all []string
	for _, m := range match {
		var hosts []string
		if json.Unmarshal(m["host"], &hosts) != nil || len(hosts) == 0 {
			return nil
		}
		all = append(all, hosts...)
	}
	return all
}

// odd tells the matcher of targets without path: not path /*.
func odd(match []map[string]json.RawMessage) bool {
	for _, m := range match {
		var not []struct {
			Path []string `json:"path"`
		}
		if raw, ok := m["not"]; ok && len(m) == 1 && json.Unmarshal(raw, &not) == nil && len(not) == 1 && slices.Equal(not[0].Path,
			[]string{"/*"}) {
			return true
		}
	}
	return false
}

func (s *caddyState) apply(o *caddyOps) {
	if o == nil {
		return
	}
	for name, values := range o.Set {
		s.set[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	for _, pattern := range o.Delete {
		pattern = strings.ToLower(pattern)
		s.deleted = append(s.deleted, pattern)
		for name := range s.set {
			if caddyMatches(pattern, name) {
				delete(s.set, name)
			}
		}
	}
}

func (c *caddyCheck) proxy(where string, h caddyHandler, s caddyState) {
	ops := h.Headers.Request
	if ops == nil {
		ops = &caddyOps{}
	}
	again := map[string]bool{}
	for name := range ops.Set {
		for _, pattern := range ops.Delete {
			if caddyMatches(strings.ToLower(pattern), strings.ToLower(name)) {
				again[strings.ToLower(name)] = true
				c.add(RemovedAgain, where, "leave header_up -"+name+" out",
					"%s is set and removed: removals run last, and leave nothing", name)
			}
		}
	}
	added := map[string]bool{}
	for name := range ops.Add {
		added[strings.ToLower(name)] = true
	}
	s.apply(ops)
	c.header(where, s, again, added)
	c.secret(where, s, again, added)
	for _, name := range c.expect.Others {
		if !s.gone(name) {
			c.add(NotSet, where, "request_header -"+name, "%s is not removed: a client's own header passes", name)
		}
	}
	c.client(where, s)
	if h.Balance.Retries > 0 || h.Balance.Try != nil && h.Balance.Try != float64(0) {
		c.add(Repeated, where, "leave lb_retries and lb_try_duration out", "a request is sent again: its DPoP proof is used by then")
	}
	if !s.opaque {
		c.add(OpaqueTarget, where, "@odd not path /*\nrespond @odd 400", "a target without path, as foo:http:/a://b, is sent on as another")
	}
}

func (c *caddyCheck) header(where string, s caddyState, again, added map[string]bool) {
	name := c.expect.Certificate
	key := strings.ToLower(name)
	fix := "header_up " + name + " " + caddyCertificate
	value, ok := s.set[key]
	switch {
	case again[key]:
	case added[key]:
		c.add(Appended, where, fix, "+%s adds a line, and a client's own stays in front of it", name)
	case !ok && s.gone(name):
		c.add(NotSet, where, fix, "%s is removed and not set: no owner's certificate reaches the API", name)
	case !ok:
		c.add(NotSet, where, fix, "%s is not set: a client's own header passes", name)
	case value == caddyCertificate:
	case strings.Contains(value, "{http.request.header.") || strings.Contains(value, "{http.request.uri.query"):
		c.add(ClientValue, where, fix, "%s is set to %s, which a client sends", name, value)
	default:
		c.add(WrongValue, where, fix, "%s is %q, which the API can't read, or Caddy can't send", name, value)
	}
}

func (c *caddyCheck) secret(where string, s caddyState, again, added map[string]bool) {
	name := c.expect.Secret
	key := strings.ToLower(name)
	fix := "header_up " + name + ` "…"`
	value, ok := s.set[key]
	switch {
	case name == "" || again[key]:
	case added[key]:
		c.add(Appended, where, fix, "+%s adds a line, and a client's own stays in front of it", name)
	case !ok || value == "":
		c.add(NoSecret, where, fix, "%s is not set: the API refuses what comes from here", name)
	case strings.Contains(value, "{http.request.header."):
		c.add(ClientValue, where, fix, "%s is set to what a client sends", name)
	}
}

// client checks what else of a client's headers reaches the API.
func (c *caddyCheck) client(where string, s caddyState) {
	var open, odd []string
	for _, name := range overrides {
		if !s.gone(name) {
			open = append(open, name)
		}
	}
	if len(open) > 0 {
		c.add(Override, where, "request_header -"+open[0], overridesText,
			strings.Join(open, ", "))
	}
	for _, name := range append(c.expect.names(), overrides...) {
		for _, other := range spelled(name) {
			if other != name && !s.gone(other) {
				odd = append(odd, other)
			}
		}
	}
	if len(odd) > 0 {
		c.add(Spellings, where, "request_header -*_* and so on, as popauth proxy caddy writes it",
			"a client's %s and %d more spellings reach the "+
				"API, which may take them for the proxy's", odd[0], len(odd)-1)
	}
	for _, name := range []string{"Authorization", "DPoP"} {
		if s.gone(name) && !strings.Contains(s.set[strings.ToLower(name)], "{http.request.header."+name) {
			c.add(Credentials, where, "leave "+name+" alone", "%s is removed or replaced: no owner's token reaches the API", name)
		}
	}
}
