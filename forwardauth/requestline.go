package forwardauth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed-171ab058/popauth"
)

// otherLine refuses what gives a request another path or method for an API in another language, beside what a Guard
// refuses by its RequestLine: parameters of a path, and headers that override the request line.
func (e *Endpoint) otherLine(r *http.Request) error {
	target := r.RequestURI
	path, _, _ := strings.Cut(target, "?")
	if !e.params && (strings.Contains(path, ";") || strings.Contains(strings.ToUpper(path), "%3B")) {
		return twoReadings("path parameter", path, "", "have the proxy refuse it, or set AllowPathParameters")
	}
	scheme, _ := r.Context().Value(schemeKey{}).(string)
	for name, values := range r.Header {
		for _, value := range values {
			switch asHyphens(name) {
			case "X-HTTP-METHOD-OVERRIDE", "X-HTTP-METHOD", "X-METHOD-OVERRIDE":
				if !e.line.AllowMethodOverride && value != "" && value != r.Method {
					return twoReadings(name+" with another method", value, r.Method, "have the proxy remove it, or set AllowMethodOverride")
				}
			case "X-ORIGINAL-URL", "X-REWRITE-URL": // of the client, or of a proxy that says the same twice
				if value != target && value != scheme+"://"+r.Host+target {
					return twoReadings(name+" with another URL", value, target, "have the proxy remove it")
				}
			}
		}
	}
	return nil
}

// asHyphens is a header's name as CGI-like interfaces see it, for whom all these characters are one.
func asHyphens(name string) string {
	return strings.ToUpper(strings.Map(func(c rune) rune {
		if c == '_' || c == '.' {
			return '-'
		}
		return c
	}, name))
}

// twoReadings says the rule, what was found, what it was compared with if there is that, and who has to change what.
func twoReadings(rule, found, compared, cure string) error {
	text := fmt.Sprintf("%.64s: %+.32q", rule, found)
	if compared != "" {
		text += fmt.Sprintf(", %+.32q", compared)
	}
	return &popauth.Error{Reason: popauth.ErrRequestLine, Err: errors.New(text + ": " + cure)}
}
