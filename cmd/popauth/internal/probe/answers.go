package probe

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"strings"
	"syscall"
)

// answerChecks look at what an answer gives away.
func answerChecks() []Check {
	return []Check{
		{Name: "server-error", Section: "RFC 9110, section 15.6.1", Severity: Medium, Title: "credentials that can't be read",
			Want: "400 or 401: an error of the server's is a bug that somebody can reach", run: serverError},
		{Name: "still-up", Section: "RFC 9110, section 15.6.1", Severity: High,
			Title: "odd request lines without credentials, and then the owner",
			Want:  "what the owner was answered before: a request that ends the program ends it for all", run: stillUp},
		{Name: "stack-trace", Section: "RFC 9110, section 17.14", Severity: Low, Title: "the inside of the program in an answer",
			Want: "none", run: stackTrace},
		{Name: "reflect-token", Section: "RFC 6750, section 5.3", Severity: Medium, Title: "the token or the proof in a refusal",
			Want: "nothing of it: refusals are in logs and on screens", run: reflectToken},
		{Name: "reflect-challenge", Section: "RFC 6750, section 3", Severity: Medium, Title: "what was sent, in WWW-Authenticate",
			Want: "nothing of it", run: reflectChallenge},
		{Name: "reflect-header", Section: "RFC 9112, section 11.1", Severity: High,
			Title: "an encoded line break in the query and the path",
			Want:  "no header that the sender has written", run: reflectHeader},
		{Name: "reflect-html", Section: "RFC 9110, section 17.3", Severity: Medium, Title: "markup in path and query",
			Want: "no page that has it", run: reflectHTML},
		{Name: "cache-public", Section: "RFC 9111, section 3.5", Severity: Medium, Title: "Cache-Control of the owner's answer",
			Want: "neither public nor s-maxage: shared caches would give it to others", run: cachePublic},
		{Name: "cache-refusal", Section: "RFC 9111, section 3", Severity: Low, Title: "Cache-Control of a refusal",
			Want: "nothing that lets a cache keep it", run: cacheRefusal},
	}
}

func serverError(s *session) verdict {
	long := strings.Repeat("A", 4096)
	values := map[string]string{
		"three dots": "...", "base64 that is no JSON": "AAAA.AAAA.AAAA",
		"numbers for objects": encode([]byte("1")) + "." + encode([]byte("2")) + ".AAAA",
		"an empty header":     encode([]byte("{}")) + "." + encode([]byte("{}")) + ".", "five parts": "AAAA.AAAA.AAAA.AAAA.AAAA",
		"alg that is no text": encode([]byte(`{"alg":[]}`)) + "." + encode([]byte("{}")) + ".AAAA", "a long one": long,
		"kid that is no text": encode([]byte(`{"alg":"ES256","kid":{}}`)) + "." + encode([]byte(`{"exp":"x"}`)) + "." + long[:86],
		"bytes above ASCII":   "\xff\xfe\xfd", "percent signs": "%s%n%00",
		"null":         encode([]byte("null")) + "." + encode([]byte("null")) + ".AAAA",
		"deep nesting": encode([]byte(strings.Repeat("[", 1000))) + "." + long[:100] + ".AAAA",
	}
	var all []variant
	for name, value := range values {
		all = append(all, variant{"a token: " + name, func(c *call) { c.token = value; c.proof = nil }})
		if s.options.Key != nil {
			all = append(all, variant{"a proof: " + name, func(c *call) { c.proof, c.proofs = nil, []string{value} }})
		}
	}
	if s.token != nil {
		all = append(all, variant{"exp that is no number", func(c *call) {
			c.token = s.token.unsigned(nil, map[string]any{"exp": "x", "cnf": "x", "aud": 1, "iss": nil}, s.token.parts[2])
		}})
	}
	for _, scheme := range []string{"Basic", "Negotiate", "Digest username"} {
		all = append(all, variant{scheme, func(c *call) { c.instead(scheme + "=" + long[:50]) }})
	}
	return s.judge(func(a answer) bool { return a.status >= 500 && a.unknown() == "" }, s.owner, all).asked("answered with 5xx")
}

// stillUp sends what programs in some languages raise an exception for, outside of whatever would catch it.
func stillUp(s *session) verdict {
	for _, target := range []string{"//", "https://@/", "/%", "/%c0%af", "http://[::1", "/?%", "/" + strings.Repeat("a/", 500), "*"} {
		c := s.stolen()
		c.without()
		c.target = target
		s.send(c)
	}
	c := s.stolen()
	c.without()
	c.host = "[::1"
	s.send(c)
	if a := s.send(s.owner()); errors.Is(a.err, syscall.ECONNREFUSED) {
		return found("nobody takes connections any more")
	} else if !s.accepted(a) {
		return unclear("afterwards the owner's own request came to %s", a.outcome())
	}
	return passed()
}

// asked words a finding that isn't about who passes.
func (v verdict) asked(text string) verdict {
	v.detail = strings.Replace(v.detail, ", as the owner is", "", 1)
	if v.state == Found && v.detail == "" {
		v.detail = text
	}
	return v
}

var traces = []string{
	"Traceback (most recent call last)", "\n\tat ", "\n    at ", "goroutine 1 [", "runtime error:", "java.lang.", "org.springframework.",
	"System.Exception", "Microsoft.AspNetCore.", "node_modules/", "site-packages/", "vendor/laravel", "JsonWebTokenError", "panic: ",
	`\n    at `, `\n\tat `,
}

func stackTrace(s *session) verdict {
	s.noToken()
	s.noSuchToken()
	for _, r := range s.refusals {
		if r.trace != "" {
			return found("%s has %q", r.outcome(), strings.TrimSpace(r.trace))
		}
	}
	return passed()
}

func traceIn(body []byte) string {
	for _, t := range traces {
		if bytes.Contains(body, []byte(t)) {
			return t
		}
	}
	return ""
}

func reflectToken(s *session) verdict {
	s.answerTo("stolen", func(c *call) { c.proof, c.link.certificate = nil, nil })
	s.noSuchToken()
	for _, r := range s.refusals {
		if r.leaked {
			return found("%s repeats it", r.outcome())
		}
	}
	return passed()
}

func reflectChallenge(s *session) verdict {
	const marker = "popauthmarker"
	for name, change := range map[string]func(*call){
		"a token":     func(c *call) { c.token = marker },
		"a scheme":    func(c *call) { c.instead(marker + " x") },
		"a JWT's alg": func(c *call) { c.token = encode([]byte(`{"alg":"`+marker+`"}`)) + "." + encode([]byte("{}")) + ".AAAA" },
		"a JWT's iss": func(c *call) {
			c.token = encode([]byte(`{"alg":"ES256","kid":"`+marker+`"}`)) + "." + encode([]byte(`{"iss":"`+marker+`"}`)) + ".AAAA"
		},
		"the path":     func(c *call) { c.without(); c.path("/" + marker) },
		"X-Request-Id": func(c *call) { c.without(); c.add("X-Request-Id", marker) },
		"Origin":       func(c *call) { c.without(); c.add("Referer", "https://"+marker+".example/") },
	} {
		c := s.owner()
		change(c)
		a := s.send(c)
		for _, line := range a.header.Values("WWW-Authenticate") {
			if strings.Contains(line, marker) {
				return found("%s stands in the challenge", name)
			}
		}
	}
	return passed()
}

func reflectHeader(s *session) verdict {
	const lines = "%0d%0aX-Popauth-Probe:%201%0d%0a"
	for name, change := range map[string]func(*call){
		"the query": func(c *call) { c.without(); c.target += "?x=" + lines },
		"the path":  func(c *call) { c.without(); c.path("/popauth-probe" + lines) },
		"the owner's query": func(c *call) {
			if !strings.Contains(c.target, "?") {
				c.target += "?x=" + lines
			}
		},
	} {
		c := s.owner()
		change(c)
		if a := s.send(c); a.header.Get("X-Popauth-Probe") != "" {
			return found("%s writes a header of the answer", name)
		}
	}
	return passed()
}

func reflectHTML(s *session) verdict {
	const markup, encoded = "<popauth-probe>", "%3Cpopauth-probe%3E"
	for name, change := range map[string]func(*call){
		"the query": func(c *call) { c.without(); c.target += "?x=" + encoded },
		"the path":  func(c *call) { c.without(); c.path("/" + encoded) },
		"a token":   func(c *call) { c.token = markup },
	} {
		c := s.owner()
		change(c)
		a := s.send(c)
		kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
		if kind != "application/json" && kind != "text/plain" && !strings.HasSuffix(kind, "+json") &&
			bytes.Contains(a.body, []byte(markup)) {
			return found("%s stands in an answer of type %q", name, kind)
		}
	}
	return passed()
}

func cachePublic(s *session) verdict {
	for _, part := range directives(s.control.header) {
		if part == "public" || strings.HasPrefix(part, "s-maxage=") && part != "s-maxage=0" {
			return found("%q", part)
		}
	}
	return passed()
}

func directives(h http.Header) []string {
	var all []string
	for _, part := range strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",") {
		all = append(all, strings.ToLower(strings.TrimSpace(part)))
	}
	return all
}

func cacheRefusal(s *session) verdict {
	return s.judged(s.noToken(), func(a answer) verdict {
		for _, part := range directives(a.header) {
			if part == "public" || strings.HasPrefix(part, "s-maxage=") && part != "s-maxage=0" ||
				strings.HasPrefix(part, "max-age=") && part != "max-age=0" {
				return found("%s has %q", a.outcome(), part)
			}
		}
		return passed()
	})
}
