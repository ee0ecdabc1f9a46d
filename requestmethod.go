package popauth

import (
	"net/http"

	"github.com/seed-171ab058/popauth/internal/field"
)

// overrides are the headers by which frameworks let a POST be another method.
var overrides = [...]string{"x-http-method-override", "x-http-method", "x-method-override"}

// brokenMethod refuses a method that some compare to the letter and others in upper case, RFC 9110, section 9.1,
// notwithstanding, and headers with another method unless they may override it.
func brokenMethod(r *http.Request, override bool) *brokenRule {
	own := method(r)
	if !field.IsMethod(own) {
		return &brokenRule{rule: lineLetters, found: own}
	}
	if override {
		return nil
	}
	for name, values := range r.Header {
		if !isOverride(name) {
			continue
		}
		for _, value := range values {
			if value != "" && !inUpperCase(value, own) {
				return &brokenRule{rule: lineMethod, header: name, found: value, compared: own}
			}
		}
	}
	return nil
}

// inUpperCase tells whether value is want, once its ASCII letters are in upper case, as frameworks compare it.
func inUpperCase(value, want string) bool {
	if len(value) != len(want) {
		return false
	}
	for i := range len(value) {
		c := value[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// isOverride takes underscores and dots for hyphens, as CGI and what grew out of it do.
func isOverride(name string) bool {
	if len(name) < len("X-Http-Method") || name[0] != 'X' && name[0] != 'x' {
		return false
	}
	for _, want := range overrides {
		if len(name) == len(want) && alike(name, want) {
			return true
		}
	}
	return false
}

func alike(name, want string) bool {
	for i := range len(want) {
		c := name[i]
		switch {
		case c == '_' || c == '.':
			c = '-'
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// method is the request's; net/http lets a request that no server has read leave out GET.
func method(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}
