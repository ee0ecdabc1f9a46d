package proxyfile

import "strings"

// CaddyWord is an argument of a directive, quoted if need be.
func CaddyWord(text string) string {
	if IsBare(text) {
		return text
	}
	return CaddyQuoted(text)
}

// CaddyQuoted is an argument in quotes, in which a backslash takes the meaning of a quote, and can't be taken its own; or in
// backquotes, in which all but a backquote is as it is.
func CaddyQuoted(text string) string {
	if strings.Contains(text, `\`) {
		return "`" + text + "`"
	}
	return `"` + strings.ReplaceAll(text, `"`, `\"`) + `"`
}

// CaddyUpstream is an address that IsUpstream takes.
func CaddyUpstream(address string) string {
	if file, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix/" + file
	}
	return address
}

// CaddyOther are the characters of a token (RFC 9110, section 5.6.2) but letters, digits and the hyphen.
func CaddyOther() []string { return strings.Split("_.~!#$%&'+^|`*", "") }
