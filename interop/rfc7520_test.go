package interop_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
)

// The two keys of RFC 7520 have one kid. jose signs access tokens with each; both are verified by the set, whether they
// name the kid or not, and neither by the other key.
func TestRFC7520Keys(t *testing.T) {
	private := keySet(t, "testdata/rfc7520/private.json")
	public, err := os.ReadFile("testdata/rfc7520/public.json")
	if err != nil {
		t.Fatal(err)
	}
	verifier := func(set []byte) popauth.Verifier {
		t.Helper()
		keys, err := popauth.StaticKeys(set)
		if err != nil {
			t.Fatal(err)
		}
		v, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: "https://id.example.com", Audience: []string{"orders"}, Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	both := verifier(public)
	var alone []popauth.Verifier
	for _, key := range keySet(t, "testdata/rfc7520/public.json") {
		set, err := json.Marshal(object{"keys": []object{key}})
		if err != nil {
			t.Fatal(err)
		}
		alone = append(alone, verifier(set))
	}
	var signer *node
	for _, row := range []struct {
		alg string
		key int
	}{{"ES512", 0}, {"RS256", 1}, {"RS384", 1}, {"RS512", 1}, {"PS256", 1}, {"PS384", 1}, {"PS512", 1}} {
		for _, kid := range []string{"bilbo.baggins@hobbiton.example", "", "frodo.baggins@hobbiton.example"} {
			header := object{"alg": row.alg, "typ": "at+jwt"}
			if kid != "" {
				header["kid"] = kid
			}
			now := time.Now().Unix()
			input := object{"jwk": private[row.key], "header": header, "claims": object{
				"iss": "https://id.example.com", "aud": "orders", "sub": "s", "client_id": "c", "jti": "j", "iat": now, "exp": now + 300}}
			if signer == nil {
				signer = run(t, "sign.mjs", input)
			} else {
				signer.write(input)
			}
			var token string
			signer.read(&token)
			wantKey := func(what string, err error, verified bool) {
				t.Helper()
				if verified && err != nil || !verified && !refusedAs(err, popauth.ErrTokenKey, popauth.ErrTokenSignature) {
					t.Errorf("%s, kid %q, %s: got %v, want it verified: %t", row.alg, kid, what, err, verified)
				}
			}
			known := kid != "frodo.baggins@hobbiton.example"
			_, err := both.Verify(t.Context(), token)
			wantKey("both keys", err, known)
			_, err = alone[row.key].Verify(t.Context(), token)
			wantKey("its key alone", err, known)
			_, err = alone[1-row.key].Verify(t.Context(), token)
			wantKey("the other key alone", err, false)
			// The signature's last character may hold bits that count for nothing; its first doesn't.
			dot := strings.LastIndexByte(token, '.') + 1
			_, err = both.Verify(t.Context(), token[:dot]+other(token[dot:dot+1])+token[dot+1:])
			wantKey("changed", err, false)
		}
	}
}

// keySet are the members keys of a JWK Set.
func keySet(tb testing.TB, file string) []object {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var set struct{ Keys []object }
	if err := json.Unmarshal(data, &set); err != nil {
		tb.Fatal(err)
	}
	return set.Keys
}

func other(letter string) string {
	if letter == "A" {
		return "B"
	}
	return "A"
}

func refusedAs(err error, reasons ...error) bool {
	for _, r := range reasons {
		if errors.Is(err, r) {
			return true
		}
	}
	return false
}
