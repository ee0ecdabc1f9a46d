package uri

import (
	"net/url"
	"strings"
)

// Rule names what gives an escaped path more than one reading. None is the empty Rule.
type Rule string

// The rules that a path can break.
const (
	NotAPath      Rule = "path that does not begin with a slash"
	Forbidden     Rule = "character that no path has"
	Backslash     Rule = "backslash"
	BadEscape     Rule = "invalid percent-encoding"
	Control       Rule = "encoded control character"
	DoubleEscape  Rule = "encoded percent sign before two hexadecimal digits"
	DotSegment    Rule = "dot segment"
	EmptySegment  Rule = "empty segment"
	EncodedSlash  Rule = "encoded slash"
	PathParameter Rule = "path parameter"
	OtherEncoding Rule = "percent-encoding other than net/url's own"
)

// Allowed opens some of the rules.
type Allowed struct{ EncodedSlash, EmptySegment, PathParameter, OtherEncoding bool }

// Reading returns the rule that makes programs read an escaped path differently, and the place in it; "" if all read
// one path. Some compare the escaped path and others the decoded one, some remove dot segments or empty ones, some take
// a backslash for a slash, some cut a segment at a semicolon, some decode twice. net/url keeps the escaped path
// (URL.RawPath) unless it is what it writes itself, and a router that finds one compares that: hence a path is escaped as
// net/url escapes it, or not at all. Beside an encoded slash net/url keeps every escaped path, but writes another one for a
// path with a character that it doesn't take there: that would make the slash a plain one.
func Reading(path string, allowed Allowed) (rule Rule, at int) {
	if !strings.HasPrefix(path, "/") {
		return NotAPath, 0
	}
	other, escape, bare, untaken, slash := -1, -1, -1, -1, false
	for i := 0; i < len(path); i++ {
		if unreserved(path[i]) { // no rule is about these
			continue
		}
		at, c, plain := i, path[i], path[i] != '%'
		if !plain {
			var ok bool
			if c, ok = unescape(path[i:]); !ok {
				return BadEscape, i
			}
			i += 2
		}
		switch rest := path[i+1:]; {
		case c == '/':
			if !plain && !allowed.EncodedSlash {
				return EncodedSlash, at
			}
			slash = slash || !plain
			if !allowed.EmptySegment && rest != "" && (rest[0] == '/' || hasEscape(rest, '/')) {
				return EmptySegment, at
			}
			if isDotSegment(rest) {
				return DotSegment, at
			}
		case c == '\\':
			return Backslash, at
		case plain && (c <= ' ' || c == 0x7f || c == '#' || c == '?'):
			return Forbidden, at
		case c < ' ' || c == 0x7f:
			return Control, at
		case c == ';' && !allowed.PathParameter:
			return PathParameter, at
		case plain:
			if bare < 0 && escapes(c) {
				bare = at
			}
			if untaken < 0 && !taken(c) {
				untaken = at
			}
		case c == '%' && startsWithHex(rest):
			return DoubleEscape, at
		default:
			if escape < 0 {
				escape = at
			}
			if other < 0 && (!escapes(c) || lowerHex(path[i-1]) || lowerHex(path[i])) {
				other = at
			}
		}
	}
	if other < 0 && slash {
		other = untaken
	}
	if other < 0 && escape >= 0 && bare >= 0 { // one escape makes net/url keep the escaped path, if it would escape this too
		other = bare
	}
	if other >= 0 && !allowed.OtherEncoding {
		return OtherEncoding, other
	}
	return "", 0
}

// startsWithHex tells whether s begins with two hexadecimal digits, plain or encoded: whoever decodes twice sees both.
func startsWithHex(s string) bool {
	for range 2 {
		switch c, ok := byte(0), false; {
		case s == "":
			return false
		case s[0] == '%':
			if c, ok = unescape(s); !ok || !isHex(c) {
				return false
			}
			s = s[3:]
		case !isHex(s[0]):
			return false
		default:
			s = s[1:]
		}
	}
	return true
}

// isDotSegment tells whether the first segment of s is . or .., plain or encoded, with or without the parameters that
// servlet containers cut off (..;x).
func isDotSegment(s string) bool {
	for n := 0; ; n++ {
		switch {
		case s == "" || s[0] == '/' || s[0] == ';' || hasEscape(s, ';') || hasEscape(s, '/') || hasEscape(s, '\\') || s[0] == '\\':
			return n == 1 || n == 2
		case s[0] == '.':
			s = s[1:]
		case hasEscape(s, '.'):
			s = s[3:]
		default:
			return false
		}
	}
}

func hasEscape(s string, want byte) bool {
	if s[0] != '%' {
		return false
	}
	c, ok := unescape(s)
	return ok && c == want
}

func unescape(s string) (byte, bool) {
	if len(s) < 3 || !isHex(s[1]) || !isHex(s[2]) {
		return 0, false
	}
	return unhex(s[1])<<4 | unhex(s[2]), true
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

func lowerHex(c byte) bool { return 'a' <= c && c <= 'f' }

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// escapes tells whether net/url escapes c in a path (url.URL.EscapedPath).
func escapes(c byte) bool {
	switch c { // faster than a search in a string, of which a stranger's path makes one for each escape
	case '$', '&', '+', ',', '/', ':', ';', '=', '@':
		return false
	}
	return !unreserved(c)
}

// Rest returns the part of an escaped path, as it stands in a request line, that u is: all of it, or what is left
// behind a prefix of whole segments, as http.StripPrefix leaves it. kept is false if u has lost the escaped path that
// net/url keeps of such a line, or has that of Plain, and fits if u is something else.
func Rest(path string, u *url.URL) (rest string, kept, fits bool) {
	if u.RawPath != "" && u.RawPath != u.Path {
		if prefix, ok := strings.CutSuffix(path, u.RawPath); ok && whole(prefix, u.RawPath) && Decodes(u.RawPath, u.Path) {
			return u.RawPath, true, true
		}
		rest, _, fits = behind(path, u.Path)
		return rest, false, fits && Plain(rest) == u.RawPath
	}
	return behind(path, u.Path)
}

// behind is Rest by the decoded path.
func behind(path, plain string) (rest string, kept, fits bool) {
	if path == plain && strings.IndexByte(path, '%') < 0 { // as most are
		return path, true, true
	}
	kept = true
	at := len(path)
	for n := len(plain); n > 0; n-- {
		switch {
		case at >= 3 && path[at-3] == '%':
			at -= 3
			if c, _ := unescape(path[at:]); !escapes(c) {
				kept = false
			}
		case at >= 1:
			at--
		default:
			return "", kept, false
		}
	}
	return path[at:], kept, whole(path[:at], plain) && Decodes(path[at:], plain)
}

// whole tells that a cut is at the border of a segment.
func whole(prefix, rest string) bool {
	return prefix == "" || rest == "" || rest[0] == '/' || prefix[len(prefix)-1] == '/'
}

// Decodes tells whether an escaped path decodes to plain.
func Decodes(path, plain string) bool {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			var ok bool
			if c, ok = unescape(path[i:]); !ok {
				return false
			}
			i += 2
		}
		if plain == "" || plain[0] != c {
			return false
		}
		plain = plain[1:]
	}
	return plain == ""
}
