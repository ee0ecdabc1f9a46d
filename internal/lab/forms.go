package lab

import (
	"crypto"
	"crypto/ed25519"
	"crypto/fips140"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Compact makes a token of header and payload with whatever sign returns.
func Compact(header any, payload []byte, sign func(input string) []byte) string {
	h, ok := header.(string)
	if !ok {
		j, err := json.Marshal(header)
		if err != nil {
			panic(err)
		}
		h = string(j)
	}
	input := B64([]byte(h)) + "." + B64(payload)
	return input + "." + B64(sign(input))
}

// By signs with a method of golang-jwt, also with keys that FIPS 140-3 forbids: forgers use them.
func By(alg string, key any) func(string) []byte {
	return func(input string) (signature []byte) {
		fips140.WithoutEnforcement(func() {
			s, err := jwt.GetSigningMethod(alg).Sign(input, key)
			if err != nil {
				panic(err)
			}
			signature = s
		})
		return signature
	}
}

// ReadChallenge reads one challenge by RFC 9110, section 11.6.1, and nothing more lenient: a scheme, one space, auth-params
// with a comma and a space between, every value a quoted-string within the characters of RFC 6750, section 3, and no
// name twice.
func ReadChallenge(line string) (scheme string, params map[string]string, err error) {
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

func FuzzGuard(tb testing.TB, change ...func(*popauth.Options)) *popauth.Guard {
	tb.Helper()
	_, public := FuzzKey()
	keys, err := popauth.StaticKeys([]byte(`{"keys":[` + Jwk(public, popauthtest.Claims{"kid": "k", "alg": "EdDSA"}) + `]}`))
	if err != nil {
		tb.Fatal(err)
	}
	o := popauth.Options{
		Issuer: FuzzIssuer, Audience: []string{popauthtest.Audience}, Keys: keys, TokenTypes: []string{"at+jwt", "JWT", ""},
		Now: func() time.Time { return time.Unix(FuzzNow, 0) },
	}
	for _, c := range change {
		c(&o)
	}
	g, err := popauth.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// FuzzKey is the same in every run, so that seeds are.
func FuzzKey() (ed25519.PrivateKey, ed25519.PublicKey) {
	private := ed25519.NewKeyFromSeed([]byte("a seed that everybody may know 32"[:32]))
	public, _ := private.Public().(ed25519.PublicKey)
	return private, public
}

const FuzzNow = 1_800_000_000

const FuzzIssuer = "https://id.example.com"

// FuzzToken is a token of the fuzz Guard's issuer, unbound.
func FuzzToken(header, payload string) string {
	private, _ := FuzzKey()
	return Compact(header, []byte(payload), By("EdDSA", private))
}

const FuzzHeader = `{"alg":"EdDSA","typ":"at+jwt","kid":"k"}`

func FuzzPayload(more string) string {
	return fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"s","exp":%d%s}`, FuzzIssuer, popauthtest.Audience, FuzzNow+60, more)
}

var B64 = base64.RawURLEncoding.EncodeToString

// Jwk is the text of a public key's JWK, with more members.
func Jwk(key crypto.PublicKey, more popauthtest.Claims) string {
	k, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{})
	if err != nil {
		panic(err)
	}
	text, err := json.Marshal(k.Marshal())
	if err != nil {
		panic(err)
	}
	members := popauthtest.Claims{}
	if err := json.Unmarshal(text, &members); err != nil {
		panic(err)
	}
	maps.Copy(members, more)
	text, _ = json.Marshal(members)
	return string(text)
}

// isTchars tells whether s is a token of RFC 9110, section 5.6.2.
func isTchars(s string) bool {
	const tchar = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return s != "" && strings.Trim(s, tchar) == ""
}
