package probe

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
)

// loggedIn are headers by which gateways tell an API who has logged in.
var loggedIn = []string{
	"Remote-User", "X-Remote-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Auth-Request-User",
	"X-Auth-Request-Email", "X-Auth-User", "X-Auth-Subject", "X-Auth-Issuer", "X-Auth-Client", "X-Auth-Scope", "X-Authenticated-User",
	"X-User", "X-User-Id", "X-WebAuth-User", "X-Consumer-Username", "X-Consumer-Id", "X-Userinfo", "X-Client-Id",
	"X-Goog-Authenticated-User-Email",
	"X-MS-Client-Principal-Name", "X-Amzn-Oidc-Identity", "X-Token-Subject", "X-JWT-Claim-Sub",
}

// elsewhere are headers in which some APIs look for a token.
var elsewhere = []string{
	"X-Authorization", "X-Forwarded-Authorization", "Proxy-Authorization", "X-Access-Token", "X-Auth-Token", "X-Forwarded-Access-Token",
	"X-Amzn-Oidc-Accesstoken", "Access-Token", "X-API-Key",
}

func credentialChecks() []Check {
	return []Check{
		{Name: "no-token", Section: "RFC 6750, section 3", Severity: Critical, Title: "no token, with the owner's certificate or key",
			Want: "401", run: refuse(func(_ *session, c *call) { c.without() })},
		{Name: "no-credentials", Section: "RFC 6750, section 3", Severity: Critical, Title: "neither token nor certificate nor proof",
			Want: "401", run: refuse(func(_ *session, c *call) { c.without(); c.proof, c.link.certificate = nil, nil })},
		{Name: "empty-token", Section: "RFC 6750, section 2.1", Severity: Critical, Title: "the scheme with an empty token, or with none",
			Want: "400 or 401", run: emptyToken},
		{Name: "garbage-token", Section: "RFC 6750, section 3.1", Severity: Critical, Title: "a token that nobody has issued",
			Want: "401, invalid_token", run: refuse(func(_ *session, c *call) { c.token = "popauth-probe-" + rand.Text() })},
		{Name: "identity-headers", Section: "RFC 9110, section 11.6.2", Severity: Critical, needs: anything,
			Title: "no token, and the headers by which gateways name the user", Want: "401, whoever is named", run: identityHeaders},
		{Name: "head-no-token", Section: "RFC 9110, section 9.3.2", Severity: High, Title: "HEAD without a token",
			Want: "what GET is answered", run: head(func(c *call) { c.without() })},
		{Name: "head-stolen", Section: "RFC 9110, section 9.3.2", Severity: High,
			Title: "HEAD with the token, without certificate and proof", Want: "what GET is answered",
			run: head(func(c *call) { c.proof, c.link.certificate = nil, nil })},
		{Name: "method-override", Section: "RFC 9110, section 9.3.7", Severity: High,
			Title: "no token, in a GET that a header calls OPTIONS or HEAD", Want: "401", run: methodOverride},
		{Name: "other-methods", Section: "RFC 9110, section 9.1", Severity: High,
			Title: "the token without certificate and proof, by each further method that --allow-methods names", Want: "401",
			run: otherMethods},
		{Name: "scheme-unknown", Section: "RFC 9110, section 11.4", Severity: Medium,
			Title: "the owner's request under schemes that carry no such token", Want: "401", run: unknownSchemes},
		{Name: "scheme-letter-case", Section: "RFC 9110, section 11.1", Severity: Info, Title: "the owner's scheme in other letters",
			Want: "what the owner is answered: a scheme has no letter case", run: schemeLetterCase},
		{Name: "authorization-twice", Section: "RFC 9110, section 5.3", Severity: Medium,
			Title: "two Authorization lines, one of them the owner's", Want: "400: programs differ in which one counts", run: twoLines},
		{Name: "authorization-list", Section: "RFC 9110, section 11.6.2", Severity: Medium,
			Title: "two credentials in one Authorization line", Want: "400 or 401", run: twoInOne},
		{Name: "token-in-query", Section: "RFC 9700, section 4.3.2", Severity: Medium, Title: "the owner's token in the query alone",
			Want: "401: what is in a URL is in logs and histories", run: inQuery},
		{Name: "token-in-body", Section: "RFC 6750, section 2.2", Severity: Medium, Title: "the owner's token in the body of a GET",
			Want: "401: a form is for methods that have one", run: inBody},
		{Name: "token-in-cookie", Section: "RFC 6750, section 2", Severity: Medium, Title: "the owner's token in cookies",
			Want: "401: browsers send cookies by themselves", run: inCookie},
		{Name: "token-in-header", Section: "RFC 6750, section 2", Severity: Low,
			Title: "the owner's token in headers other than Authorization",
			Want:  "401: what cleans Authorization doesn't clean these", run: inHeaders},
		{Name: "two-tokens", Section: "RFC 6750, section 2", Severity: Medium, Title: "the owner's token, and another in the query",
			Want: "400, or the one in Authorization decides: here the one in the query is the owner's", run: twoTokens},
	}
}

func emptyToken(s *session) verdict {
	scheme := s.owner().scheme
	return s.refused(
		variant{"the scheme alone", func(c *call) { c.instead(scheme) }},
		variant{"a space behind it", func(c *call) { c.instead(scheme + " ") }},
		variant{"an empty value", func(c *call) { c.instead("") }},
		variant{"null", func(c *call) { c.token = "null" }},
		variant{"undefined", func(c *call) { c.token = "undefined" }},
	)
}

func identityHeaders(s *session) verdict {
	var all []variant
	for _, value := range []string{"admin", s.subject()} {
		all = append(all, variant{"all of them", func(c *call) {
			c.without()
			for _, name := range loggedIn {
				c.add(name, value)
			}
		}})
	}
	for _, name := range loggedIn { // one alone, for APIs that refuse those that a gateway never sends together
		all = append(all, variant{name, func(c *call) { c.without(); c.add(name, "admin") }})
	}
	return s.refused(all...)
}

// subject is whom the token is for.
func (s *session) subject() string {
	if s.token != nil {
		if sub, ok := s.token.claims["sub"].(string); ok && !strings.ContainsAny(sub, "\r\n") {
			return sub
		}
	}
	return "owner"
}

// head sends HEAD. An API that doesn't know the method, or whose refusals look like answers, can't be judged by it.
func head(change func(*call)) func(*session) verdict {
	return func(s *session) verdict {
		if a := s.answerTo("no token", func(c *call) { c.without() }); a.status < 300 && a.err == nil && !s.accepted(a) {
			return unclear("a refusal has the status %d, so that one without a body can't be told from an answer", a.status)
		}
		return s.refused(variant{"", func(c *call) { c.method = http.MethodHead; change(c) }})
	}
}

func methodOverride(s *session) verdict {
	var all []variant
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override",
		"X~HTTP~Method~Override"} {
		for _, method := range []string{http.MethodOptions, http.MethodHead} {
			all = append(all, variant{name + ": " + method, func(c *call) { c.without(); c.add(name, method) }})
		}
	}
	return s.refused(all...)
}

func otherMethods(s *session) verdict {
	if len(s.options.Methods) == 0 {
		return skipped("GET and HEAD only: no other method was allowed")
	}
	var all []variant
	for _, method := range s.options.Methods {
		if method == http.MethodOptions { // a preflight comes without credentials
			all = append(all, variant{method, func(c *call) { c.without(); c.method = method }})
			continue
		}
		all = append(all, variant{method, func(c *call) { c.method, c.proof, c.link.certificate = method, nil, nil }})
	}
	return s.judge(func(a answer) bool { return s.accepted(a) && len(a.body) > 0 || a.status == http.StatusCreated }, s.owner, all)
}

func unknownSchemes(s *session) verdict {
	var all []variant
	for _, scheme := range []string{"Token", "JWT", "Basic", "OAuth", "PoP", "MAC"} {
		all = append(all, variant{scheme, func(c *call) { c.scheme = scheme }})
	}
	return s.refused(append(all, variant{"no scheme", func(c *call) { c.instead(c.token) }})...)
}

func schemeLetterCase(s *session) verdict {
	for _, change := range []func(string) string{strings.ToLower, strings.ToUpper} {
		c := s.owner()
		c.scheme = change(c.scheme)
		if a := s.send(c); !s.accepted(a) {
			return found("%s: %s", c.scheme, a.outcome())
		}
	}
	return passed()
}

func twoLines(s *session) verdict {
	return s.refused(
		variant{"the owner's first", func(c *call) { c.instead(c.scheme+" "+c.token, "Bearer popauth-probe") }},
		variant{"the owner's last", func(c *call) { c.instead("Bearer popauth-probe", c.scheme+" "+c.token) }},
		variant{"the same twice", func(c *call) { c.instead(c.scheme+" "+c.token, c.scheme+" "+c.token) }},
	)
}

func twoInOne(s *session) verdict {
	return s.refused(
		variant{"the owner's first", func(c *call) { c.instead(c.scheme + " " + c.token + ", Bearer popauth-probe") }},
		variant{"the owner's last", func(c *call) { c.instead("Bearer popauth-probe, " + c.scheme + " " + c.token) }},
		variant{"two tokens", func(c *call) { c.instead(c.scheme + " " + c.token + " popauth-probe") }},
	)
}

// withQuery adds to the query.
func (c *call) withQuery(name, value string) {
	sep := "?"
	if strings.Contains(c.target, "?") {
		sep = "&"
	}
	c.target += sep + name + "=" + url.QueryEscape(value)
}

func inQuery(s *session) verdict {
	var all []variant
	for _, name := range []string{"access_token", "token", "bearer_token", "authorization"} {
		all = append(all, variant{name, func(c *call) { c.without(); c.withQuery(name, c.token) }})
	}
	return s.refused(append(all, variant{"access_token, without certificate and proof", func(c *call) {
		c.without()
		c.withQuery("access_token", c.token)
		c.proof, c.link.certificate = nil, nil
	}})...)
}

func inBody(s *session) verdict {
	var all []variant
	for _, method := range append([]string{http.MethodGet}, s.options.Methods...) {
		all = append(all, variant{method, func(c *call) {
			c.without()
			c.method, c.body = method, url.Values{"access_token": {c.token}}.Encode()
			c.add("Content-Type", "application/x-www-form-urlencoded")
		}})
	}
	return s.refused(all...)
}

func inCookie(s *session) verdict {
	var all []variant
	for _, name := range []string{"access_token", "token", "Authorization", "jwt", "session"} {
		all = append(all, variant{name, func(c *call) { c.without(); c.add("Cookie", name+"="+c.token) }})
	}
	return s.refused(all...)
}

func inHeaders(s *session) verdict {
	var all []variant
	for _, name := range elsewhere {
		all = append(all,
			variant{name, func(c *call) { c.without(); c.add(name, c.scheme+" "+c.token) }},
			variant{name + ", without a scheme", func(c *call) { c.without(); c.add(name, c.token) }})
	}
	return s.refused(all...)
}

func twoTokens(s *session) verdict {
	return s.refused(variant{"", func(c *call) {
		own := c.token
		c.instead(c.scheme + " popauth-probe")
		c.withQuery("access_token", own)
	}})
}
