package probe

import (
	"net/http"
	"strings"
)

// targetChecks send proofs that were made for something else.
func targetChecks() []Check {
	htu := func(change func(*session) string) func(*session) verdict {
		return refuse(func(s *session, c *call) { c.proof.claims = map[string]any{"htu": change(s)} })
	}
	check := func(name, item string, severity Severity, title string, run func(*session) verdict) Check {
		return Check{Name: name, Section: "RFC 9449, section 4.3, item " + item, Severity: severity, needs: needsKey, Title: title,
			Want: "401, invalid_dpop_proof", run: run}
	}
	return []Check{
		check("proof-method", "8", High, "a proof for POST, in a GET", refuse(func(_ *session, c *call) {
			c.proof.claims = map[string]any{"htm": http.MethodPost}
		})),
		check("proof-method-head", "8", Medium, "a proof for GET, in a HEAD", refuse(func(_ *session, c *call) {
			c.method = http.MethodHead
			c.proof.claims = map[string]any{"htm": http.MethodGet}
		})),
		check("proof-method-letters", "8", Low, "a proof for get", refuse(func(_ *session, c *call) {
			c.proof.claims = map[string]any{"htm": "get"}
		})),
		check("proof-path", "9", High, "a proof for another path", htu(func(s *session) string { return s.resource("/popauth-probe") })),
		check("proof-path-part", "9", High, "a proof for a path that begins with this one, or is its beginning", pathPart),
		check("proof-host", "9", High, "a proof for another host", htu(func(s *session) string {
			return s.url.Scheme + "://other.example" + s.url.EscapedPath()
		})),
		check("proof-host-part", "9", High, "a proof for a host that begins or ends with this one", hostPart),
		check("proof-scheme", "9", Medium, "a proof for http, in a request by https", htu(func(s *session) string {
			other := map[string]string{"https": "http", "http": "https"}
			return other[s.url.Scheme] + "://" + s.url.Host + s.url.EscapedPath()
		})),
		check("proof-port", "9", Medium, "a proof for another port", htu(func(s *session) string {
			return s.url.Scheme + "://" + s.url.Hostname() + ":1" + s.url.EscapedPath()
		})),
		check("proof-relative", "9", Medium, "a proof for the path alone", htu(func(s *session) string { return s.url.EscapedPath() })),
		{Name: "proof-host-header", Section: "RFC 9449, section 4.3, item 9", Severity: Medium, needs: needsKey,
			Title: "a proof for another host, in a request whose Host is that one", run: proofHostHeader,
			Want: "401 or 421: the sender writes Host, and a server that gets proofs for itself could use them here"},
		{Name: "proof-forwarded-host", Section: "RFC 7239, section 8.1", Severity: High, needs: needsKey,
			Title: "a proof for another host, which forwarded headers name", Want: "401: such headers count if a proxy has set them",
			run: forwardedHost},
		{Name: "proof-forwarded-path", Section: "RFC 7239, section 8.1", Severity: High, needs: needsKey,
			Title: "a proof for another path, which rewriting headers name", Want: "401", run: forwardedPath},
	}
}

func pathPart(s *session) verdict {
	path := s.url.EscapedPath()
	return s.refused(
		variant{"longer", func(c *call) { c.proof.claims = map[string]any{"htu": s.resource(path + "-popauth-probe")} }},
		variant{"deeper", func(c *call) {
			c.proof.claims = map[string]any{"htu": s.resource(strings.TrimSuffix(path, "/") + "/popauth-probe")}
		}},
		variant{"no path", func(c *call) {
			if path == "/" {
				c.proof = nil
				return
			}
			c.proof.claims = map[string]any{"htu": s.resource("")}
		}},
	)
}

func hostPart(s *session) verdict {
	var all []variant
	for _, host := range []string{s.url.Hostname() + ".other.example", "other-" + s.url.Hostname(), s.url.Host + "@other.example"} {
		all = append(all, variant{host, func(c *call) {
			c.proof.claims = map[string]any{"htu": s.url.Scheme + "://" + host + s.url.EscapedPath()}
		}})
	}
	return s.refused(all...)
}

const elsewhereHost = "other.example"

func proofHostHeader(s *session) verdict {
	return s.refused(
		variant{"Host", func(c *call) { s.forHost(c); c.host = elsewhereHost }},
		variant{"Host and the request line", func(c *call) {
			s.forHost(c)
			c.host, c.target = elsewhereHost, s.url.Scheme+"://"+elsewhereHost+c.target
		}},
		variant{"a second Host", func(c *call) { s.forHost(c); c.host += "\r\nHost: " + elsewhereHost }},
		variant{"the request line", func(c *call) {
			s.forHost(c)
			c.target = s.url.Scheme + "://" + elsewhereHost + c.target
		}},
	)
}

func (s *session) forHost(c *call) {
	c.proof.claims = map[string]any{"htu": s.url.Scheme + "://" + elsewhereHost + s.url.EscapedPath()}
}

func forwardedHost(s *session) verdict {
	var all []variant
	for name, value := range map[string]string{
		"X-Forwarded-Host": elsewhereHost, "X-Original-Host": elsewhereHost, "X-Host": elsewhereHost, "X-Forwarded-Server": elsewhereHost,
		"Forwarded": "host=" + elsewhereHost + ";proto=" + s.url.Scheme,
	} {
		all = append(all, variant{name, func(c *call) { s.forHost(c); c.add(name, value) }})
	}
	return s.refused(all...)
}

func forwardedPath(s *session) verdict {
	var all []variant
	for _, name := range []string{"X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Original-URI", "X-Forwarded-Prefix",
		"X-Forwarded-Path"} {
		all = append(all, variant{name, func(c *call) {
			c.proof.claims = map[string]any{"htu": s.resource("/popauth-probe")}
			c.add(name, "/popauth-probe")
		}})
	}
	return s.refused(append(all, variant{"X-Forwarded-Prefix before the path", func(c *call) {
		c.proof.claims = map[string]any{"htu": s.resource("/popauth-probe" + s.url.EscapedPath())}
		c.add("X-Forwarded-Prefix", "/popauth-probe")
	}})...)
}
