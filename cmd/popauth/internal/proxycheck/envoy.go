package proxycheck

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// node is a value of Envoy's configuration, whose form depends on the types that it names itself.
type node map[string]any

func nodeOf(v any) node {
	n, _ := v.(map[string]any)
	return n
}

func (n node) in(names ...string) node {
	for _, name := range names {
		n = nodeOf(n[name])
	}
	return n
}

func (n node) list(name string) []node {
	all, _ := n[name].([]any)
	var list []node
	for _, v := range all {
		list = append(list, nodeOf(v))
	}
	return list
}

func (n node) text(name string) string {
	s, _ := n[name].(string)
	return s
}

func (n node) strings(name string) []string {
	all, _ := n[name].([]any)
	var list []string
	for _, v := range all {
		list = append(list, fmt.Sprint(v))
	}
	return list
}

// is tells a typed_config by the end of its type.
func (n node) is(typ string) bool { return strings.HasSuffix(n.text("@type"), "."+typ) }

type envoyCheck struct {
	report
	expect Expect
}

// Envoy reads a bootstrap with static listeners.
func Envoy(name string, text []byte, e Expect) ([]Finding, error) {
	var config map[string]any
	if err := readYAML(text, &config); err != nil {
		return nil, err
	}
	c := &envoyCheck{expect: e}
	found := false
	for i, listener := range node(config).in("static_resources").list("listeners") {
		chains := listener.list("filter_chains")
		if d := listener.in("default_filter_chain"); d != nil {
			chains = append(chains, d)
		}
		for j, chain := range chains {
			for _, filter := range chain.list("filters") {
				if m := filter.in("typed_config"); m.is("HttpConnectionManager") {
					found = true
					c.manager(fmt.Sprintf("listeners/%d/filter_chains/%d", i, j), chain, m)
				}
			}
		}
	}
	if node(config).in("dynamic_resources") != nil {
		c.add(Unread, "dynamic_resources", "give the listeners as files", "what the control plane sends isn't in this file")
	}
	if !found {
		c.add(NoUpstream, name, "give the bootstrap with static_resources.listeners", "there is no HttpConnectionManager in it")
	}
	return c.sorted(), nil
}

func (c *envoyCheck) manager(where string, chain, m node) {
	c.connection(where, chain)
	c.details(where, m)
	action := m.in("common_http_protocol_options").text("headers_with_underscores_action")
	underscores := action != "DROP_HEADER" && action != "REJECT_REQUEST"
	if m.in("rds") != nil {
		c.add(Unread, where, "give the routes as route_config", "the routes come by RDS, and aren't in this file")
		return
	}
	config := m.in("route_config")
	cleaned := filters(m)
	for _, host := range config.list("virtual_hosts") {
		for i, route := range host.list("routes") {
			if to := route.in("route"); to != nil {
				levels := []node{route, host, config}
				c.route(fmt.Sprintf("%s/%s/routes/%d", where, host.text("name"), i), levels, cleaned, underscores)
				if to.in("retry_policy") != nil || host.in("retry_policy") != nil {
					c.add(Repeated, where, "leave retry_policy out", "a request is sent again: its DPoP proof is used by then")
				}
			}
		}
	}
}

func (c *envoyCheck) connection(where string, chain node) {
	tls := chain.in("transport_socket", "typed_config")
	if tls == nil {
		c.add(Plain, where, "transport_socket with DownstreamTlsContext",
			"a listener without TLS leads to the API: tokens can be read on the way, "+
				"and no certificate comes")
		return
	}
	common := tls.in("common_tls_context")
	asks := tls["require_client_certificate"] == true
	for _, name := range []string{"validation_context", "validation_context_sds_secret_config", "combined_validation_context"} {
		_, there := common[name]
		asks = asks || there
	}
	if !asks {
		c.add(NoCertificate, where, "validation_context: { trust_chain_verification: ACCEPT_UNTRUSTED }",
			"without validation_context Envoy asks for no certificate: no owner can show one")
	}
}

// details checks X-Forwarded-Client-Cert.
func (c *envoyCheck) details(where string, m node) {
	name := c.expect.Certificate
	const fix = "forward_client_cert_details: SANITIZE_SET"
	switch mode := m.text("forward_client_cert_details"); mode {
	case "SANITIZE_SET":
	case "", "SANITIZE":
		c.add(NotSet, where, fix, "%s is removed and not set: no owner's certificate reaches the API", name)
	case "APPEND_FORWARD":
		c.add(Appended, where, fix, "what a client sent in %s stays in front of the proxy's", name)
	default:
		c.add(ClientValue, where, fix, "%s hands on what a client sent in %s", mode, name)
	}
	set := m.in("set_current_client_cert_details")
	if set["cert"] != true && set["chain"] != true {
		c.add(WrongValue, where, "set_current_client_cert_details: { cert: true }", "%s has a hash and no certificate", name)
	}
	if set["uri"] == true || set["dns"] == true {
		c.add(Names, where, "set_current_client_cert_details: { cert: true, chain: true }",
			"Envoy doesn't quote uri and dns: a comma in the name of "+
				"a client's certificate makes another element")
	}
}

// cleaning is what filters and routes remove: names in lower case, and patterns.
type cleaning struct {
	names    []string
	patterns []*regexp.Regexp
}

func (c cleaning) gone(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(c.names, name) || slices.ContainsFunc(c.patterns, func(p *regexp.Regexp) bool { return p.MatchString(name) })
}

// filters are the mutations before the router, which is the last one.
func filters(m node) cleaning {
	var all cleaning
	for _, filter := range m.list("http_filters") {
		config := filter.in("typed_config")
		if !config.is("HeaderMutation") {
			continue
		}
		for _, mutation := range config.in("mutations").list("request_mutations") {
			if name := mutation.text("remove"); name != "" {
				all.names = append(all.names, strings.ToLower(name))
			}
			matcher := mutation.in("remove_on_match", "key_matcher")
			if exact := matcher.text("exact"); exact != "" {
				all.names = append(all.names, strings.ToLower(exact))
			}
			if pattern := matcher.in("safe_regex").text("regex"); pattern != "" {
				if p, err := regexp.Compile("^(?:" + pattern + ")$"); err == nil { // RE2 on the whole name, as Envoy has it
					all.patterns = append(all.patterns, p)
				}
			}
		}
	}
	return all
}

func (c *envoyCheck) route(where string, levels []node, cleaned cleaning, underscores bool) {
	for _, level := range levels {
		for _, name := range level.strings("request_headers_to_remove") {
			cleaned.names = append(slices.Clone(cleaned.names), strings.ToLower(name))
		}
	}
	var open, odd, under []string
	for _, name := range overrides {
		if !cleaned.gone(name) {
			open = append(open, name)
		}
	}
	if len(open) > 0 {
		c.add(Override, where, "request_headers_to_remove: ["+open[0]+"]",
			overridesText, strings.Join(open, ", "))
	}
	for _, name := range append(c.expect.names(), overrides...) {
		for _, other := range spelled(name) {
			switch {
			case other == name || cleaned.gone(other):
			case !strings.Contains(other, "_"):
				odd = append(odd, other)
			case underscores:
				under = append(under, other)
			}
		}
	}
	if len(under) > 0 {
		c.add(Underscores, where, "common_http_protocol_options: { headers_with_underscores_action: DROP_HEADER }",
			"a client's %s reaches the API, which may take it for the proxy's", under[0])
	}
	if len(odd) > 0 {
		c.add(Spellings, where, "a HeaderMutation filter as popauth proxy envoy writes it",
			"a client's %s and %d more spellings reach the API, which "+
				"may take them for the proxy's", odd[0], len(odd)-1)
	}
	for _, name := range c.expect.Others {
		if !cleaned.gone(name) {
			c.add(NotSet, where, "request_headers_to_remove: ["+name+"]", "%s is not removed: a client's own header passes", name)
		}
	}
	for _, name := range []string{"Authorization", "DPoP"} {
		if cleaned.gone(name) {
			c.add(Credentials, where, "leave "+name+" alone", "%s is removed: no owner's token reaches the API", name)
		}
	}
	c.secret(where, levels)
}

func (c *envoyCheck) secret(where string, levels []node) {
	name := c.expect.Secret
	if name == "" {
		return
	}
	fix := "header: { key: " + name + ", value: … }\nappend_action: OVERWRITE_IF_EXISTS_OR_ADD"
	for _, level := range levels {
		for _, add := range level.list("request_headers_to_add") {
			header := add.in("header")
			if !strings.EqualFold(header.text("key"), name) {
				continue
			}
			switch {
			case header.text("value") == "":
				c.add(NoSecret, where, fix, "%s is empty: the API refuses what comes from here", name)
			case strings.Contains(header.text("value"), "%REQ("):
				c.add(ClientValue, where, fix, "%s is set to what a client sends", name)
			case add.text("append_action") != "OVERWRITE_IF_EXISTS_OR_ADD" && add["append"] != false:
				c.add(Appended, where, fix, "%s is added to a client's own, which stays in front of it", name)
			}
			return
		}
	}
	c.add(NoSecret, where, fix, "%s is not set: the API refuses what comes from here", name)
}
