package introspection_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/introspection"
)

// kms is a Method of one's own, whose keys are elsewhere.
type kms struct{}

func (kms) Alg() string                      { return "ES256" }
func (kms) Sign(string, any) ([]byte, error) { return nil, errors.New("not reached yet") }
func (kms) Verify(string, []byte, any) error { return errors.New("it only signs") }

// A key that can't sign is found when the program starts, not at each request.
func TestKeyOfAssertions(t *testing.T) {
	key, other := newECKey(t), newECKey(t)
	es256 := jwt.SigningMethodES256
	mixed := *key
	mixed.PublicKey = other.PublicKey
	for name, tt := range map[string]struct {
		as   introspection.PrivateKeyJWT
		want string // of the error; "" is none
	}{
		"private key": {as: introspection.PrivateKeyJWT{Method: es256, Key: key}},
		"in a KMS":    {as: introspection.PrivateKeyJWT{Method: kms{}, Key: "name"}},
		"nil": {as: introspection.PrivateKeyJWT{Method: es256, Key: (*ecdsa.PrivateKey)(nil)},
			want: "nil or broken"},
		"nil, of a Method of one's own": {as: introspection.PrivateKeyJWT{Method: kms{}, Key: (*ecdsa.PrivateKey)(nil)},
			want: "nil or broken"},
		"zero":                {as: introspection.PrivateKeyJWT{Method: es256, Key: &ecdsa.PrivateKey{}}, want: "key"},
		"public":              {as: introspection.PrivateKeyJWT{Method: es256, Key: &key.PublicKey}, want: "is no private key"},
		"by value":            {as: introspection.PrivateKeyJWT{Method: es256, Key: *key}, want: "is no private key"},
		"text":                {as: introspection.PrivateKeyJWT{Method: es256, Key: "name"}, want: "is no private key"},
		"of two keys":         {as: introspection.PrivateKeyJWT{Method: es256, Key: &mixed}, want: "does not sign"},
		"KeyID in Latin-1":    {as: introspection.PrivateKeyJWT{Method: es256, Key: key, KeyID: "\xe9"}, want: "KeyID is not UTF-8"},
		"Audience in Latin-1": {as: introspection.PrivateKeyJWT{Method: es256, Key: key, Audience: "\xe9"}, want: "Audience is not UTF-8"},
		"ID in Latin-1":       {as: introspection.PrivateKeyJWT{ID: "\xe9", Method: es256, Key: key}, want: "ID is not UTF-8"},
	} {
		if tt.as.ID == "" {
			tt.as.ID = "api"
		}
		_, err := introspection.New(introspection.Options{
			Issuer: "https://id.example.com", Audience: []string{"a"}, Authentication: tt.as,
		})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
