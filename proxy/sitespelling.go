package proxy

import (
	"fmt"
	"strings"
)

// anySeparator matches what some program takes for a hyphen of a header's name, as field.Fold does; otherSeparator all of these but
// the hyphen.
const (
	anySeparator   = "[^a-z0-9]"
	otherSeparator = "[^a-z0-9-]"
)

// spellings is a regular expression, in lower case, for all names that some program takes for name.
func spellings(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "-", anySeparator)
}

// otherSpellings is spellings, without name itself in any case. It is for programs without lookahead, such as those of RE2: each
// alternative has its first other separator at another place.
func otherSpellings(name string) string {
	words := strings.Split(strings.ToLower(name), "-")
	var all []string
	for i := 1; i < len(words); i++ {
		all = append(all, strings.Join(words[:i], "-")+otherSeparator+strings.Join(words[i:], anySeparator))
	}
	return strings.Join(all, "|")
}

// removed are the patterns of what a client may not send.
func (s Site) removed() []string {
	names := s.Format.Headers()
	if s.SecretHeader != "" {
		names = append(names, s.SecretHeader)
	}
	var all []string
	for _, name := range append(names, overridesRequest[:]...) {
		all = append(all, spellings(name))
	}
	return all
}

// reads is the call that makes the format, in Go.
func (s Site) reads(function string) string {
	f := s.Format
	var call string
	switch {
	case f.program == "rfc9440":
		return "proxy.RFC9440()"
	case len(f.verdicts) > 0:
		call = fmt.Sprintf("proxy.%s(%q, %q)", function, f.cert, f.verdicts[0])
	default:
		call = fmt.Sprintf("proxy.%s(%q, %q).WithoutVerdict()", function, f.cert, f.others[0])
	}
	if len(f.chain) > 0 {
		call += fmt.Sprintf(".WithChain(%s)", `"`+strings.Join(f.chain, `", "`)+`"`)
	}
	return call
}
