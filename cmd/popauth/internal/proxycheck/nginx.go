package proxycheck

import (
	"regexp"
	"slices"
	"strings"
)

// nginxCheck is one reading of a configuration.
type nginxCheck struct {
	report
	expect Expect
	top    []*directive
	found  map[lookup][]*directive // by find
}

// lookup is a question of find: a block, by its first directive, and a name.
type lookup struct {
	first *directive
	name  string
}

// Nginx reads a file of nginx, from which others may be included only where text is a dump of nginx -T.
func Nginx(name, text string, e Expect) ([]Finding, error) {
	n := &nginxReader{files: readNginxFiles(name, text)}
	top, err := n.read(n.files.order[0], nil, 0)
	if err != nil {
		return nil, err
	}
	c := &nginxCheck{expect: e, top: top, found: map[lookup][]*directive{}}
	for _, include := range n.unread {
		c.add(Unread, include, "nginx -T >dump, and check that", "what it includes isn't in this file")
	}
	reached := c.walk(nil, top)
	c.names(top)
	if !reached {
		c.add(NoUpstream, name, "give the file with the proxy_pass", "there is no proxy_pass and no grpc_pass in it")
	}
	return c.findings, nil // in the order of the lines
}

// passes are the directives by which a location leads to a server, and those that set its headers.
var passes = map[string]string{"proxy_pass": "proxy_set_header", "grpc_pass": "grpc_set_header"} //nolint:gosec // names

// walk looks at every place that leads to a server.
func (c *nginxCheck) walk(outer *directive, block []*directive) (reached bool) {
	for _, d := range block {
		if c.full() {
			return true
		}
		if setter, ok := passes[d.name]; ok && outer != nil {
			c.place(outer, d, setter)
			reached = true
			continue
		}
		if slices.Contains([]string{"fastcgi_pass", "uwsgi_pass", "scgi_pass"}, d.name) {
			c.add(Unread, d.line, "lead to the API by proxy_pass", "%s makes variables of headers, in which X-Name and X_Name are "+
				"one", d.name)
			reached = true
		}
		if c.walk(d, d.block) {
			reached = true
		}
	}
	return reached
}

// place is a location, or an if, with its pass.
func (c *nginxCheck) place(at, pass *directive, setter string) {
	where := pass.line
	set, level := c.headers(at, setter)
	for _, h := range []struct{ name, variable string }{
		{c.expect.Certificate, "$ssl_client_escaped_cert"}, {c.expect.Verdict, "$ssl_client_verify"},
	} {
		if h.name != "" {
			c.header(where, at, setter, set, level, h.name, h.variable)
		}
	}
	for _, name := range c.expect.Others {
		if _, ok := set[strings.ToLower(name)]; !ok {
			c.missing(where, at, setter, level, name, `""`)
		}
	}
	c.secret(where, at, setter, set, level)
	var open []string
	for _, name := range overrides {
		if _, ok := set[strings.ToLower(name)]; !ok {
			open = append(open, name)
		}
	}
	if len(open) > 0 {
		c.add(Override, where, setter+" "+open[0]+` "";`, overridesText,
			strings.Join(open, ", "))
	}
	for _, name := range []string{"Authorization", "DPoP"} {
		if values, ok := set[strings.ToLower(name)]; ok && !slices.Contains(values, "$http_"+strings.ToLower(name)) {
			c.add(Credentials, where, "leave "+name+" alone", "%s is set to %q: no owner's token reaches the API with it", name, values)
		}
	}
	if c.effective(at, strings.Replace(setter, "set_header", "pass_request_headers", 1), "on") == "off" {
		c.add(Credentials, where, "proxy_pass_request_headers on;", "no header of the client reaches the API, the token neither")
	}
	if next := c.effective(at, strings.Replace(setter, "set_header", "next_upstream", 1), "error"); next != "off" {
		c.add(Repeated, where, strings.Replace(setter, "set_header", "next_upstream off;", 1),
			"a request is sent to the next server if one ends the connection: its DPoP proof is used by then")
	}
	c.server(at, where, set)
}

// headers are the values by name that count in a place: those of the innermost level that sets any.
func (c *nginxCheck) headers(at *directive, setter string) (map[string][]string, *directive) {
	for ; ; at = at.outer {
		block := c.top
		if at != nil {
			block = at.block
		}
		if all := c.find(block, setter); len(all) > 0 {
			set := map[string][]string{}
			for _, d := range all {
				if len(d.args) == 2 {
					key := strings.ToLower(d.args[0])
					set[key] = append(set[key], d.args[1])
				}
			}
			return set, at
		}
		if at == nil {
			return nil, nil
		}
	}
}

// missing says why a header isn't set: nobody sets it, or one who does is overridden by a level that sets others.
func (c *nginxCheck) missing(where string, at *directive, setter string, level *directive, name, variable string) {
	fix := setter + " " + name + " " + variable + ";"
	for outer := level; outer != nil; outer = outer.outer {
		block := c.top
		if outer.outer != nil {
			block = outer.outer.block
		}
		for _, d := range c.find(block, setter) {
			if len(d.args) == 2 && strings.EqualFold(d.args[0], name) {
				c.add(NotInherited, where, fix, "%s is set in %s, but not here: a level with any %s of its own inherits none, so a "+
					"client's own "+
					"header passes", name, d.line, setter)
				return
			}
		}
	}
	c.add(NotSet, where, fix, "%s is not set in this %s: a client's own header passes", name, at.name)
}

var variable = regexp.MustCompile(`\$\{?([A-Za-z0-9_]+)\}?`)

func (c *nginxCheck) header(where string, at *directive, setter string, set map[string][]string, level *directive, name, want string) {
	values := set[strings.ToLower(name)]
	fix := setter + " " + name + " " + want + ";"
	switch {
	case len(values) == 0:
		c.missing(where, at, setter, level, name, want)
	case len(values) > 1:
		c.add(SetTwice, where, fix, "%s is set %d times, and sent as often: the API refuses it", name, len(values))
	default:
		c.value(where, at, name, values[0], want, fix)
	}
}

// value says what is wrong with a header's. Variables of the configuration are what they are set to; followed are those that it has
// been through.
func (c *nginxCheck) value(where string, at *directive, name, value, want, fix string, followed ...string) {
	bare := strings.NewReplacer("{", "", "}", "").Replace(value)
	if bare == want {
		return
	}
	if m := variable.FindStringSubmatch(value); m != nil && m[0] == value {
		if slices.Contains(followed, m[1]) || len(followed) > maxNginxDepth {
			c.add(Unknown, where, fix, "%s is %s, which is set to itself: what comes out can't be told from here", name, value)
			return
		}
		if all := c.assigned(at, m[1]); len(all) > 0 {
			for _, from := range all { // one of them may stand in an if
				if from.name == "map" {
					c.add(Unknown, where, fix, "%s is %s, a map of %s: what comes out can't be told from here", name, value, from.line)
					continue
				}
				c.value(where, at, name, from.args[1], want, fix, append(slices.Clone(followed), m[1])...)
			}
			return
		}
	}
	switch {
	case strings.Contains(bare, "$http_"), strings.Contains(bare, "$arg_"), strings.Contains(bare, "$cookie_"):
		c.add(ClientValue, where, fix, "%s is set to %s, which a client sends", name, value)
	case bare == "$ssl_client_cert", bare == "$ssl_client_raw_cert":
		c.add(WrongValue, where, fix, "%s is %s, whose line ends the API can't read, or nginx can't send", name, value)
	default:
		c.add(WrongValue, where, fix, "%s is %q, want %s", name, value, want)
	}
}

// assigned are the directives that may make a variable in a place: those of the levels around it, with what an if has. No two of them
// say the same.
func (c *nginxCheck) assigned(at *directive, name string) []*directive {
	var all []*directive
	var look func(block []*directive)
	look = func(block []*directive) {
		for _, d := range block {
			switch {
			case d.name == "set" && len(d.args) == 2 && d.args[0] == "$"+name, d.name == "map" && len(d.args) == 2 && d.args[1] == "$"+name:
				if !slices.ContainsFunc(all, func(o *directive) bool { return o.name == d.name && slices.Equal(o.args, d.args) }) {
					all = append(all, d)
				}
			case d.name == "if":
				look(d.block)
			}
		}
	}
	for ; at != nil; at = at.outer {
		look(at.block)
	}
	look(c.top)
	return all
}

func (c *nginxCheck) secret(where string, at *directive, setter string, set map[string][]string, level *directive) {
	name := c.expect.Secret
	if name == "" {
		return
	}
	values := set[strings.ToLower(name)]
	fix := setter + " " + name + ` "…";`
	switch {
	case len(values) == 0:
		c.missing(where, at, setter, level, name, `"…"`)
		c.add(NoSecret, where, fix, "%s is not set: the API refuses what comes from here", name)
	case len(values) > 1:
		c.add(SetTwice, where, fix, "%s is set %d times", name, len(values))
	case values[0] == "":
		c.add(NoSecret, where, fix, "%s is empty: the API refuses what comes from here", name)
	case strings.Contains(values[0], "$http_"):
		c.add(ClientValue, where, fix, "%s is set to what a client sends", name)
	}
}

// server checks what the server block says about the connection.
func (c *nginxCheck) server(at *directive, where string, set map[string][]string) {
	server := at
	for server != nil && server.name != "server" {
		server = server.outer
	}
	if server == nil {
		c.add(Unread, where, "give the file with the server block", "there is no server block around it")
		return
	}
	mode := c.effective(server, "ssl_verify_client", "off")
	if mode == "off" {
		c.add(NoCertificate, server.line, "ssl_verify_client optional_no_ca;", "ssl_verify_client is off: no owner can show a certificate")
	}
	for _, listen := range c.find(server.block, "listen") {
		if !slices.Contains(listen.args, "ssl") && !slices.Contains(listen.args, "quic") {
			c.add(Plain, listen.line, "listen 443 ssl;", "a listener without TLS leads to the API: tokens can be read on the way, and no "+
				"certificate comes")
		}
	}
	if values := set["early-data"]; c.effective(server, "ssl_early_data", "off") == "on" && !slices.Contains(values,
		"$ssl_early_data") {
		c.add(EarlyData, where, "proxy_set_header Early-Data $ssl_early_data;",
			"ssl_early_data is on, and the API isn't told what anybody may "+
				"have sent again")
	}
}

// names checks every server block: only the default one of an address is asked about the names of headers, and that may be any.
func (c *nginxCheck) names(block []*directive) {
	for _, d := range block {
		c.names(d.block)
		if d.name != "server" || d.block == nil {
			continue
		}
		if c.effective(d, "underscores_in_headers", "off") == "on" {
			c.add(Underscores, d.line, "underscores_in_headers off;", "a client's X_SSL_Client_Cert reaches the API, which may take "+
				"it for "+
				"X-SSL-Client-Cert")
		}
		if c.effective(d, "ignore_invalid_headers", "on") == "off" {
			c.add(Spellings, d.line, "ignore_invalid_headers on;", "a client's X.SSL.Client.Cert and the like reach the API")
		}
	}
}

// find returns the directives of this name in a block. Each place asks the blocks around it: the answer is kept.
func (c *nginxCheck) find(block []*directive, name string) []*directive {
	if len(block) == 0 {
		return nil
	}
	key := lookup{block[0], name}
	all, ok := c.found[key]
	if !ok {
		for _, d := range block {
			if d.name == name {
				all = append(all, d)
			}
		}
		c.found[key] = all
	}
	return all
}

// effective is the value of a directive that an inner block overrides, where d stands; other if nobody sets it.
func (c *nginxCheck) effective(d *directive, name, other string) string {
	for at := d; ; at = at.outer {
		block := c.top
		if at != nil {
			block = at.block
		}
		if set := c.find(block, name); len(set) > 0 && len(set[len(set)-1].args) > 0 {
			return set[len(set)-1].args[0]
		}
		if at == nil {
			return other
		}
	}
}
