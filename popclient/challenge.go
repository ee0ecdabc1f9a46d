package popclient

import "strings"

// challenge is one of those in WWW-Authenticate (RFC 9110, section 11.6.1).
type challenge struct {
	scheme string
	params map[string]string // by name in lower case; the first of each
}

// wantsNonce tells whether one of these field lines has a challenge by which an API asks for a nonce (RFC 9449,
// section 9).
func wantsNonce(lines []string) bool { return challenges(lines, scheme, useNonce) }

// challenges tells whether one of these field lines has a challenge of the scheme with the error.
func challenges(lines []string, scheme, code string) bool {
	for _, line := range lines {
		for _, c := range readChallenges(line) {
			if strings.EqualFold(c.scheme, scheme) && c.params["error"] == code {
				return true
			}
		}
	}
	return false
}

// readChallenges reads up to the first error of syntax: servers make them, most of them behind what counts here.
func readChallenges(line string) []challenge {
	var read []challenge
	s := scanner{rest: line}
	for {
		s.skip(" \t,")
		if s.param(read) {
			continue
		}
		name := s.token()
		if name == "" {
			return read
		}
		read = append(read, challenge{name, map[string]string{}})
		if s.end() {
			continue
		}
		if s.skip(" ") == 0 {
			return read
		}
		if !s.param(read) && !s.token68() {
			return read
		}
	}
}

// scanner holds what has not been read yet.
type scanner struct{ rest string }

// skip takes off all leading characters of the set, and tells how many.
func (s *scanner) skip(set string) int {
	before := len(s.rest)
	s.rest = strings.TrimLeft(s.rest, set)
	return before - len(s.rest)
}

// end tells whether a list element ends here.
func (s *scanner) end() bool {
	rest := strings.TrimLeft(s.rest, " \t")
	return rest == "" || rest[0] == ','
}

// param reads an auth-param into the last of the challenges. Without a challenge it would be nobody's.
func (s *scanner) param(read []challenge) bool {
	if len(read) == 0 {
		return false
	}
	try := *s
	name := strings.ToLower(try.token())
	try.skip(" \t")
	if name == "" || !strings.HasPrefix(try.rest, "=") {
		return false
	}
	try.rest = try.rest[1:]
	try.skip(" \t")
	value, ok := try.value()
	if !ok {
		return false
	}
	params := read[len(read)-1].params
	if _, twice := params[name]; !twice {
		params[name] = value
	}
	if !try.end() {
		try.rest = "" // nothing behind it can be told apart
	}
	*s = try
	return true
}

// value reads a token or a quoted-string (RFC 9110, section 5.6.4).
func (s *scanner) value() (string, bool) {
	if !strings.HasPrefix(s.rest, `"`) {
		v := s.token()
		return v, v != ""
	}
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.rest = s.rest[i+1:]
			return b.String(), true
		case '\\':
			if i++; i == len(s.rest) {
				return "", false
			}
			b.WriteByte(s.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

func (s *scanner) token() string {
	return s.take(func(c rune) bool { return alphanumeric(c) || strings.ContainsRune("!#$%&'*+-.^_`|~", c) })
}

// token68 takes the place of the parameters in a challenge. What it says is for other schemes.
func (s *scanner) token68() bool {
	taken := s.take(func(c rune) bool { return alphanumeric(c) || strings.ContainsRune("-._~+/=", c) })
	return taken != "" && s.end()
}

func (s *scanner) take(in func(rune) bool) string {
	end := strings.IndexFunc(s.rest, func(c rune) bool { return !in(c) })
	if end < 0 {
		end = len(s.rest)
	}
	taken := s.rest[:end]
	s.rest = s.rest[end:]
	return taken
}

func alphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
