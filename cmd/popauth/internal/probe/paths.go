package probe

import (
	"fmt"
	"strings"
	"unicode"
)

// pathChecks ask for the owner's resource under other names, with the token of somebody who has nothing but that. A guard that
// compares paths may not know them, and the router behind it may.
func pathChecks() []Check {
	const want = "400, 401 or 404: anything but the resource"
	check := func(name, section, title string, spell func(path string) []string) Check {
		return Check{Name: name, Section: section, Severity: Critical, Title: title, Want: want, run: func(s *session) verdict {
			return s.strangePaths(spell(s.url.EscapedPath()))
		}}
	}
	const alike, target = "RFC 3986, section 6.2.2", "RFC 9112, section 3.2"
	return []Check{
		check("path-encoded-letter", "RFC 3986, section 6.2.2.2", "a letter of the path percent-encoded", encodedLetters),
		check("path-dot-segments", "RFC 3986, section 6.2.2.3", "/./ and /x/../ in the path", func(p string) []string {
			return []string{"/." + p, "/popauth-probe/.." + p, p + "/.", p + "/x/..", "/.." + p}
		}),
		check("path-encoded-dots", "RFC 3986, section 6.2.2.3", "%2e%2e in the path", func(p string) []string {
			return []string{"/%2e" + p, "/popauth-probe/%2e%2e" + p, "/popauth-probe/.%2e" + p, "/popauth-probe/%2E%2E" + p, p + "/%2e",
				p + "/x/%2e%2e"}
		}),
		check("path-encoded-slash", "RFC 3986, section 2.2", "%2f in the path", func(p string) []string {
			return []string{"/" + "%2f" + p[1:], p + "%2f", "/popauth-probe%2f.." + p, "/popauth-probe%2f%2e%2e" + p}
		}),
		check("path-double-slash", alike, "empty segments", func(p string) []string { return []string{"/" + p, "//" + p, p + "//"} }),
		check("path-backslash", alike, "backslashes for slashes", func(p string) []string {
			return []string{`\` + p[1:], "/%5c" + p[1:], `/popauth-probe\..` + p, "/popauth-probe%5c.." + p, `/\` + p[1:]}
		}),
		check("path-end", alike, "something at the end that routers cut off", func(p string) []string {
			return []string{p + "/", p + "%20", p + ".", p + "%09", p + "/%20"}
		}),
		check("path-parameters", "RFC 3986, section 3.3", "parameters in segments, which servers in Java cut off", func(p string) []string {
			return []string{p + ";x=1", p + ";", "/popauth-probe/..;" + p, "/;x" + p, "/.;" + p, p + "%3bx"}
		}),
		check("path-suffix", alike, "a suffix that names a format", func(p string) []string {
			p = strings.TrimSuffix(p, "/")
			return []string{p + ".json", p + ".css", p + ".html", p + "/.json", p + "/x.css"}
		}),
		check("path-letter-case", alike, "other letters: a path has a case", func(p string) []string {
			return []string{strings.ToUpper(p), swapFirst(p)}
		}),
		check("path-control", alike, "control characters", func(p string) []string {
			return []string{p + "%00", p + "%0a", p + "%0d%0a", p + "%00.css", p + "%ff"}
		}),
		check("path-double-encoding", "RFC 3986, section 2.4", "what is encoded, encoded again", func(p string) []string {
			return []string{"/popauth-probe/%252e%252e" + p, "/%252f" + p[1:], strings.Replace(encodedLetters(p)[0], "%", "%25", 1)}
		}),
		check("path-fragment", target, "a fragment in the request line", func(p string) []string {
			return []string{p + "#", p + "#popauth-probe", p + "%23", p + "%3f"}
		}),
		check("path-odd-url", target, "targets that are neither a path nor a URL with a host", func(p string) []string {
			return []string{"http:" + p, "http:/x:/" + p, "foo:" + p, "foo:http:/x:/" + p, "x:" + p, strings.TrimPrefix(p, "/")}
		}),
		{Name: "path-absolute", Section: "RFC 9112, section 3.2.2", Severity: Critical,
			Title: "a whole URL in the request line: this API's, and another's", Want: want, run: absoluteForms},
		{Name: "path-rewritten", Section: "RFC 9110, section 7.1", Severity: Critical,
			Title: "another path, and the resource's in a header that frameworks take for it", Want: want, run: rewrittenPaths},
		check("path-empty-authority", "RFC 9112, section 3.2.2", "a URL with an odd authority in the request line",
			func(p string) []string {
				return []string{"http:///popauth-probe/.." + p, "https://@" + p, "http://x@y" + p, "//other.example" + p}
			}),
	}
}

// strangePaths asks under each path.
func (s *session) strangePaths(paths []string) verdict {
	var all []variant
	for _, p := range paths {
		if p == s.url.EscapedPath() {
			continue
		}
		all = append(all, variant{fmt.Sprintf("%q", p), func(c *call) { c.path(p) }})
	}
	return s.judge(s.theOwners, s.stolen, all)
}

// encodedLetters encodes one letter of the path, the first and the last.
func encodedLetters(p string) []string {
	var all []string
	for _, i := range []int{strings.IndexFunc(p, unicode.IsLetter), strings.LastIndexFunc(p, unicode.IsLetter)} {
		if i < 0 || i > 1 && (p[i-1] == '%' || p[i-2] == '%') {
			continue
		}
		all = append(all, fmt.Sprintf("%s%%%02x%s", p[:i], p[i], p[i+1:]))
	}
	if len(all) == 0 {
		return []string{"/%70opauth-probe"}
	}
	return all
}

func swapFirst(p string) string {
	i := strings.IndexFunc(p, unicode.IsLetter)
	if i < 0 {
		return "/POPAUTH-PROBE"
	}
	r := rune(p[i])
	if unicode.IsUpper(r) {
		r = unicode.ToLower(r)
	} else {
		r = unicode.ToUpper(r)
	}
	return p[:i] + string(r) + p[i+1:]
}

func absoluteForms(s *session) verdict {
	var all []variant
	for _, origin := range []string{
		s.url.Scheme + "://" + s.url.Host, "http://" + s.url.Host, "https://other.example", "http://localhost",
		"HTTPS://" + s.url.Host + "/",
	} {
		all = append(all, variant{origin, func(c *call) { c.target = origin + c.target }})
	}
	return s.judge(s.theOwners, s.stolen, all)
}

func rewrittenPaths(s *session) verdict {
	var all []variant
	for _, name := range []string{"X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Original-URI", "X-Forwarded-Path",
		"X_Original_URL",
		"X~Original~URL", "X_Rewrite_URL", "X~Rewrite~URL"} {
		for _, p := range []string{"/", "/popauth-probe", s.url.EscapedPath()} {
			all = append(all, variant{name + " beside " + p, func(c *call) {
				value := s.url.RequestURI()
				if p == s.url.EscapedPath() {
					value = "/popauth-probe" // the policy may be that of a public path
				}
				c.path(p)
				c.add(name, value)
			}})
		}
	}
	return s.judge(s.theOwners, s.stolen, all)
}
