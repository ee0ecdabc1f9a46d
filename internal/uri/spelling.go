package uri

import (
	"regexp"
	"strings"
)

// Plain spells an escaped path as net/url writes it, but for encoded slashes, which stay encoded: so routers that compare
// the escaped path see no other encoding, and none of them sees a slash that nobody has sent.
func Plain(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		c, plain := path[i], path[i] != '%'
		if !plain {
			var ok bool
			if c, ok = unescape(path[i:]); !ok {
				return path
			}
			i += 2
		}
		if escapes(c) || c == '/' && !plain {
			writeEscape(&b, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// HasEncodedSlash tells whether an escaped path has a slash that is not one between two segments.
func HasEncodedSlash(path string) bool {
	return strings.Contains(path, "%2F") || strings.Contains(path, "%2f")
}

// Sendable escapes the characters that net/url doesn't take in a URL.RawPath, which it would drop for one of them. All
// else stays as it is. Path gives both the same normal form.
func Sendable(path string) string {
	i := 0
	for i < len(path) && (path[i] == '%' || taken(path[i])) {
		i++
	}
	if i == len(path) {
		return path
	}
	var b strings.Builder
	b.WriteString(path[:i])
	for ; i < len(path); i++ {
		if path[i] == '%' || taken(path[i]) {
			b.WriteByte(path[i])
		} else {
			writeEscape(&b, path[i])
		}
	}
	return b.String()
}

// taken tells whether net/url takes c unescaped in a URL.RawPath.
func taken(c byte) bool { return unreserved(c) || strings.IndexByte("!$&'()*+,;=:@[]/", c) >= 0 }

// Shown is what a log may have of a URI or a request target, whatever it is: no query and no fragment, which may hold a token,
// also where their mark is encoded, and of an authority no userinfo, which holds a password.
func Shown(target string) string {
	if from, _, ok := Mark(target); ok {
		target = target[:from]
	}
	at := strings.LastIndexByte(target, '@')
	slashes := strings.Index(target, "//")
	switch {
	case at < 0 || target[0] == '/' && slashes != 0: // @ is a character of paths, too
		return target
	case slashes >= 0 && slashes < at:
		return target[:slashes+2] + "..." + target[at:]
	}
	return "..." + target[at:]
}

var mark = regexp.MustCompile(`[?#]|%(25)*(3[Ff]|23)`)

// Mark tells where the mark of a query or a fragment stands, encoded or not; false if there is none.
func Mark(target string) (from, to int, ok bool) {
	if at := mark.FindStringIndex(target); at != nil {
		return at[0], at[1], true
	}
	return 0, 0, false
}
