package popauthtest_test

import (
	"crypto/x509"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/popauthtest"
)

func sorted(names []string) string {
	return strings.Join(slices.Sorted(slices.Values(names)), " ")
}

func members(object map[string]any) string {
	return sorted(slices.Collect(maps.Keys(object)))
}

func TestTokenDefaults(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	clock := popauthtest.NewClock(time.Unix(1_800_000_000, 0))
	issuer.Now = clock.Now
	token := issuer.Token()

	header := part(t, token, 0)
	equal(t, "header", members(header), "alg kid typ")
	equal(t, "alg", header["alg"], any("ES256"))
	equal(t, "typ", header["typ"], any("at+jwt"))

	claims := part(t, token, 1)
	equal(t, "claims", members(claims), "aud client_id exp iat iss jti sub")
	equal(t, "iss", claims["iss"], any(issuer.URL))
	equal(t, "aud", claims["aud"], any(popauthtest.Audience))
	equal(t, "iat", claims["iat"], any(1_800_000_000.0))
	equal(t, "exp", claims["exp"], any(1_800_000_300.0))

	clock.Advance(time.Minute)
	next := part(t, issuer.Token(), 1)
	equal(t, "iat a minute later", next["iat"], any(1_800_000_060.0))
	if next["jti"] == claims["jti"] {
		t.Errorf("jti: got %v twice", next["jti"])
	}
}

func TestTokenClaims(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	token := issuer.TokenWith(
		popauthtest.Claims{"typ": nil, "kid": popauthtest.Omit, "crit": []string{"b64"}},
		popauthtest.Claims{"sub": "first", "scope": "a", "exp": popauthtest.Omit},
		popauthtest.Claims{"sub": "second", "aud": nil, "scope": popauthtest.Omit, "nbf": 1.5},
	)
	header, claims := part(t, token, 0), part(t, token, 1)
	equal(t, "header", members(header), "alg crit typ")
	equal(t, "typ", header["typ"], nil)
	equal(t, "claims", members(claims), "aud client_id iat iss jti nbf sub")
	equal(t, "sub", claims["sub"], any("second"))
	equal(t, "aud", claims["aud"], nil)
	equal(t, "nbf", claims["nbf"], any(1.5))
}

func TestOmitGoesNoDeeper(t *testing.T) {
	message := failure(t, func(tb popauthtest.TB) {
		popauthtest.NewIssuer(tb).Token(popauthtest.Claims{"cnf": popauthtest.Claims{"jkt": popauthtest.Omit}})
	})
	if !strings.Contains(message, "outermost") {
		t.Errorf("got %q", message)
	}
}

func TestTokenAlgorithms(t *testing.T) {
	algorithms := []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
	}
	issuer := popauthtest.NewIssuer(t, algorithms...)
	keys := keysOf(t, issuer)
	equal(t, "default", part(t, issuer.Token(), 0)["alg"], any("RS256"))
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			token := issuer.TokenWith(popauthtest.Claims{"alg": alg}, popauthtest.Claims{"scope": "a"})
			parsed, err := jwt.Parse(token, keys.Keyfunc, jwt.WithValidMethods([]string{alg}))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "scope", parsed.Claims.(jwt.MapClaims)["scope"], any("a"))
		})
	}
	equal(t, "fetches", issuer.Fetches(), 1)
}

// RFC 9864: the header says Ed25519, the signature is that of EdDSA.
func TestTokenEd25519(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	token := issuer.TokenWith(popauthtest.Claims{"alg": "Ed25519"})
	equal(t, "alg", part(t, token, 0)["alg"], any("Ed25519"))

	// jwkset doesn't know the name either.
	document := strings.ReplaceAll(string(issuer.JWKS()), `"alg":"Ed25519"`, `"alg":"EdDSA"`)
	keys, err := keyfunc.NewJWKSetJSON([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.Keyfunc(&jwt.Token{Header: map[string]any{"alg": "EdDSA", "kid": part(t, token, 0)["kid"]}})
	if err != nil {
		t.Fatal(err)
	}
	verify(t, jwt.SigningMethodEdDSA, token, key)
}

func TestTokenNone(t *testing.T) {
	token := popauthtest.NewIssuer(t).TokenWith(popauthtest.Claims{"alg": "none"})
	equal(t, "alg", part(t, token, 0)["alg"], any("none"))
	equal(t, "signature", strings.SplitN(token, ".", 3)[2], "")
}

func TestTokenConfusion(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	token := issuer.TokenWith(popauthtest.Claims{"alg": "HS256"})
	equal(t, "kid", part(t, token, 0)["kid"], part(t, issuer.Token(), 0)["kid"])
	key, err := keysOf(t, issuer).Keyfunc(&jwt.Token{Header: part(t, issuer.Token(), 0)})
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, jwt.SigningMethodHS256, token, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// A header that says nothing of use about its algorithm is signed with the default one.
func TestTokenAlgNotAString(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	key, err := keysOf(t, issuer).Keyfunc(&jwt.Token{Header: part(t, issuer.Token(), 0)})
	if err != nil {
		t.Fatal(err)
	}
	for name, alg := range map[string]any{
		"number": 256, "null": nil, "omitted": popauthtest.Omit, "array": []string{"ES256"}, "empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			verify(t, jwt.SigningMethodES256, issuer.TokenWith(popauthtest.Claims{"alg": alg}), key)
		})
	}
}

func TestTokenUnknownAlgorithm(t *testing.T) {
	for _, alg := range []string{"es256", "ES256K", "NONE"} {
		message := failure(t, func(tb popauthtest.TB) {
			popauthtest.NewIssuer(tb).TokenWith(popauthtest.Claims{"alg": alg})
		})
		if !strings.Contains(message, "no key for alg") {
			t.Errorf("%q: got %q", alg, message)
		}
	}
}

func TestSign(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	key, err := keysOf(t, issuer).Keyfunc(&jwt.Token{Header: part(t, issuer.Token(), 0)})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ header, payload, want string }{
		"duplicate members": {`{"alg":"ES256","alg":"none"}`, `{"sub":"a","sub":"b"}`,
			"eyJhbGciOiJFUzI1NiIsImFsZyI6Im5vbmUifQ.eyJzdWIiOiJhIiwic3ViIjoiYiJ9."},
		"no JSON": {"\xff", "{", "_w.ew."},
		"empty":   {"", "", ".."},
	} {
		t.Run(name, func(t *testing.T) {
			token := issuer.Sign([]byte(test.header), []byte(test.payload), "")
			if !strings.HasPrefix(token, test.want) {
				t.Errorf("got %s, want prefix %s", token, test.want)
			}
			verify(t, jwt.SigningMethodES256, token, key)
		})
	}
	const padded = "e30=.e30="
	verify(t, jwt.SigningMethodES256, padded+"."+issuer.Signature(padded, "ES256"), key)
}

// verify checks a signature and nothing else of the token.
func verify(t *testing.T, method jwt.SigningMethod, token string, key any) {
	t.Helper()
	dot := strings.LastIndexByte(token, '.')
	signature, err := jwt.NewParser().DecodeSegment(token[dot+1:])
	if err != nil {
		t.Fatal(err)
	}
	if err := method.Verify(token[:dot], signature, key); err != nil {
		t.Errorf("signature of %s: %v", token, err)
	}
}
