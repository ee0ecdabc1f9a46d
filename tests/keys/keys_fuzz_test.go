package keys_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
)

func FuzzJWKSet(f *testing.F) {
	sets, err := os.ReadFile("testdata/keysets.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(sets) {
		var row struct{ JWKS json.RawMessage }
		if err := json.Unmarshal(line, &row); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(row.JWKS))
	}
	f.Add([]byte(`{"keys":[{"kid":"k",` + goodP256 + `,"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"},{` + rsaJWK(2048, "AQAB") +
		`}]}`))
	f.Fuzz(func(t *testing.T, jwks []byte) {
		keys, err := popauth.StaticKeys(jwks)
		if (err == nil) != (keys != nil) {
			t.Fatalf("got %v and %v", keys, err)
		}
		if err != nil {
			return
		}
		total := 0
		for alg, fits := range map[string]func(any) bool{
			"RS256": func(k any) bool {
				r, ok := k.(*rsa.PublicKey)
				return ok && r.N.BitLen() >= 2048 && r.N.BitLen() <= 8192 && r.E >= 3
			},
			"ES256": onCurve(elliptic.P256()), "ES384": onCurve(elliptic.P384()), "ES512": onCurve(elliptic.P521()),
			"EdDSA": func(k any) bool { e, ok := k.(ed25519.PublicKey); return ok && len(e) == ed25519.PublicKeySize },
		} {
			key, err := keys.KeyfuncCtx(context.Background())(&jwt.Token{Header: map[string]any{"alg": alg}})
			if err != nil {
				t.Fatal(err)
			}
			fit := key.(jwt.VerificationKeySet).Keys
			for _, k := range fit {
				if !fits(k) {
					t.Fatalf("%T for %s", k, alg)
				}
			}
			if total += len(fit); total > 200 {
				t.Fatalf("%d keys", total)
			}
		}
	})
}

func onCurve(c elliptic.Curve) func(any) bool {
	return func(k any) bool {
		e, ok := k.(*ecdsa.PublicKey)
		if !ok || e.Curve != c {
			return false
		}
		_, err := e.ECDH() // fails off the curve
		return err == nil
	}
}

// Whatever the metadata say, keys are asked for only where they may be, and only if they are the issuer's own.
func FuzzMetadata(f *testing.F) {
	for _, doc := range []string{
		`{"issuer":"https://id.example.com/t","jwks_uri":"https://id.example.com/jwks"}`,
		`{"issuer":"https://id.example.com/t","jwks_uri":"https://keys.example.net/jwks?p=1"}`,
		`{"issuer":"https://id.example.com/t/","jwks_uri":"https://id.example.com/jwks"}`,
		`{"issuer":"https://id.example.com/t","jwks_uri":"http://id.example.com/jwks"}`,
		`{"issuer":"https://id.example.com/t","jwks_uri":"https://169.254.169.254/latest"}`,
		`{"issuer":"https://id.example.com/t","jwks_uri":"https://[::ffff:127.0.0.1]/jwks"}`,
		`{"issuer":"https://id.example.com/t","jwks_uri":"https://u:p@id.example.com/jwks"}`,
		`{"issuer":"https://id.example.com/t","issuer":"https://evil.example.com","jwks_uri":"https://id.example.com/"}`,
		`{"issuer":null,"jwks_uri":{}}`, `{`, `<html>`, ``,
	} {
		f.Add([]byte(doc))
	}
	jwks := `{"keys":[{"kid":"k",` + goodP256 + `}]}`
	f.Fuzz(func(t *testing.T, doc []byte) {
		var asked []*http.Request
		keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{
			Issuer: "https://id.example.com/t",
			Client: &http.Client{Transport: lab.RoundTrip(func(r *http.Request) (*http.Response, error) {
				asked = append(asked, r)
				if strings.Contains(r.URL.Path, "/.well-known/o") && r.URL.Host == "id.example.com" {
					return lab.Answer(200, doc), nil
				}
				return lab.Answer(200, []byte(jwks)), nil
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		err = keys.Preload(t.Context())
		if (err == nil) != keys.Ready() {
			t.Fatalf("got %v, but Ready %v", err, keys.Ready())
		}
		for _, r := range asked {
			if r.URL.Scheme != "https" || r.URL.User != nil || r.URL.Hostname() == "" || strings.HasPrefix(r.URL.Hostname(), "127.") {
				t.Fatalf("asked %v", r.URL)
			}
		}
		var metadata struct {
			Issuer string `json:"issuer"`
		}
		if err == nil && (json.Unmarshal(bytes.TrimPrefix(doc, []byte("\ufeff")), &metadata) != nil ||
			metadata.Issuer != "https://id.example.com/t") {
			t.Fatalf("accepted %s", doc)
		}
		if len(asked) > 5 { // four places, and the keys
			t.Fatalf("%d requests", len(asked))
		}
	})
}
