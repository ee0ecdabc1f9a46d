package advisories_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestReadChallenge(t *testing.T) {
	for _, good := range []string{`Bearer`, `Bearer a="b"`, `DPoP error="x", algs="ES256 PS256"`} {
		if _, _, err := lab.ReadChallenge(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{``, ` Bearer`, `Bearer `, `Bearer a`, `Bearer a=b`, `Bearer a="b`, `Bearer a="b",c="d"`,
		`Bearer a="b" c="d"`, `Bearer a="b", A="c"`, `Bearer a="\""`, "Bearer a=\"\n\"", `Bearer a="b", error="c"`, `Bea,rer a="b"`,
		`Bearer a="b", `} {
		if _, got, err := lab.ReadChallenge(bad); err == nil {
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
	for _, value := range []string{"ES256 PS256", `a"`, `a\`, "a\r\nSet-Cookie: x=y", `", error="x`, "\u00e4", "\xff", "", " ", "~",
		"\x7f"} {
		f.Add(value, "orders.read")
	}
	f.Add("x", "a b")
	f.Fuzz(func(t *testing.T, value, scope string) {
		g := lab.FuzzGuard(t, func(o *popauth.Options) {
			o.Confirmers = []popauth.Confirmer{paramConfirmer{lab.MemberName("jkt"), []popauth.Param{{Name: "algs", Value: value}}}}
		})
		var policies []popauth.Policy
		func() {
			defer func() { _ = recover() }() // a scope that can't be written is no policy, nor is such an acr
			policies = append(policies, popauth.AnyOf(popauth.ACR(scope), popauth.Client("x")), popauth.Scope(scope))
		}()
		for _, token := range []string{"", "x", lab.FuzzToken(lab.FuzzHeader, lab.FuzzPayload(""))} {
			_, err := g.Check((&popauthtest.Client{}).Request("GET", "/", token), policies...)
			var e *popauth.Error
			if !errors.As(err, &e) {
				continue
			}
			for _, line := range e.Challenges() {
				scheme, params, err := lab.ReadChallenge(line)
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
