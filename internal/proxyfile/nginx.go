package proxyfile

import "strings"

// NginxWord is a parameter of one of nginx's directives, quoted if need be.
func NginxWord(text string) string {
	if IsBare(text) {
		return text
	}
	return NginxQuoted(text)
}

// NginxQuoted is a parameter in quotes: a backslash takes the meaning of the quotes and of another backslash.
func NginxQuoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
