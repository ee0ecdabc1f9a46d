package popauth_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/proxy"
)

// What has no ID prints as one without.
func TestSecretsWithoutID(t *testing.T) {
	for want, x := range map[string]any{
		"dpop.StatelessNonces{secret withheld}":                       dpop.StatelessNonces{},
		"introspection.ClientSecretBasic{secret withheld}":            introspection.ClientSecretBasic{Secret: "s"},
		`introspection.ClientSecretBasic{ID: "api", secret withheld}`: introspection.ClientSecretBasic{ID: "api", Secret: "s"},
	} {
		if got := fmt.Sprint(x); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Whatever prints a configuration, no secret is in it: by value, by pointer, within other options and in what was made.
func TestSecretsAreNotPrinted(t *testing.T) {
	const secret = "Secret-of-This-Test-0123456789-abcdef"
	l := lab.New(t)
	key := ed25519.NewKeyFromSeed([]byte(secret)[:32])
	nonces := dpop.StatelessNonces{Secrets: [][]byte{[]byte(secret)}}
	guard := l.Guard(func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{Nonces: nonces})}
	})
	trust := proxy.TrustSecret("X-Proxy-Secret", secret)
	var all []any
	for _, a := range []introspection.ClientAuthentication{
		introspection.ClientSecretBasic{ID: "api", Secret: secret}, introspection.ClientSecretPost{ID: "api", Secret: secret},
		introspection.PrivateKeyJWT{ID: "api", Method: jwt.SigningMethodEdDSA, Key: key},
	} {
		o := lab.IntrospectionOptions(l.Issuer)
		o.Authentication = a
		v, err := introspection.New(o)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a, []introspection.ClientAuthentication{a}, o, &o, v, popauth.Options{Verifier: v}, map[string]any{"auth": a})
	}
	all = append(all, nonces, &nonces, lab.Proofs(dpop.Options{Nonces: nonces}), lab.Proofs(dpop.Options{Nonces: &nonces}),
		popauth.Options{Confirmers: []popauth.Confirmer{lab.Proofs(dpop.Options{Nonces: nonces})}}, guard,
		struct{ G *popauth.Guard }{guard},
		trust, lab.ByProxy(proxy.RFC9440(), trust), []proxy.Trust{trust})
	forms := []string{secret, secret[:16], hex.EncodeToString([]byte(secret))[:32], base64.StdEncoding.EncodeToString([]byte(secret))[:24],
		strings.Trim(fmt.Sprintf("%d", []byte(secret)[:8]), "[]"), strings.Trim(fmt.Sprintf("%#v", []byte(secret)[:8]), "[]byte{}")}
	for _, x := range all {
		var texts []string
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			texts = append(texts, fmt.Sprintf(verb, x))
		}
		if text, err := json.Marshal(x); err == nil {
			texts = append(texts, string(text))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("configured", "it", x)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("configured", "it", x)
		for _, text := range append(texts, log.String()) {
			for _, form := range forms {
				if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
					t.Errorf("VULNERABLE: %T prints its secret: %.300s", x, text)
				}
			}
		}
	}
}

// program is a struct of somebody else's, whose unexported fields fmt prints without asking them how.
type program[T any] struct{ kept T }

func in[T any](x T) any { return program[T]{x} }

// printed is all that a program may write of x.
func printed(x any) string {
	var log bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		_, _ = fmt.Fprintf(&log, verb, x)
	}
	slog.New(slog.NewTextHandler(&log, nil)).Info("configured", "it", x)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("configured", "it", x)
	return strings.ToLower(log.String())
}

// In an unexported field what is made of options is printed without the secret. The options themselves can't be kept from it,
// which the comments say.
func TestSecretsInUnexportedFields(t *testing.T) {
	const secret = "Secret-of-This-Test-0123456789-abcdef"
	l := lab.New(t)
	key := ed25519.NewKeyFromSeed([]byte(secret)[:32])
	basic, post := introspection.ClientSecretBasic{ID: "api", Secret: secret}, introspection.ClientSecretPost{ID: "api", Secret: secret}
	signed := introspection.PrivateKeyJWT{ID: "api", Method: jwt.SigningMethodEdDSA, Key: key}
	nonces := dpop.StatelessNonces{Secrets: [][]byte{[]byte(secret)}}
	guard := l.Guard(func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{Nonces: nonces})}
	})
	trust := proxy.TrustSecret("X-Proxy-Secret", secret)
	byValue := lab.IntrospectionOptions(l.Issuer)
	byValue.Authentication = basic
	var made []any
	for _, a := range []introspection.ClientAuthentication{basic, &basic, post, signed} {
		o := byValue
		o.Authentication = a
		v, err := introspection.New(o)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, in(v), in(popauth.Verifier(v)))
	}
	for _, tt := range []struct {
		name  string
		x     any
		leaks bool // what Go leaves no way to withhold
	}{
		{name: "Introspections", x: made},
		{name: "*Guard", x: in(guard)},
		{name: "*Guard, in a struct in a struct", x: in(program[*popauth.Guard]{guard})},
		{name: "Trust", x: in(trust)},
		{name: "CertificateSource", x: in(lab.ByProxy(proxy.RFC9440(), trust))},
		{name: "a function that returns it", x: in(func() introspection.ClientSecretBasic { return basic })},
		{name: "ClientSecretBasic", x: in(basic), leaks: true},
		{name: "*ClientSecretBasic", x: in(&basic), leaks: true}, // by %s
		{name: "ClientSecretPost", x: in(post), leaks: true},
		{name: "PrivateKeyJWT", x: in(signed), leaks: true},
		{name: "StatelessNonces", x: in(nonces), leaks: true},
		{name: "dpop.Options", x: in(dpop.Options{Nonces: nonces}), leaks: true},
		{name: "*dpop.Confirmer", x: in(lab.Proofs(dpop.Options{Nonces: nonces}))},
		{name: "IntrospectionOptions", x: in(byValue), leaks: true},
	} {
		text, found := printed(tt.x), false
		numbers := strings.Trim(fmt.Sprintf("%d", []byte(secret)[:8]), "[]")
		for _, form := range []string{secret, hex.EncodeToString([]byte(secret))[:32], numbers} {
			found = found || strings.Contains(text, strings.ToLower(form))
		}
		if found != tt.leaks {
			t.Errorf("%s: got the secret printed: %t, want %t", tt.name, found, tt.leaks)
		}
	}
}
