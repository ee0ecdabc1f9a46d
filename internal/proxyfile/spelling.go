package proxyfile

import "strings"

// anySeparator matches what some program takes for a hyphen of a header's name, as field.Fold does; otherSeparator all of these but
// the hyphen.
const (
	anySeparator   = "[^a-z0-9]"
	otherSeparator = "[^a-z0-9-]"
)

// Overrides are the headers that frameworks take for the method or the path.
func Overrides() []string {
	return []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"}
}

// Spellings is a regular expression, in lower case, for all names that some program takes for name.
func Spellings(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "-", anySeparator)
}

// OtherSpellings is Spellings, without name itself in any case. It is for programs without lookahead, such as those of RE2: each
// alternative has its first other separator at another place.
func OtherSpellings(name string) string {
	words := strings.Split(strings.ToLower(name), "-")
	var all []string
	for i := 1; i < len(words); i++ {
		all = append(all, strings.Join(words[:i], "-")+otherSeparator+strings.Join(words[i:], anySeparator))
	}
	return strings.Join(all, "|")
}
