// Package uri compares http and https URIs as RFC 9449, section 4.3, wants it: after the syntax-based and
// scheme-based normalisation of RFC 3986, sections 6.2.2 and 6.2.3, and without query and fragment. It works on the
// text as it was sent: a browser's URL parser would repair errors, and a decoded path no longer shows which slashes
// were encoded.
package uri

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// ErrSyntax is the error of this package. It never quotes what was read: the text may end in a log.
var ErrSyntax = errors.New("not a usable http or https URI")

var errNoURL = errors.New("not a URL")

// baseError is what is wrong with the URL of a configuration.
type baseError struct{ redacted, problem string }

func (e *baseError) Error() string { return strconv.Quote(e.redacted) + " " + e.problem }

// Normalize returns the normal form of an absolute http or https URI, without query and fragment.
func Normalize(s string) (string, error) {
	s, _, _ = strings.Cut(s, "#")
	s, _, _ = strings.Cut(s, "?")
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return "", ErrSyntax
	}
	end := strings.IndexByte(rest, '/')
	if end < 0 {
		end = len(rest)
	}
	return Join(scheme, rest[:end], rest[end:])
}

// Join returns the normal form of the URI that has these parts. The path is an escaped one; an empty path is "/".
func Join(scheme, authority, path string) (string, error) {
	scheme = lower(scheme)
	authority, err := Authority(scheme, authority)
	if err != nil {
		return "", err
	}
	if path == "" {
		path = "/" // RFC 3986, section 6.2.3
	}
	if path, err = Path(path); err != nil {
		return "", err
	}
	return scheme + "://" + authority + path, nil
}

// Authority returns the normal form of a host with an optional port. There is none for userinfo, which RFC 9110,
// section 4.2.4, calls an error, and none for what no DNS name or address has, so that nothing in a Host header can
// be mistaken for a path.
func Authority(scheme, s string) (string, error) {
	var standard uint64
	switch scheme {
	case "http":
		standard = 80
	case "https":
		standard = 443
	default:
		return "", ErrSyntax
	}
	host, port, err := split(s)
	if err != nil {
		return "", err
	}
	if port == "" {
		return host, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", ErrSyntax
	}
	if n == standard {
		return host, nil
	}
	return host + ":" + strconv.FormatUint(n, 10), nil
}

// split takes the port off and normalises the host.
func split(s string) (host, port string, err error) {
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || s[end+1:] != "" && s[end+1] != ':' {
			return "", "", ErrSyntax
		}
		a, err := netip.ParseAddr(s[1:end])
		if err != nil || !a.Is6() || a.Zone() != "" {
			return "", "", ErrSyntax
		}
		return "[" + a.String() + "]", strings.TrimPrefix(s[end+1:], ":"), nil
	}
	host, port, _ = strings.Cut(s, ":")
	if host == "" || strings.ContainsFunc(host, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') && !strings.ContainsRune("-._~", c)
	}) {
		return "", "", ErrSyntax
	}
	return lower(host), port, nil
}

// Path returns the normal form of an absolute escaped path: what needs no escape has none, escapes are in upper case,
// dot segments are gone. Characters that a URI can't have, but that are sent nevertheless, count as if escaped.
func Path(s string) (string, error) {
	if !strings.HasPrefix(s, "/") {
		return "", ErrSyntax
	}
	s, err := escaped(s)
	if err != nil {
		return "", err
	}
	return removeDots(s), nil
}

func escaped(s string) (string, error) {
	if plain(s) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", ErrSyntax
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", ErrSyntax
			}
			i += 2
			if c = byte(n); unreserved(c) {
				b.WriteByte(c)
			} else {
				writeEscape(&b, c)
			}
			continue
		}
		switch {
		case unreserved(c), strings.IndexByte("!$&'()*+,;=:@/", c) >= 0:
			b.WriteByte(c)
		case c <= ' ' || c == 0x7f:
			return "", ErrSyntax
		default:
			writeEscape(&b, c)
		}
	}
	return b.String(), nil
}

// plain tells that there is nothing to escape or to decode, as in nearly every path.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !unreserved(c) && c != '/' {
			return false
		}
	}
	return true
}

func writeEscape(b *strings.Builder, c byte) {
	const digits = "0123456789ABCDEF"
	b.WriteByte('%')
	b.WriteByte(digits[c>>4])
	b.WriteByte(digits[c&15])
}

// removeDots is RFC 3986, section 5.2.4, for an absolute path.
func removeDots(s string) string {
	if !strings.Contains(s, "/.") {
		return s
	}
	var out []string
	segments := strings.Split(s[1:], "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case ".", "..":
			if segment == ".." && len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// lower leaves all but ASCII alone: another letter that folds into one of these is a different host.
func lower(s string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, s)
}
