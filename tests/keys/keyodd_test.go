package keys_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // x5t is one
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// One odd key, or an odd member of a good one, spoils nothing, and the error names what was left out.
func TestOddKeysSpoilNothing(t *testing.T) {
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	good := `{"kid":"good",` + goodP256 + `}`
	for _, tt := range []struct {
		name, set string
		want      string // in the error, if the set has no other key; "" if it is a good key
	}{
		{name: "nested deeply", set: `{"kid":"good",` + goodP256 + `,"x":` + deep + `}`, want: "a member that counts is there twice"},
		{name: "an odd member nested deeply", set: `{"kid":"good",` + goodP256 + `,"odd":` + deep + `}`},
		{name: "an odd member in Latin-1", set: "{\"kid\":\"good\"," + goodP256 + ",\"odd\":\"caf\xe9\"}"},
		{name: "an odd member twice", set: `{"kid":"good",` + goodP256 + `,"odd":1,"odd":2}`},
		{name: "x5c a string", set: `{"kid":"good",` + goodP256 + `,"x5c":"MIIC"}`},
		{name: "x5t#s256 in small letters", set: `{"kid":"good",` + goodP256 + `,"x5t#s256":"AAAA"}`},
		{name: "key_ops a string", set: `{"kid":"good",` + goodP256 + `,"key_ops":"verify"}`},
		{name: "optional members null", set: `{"kid":"good",` + goodP256 + `,"use":null,"alg":null,"key_ops":null,"x5c":null,"d":null}`},
		{name: "private members without content", set: `{"kid":"good",` + goodP256 + `,"d":"","oth":[]}`},
		{name: "SPIRE's use", set: `{"kid":"good",` + goodP256 + `,"use":"jwt-svid"}`},
		{name: "SPIRE's other use", set: `{"kid":"odd",` + goodP256 + `,"use":"x509-svid"}`,
			want: `kid "odd": use: "x509-svid" is not for signatures`},
		{name: "for encryption", set: `{"kid":"odd",` + goodP256 + `,"use":"enc"}`, want: `use: "enc" is not for signatures`},
		{name: "key_ops of another kind", set: `{"kid":"odd",` + goodP256 + `,"key_ops":["sign"]}`, want: "key_ops: without verify"},
		{name: "key_ops in Latin-1", set: "{\"kid\":\"odd\"," + goodP256 + ",\"key_ops\":[\"verify\",\"\xe9\"]}", want: "key_ops: "},
		{name: "private", set: `{"kid":"odd",` + goodP256 + `,"d":"AQAB"}`, want: "nobody's"},
		{name: "kid in Latin-1", set: "{\"kid\":\"\xe9\"," + goodP256 + "}", want: "key 1"},
		{name: "Ed25519 too short", set: `{"kid":"odd","kty":"OKP","crv":"Ed25519","x":"AA"}`,
			want: `no key that can be read, of kty "OKP": `},
		{name: "kid twice", set: `{"kid":"odd","kid":"good",` + goodP256 + `}`, want: "twice"},
		{name: "unknown kind", set: `{"kid":"odd","kty":"AKP","alg":"ML-DSA-44","pub":"AA"}`, want: `kty "AKP"`},
		{name: "Ed25519 that is no point", set: `{"kid":"odd","kty":"OKP","crv":"Ed25519","x":"AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA` +
			`AAAA"}`, want: "nobody has, or everybody"},
		{name: "Ed25519 of small order", set: `{"kid":"odd","kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA` +
			`AA"}`, want: "nobody has, or everybody"},
		{name: "no object", set: `null`, want: "key 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := popauth.StaticKeys([]byte(`{"keys":[` + tt.set + `]}`))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("alone: got %v, want %q", err, tt.want)
			}
			for _, set := range []string{tt.set + "," + good, good + "," + tt.set} {
				keys, err := popauth.StaticKeys([]byte("\ufeff" + `{"odd":1,"odd":2,"keys":[` + set + `]}`))
				if err != nil {
					t.Fatalf("beside a good one: %v", err)
				}
				if _, err := choose(t, keys, map[string]any{"alg": "ES256", "kid": "good"}); err != nil {
					t.Errorf("beside a good one: got %v", err)
				}
				if _, err := choose(t, keys, map[string]any{"alg": "ES256", "kid": "none"}); err == nil ||
					tt.want != "" && !strings.Contains(err.Error(), "left out: key") {
					t.Errorf("an unknown kid: got %v, want it to name what was left out", err)
				}
			}
		})
	}
}

// keySigner is a key, and the JWK that an issuer publishes of it.
type keySigner struct {
	key *ecdsa.PrivateKey
	jwk map[string]any
}

func newKeySigner(t *testing.T, members map[string]any) keySigner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	jwk := map[string]any{"kty": "EC", "crv": "P-256", "x": encode(b[1:33]), "y": encode(b[33:])}
	for name, v := range members {
		jwk[name] = v
	}
	return keySigner{key, jwk}
}

func (s keySigner) token(t *testing.T, header map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256,
		jwt.MapClaims{"iss": somewhere, "sub": "alice", "aud": popauthtest.Audience, "exp": 4_000_000_000})
	token.Header["typ"] = "at+jwt"
	for name, v := range header {
		token.Header[name] = v
	}
	text, err := token.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func setFrom(t *testing.T, signers ...keySigner) popauth.KeySource {
	t.Helper()
	var all []map[string]any
	for _, s := range signers {
		all = append(all, s.jwk)
	}
	b, err := json.Marshal(map[string]any{"keys": all})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := popauth.StaticKeys(b)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// A few keys of one kid are tried, and no more than a few.
func TestSeveralKeysOfOneKid(t *testing.T) {
	var signers []keySigner
	for range 5 {
		signers = append(signers, newKeySigner(t, map[string]any{"kid": "k"}))
	}
	thief := newKeySigner(t, map[string]any{"kid": "k"})
	api := lab.NewKeyedAPI(t, somewhere, setFrom(t, signers...), nil)
	for n, want := range []int{200, 200, 200, 401, 401} {
		for range 2 { // at first sight, and again
			api.Want(t, signers[n].token(t, map[string]any{"kid": "k"}), want)
		}
	}
	api.Want(t, thief.token(t, map[string]any{"kid": "k"}), 401)
	api.Want(t, signers[0].token(t, nil), 401) // names none of five
}

// x5t#S256 and x5t choose a key as kid does, whether the set names the certificate's thumbprint or has the certificate.
func TestThumbprintChoosesTheKey(t *testing.T) {
	lab.NeedUnapproved(t, "SHA-1")
	der := func(n int) []byte { return fmt.Appendf(nil, "certificate %d", n) }
	long := func(n int) string { s := sha256.Sum256(der(n)); return base64.RawURLEncoding.EncodeToString(s[:]) }
	short := func(n int) string { s := sha1.Sum(der(n)); return base64.RawURLEncoding.EncodeToString(s[:]) } //nolint:gosec // x5t is one
	one := newKeySigner(t, map[string]any{"kid": "one", "x5c": []string{base64.StdEncoding.EncodeToString(der(1))}})
	two := newKeySigner(t, map[string]any{"kid": "two", "x5t": short(2), "x5t#S256": long(2)})
	thief := newKeySigner(t, nil)
	keys := setFrom(t, one, two)
	api := lab.NewKeyedAPI(t, somewhere, keys, nil)
	for _, tt := range []struct {
		name   string
		by     keySigner
		header map[string]any
		want   int
	}{
		{name: "x5t of x5c", by: one, header: map[string]any{"x5t": short(1)}, want: 200},
		{name: "x5t#S256 of x5c", by: one, header: map[string]any{"x5t#S256": long(1)}, want: 200},
		{name: "x5t as it is said", by: two, header: map[string]any{"x5t": short(2)}, want: 200},
		{name: "padded", by: two, header: map[string]any{"x5t": short(2) + "="}, want: 200},
		{name: "both", by: two, header: map[string]any{"x5t": short(2), "x5t#S256": long(2)}, want: 200},
		{name: "the better of both", by: two, header: map[string]any{"x5t": short(1), "x5t#S256": long(2)}, want: 200},
		{name: "kid comes first", by: two, header: map[string]any{"kid": "two", "x5t": short(1)}, want: 200},
		{name: "a thumbprint that is none, beside kid", by: two, header: map[string]any{"kid": "two", "x5t": 7}, want: 200},
		{name: "one too long, beside the other", by: one, header: map[string]any{"x5t#S256": long(1) + "A", "x5t": short(1)}, want: 200},
		{name: "of the other key", by: one, header: map[string]any{"x5t": short(2)}, want: 401},
		{name: "unknown", by: one, header: map[string]any{"x5t": short(3)}, want: 401},
		{name: "a thief's", by: thief, header: map[string]any{"x5t": short(1)}, want: 401},
		{name: "none", by: one, header: nil, want: 401},
		{name: "a thumbprint as kid", by: one, header: map[string]any{"kid": long(1)}, want: 401},
	} {
		t.Run(tt.name, func(t *testing.T) { api.Want(t, tt.by.token(t, tt.header), tt.want) })
	}
	for _, better := range []any{popauthtest.Omit, long(1), 7, strings.Repeat("A", 44)} {
		header := map[string]any{"alg": "ES256", "x5t": short(1)}
		if better != popauthtest.Omit {
			header["x5t#S256"] = better
		}
		if _, err := choose(t, keys, header); err != nil {
			t.Errorf("by golang-jwt, beside x5t#S256 %v: %v", better, err)
		}
	}
}

// A token whose certificate nobody knows causes a fetch, as one with an unknown kid does.
func TestUnknownThumbprintIsLookedFor(t *testing.T) {
	before := newKeySigner(t, map[string]any{"x5t": "before"})
	after := newKeySigner(t, map[string]any{"x5t": "after"})
	set, _ := json.Marshal(map[string]any{"keys": []any{before.jwk}})
	s := &site{pages: map[string]string{theKeys: string(set)}}
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{URL: theKeys, Client: clientOf(s)})
	if err != nil {
		t.Fatal(err)
	}
	api := lab.NewKeyedAPI(t, somewhere, keys, nil)
	api.Want(t, before.token(t, map[string]any{"x5t": "before"}), 200)
	set, _ = json.Marshal(map[string]any{"keys": []any{before.jwk, after.jwk}})
	s.pages[theKeys] = string(set)
	api.Want(t, after.token(t, map[string]any{"x5t": "after"}), 200)
	if len(s.asked) != 2 {
		t.Errorf("asked %d times, want 2", len(s.asked))
	}
}

// Under GODEBUG=fips140=only crypto/sha1 panics. A key that comes with its certificate, as Keycloak's do, is known by its kid and by
// x5t#S256, and by x5t where the set says it.
func TestCertificatesOfKeysUnderFIPS140Only(t *testing.T) {
	if !fips140.Enforced() {
		own := exec.Command(os.Args[0], "-test.run=^TestCertificatesOfKeysUnderFIPS140Only$", "-test.v")
		own.Env = append(os.Environ(), "GODEBUG=fips140=only")
		if out, err := own.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	der := []byte("certificate")
	sum := sha256.Sum256(der)
	key := newKeySigner(t, map[string]any{"kid": "k", "x5t": "said", "x5c": []string{base64.StdEncoding.EncodeToString(der)}})
	api := lab.NewKeyedAPI(t, somewhere, setFrom(t, key), nil)
	for _, header := range []map[string]any{
		{"kid": "k"}, {"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}, {"x5t": "said"},
	} {
		api.Want(t, key.token(t, header), 200)
	}
}
