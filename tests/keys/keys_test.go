package keys_test

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// What keyfunc v3.9.0 and jwkset v0.11.3 leave to whoever uses them, and where it is tested that this is done.
//
//	K1  defaults                            TestRemoteKeysRefresh, TestRemoteKeysUnknownKid, TestRemoteKeysWait
//	K2  a constructor that fetches          TestRemoteKeysOneFetchForAll
//	K3  an issuer that is down at start     TestKeyFaults cold, TestRemoteKeysPreload
//	K4  recovery minutes later              TestKeyFaults, TestRemoteKeysOutage
//	K5  a made-up kid uses up the fetch     TestFloodOfMadeUpKids; one source per issuer shares nothing
//	K6  requests that queue for a fetch     TestRemoteKeysWait, TestFloodOfMadeUpKids
//	K7  the wait is the fetch's deadline    TestRemoteKeysWait, TestRemoteKeysClientLeaves
//	K8  no end to fetches for unknown kids  can't apply: Cooldown is an option, and TestRemoteKeysUnknownKid holds it to it
//	K9  an outage looks like an unknown key TestRemoteKeysErrors, TestKeyFaults
//	K10 a client that leaves                TestRemoteKeysClientLeaves, TestKeyEvents
//	K11 single flight, pauses, spread       TestRemoteKeysOneFetchForAll, …Outage, …Spread, …ETag, …Refresh
//	K12 {} takes the keys away              TestKeyFaults "answers {}", TestRemoteKeysSet
//	K13 endless bodies, second values       TestKeyFaults "sends 64 MiB", TestRemoteKeysSet, TestStaticKeysDocuments
//	K14 redirects, http, URLs without host  TestKeyFaults, TestRemoteKeysDiscovery, TestRemoteKeysOptions
//	K15 one bad key spoils the set          TestStaticKeysUnusable, …Usable, …Sets, TestKeyFaults
//	K16 keys for encryption                 TestStaticKeysUnusable
//	K17 no kid: alg and use don't count     TestStaticKeysChoice, TestStaticKeysTokens
//	K18 kid ""                              TestStaticKeysChoice, TestRemoteKeysErrors
//	K19 two keys under one kid              TestStaticKeysChoice, TestStaticKeysTokens
//	K20 keys of several issuers             can't apply within one source; TestGuardKeepsToTheIssuersKeys
//	K21 symmetric and private keys          TestStaticKeysUnusable, TestStaticKeysTokens HS256
//	K22 Ed25519 as alg                      TestStaticKeysUsable
//	K23 small keys                          TestStaticKeysUnusable
//	K24 a context that ends the refresh     can't apply: no constructor takes one; TestRemoteKeysClientLeaves
//	K25 goroutines, keys kept for ever      every bubble of synctest ends; TestRemoteKeysOutage
//	K26 logging by itself                   can't apply: nothing is logged; LastError, TestRemoteKeysOutage
//	K27 a storage that others may write     can't apply: it is not exported
//	K28 settings that it lacks              TestRemoteKeysSet (status), …OwnClient, …Options, …Outage
//	K29 errors that repeat the kid          TestRemoteKeysErrors

// choose asks a source for the key of a token.
func choose(t *testing.T, keys popauth.KeySource, header map[string]any) (any, error) {
	t.Helper()
	return keys.KeyfuncCtx(t.Context())(&jwt.Token{Header: header})
}

func TestStaticKeysSets(t *testing.T) {
	f, err := os.Open("testdata/keysets.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	for ; lines.Scan(); n++ {
		var row struct {
			ID      string          `json:"id"`
			JWKS    json.RawMessage `json:"jwks"`
			GoodKID string          `json:"good_kid"`
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		keys, err := popauth.StaticKeys(row.JWKS)
		if err != nil {
			t.Errorf("%s: %v", row.ID, err)
			continue
		}
		if key, err := choose(t, keys, map[string]any{"alg": "ES256", "kid": row.GoodKID}); err != nil || key == nil {
			t.Errorf("%s: got %v, %v, want the good key", row.ID, key, err)
		}
	}
	if n != 20 {
		t.Errorf("rows: got %d, want 20", n)
	}
}

const (
	goodP256 = `"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikY` +
		`jKIWI5a0"`
	goodEd25519 = `"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
)

// modulus returns an odd number of that many bits, which is all that a JWK shows of a key.
func modulus(bits int) string {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-2)))
	n.SetBit(n.SetBit(n, bits-1, 1), 0, 1)
	return base64.RawURLEncoding.EncodeToString(n.Bytes())
}

func rsaJWK(bits int, e string) string {
	return fmt.Sprintf(`"kty":"RSA","n":%q,"e":%q`, modulus(bits), e)
}

// Whatever can't verify a token must not count as a key: a set of it alone is refused.
func TestStaticKeysUnusable(t *testing.T) {
	even, _ := base64.RawURLEncoding.DecodeString(modulus(2048))
	even[len(even)-1] &^= 1
	for name, jwk := range map[string]string{
		"symmetric": `"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1` +
			`Z9CAow"`,
		"private EC":               goodP256 + `,"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"`,
		"private Ed25519":          goodEd25519 + `,"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"`,
		"private RSA":              rsaJWK(2048, "AQAB") + `,"d":"AQAB"`,
		"with a prime":             rsaJWK(2048, "AQAB") + `,"p":"AQAB"`,
		"with another prime":       rsaJWK(2048, "AQAB") + `,"q":"AQAB"`,
		"with dp":                  rsaJWK(2048, "AQAB") + `,"dp":"AQAB"`,
		"with dq":                  rsaJWK(2048, "AQAB") + `,"dq":"AQAB"`,
		"with qi":                  rsaJWK(2048, "AQAB") + `,"qi":"AQAB"`,
		"with a secret":            goodP256 + `,"k":"AQAB"`,
		"with other primes":        rsaJWK(2048, "AQAB") + `,"oth":[{"r":"AQAB","d":"AQAB","t":"AQAB"}]`,
		"for encryption":           goodP256 + `,"use":"enc"`,
		"for an unknown use":       goodP256 + `,"use":"other"`,
		"for other operations":     goodP256 + `,"key_ops":["deriveKey"]`,
		"alg for encryption":       goodP256 + `,"alg":"ECDH-ES"`,
		"alg of another kind":      goodP256 + `,"alg":"RS256"`,
		"alg of another curve":     goodP256 + `,"alg":"ES384"`,
		"alg HS256":                goodP256 + `,"alg":"HS256"`,
		"alg none":                 goodP256 + `,"alg":"none"`,
		"RSA of 1024 bits":         rsaJWK(1024, "AQAB"),
		"RSA of 2047 bits":         rsaJWK(2047, "AQAB"),
		"RSA of 8193 bits":         rsaJWK(8193, "AQAB"),
		"RSA with exponent 1":      rsaJWK(2048, "AQ"),
		"RSA with exponent 2":      rsaJWK(2048, "Ag"),
		"RSA with exponent 2^31+1": rsaJWK(2048, "gAAAAQ"),
		"RSA with exponent 2^64+3": rsaJWK(2048, "AQAAAAAAAAAD"),
		"RSA with even modulus":    fmt.Sprintf(`"kty":"RSA","n":%q,"e":"AQAB"`, base64.RawURLEncoding.EncodeToString(even)),
		"RSA without modulus":      `"kty":"RSA","e":"AQAB"`,
		"off the curve": `"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"f83OJ3D2xF1Bg8vub` +
			`9tLe1gHMzV76e8Tus9uPHvRVEU"`,
		"at infinity":       `"kty":"EC","crv":"P-256","x":"AA","y":"AA"`,
		"on P-224":          `"kty":"EC","crv":"P-224","x":"AA","y":"AA"`,
		"X25519":            `"kty":"OKP","crv":"X25519","x":"UEo2mZ9InNL9vAi6_z2I-gBWm6mGy6IlSP_egPmAaCk"`,
		"Ed25519 too short": `"kty":"OKP","crv":"Ed25519","x":"11qY"`,
		"unknown kty":       `"kty":"made-up"`,
		"no kty":            `"crv":"P-256"`,
		"kid too long":      goodP256 + `,"kid":"` + strings.Repeat("k", 257) + `"`,
		"kid a number":      goodP256 + `,"kid":1`,
		"KTY":               strings.Replace(goodP256, "kty", "KTY", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if keys, err := popauth.StaticKeys([]byte(`{"keys":[{` + jwk + `}]}`)); err == nil || keys != nil {
				t.Errorf("got %v, %v, want an error", keys, err)
			}
			both := []byte(`{"keys":[{` + jwk + `},{"kid":"good",` + goodP256 + `}]}`)
			keys, err := popauth.StaticKeys(both)
			if err != nil {
				t.Fatalf("it spoils another: %v", err)
			}
			got, err := choose(t, keys, map[string]any{"alg": "ES256"})
			if set, ok := got.(jwt.VerificationKeySet); err != nil || !ok || len(set.Keys) != 1 {
				t.Errorf("keys for ES256: got %v, %v, want the good one alone", got, err)
			}
		})
	}
}

func TestStaticKeysUsable(t *testing.T) {
	for name, test := range map[string]struct{ jwk, alg string }{
		"no use, no alg":       {goodP256, "ES256"},
		"RSA of 2048 bits":     {rsaJWK(2048, "AQAB"), "PS384"},
		"RSA with exponent 3":  {rsaJWK(2048, "Aw"), "RS256"},
		"Ed25519":              {goodEd25519 + `,"alg":"Ed25519"`, "EdDSA"},
		"EdDSA":                {goodEd25519 + `,"alg":"EdDSA"`, "EdDSA"},
		"to verify":            {goodP256 + `,"key_ops":["verify","other"]`, "ES256"},
		"garbage certificates": {goodP256 + `,"x5c":["garbage"],"x5t":"garbage","x5t#S256":"garbage","x5u":"http://127.0.0.1/"`, "ES256"},
		"unknown members":      {goodP256 + `,"x-private":1,"nbf":1`, "ES256"},
	} {
		keys, err := popauth.StaticKeys([]byte(`{"keys":[{"kid":"k",` + test.jwk + `}]}`))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := choose(t, keys, map[string]any{"alg": test.alg, "kid": "k"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStaticKeysDocuments(t *testing.T) {
	good := `{"kid":"k",` + goodP256 + `}`
	for _, doc := range []string{
		``, `{}`, `[]`, `null`, `{"keys":[]}`, `{"keys":{}}`, `{"keys":null}`, `{"keys":[null,1,"",[]]}`, `{"error":"unavailable"}`,
		`<html></html>`, `{"keys":[` + good, `{"keys":[` + good + `]}x`, `{"keys":[` + good + `],"keys":[]}`, `{"KEYS":[` + good + `]}`,
	} {
		if keys, err := popauth.StaticKeys([]byte(doc)); err == nil || keys != nil {
			t.Errorf("%s: got %v, %v, want an error", doc, keys, err)
		}
	}
	many := strings.Repeat(`{"kty":"made-up"},`, 199)
	if _, err := popauth.StaticKeys([]byte(`{"keys":[` + many + good + `]}`)); err != nil {
		t.Errorf("the 200th key: %v", err)
	}
	if _, err := popauth.StaticKeys([]byte(`{"keys":[` + many + `{},` + good + `]}`)); err == nil {
		t.Error("the 201st key counts")
	}
}

func TestStaticKeysChoice(t *testing.T) {
	two := `{"keys":[{"kid":"k",` + rsaJWK(2048, "AQAB") + `,"alg":"RS512"},{"kid":"k",` + goodP256 + `},{` + goodEd25519 + `}]}`
	keys, err := popauth.StaticKeys([]byte(two))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		alg  string
		kid  any
		want string
	}{
		{"RS512", "k", "*rsa.PublicKey"},
		{"ES256", "k", "*ecdsa.PublicKey"},
		{"RS256", "k", ""}, // the JWK says RS512
		{"EdDSA", "k", ""},
		{"EdDSA", "", ""}, // a key without kid is no key of the kid ""
		{"HS256", "k", ""},
		{"none", "k", ""},
		{"ES256", "other", ""},
		{"RS512", nil, "[*rsa.PublicKey]"},
		{"ES256", nil, "[*ecdsa.PublicKey]"},
		{"EdDSA", nil, "[ed25519.PublicKey]"},
		{"RS256", nil, "[]"},
		{"HS256", nil, "[]"},
	} {
		header := map[string]any{"alg": test.alg}
		if test.kid != nil {
			header["kid"] = test.kid
		}
		got := ""
		key, err := choose(t, keys, header)
		switch key := key.(type) {
		case nil:
		case jwt.VerificationKeySet:
			var kinds []string
			for _, k := range key.Keys {
				kinds = append(kinds, fmt.Sprintf("%T", k))
			}
			got = "[" + strings.Join(kinds, " ") + "]"
		default:
			got = fmt.Sprintf("%T", key)
		}
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%s, kid %v: got %q, %v, want %q", test.alg, test.kid, got, err, test.want)
		}
	}
	if _, err := choose(t, keys, map[string]any{"alg": "ES256", "kid": "other"}); !errors.Is(err, popauth.ErrTokenKey) {
		t.Errorf("unknown kid: got %v, want ErrTokenKey", err)
	}
}

// The choice counts for real tokens: of keys under one kid, and of those under none, the token's algorithm decides.
func TestStaticKeysTokens(t *testing.T) {
	issuer := popauthtest.NewIssuer(t, "ES256", "ES384", "EdDSA", "RS256")
	jwks := issuer.JWKS()
	for what, change := range map[string]func(map[string]any){
		"one kid": func(k map[string]any) { k["kid"] = "k"; delete(k, "alg") },
		"no kid":  func(k map[string]any) { delete(k, "kid") },
	} {
		var set struct {
			Keys []map[string]any `json:"keys"`
		}
		if err := json.Unmarshal(jwks, &set); err != nil {
			t.Fatal(err)
		}
		for _, k := range set.Keys {
			change(k)
		}
		b, _ := json.Marshal(set)
		keys, err := popauth.StaticKeys(b)
		if err != nil {
			t.Fatal(err)
		}
		api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
		kid := map[string]any{"one kid": "k", "no kid": popauthtest.Omit}[what]
		for alg, want := range map[string]int{"ES256": 200, "ES384": 200, "EdDSA": 200, "RS256": 200, "HS256": 401, "none": 401} {
			t.Run(what+"/"+alg, func(t *testing.T) {
				api.Want(t, issuer.TokenWith(popauthtest.Claims{"alg": alg, "kid": kid}), want)
			})
		}
		// Alg says what a key is for, with a kid and without.
		t.Run(what+"/RS512", func(t *testing.T) {
			status := map[string]int{"one kid": 200, "no kid": 401}[what]
			api.Want(t, issuer.TokenWith(popauthtest.Claims{"alg": "RS512", "kid": kid}), status)
		})
	}
}
