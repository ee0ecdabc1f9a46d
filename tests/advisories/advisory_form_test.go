package advisories_test

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// RFC 7515, section 4.1.11: what a token declares critical must be understood. Nothing is.
func TestAdvisoryCritical(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	l.Genuine(t, g, l.Bound())
	for _, tt := range []struct {
		name   string
		header lab.Claims
	}{
		{"CVE-2025-59420 unknown", lab.Claims{"crit": []string{"cnf"}, "cnf": lab.Claims{"jkt": "x"}}},
		{"CVE-2026-32597 unknown and absent", lab.Claims{"crit": []string{"x-policy"}}},
		{"CVE-2026-35042 several", lab.Claims{"crit": []string{"exp", "x", "x"}, "exp": 1, "x": true}},
		{"registered", lab.Claims{"crit": []string{"alg", "kid"}}},
		{"empty", lab.Claims{"crit": []string{}}},
		{"null", lab.Claims{"crit": nil}},
		{"text", lab.Claims{"crit": "b64"}},
		{"RFC 7797", lab.Claims{"crit": []string{"b64"}, "b64": false}},
		{"b64 alone", lab.Claims{"b64": false}},
		{"b64 true", lab.Claims{"b64": true}},
		{"folded", lab.Claims{"Crit": []string{"x"}}},
		{"folded b64", lab.Claims{"B64": false}},
		{"folded zip", lab.Claims{"Zip": "DEF"}},
		{"folded enc", lab.Claims{"Enc": "A128GCM"}},
		{"folded cty", lab.Claims{"Cty": "JWT"}},
		{"folded by a Kelvin sign", lab.Claims{"\u212aid": "x"}},
		{"compressed", lab.Claims{"zip": "DEF"}},
		{"nested", lab.Claims{"cty": "JWT"}},
		{"nested in full", lab.Claims{"cty": "Application/JWT"}},
		{"nested access token", lab.Claims{"cty": "at+JWT"}},
		{"content type no text", lab.Claims{"cty": 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.Forged(t, g, l.Issuer.TokenWith(tt.header, l.Owner.Bound(), lab.Claims{"scope": "orders.read"}), popauth.ErrTokenMalformed)
		})
	}
}

// One token has one spelling.
func TestAdvisoryBase64(t *testing.T) {
	l := lab.New(t, "EdDSA") // 64 bytes of signature leave four bits unused
	g := l.Guard()
	good := strings.Split(l.Bound(), ".")
	l.Genuine(t, g, strings.Join(good, "."))
	for _, tt := range []struct {
		name   string
		change func(part string) string
		want   popauth.Reason
	}{
		{"CVE-2022-25898 space", func(p string) string { return p[:4] + " " + p[4:] }, popauth.ErrCredentialsMalformed},
		{"CVE-2022-25898 question mark", func(p string) string { return p + "?" }, popauth.ErrCredentialsMalformed},
		{"CVE-2022-25898 backslash", func(p string) string { return p[:4] + `\` + p[4:] }, popauth.ErrCredentialsMalformed},
		{"CVE-2022-25898 escape", func(p string) string { return p + "%3D" }, popauth.ErrCredentialsMalformed},
		{"line feed", func(p string) string { return p[:4] + "\n" + p[4:] }, popauth.ErrCredentialsMalformed},
		{"carriage return", func(p string) string { return p + "\r\n" }, popauth.ErrCredentialsMalformed},
		{"NUL", func(p string) string { return p + "\x00" }, popauth.ErrCredentialsMalformed},
		{"beyond ASCII", func(p string) string { return p + "\u017f" }, popauth.ErrCredentialsMalformed},
		{"invalid UTF-8", func(p string) string { return p + "\xff" }, popauth.ErrCredentialsMalformed},
		{"padding", func(p string) string { return p + strings.Repeat("=", 4-len(p)%4) }, popauth.ErrTokenMalformed},
		{"other alphabet", func(p string) string { return "+/" + p }, popauth.ErrTokenMalformed},
		{"b64token but no base64", func(p string) string { return p + "~" }, popauth.ErrTokenMalformed},
		{"one letter more", func(p string) string { return p + strings.Repeat("A", 5-len(p)%4) }, popauth.ErrTokenMalformed},
	} {
		for i := range good {
			t.Run(fmt.Sprintf("%s in part %d", tt.name, i+1), func(t *testing.T) {
				parts := append([]string{}, good...)
				parts[i] = tt.change(parts[i])
				want := tt.want
				if tt.name == "padding" && i < 2 {
					want = popauth.ErrCredentialsMalformed // = stands at the end of a b64token only
				}
				l.Forged(t, g, strings.Join(parts, "."), want)
			})
		}
	}
	t.Run("unused bits", func(t *testing.T) {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		s := good[2]
		last := strings.IndexByte(alphabet, s[len(s)-1])
		for other := last &^ 15; other < last|15; other++ {
			if other != last {
				l.Forged(t, g, good[0]+"."+good[1]+"."+s[:len(s)-1]+string(alphabet[other]), popauth.ErrTokenMalformed)
			}
		}
	})
}

// A token that is refused costs next to nothing, however long it is.
func TestAdvisoryHugeToken(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	l.Genuine(t, g, l.Bound())
	for _, tt := range []struct {
		name, token string
		want        popauth.Reason
	}{
		{"CVE-2025-30204 dots", strings.Repeat(".", 1<<20), popauth.ErrTokenMalformed},
		{"CVE-2025-27144 dots under the limit", strings.Repeat(".", 16000), popauth.ErrTokenMalformed},
		{"CVE-2025-22868 7000 segments", strings.Repeat("a.", 7000), popauth.ErrTokenMalformed},
		{"CVE-2025-61920 header", strings.Repeat("A", 1<<20) + ".e30.AA", popauth.ErrTokenMalformed},
		{"CVE-2025-61920 payload", "e30." + strings.Repeat("A", 1<<20) + ".AA", popauth.ErrTokenMalformed},
		{"CVE-2025-61920 signature", l.Bound() + strings.Repeat("A", 1<<20), popauth.ErrTokenMalformed},
		{"claims", l.Bound(lab.Claims{"x": strings.Repeat("x", 16<<10)}), popauth.ErrTokenMalformed},
		{"no token", strings.Repeat("=", 1<<20), popauth.ErrTokenMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.Forged(t, g, tt.token, tt.want)
			r := l.Owner.Request("GET", "/", tt.token)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			for range 100 {
				_, _ = g.Check(r)
			}
			runtime.ReadMemStats(&after)
			if each := (after.TotalAlloc - before.TotalAlloc) / 100; each > 64<<10 {
				t.Errorf("VULNERABLE: a refusal takes %d bytes", each)
			}
			if each := time.Since(start) / 100; each > 20*time.Millisecond {
				t.Errorf("VULNERABLE: a refusal takes %v", each)
			}
		})
	}
}

func TestAdvisoryDeepJSON(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	l.Genuine(t, g, l.Bound(lab.Claims{"x": json.RawMessage(strings.Repeat("[", 32) + strings.Repeat("]", 32))}))
	header := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":%q`, l.Published()[0].Kid)
	for _, tt := range []struct{ name, open, shut string }{
		{"CVE-2025-53864 arrays", "[", "]"},
		{"CVE-2025-53864 objects", `{"a":`, "}"},
		{"CVE-2025-53864 never shut", "[", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, depth := range []int{33, 2000} {
				value := strings.Repeat(tt.open, depth) + "1" + strings.Repeat(tt.shut, depth)
				payload := bytes.TrimSuffix(l.Claims(), []byte("}"))
				l.Forged(t, g, l.Issuer.Sign([]byte(header+"}"), append(payload, `,"x":`+value+"}"...), ""), popauth.ErrTokenMalformed)
				l.Forged(t, g, l.Issuer.Sign([]byte(header+`,"x":`+value+"}"), l.Claims(), ""), popauth.ErrTokenMalformed)
			}
		})
	}
}

// Every malformed token is answered, over a real connection: no 500, no connection that breaks off.
func TestAdvisoryParserFails(t *testing.T) {
	l := lab.New(t, "ES256")
	spy := &popauthtest.Spy{}
	server := popauthtest.NewServer(t, l.Guard().Confirm(spy))
	client := l.Owner.HTTP(server)
	ask := func(token string) int {
		r, err := http.NewRequest("GET", server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(r)
		if err != nil {
			t.Errorf("VULNERABLE: %.60q: %v", token, err)
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := ask(l.Bound()); got != 200 || spy.Ran() != 1 {
		t.Fatalf("the honest token: got %d, want 200", got)
	}
	values := []string{"", "x", "0", "-1", "1e400", "null", "true", `""`, `"x"`, "[]", "[[]]", "{}", `{"":{}}`, "{", `{"a"`, `{"alg":{}}`,
		"\xff", "\x00", `{"alg":"ES256","typ":["at+jwt"]}`}
	good := strings.Split(l.Bound(), ".")
	for i, name := range []string{"CVE-2019-17195 header", "CVE-2020-26521 payload", "signature"} {
		t.Run(name, func(t *testing.T) {
			for _, v := range values {
				parts := append([]string{}, good...)
				parts[i] = lab.B64([]byte(v))
				if got := ask(strings.Join(parts, ".")); got != 401 {
					t.Errorf("VULNERABLE: %q: got %d, want 401", v, got)
				}
			}
		})
	}
	if spy.Ran() != 1 {
		t.Error("VULNERABLE: the handler ran")
	}
}

// An access token is a JWS. What is encrypted is refused before anything of it is decrypted, unpacked or derived.
func TestAdvisoryEncryptedToken(t *testing.T) {
	l := lab.New(t, "RS256")
	g := l.Guard()
	l.Genuine(t, g, l.Bound())
	k, _ := l.Published()[0].Key.(*rsa.PublicKey)
	bomb := &bytes.Buffer{}
	w, _ := flate.NewWriter(bomb, flate.BestCompression)
	_, _ = w.Write(make([]byte, 4<<20))
	w.Close()
	plain := lab.Compact(`{"alg":"none"}`, l.Claims(), unsigned)
	for _, tt := range []struct {
		name    string
		header  lab.Claims
		content []byte
	}{
		{"CVE-2026-29000 plain token inside", lab.Claims{"cty": "JWT"}, []byte(plain)},
		{"CVE-2022-3102 claims inside", lab.Claims{}, l.Claims()},
		{"CVE-2024-28180 bomb", lab.Claims{"zip": "DEF"}, bomb.Bytes()},
		{"GHSA-2c7c-3mj9-8fqh rounds", lab.Claims{"alg": "PBES2-HS256+A128KW", "p2c": 2147483647, "p2s": "AAAA"}, l.Claims()},
		{"CVE-2026-34986 empty key", lab.Claims{"alg": "A128KW"}, nil},
		{"CVE-2016-9123 lengths", lab.Claims{"alg": "ECDH-ES", "apu": "_____w", "apv": "_____w", "epk": lab.Claims{"kty": "EC"}}, nil},
		{"direct", lab.Claims{"alg": "dir"}, l.Claims()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.Forged(t, g, encrypted(k, tt.header, tt.content), popauth.ErrTokenMalformed)
			// With the header of a JWE but three parts, and with the five parts of a JWE but a signature.
			header := lab.Claims{"alg": "RS256", "typ": "at+jwt", "enc": "A256GCM"}
			l.Forged(t, g, l.Issuer.TokenWith(header, l.Owner.Bound()), popauth.ErrTokenMalformed)
			l.Forged(t, g, l.Bound()+".AAAA.AAAA", popauth.ErrTokenMalformed)
		})
	}
}

// encrypted is a JWE for the holder of k (RFC 7516, section 7.1; RSA-OAEP-256 and A256GCM).
func encrypted(k *rsa.PublicKey, more lab.Claims, content []byte) string {
	header := lab.Claims{"alg": "RSA-OAEP-256", "enc": "A256GCM", "typ": "at+jwt"}
	for name, v := range more {
		header[name] = v
	}
	text, _ := json.Marshal(header)
	key, iv := make([]byte, 32), make([]byte, 12)
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, k, key, nil)
	if err != nil {
		panic(err)
	}
	var sealed []byte
	fips140.WithoutEnforcement(func() { // which wants a random iv
		block, _ := aes.NewCipher(key)
		aead, _ := cipher.NewGCM(block)
		sealed = aead.Seal(nil, iv, content, []byte(lab.B64(text)))
	})
	tag := sealed[len(sealed)-16:]
	return strings.Join([]string{lab.B64(text), lab.B64(wrapped), lab.B64(iv), lab.B64(sealed[:len(sealed)-16]), lab.B64(tag)}, ".")
}

// A JWS in JSON (RFC 7515, section 7.2), and what is one for some readers and a compact token for others.
func TestAdvisoryJSONSerialization(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	good := strings.Split(l.Bound(), ".")
	l.Genuine(t, g, strings.Join(good, "."))
	forged := lab.B64(l.Claims(lab.Claims{"scope": "orders.read admin"}))
	flat := fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, good[0], good[1], good[2])
	several := fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q},{"header":{"alg":"none"},"signature":""}]}`,
		forged, good[0], good[2])
	for _, tt := range []struct {
		name, token string
		want        popauth.Reason
	}{
		{"CVE-2016-9122 flattened", flat, popauth.ErrCredentialsMalformed},
		{"CVE-2016-9122 several signatures", several, popauth.ErrCredentialsMalformed},
		{"no protected header", `{"payload":"e30","signatures":[{"header":{"alg":"ES256"},"signature":"AA"}]}`,
			popauth.ErrCredentialsMalformed},
		{"in base64", lab.B64([]byte(flat)), popauth.ErrTokenMalformed},
		{"CVE-2022-39227 polyglot", fmt.Sprintf(`{"  %s.%s.":"","protected":%q,"payload":%q,"signature":%q}`, good[0], forged, good[0],
			good[1], good[2]), popauth.ErrCredentialsMalformed},
		{"CVE-2022-39227 in the header", lab.B64([]byte(flat)) + "." + forged + "." + good[2], popauth.ErrTokenType},
		{"quoted", `"` + strings.Join(good, ".") + `"`, popauth.ErrCredentialsMalformed},
		{"two tokens", strings.Join(good, ".") + "," + strings.Join(good, "."), popauth.ErrCredentialsMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) { l.Forged(t, g, tt.token, tt.want) })
	}
}

// A token in a token: what was verified is not what is read.
func TestAdvisoryNestedToken(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	l.Genuine(t, g, l.Bound())
	header := lab.Claims{"alg": "ES256", "typ": "at+jwt", "kid": l.Published()[0].Kid}
	for _, payload := range []string{l.Bound(), `"` + l.Bound() + `"`, lab.Compact(`{"alg":"none"}`, l.Claims(), unsigned)} {
		text, _ := json.Marshal(header)
		l.Forged(t, g, l.Issuer.Sign(text, []byte(payload), ""), popauth.ErrTokenMalformed)
	}
	// Whoever trusts a JWT that somebody else has verified must not read another one than that.
	for _, token := range []string{
		lab.Compact(lab.Claims{"alg": "ES256", "b64": false, "crit": []string{"b64"}}, l.Claims(), unsigned),
		lab.Compact(lab.Claims{"alg": "ES256", "cty": "JWT"}, l.Claims(), unsigned),
		lab.Compact(`{"alg":"ES256","alg":"none"}`, l.Claims(), unsigned),
		l.Bound() + ".x.y", l.Bound() + ".", "!." + strings.SplitN(l.Bound(), ".", 2)[1], l.Bound() + "=",
	} {
		if got, err := popauth.TrustJWT(token); err == nil {
			t.Errorf("VULNERABLE: TrustJWT reads %+v from %.80s", got, token)
		}
	}
}
