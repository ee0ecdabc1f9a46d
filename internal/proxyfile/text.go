package proxyfile

import (
	"slices"
	"strings"
	"text/template"
)

// Fill fills a configuration's template. It is parsed here, so that a program that writes none holds no templates.
func Fill(text string, values any, functions template.FuncMap) (string, error) {
	t, err := template.New("").Funcs(functions).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, values); err != nil {
		return "", err
	}
	return b.String(), nil
}

// IsPrintable tells whether text is printable ASCII.
func IsPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' })
}

// IsBare tells whether no configuration's language has a use for a character of text.
func IsBare(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		return !slices.Contains([]rune("-._/:[]"), c) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
}
