package clientauth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// jwkOf is a client's key as it registers it, with its certificate.
func jwkOf(t testing.TB, c *popauthtest.Client) map[string]any {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	m := map[string]any{"use": "sig", "x5c": []string{base64.StdEncoding.EncodeToString(c.Certificate.Certificate[0])}}
	switch key := c.Certificate.Leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := len(point) / 2
		m["kty"], m["crv"], m["x"], m["y"] = "EC", key.Params().Name, encode(point[1:1+half]), encode(point[1+half:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", encode(key)
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes())
	}
	return m
}

func set(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func jwkSet(t testing.TB, clients ...*popauthtest.Client) []byte {
	t.Helper()
	var keys []map[string]any
	for _, c := range clients {
		keys = append(keys, jwkOf(t, c))
	}
	return set(t, keys...)
}

func TestJWKS(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	registered := []*popauthtest.Client{
		popauthtest.SelfSigned(t, "batch"), popauthtest.SelfSignedFor(t, key, "batch"),
		popauthtest.SelfSignedFor(t, rsaKey, "batch"), popauthtest.SelfSignedFor(t, edKey, "batch"),
		popauthtest.NewCA(t).Client("batch"),
	}
	bare := map[string]any{"kty": "OKP", "crv": "Ed448", "x": "AA"} // of no use here, and no harm
	keys := []map[string]any{bare}
	for _, c := range registered {
		keys = append(keys, jwkOf(t, c))
	}
	credential := must(t)(clientauth.JWKS(set(t, keys...)))
	for i, c := range registered {
		if !fits(t, credential, by(c, popauth.NotVerified)) {
			t.Errorf("key %d doesn't fit", i)
		}
	}
	// The same key and name in another certificate: registered is the certificate (RFC 8705, section 2.2).
	for name, c := range map[string]*popauthtest.Client{
		"another key": popauthtest.SelfSigned(t, "batch"), "the same key": popauthtest.SelfSignedFor(t, key, "batch"),
	} {
		if fits(t, credential, by(c, popauth.NotVerified)) {
			t.Errorf("VULNERABLE: %s fits", name)
		}
	}
	if credential.Method() != clientauth.SelfSignedTLSClientAuth {
		t.Errorf("method: got %s", credential.Method())
	}
}

// Only the first certificate of x5c is the client's; the others are its issuers'.
func TestJWKSTakesTheFirstCertificate(t *testing.T) {
	owner, second := popauthtest.SelfSigned(t, "batch"), popauthtest.SelfSigned(t, "second")
	key := jwkOf(t, owner)
	key["x5c"] = append(key["x5c"].([]string), base64.StdEncoding.EncodeToString(second.Certificate.Certificate[0]))
	credential := must(t)(clientauth.JWKS(set(t, key)))
	if !fits(t, credential, by(owner, popauth.NotVerified)) {
		t.Error("the first doesn't fit")
	}
	if fits(t, credential, by(second, popauth.NotVerified)) {
		t.Error("VULNERABLE: the second fits")
	}
}

func TestMalformedJWKS(t *testing.T) {
	owner, other := popauthtest.SelfSigned(t, "batch"), popauthtest.SelfSigned(t, "batch")
	with := func(member string, value any) []byte {
		key := jwkOf(t, owner)
		key[member] = value
		return set(t, key)
	}
	one, err := json.Marshal(jwkOf(t, owner))
	if err != nil {
		t.Fatal(err)
	}
	valid := string(one)
	most := `{"keys":[` + strings.Repeat(`{"kty":"XX"},`, 99) + valid + `]}`
	if !fits(t, must(t)(clientauth.JWKS([]byte(most))), by(owner, popauth.NotVerified)) {
		t.Error("the last of as many keys as allowed doesn't fit")
	}
	for name, in := range map[string][]byte{
		"nothing":              nil,
		"array":                []byte(`[]`),
		"empty":                []byte(`{}`),
		"no key":               []byte(`{"keys":[]}`),
		"keys twice":           []byte(`{"keys":[],"keys":[]}`),
		"keys in another case": []byte(`{"Keys":[]}`),
		"keys no array":        []byte(`{"keys":{}}`),
		"key no object":        []byte(`{"keys":["x"]}`),
		"no certificate": []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo` +
			`"}]}`),
		"private":                      with("d", "AA"),
		"certificate of another":       with("x5c", jwkOf(t, other)["x5c"]),
		"x5c no array":                 with("x5c", "AA"),
		"x5c empty":                    with("x5c", []string{}),
		"x5c null":                     with("x5c", nil),
		"x5c of numbers":               with("x5c", []int{1}),
		"x5c in base64url":             with("x5c", []string{base64.RawURLEncoding.EncodeToString(owner.Certificate.Certificate[0]) + "_"}),
		"x5c with text after it":       with("x5c", []string{jwkOf(t, owner)["x5c"].([]string)[0] + "!"}),
		"x5c no certificate":           with("x5c", []string{"AAAA"}),
		"x5c of a key of no kind":      with("kty", "XX"),
		"x5c beside a broken key":      with("x", "AA"),
		"private, without certificate": []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"},` + valid + `]}`),
		"keys also in another case":    []byte(`{"keys":[` + valid + `],"Keys":[]}`),
		"x5c also in another case":     []byte(`{"keys":[` + strings.Replace(valid, `{`, `{"X5C":[],`, 1) + `]}`),
		"x5c empty beside a good one": []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo` +
			`","x5c":[]},` + valid + `]}`),
		"too many keys, one good":    []byte(`{"keys":[` + strings.Repeat(`{"kty":"XX"},`, 100) + valid + `]}`),
		"more than can be a key set": append(jwkSet(t, owner), strings.Repeat(" ", 256<<10)...),
	} {
		if c, err := clientauth.JWKS(in); err == nil {
			t.Errorf("%s: got %v, want an error", name, c)
		}
	}
}
