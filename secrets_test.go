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
	"github.com/seed-171ab058/popauth/forwarded"
)

// What has no ID prints as one without.
func TestSecretsWithoutID(t *testing.T) {
	for want, x := range map[string]any{
		"popauth.StatelessNonces{secret withheld}":              popauth.StatelessNonces{},
		"popauth.ClientSecretBasic{secret withheld}":            popauth.ClientSecretBasic{Secret: "s"},
		`popauth.ClientSecretBasic{ID: "api", secret withheld}`: popauth.ClientSecretBasic{ID: "api", Secret: "s"},
	} {
		if got := fmt.Sprint(x); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Whatever prints a configuration, no secret is in it: by value, by pointer, within other options and in what was made.
func TestSecretsAreNotPrinted(t *testing.T) {
	const secret = "Secret-of-This-Test-0123456789-abcdef"
	l := newLab(t)
	key := ed25519.NewKeyFromSeed([]byte(secret)[:32])
	nonces := popauth.StatelessNonces{Secrets: [][]byte{[]byte(secret)}}
	guard := l.guard(func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{popauth.DPoP{Nonces: nonces}} })
	trust := popauth.TrustSecret("X-Proxy-Secret", secret)
	var all []any
	for _, a := range []popauth.ClientAuthentication{
		popauth.ClientSecretBasic{ID: "api", Secret: secret}, popauth.ClientSecretPost{ID: "api", Secret: secret},
		popauth.PrivateKeyJWT{ID: "api", Method: jwt.SigningMethodEdDSA, Key: key},
	} {
		o := l.issuer.Introspection()
		o.Authentication = a
		v, err := popauth.NewIntrospection(o)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a, []popauth.ClientAuthentication{a}, o, &o, v, popauth.Options{Verifier: v}, map[string]any{"auth": a})
	}
	all = append(all, nonces, &nonces, popauth.DPoP{Nonces: nonces}, &popauth.DPoP{Nonces: &nonces},
		popauth.Options{Confirmers: []popauth.Confirmer{popauth.DPoP{Nonces: nonces}}}, guard, struct{ G *popauth.Guard }{guard},
		trust, popauth.Forwarded(forwarded.RFC9440(), trust), []popauth.Trust{trust})
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
