package popauth_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/tests/lab"
)

// readChallenge reads one challenge by RFC 9110, section 11.6.1, and nothing more lenient: a scheme, one space, auth-params
// with a comma and a space between, every value a quoted-string within the characters of RFC 6750, section 3, and no
// name twice.
func readChallenge(line string) (scheme string, params map[string]string, err error) {
	scheme, rest, more := strings.Cut(line, " ")
	if !isTchars(scheme) {
		return "", nil, errors.New("no scheme")
	}
	params = map[string]string{}
	for more {
		name, value, ok := strings.Cut(rest, `="`)
		if !ok || !isTchars(name) {
			return "", nil, fmt.Errorf("no auth-param: %q", rest)
		}
		end := strings.IndexByte(value, '"')
		if end < 0 {
			return "", nil, fmt.Errorf("open string: %q", value)
		}
		if _, twice := params[strings.ToLower(name)]; twice {
			return "", nil, fmt.Errorf("%s: twice", name)
		}
		if strings.ContainsFunc(value[:end], func(c rune) bool { return c < ' ' || c > '~' || c == '\\' }) {
			return "", nil, fmt.Errorf("%s: %q", name, value[:end])
		}
		if len(params) > 0 && name == "error" {
			return "", nil, errors.New("error is not the first")
		}
		params[strings.ToLower(name)] = value[:end]
		if rest = value[end+1:]; rest == "" {
			return scheme, params, nil
		}
		if rest, ok = strings.CutPrefix(rest, ", "); !ok {
			return "", nil, fmt.Errorf("behind %s: %q", name, rest)
		}
	}
	return scheme, params, nil
}

// isTchars tells whether s is a token of RFC 9110, section 5.6.2.
func isTchars(s string) bool {
	const tchar = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return s != "" && strings.Trim(s, tchar) == ""
}

func TestReadChallenge(t *testing.T) {
	for _, good := range []string{`Bearer`, `Bearer a="b"`, `DPoP error="x", algs="ES256 PS256"`} {
		if _, _, err := readChallenge(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{``, ` Bearer`, `Bearer `, `Bearer a`, `Bearer a=b`, `Bearer a="b`, `Bearer a="b",c="d"`, `Bearer a="b" c="d"`, `Bearer a="b", A="c"`, `Bearer a="\""`, "Bearer a=\"\n\"", `Bearer a="b", error="c"`, `Bea,rer a="b"`, `Bearer a="b", `} {
		if _, got, err := readChallenge(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}

// paramConfirmer has challenges with any parameter.
type paramConfirmer struct {
	lab.MemberName
	params []popauth.Param
}

func (c paramConfirmer) Challenge() (string, []popauth.Param) { return "DPoP", c.params }

// FuzzChallenge writes any parameter value and scope: what is written reads back, and no value breaks out of its quotes.
func FuzzChallenge(f *testing.F) {
	for _, value := range []string{"ES256 PS256", `a"`, `a\`, "a\r\nSet-Cookie: x=y", `", error="x`, "\u00e4", "\xff", "", " ", "~", "\x7f"} {
		f.Add(value, "orders.read")
	}
	f.Add("x", "a b")
	f.Fuzz(func(t *testing.T, value, scope string) {
		g := fuzzGuard(t, func(o *popauth.Options) {
			o.Confirmers = []popauth.Confirmer{paramConfirmer{lab.MemberName("jkt"), []popauth.Param{{Name: "algs", Value: value}}}}
		})
		var policies []popauth.Policy
		func() {
			defer func() { _ = recover() }() // a scope that can't be written is no policy, nor is such an acr
			policies = append(policies, popauth.AnyOf(popauth.ACR(scope), popauth.Client("x")), popauth.Scope(scope))
		}()
		for _, token := range []string{"", "x", fuzzToken(fuzzHeader, fuzzPayload(""))} {
			_, err := g.Check((&popauthtest.Client{}).Request("GET", "/", token), policies...)
			var e *popauth.Error
			if !errors.As(err, &e) {
				continue
			}
			for _, line := range e.Challenges() {
				scheme, params, err := readChallenge(line)
				if err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				plain := strings.Map(func(c rune) rune {
					if c < ' ' || c > '~' || c == '"' || c == '\\' {
						return '\''
					}
					return c
				}, value)
				if scheme == "DPoP" && params["algs"] != plain || params["scope"] != "" && params["scope"] != scope ||
					params["acr_values"] != "" && params["acr_values"] != scope {
					t.Fatalf("%q: got %q", line, params)
				}
				for name := range params {
					if !slices.Contains([]string{"error", "error_description", "scope", "acr_values", "algs"}, name) {
						t.Fatalf("VULNERABLE: %q has %s", line, name)
					}
				}
			}
		}
	})
}
