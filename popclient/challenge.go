package popclient

import "strings"

// maxChallenges bounds what is read of all WWW-Authenticate lines of one answer, in bytes: a server may send megabytes.
const maxChallenges = 16 << 10

// wantsNonce tells whether one of these field lines has a challenge by which an API asks for a nonce (RFC 9449,
// section 9).
func wantsNonce(lines []string) bool { return challenges(lines, scheme, useNonce) }

// challenges tells whether one of these field lines has a challenge (RFC 9110, section 11.6.1) of the scheme with the
// error, the first of its parameters of this name. Nothing is kept of what is read.
func challenges(lines []string, scheme, code string) bool {
	left := maxChallenges
	for _, line := range lines {
		if len(line) > left {
			// What ends at a comma is whole. One inside of quotes leaves a quoted-string without an end, which is none.
			line = line[:strings.LastIndexByte(line[:left], ',')+1]
			left = 0
		}
		left -= len(line)
		if search(line, scheme, code) {
			return true
		}
		if left <= 0 {
			return false
		}
	}
	return false
}

// search reads up to the first error of syntax: servers make them, most of them behind what counts here.
func search(line, scheme, code string) bool {
	s := scanner{rest: line}
	for {
		s.skip(" \t,")
		if s.param() {
			continue
		}
		// The challenge before has all its parameters.
		if s.found(scheme, code) {
			return true
		}
		if s.scheme = s.token(); s.scheme == "" {
			return false
		}
		s.code, s.coded = "", false
		if s.end() {
			continue
		}
		if s.skip(" ") == 0 || !s.param() && !s.token68() {
			return false
		}
	}
}

// scanner holds what has not been read yet, and the challenge that is being read.
type scanner struct {
	rest   string
	scheme string // "" before the first challenge
	code   string // its error
	coded  bool   // it has one
}

func (s *scanner) found(scheme, code string) bool {
	return s.coded && s.code == code && strings.EqualFold(s.scheme, scheme)
}

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

// param reads an auth-param of the challenge. Without a challenge it would be nobody's. Behind a space there may be
// another without a comma, as gateways write them.
func (s *scanner) param() bool {
	if s.scheme == "" {
		return false
	}
	read := false
	for {
		name, value, rest, ok := s.nameAndValue()
		if !ok {
			break
		}
		read = true
		if strings.EqualFold(name, "error") && !s.coded {
			s.code, s.coded = value, true
		}
		if s.rest = rest; s.end() {
			return true
		}
		if s.skip(" \t") == 0 {
			break
		}
	}
	if read {
		s.rest = "" // nothing behind it can be told apart
	}
	return read
}

func (s *scanner) nameAndValue() (name, value, rest string, ok bool) {
	try := scanner{rest: s.rest}
	name = try.token()
	try.skip(" \t")
	if name == "" || !strings.HasPrefix(try.rest, "=") {
		return "", "", "", false
	}
	try.rest = try.rest[1:]
	try.skip(" \t")
	value, ok = try.value()
	return name, value, try.rest, ok
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
