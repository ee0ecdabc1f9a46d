package popauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
)

var hmacs = []string{"HS256", "HS384", "HS512"}

// A token that is MACed with what everybody knows, the public key, in each text that a server may keep it in.
func TestAdvisoryPublicKeyAsSecret(t *testing.T) {
	l := newLab(t, "RS256", "ES256", "EdDSA")
	plain := l.guard()
	l.genuine(t, plain, l.bound())
	for _, tt := range []struct {
		name string
		form func(published) []byte
	}{
		{"CVE-2015-9235 PKIX PEM", func(k published) []byte { return pemOf("PUBLIC KEY", spki(k.key)) }},
		{"CVE-2015-9235 DER", func(k published) []byte { return spki(k.key) }},
		{"CVE-2015-9235 JWK", func(k published) []byte { return []byte(k.text) }},
		{"DSA-3293 raw key", rawKey},
		{"CVE-2017-11424 PKCS1 PEM", func(k published) []byte { return pemOf("RSA PUBLIC KEY", pkcs1(k.key)) }},
		{"CVE-2023-48223 PKCS1 DER", func(k published) []byte { return pkcs1(k.key) }},
		{"CVE-2022-29217 SSH", func(k published) []byte { return []byte(sshText(k.key)) }},
		{"CVE-2024-33663 SSH with a comment", func(k published) []byte { return []byte(sshText(k.key) + " ops@example.com\n") }},
		{"CVE-2026-34950 blank line first", func(k published) []byte { return append([]byte("\n"), pemOf("PUBLIC KEY", spki(k.key))...) }},
		{"CVE-2026-34950 byte order mark", func(k published) []byte { return append([]byte("\ufeff"), pemOf("PUBLIC KEY", spki(k.key))...) }},
		{"CVE-2024-37568 without the line's end", func(k published) []byte {
			return []byte(strings.TrimSpace(string(pemOf("PUBLIC KEY", spki(k.key)))))
		}},
		{"CVE-2016-10555 JWK Set", func(published) []byte { return l.issuer.JWKS() }},
		{"CVE-2023-48238 nothing", func(published) []byte { return []byte{} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, k := range l.published() {
				secret := tt.form(k)
				for _, alg := range hmacs {
					for _, header := range []cnf{
						{"alg": alg, "typ": "at+jwt", "kid": k.kid},
						{"alg": alg, "typ": "at+jwt"},
					} {
						l.forged(t, plain, compact(header, l.claims(), by(alg, secret)), popauth.ErrTokenAlgorithm)
					}
				}
				// The same MAC under the name of the key's own algorithm.
				header := cnf{"alg": k.alg, "typ": "at+jwt", "kid": k.kid}
				l.forged(t, plain, compact(header, l.claims(), by("HS256", secret)), popauth.ErrTokenSignature)
			}
		})
	}
}

// textKeys is a KeySource that hands out the key as the text of a file.
type textKeys struct{ key any }

func (k textKeys) KeyfuncCtx(context.Context) jwt.Keyfunc {
	return func(*jwt.Token) (any, error) { return k.key, nil }
}

// A key function that returns bytes would be an HMAC secret to a verifier that goes by the header.
func TestAdvisoryKeyFunctionReturnsText(t *testing.T) {
	l := newLab(t, "RS256")
	k := l.published()[0]
	text := pemOf("PUBLIC KEY", spki(k.key))
	for _, key := range []any{text, string(text), []byte{}, nil, jwt.VerificationKeySet{Keys: []jwt.VerificationKey{text}}, jwt.VerificationKeySet{}} {
		t.Run(fmt.Sprintf("CVE-2022-23541 %T", key), func(t *testing.T) {
			g := l.guard(func(o *popauth.Options) { o.Keys = textKeys{key} })
			l.forged(t, g, compact(cnf{"alg": "HS256", "typ": "at+jwt"}, l.claims(), by("HS256", text)), popauth.ErrTokenAlgorithm)
			l.forged(t, g, compact(cnf{"alg": "RS256", "typ": "at+jwt"}, l.claims(), by("HS256", text)), popauth.ErrTokenKey)
			l.forged(t, g, l.bound(), popauth.ErrTokenKey)
		})
	}
	l.genuine(t, l.guard(func(o *popauth.Options) { o.Keys = textKeys{k.key} }), l.bound())
	l.genuine(t, l.guard(func(o *popauth.Options) {
		o.Keys = textKeys{jwt.VerificationKeySet{Keys: []jwt.VerificationKey{k.key, text}}}
	}), l.bound())
}

// A secret of whatever origin is no key here, wherever it stands.
func TestAdvisoryNoSecretIsAKey(t *testing.T) {
	l := newLab(t, "ES256")
	secret := []byte("0123456789abcdef0123456789abcdef")
	oct := fmt.Sprintf(`{"kty":"oct","kid":"s","alg":"HS256","use":"sig","k":%q}`, b64(secret))
	macs := compact(cnf{"alg": "HS256", "typ": "at+jwt", "kid": "s"}, l.claims(), by("HS256", secret))
	t.Run("CVE-2026-33322", func(t *testing.T) {
		g := l.over(oct, l.published()[0].text)
		l.genuine(t, g, l.bound())
		l.forged(t, g, macs, popauth.ErrTokenAlgorithm)
	})
	t.Run("CVE-2026-33322 a set of secrets", func(t *testing.T) {
		if keys, err := popauth.StaticKeys([]byte(`{"keys":[` + oct + `]}`)); err == nil {
			t.Errorf("VULNERABLE: got %v, want an error", keys)
		}
	})
	t.Run("CVE-2019-20933 no key material", func(t *testing.T) {
		for _, set := range []string{``, `{}`, `{"keys":[]}`, `{"keys":null}`, `{"keys":[{"kty":"oct","k":""}]}`, `{"keys":[{"kty":"RSA","n":"","e":""}]}`} {
			if keys, err := popauth.StaticKeys([]byte(set)); err == nil {
				t.Errorf("VULNERABLE: %s: got %v, want an error", set, keys)
			}
		}
	})
	t.Run("GHSA-869p-cjfg-cm3x a secret that the token names", func(t *testing.T) {
		header := cnf{"alg": "HS256", "typ": "at+jwt", "kid": "", "secret": "", "k": b64(nil)}
		l.forged(t, l.guard(), compact(header, l.claims(), by("HS256", []byte{})), popauth.ErrTokenMalformed)
		delete(header, "kid")
		l.forged(t, l.guard(), compact(header, l.claims(), by("HS256", []byte{})), popauth.ErrTokenAlgorithm)
	})
}

// A key that says nothing of its algorithm does not leave the choice to the token.
func TestAdvisoryKeyWithoutAlgorithm(t *testing.T) {
	l := newLab(t, "RS256", "PS256", "RS512")
	bare := jwk(l.published()[0].key, cnf{"kid": "bare"})
	g := l.guard(withKeys(l, bare), onlyAlgorithms("RS256"))
	token := func(alg string) string {
		return l.issuer.TokenWith(cnf{"alg": alg, "kid": "bare"}, l.owner.Bound(), cnf{"scope": "orders.read"})
	}
	l.genuine(t, g, token("RS256"))
	t.Run("CVE-2026-22817", func(t *testing.T) {
		l.forged(t, g, token("PS256"), popauth.ErrTokenAlgorithm)
		l.forged(t, g, token("RS512"), popauth.ErrTokenAlgorithm)
		for _, secret := range [][]byte{[]byte(bare), spki(l.published()[0].key), nil} {
			forged := compact(cnf{"alg": "HS256", "typ": "at+jwt", "kid": "bare"}, l.claims(), by("HS256", append([]byte{}, secret...)))
			l.forged(t, g, forged, popauth.ErrTokenAlgorithm)
		}
	})
}

func TestAdvisoryNone(t *testing.T) {
	l := newLab(t, "ES256")
	g := l.guard()
	honest := l.bound()
	l.genuine(t, g, honest)
	kid := l.published()[0].kid
	for _, alg := range []any{
		"none", "None", "NONE", "nOnE", "none ", " none", "none\x00", "no\u006ee", "null", "", "plain", "HS256none", "es256", "ES256 ", "ES 256", "RS256\n",
		nil, 0, false, []string{"none"}, []string{"ES256"}, cnf{"alg": "none"},
	} {
		t.Run(fmt.Sprintf("CVE-2022-23540 %v", alg), func(t *testing.T) {
			want := popauth.ErrTokenAlgorithm
			if _, text := alg.(string); !text {
				want = popauth.ErrTokenMalformed
			}
			for _, signature := range []func(string) []byte{unsigned, by("HS256", []byte("x")), func(string) []byte { return []byte{0} }} {
				l.forged(t, g, compact(cnf{"alg": alg, "typ": "at+jwt", "kid": kid}, l.claims(), signature), want)
				l.forged(t, g, compact(cnf{"alg": alg, "typ": "at+jwt"}, l.claims(), signature), want)
			}
		})
	}
	t.Run("CVE-2021-22160", func(t *testing.T) {
		l.forged(t, g, compact(`{"typ":"at+jwt"}`, l.claims(), unsigned), popauth.ErrTokenAlgorithm)
		l.forged(t, g, compact(`{"alg":"none"}`, l.claims(), unsigned), popauth.ErrTokenType)
		l.forged(t, g, l.issuer.TokenWith(cnf{"alg": "none"}, l.owner.Bound()), popauth.ErrTokenAlgorithm)
		// Two readers, two algorithms.
		l.forged(t, g, compact(`{"alg":"none","alg":"ES256","typ":"at+jwt"}`, l.claims(), unsigned), popauth.ErrTokenMalformed)
		l.forged(t, g, compact(`{"alg":"ES256","ALG":"none","typ":"at+jwt"}`, l.claims(), unsigned), popauth.ErrTokenMalformed)
	})
}

// Every algorithm with every key of another one: in kind, in curve, or as the JWK itself names it.
func TestAdvisoryKeyUnfitForTheAlgorithm(t *testing.T) {
	algorithms := []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"}
	l := newLab(t, algorithms...)
	g := l.guard()
	for _, k := range l.published() {
		for _, alg := range algorithms {
			token := l.issuer.TokenWith(cnf{"alg": alg, "kid": k.kid}, l.owner.Bound(), cnf{"scope": "orders.read"})
			if alg == k.alg {
				l.genuine(t, g, token)
				continue
			}
			t.Run("CVE-2022-23539 "+alg+" by the key of "+k.alg, func(t *testing.T) { l.forged(t, g, token, popauth.ErrTokenKey) })
		}
	}
	// golang-jwt leaves the curve open: the length of the signature is all it looks at.
	bare := jwk(l.published()[3].key, cnf{"kid": "p384"})
	g = l.over(bare)
	header := cnf{"alg": "ES256", "typ": "at+jwt", "kid": "p384"}
	l.forged(t, g, compact(header, l.claims(), func(string) []byte { return make([]byte, 64) }), popauth.ErrTokenKey)
}

// No setting and no missing setting turns a check off.
func TestAdvisoryNoSwitchTurnsAChecksOff(t *testing.T) {
	l := newLab(t, "ES256")
	other := newLab(t, "ES256")
	full := reflect.TypeFor[popauth.Options]()
	for i := range full.NumField() {
		name := full.Field(i).Name
		t.Run("GHSA-q926-c743-49qj CVE-2026-40946 CVE-2020-15084 without "+name, func(t *testing.T) {
			o := l.issuer.Options()
			o.Algorithms, o.TokenTypes, o.Confirmers = []string{"ES256"}, []string{"at+jwt"}, []popauth.Confirmer{popauth.MutualTLS{}}
			if field := reflect.ValueOf(&o).Elem().Field(i); field.CanSet() {
				field.SetZero()
			}
			g, err := popauth.New(o)
			if err != nil {
				return // refusing to start is safe
			}
			for _, token := range []string{
				l.issuer.TokenWith(cnf{"alg": "none"}, l.owner.Bound()), other.bound(l.owner.Bound()), l.bound(cnf{"aud": "x"}), l.bound(cnf{"iss": "x"}),
				l.bound(cnf{"exp": 1}), l.bound(l.thief.Bound()), l.issuer.TokenWith(cnf{"typ": "dpop+jwt"}, l.owner.Bound()),
			} {
				if o := send(g.Confirm, l.owner.Request("GET", "/", token)); o.ran {
					t.Errorf("VULNERABLE: lets pass %s", payloadOf(token))
				}
			}
		})
	}
	for _, names := range [][]string{{}, {""}, {"none"}, {"ES256", "none"}, {"HS256"}, {"hs256"}, {"*"}, {"any"}} {
		o := l.issuer.Options()
		o.Algorithms = names
		if g, err := popauth.New(o); err == nil {
			t.Errorf("VULNERABLE: Algorithms %q: got %v, want an error", names, g)
		}
	}
	send((&popauth.Guard{}).Authenticate, l.owner.Request("GET", "/", l.bound())).refused(t, http.StatusInternalServerError, "")
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func spki(key crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return der
}

// pkcs1 is for RSA; any other key stays as it is.
func pkcs1(key crypto.PublicKey) []byte {
	if k, ok := key.(*rsa.PublicKey); ok {
		return x509.MarshalPKCS1PublicKey(k)
	}
	return spki(key)
}

// rawKey is the modulus, the point or the key itself.
func rawKey(k published) []byte {
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		return key.N.Bytes()
	case *ecdsa.PublicKey:
		point, _ := key.Bytes()
		return point
	case ed25519.PublicKey:
		return key
	}
	return nil
}

// sshText is a line of authorized_keys (RFC 4253, section 6.6).
func sshText(key crypto.PublicKey) string {
	field := func(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }
	number := func(n *big.Int) []byte { return field(append([]byte{0}, n.Bytes()...)) }
	switch key := key.(type) {
	case *rsa.PublicKey:
		blob := append(append(field([]byte("ssh-rsa")), field(big.NewInt(int64(key.E)).Bytes())...), number(key.N)...)
		return "ssh-rsa " + base64.StdEncoding.EncodeToString(blob)
	case *ecdsa.PublicKey:
		point, _ := key.Bytes()
		blob := append(append(field([]byte("ecdsa-sha2-nistp256")), field([]byte("nistp256"))...), field(point)...)
		return "ecdsa-sha2-nistp256 " + base64.StdEncoding.EncodeToString(blob)
	case ed25519.PublicKey:
		return "ssh-ed25519 " + base64.StdEncoding.EncodeToString(append(field([]byte("ssh-ed25519")), field(key)...))
	}
	return ""
}
