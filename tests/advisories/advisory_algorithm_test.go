package advisories_test

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
	"github.com/seed-171ab058/popauth/internal/lab"
)

var hmacs = []string{"HS256", "HS384", "HS512"}

// A token that is MACed with what everybody knows, the public key, in each text that a server may keep it in.
func TestAdvisoryPublicKeyAsSecret(t *testing.T) {
	l := lab.New(t, "RS256", "ES256", "EdDSA")
	plain := l.Guard()
	l.Genuine(t, plain, l.Bound())
	for _, tt := range []struct {
		name string
		form func(lab.Published) []byte
	}{
		{"CVE-2015-9235 PKIX PEM", func(k lab.Published) []byte { return pemOf("PUBLIC KEY", spki(k.Key)) }},
		{"CVE-2015-9235 DER", func(k lab.Published) []byte { return spki(k.Key) }},
		{"CVE-2015-9235 JWK", func(k lab.Published) []byte { return []byte(k.Text) }},
		{"DSA-3293 raw key", rawKey},
		{"CVE-2017-11424 PKCS1 PEM", func(k lab.Published) []byte { return pemOf("RSA PUBLIC KEY", pkcs1(k.Key)) }},
		{"CVE-2023-48223 PKCS1 DER", func(k lab.Published) []byte { return pkcs1(k.Key) }},
		{"CVE-2022-29217 SSH", func(k lab.Published) []byte { return []byte(sshText(k.Key)) }},
		{"CVE-2024-33663 SSH with a comment", func(k lab.Published) []byte { return []byte(sshText(k.Key) + " ops@example.com\n") }},
		{"CVE-2026-34950 blank line first", func(k lab.Published) []byte {
			return append([]byte("\n"), pemOf("PUBLIC KEY", spki(k.Key))...)
		}},
		{"CVE-2026-34950 byte order mark", func(k lab.Published) []byte {
			return append([]byte("\ufeff"), pemOf("PUBLIC KEY", spki(k.Key))...)
		}},
		{"CVE-2024-37568 without the line's end", func(k lab.Published) []byte {
			return []byte(strings.TrimSpace(string(pemOf("PUBLIC KEY", spki(k.Key)))))
		}},
		{"CVE-2016-10555 JWK Set", func(lab.Published) []byte { return l.Issuer.JWKS() }},
		{"CVE-2023-48238 nothing", func(lab.Published) []byte { return []byte{} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, k := range l.Published() {
				secret := tt.form(k)
				for _, alg := range hmacs {
					for _, header := range []lab.Claims{
						{"alg": alg, "typ": "at+jwt", "kid": k.Kid},
						{"alg": alg, "typ": "at+jwt"},
					} {
						l.Forged(t, plain, lab.Compact(header, l.Claims(), lab.By(alg, secret)), popauth.ErrTokenAlgorithm)
					}
				}
				// The same MAC under the name of the key's own algorithm.
				header := lab.Claims{"alg": k.Alg, "typ": "at+jwt", "kid": k.Kid}
				l.Forged(t, plain, lab.Compact(header, l.Claims(), lab.By("HS256", secret)), popauth.ErrTokenSignature)
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
	l := lab.New(t, "RS256")
	k := l.Published()[0]
	text := pemOf("PUBLIC KEY", spki(k.Key))
	for _, key := range []any{text, string(text), []byte{}, nil, jwt.VerificationKeySet{Keys: []jwt.VerificationKey{text}},
		jwt.VerificationKeySet{}} {
		t.Run(fmt.Sprintf("CVE-2022-23541 %T", key), func(t *testing.T) {
			g := l.Guard(func(o *popauth.Options) { o.Keys = textKeys{key} })
			l.Forged(t, g, lab.Compact(lab.Claims{"alg": "HS256", "typ": "at+jwt"}, l.Claims(), lab.By("HS256", text)),
				popauth.ErrTokenAlgorithm)
			l.Forged(t, g, lab.Compact(lab.Claims{"alg": "RS256", "typ": "at+jwt"}, l.Claims(), lab.By("HS256", text)), popauth.ErrTokenKey)
			l.Forged(t, g, l.Bound(), popauth.ErrTokenKey)
		})
	}
	l.Genuine(t, l.Guard(func(o *popauth.Options) { o.Keys = textKeys{k.Key} }), l.Bound())
	l.Genuine(t, l.Guard(func(o *popauth.Options) {
		o.Keys = textKeys{jwt.VerificationKeySet{Keys: []jwt.VerificationKey{k.Key, text}}}
	}), l.Bound())
}

// A secret of whatever origin is no key here, wherever it stands.
func TestAdvisoryNoSecretIsAKey(t *testing.T) {
	l := lab.New(t, "ES256")
	secret := []byte("0123456789abcdef0123456789abcdef")
	oct := fmt.Sprintf(`{"kty":"oct","kid":"s","alg":"HS256","use":"sig","k":%q}`, lab.B64(secret))
	macs := lab.Compact(lab.Claims{"alg": "HS256", "typ": "at+jwt", "kid": "s"}, l.Claims(), lab.By("HS256", secret))
	t.Run("CVE-2026-33322", func(t *testing.T) {
		g := l.Over(oct, l.Published()[0].Text)
		l.Genuine(t, g, l.Bound())
		l.Forged(t, g, macs, popauth.ErrTokenAlgorithm)
	})
	t.Run("CVE-2026-33322 a set of secrets", func(t *testing.T) {
		if keys, err := popauth.StaticKeys([]byte(`{"keys":[` + oct + `]}`)); err == nil {
			t.Errorf("VULNERABLE: got %v, want an error", keys)
		}
	})
	t.Run("CVE-2019-20933 no key material", func(t *testing.T) {
		for _, set := range []string{``, `{}`, `{"keys":[]}`, `{"keys":null}`, `{"keys":[{"kty":"oct","k":""}]}`,
			`{"keys":[{"kty":"RSA","n":"","e":""}]}`} {
			if keys, err := popauth.StaticKeys([]byte(set)); err == nil {
				t.Errorf("VULNERABLE: %s: got %v, want an error", set, keys)
			}
		}
	})
	t.Run("GHSA-869p-cjfg-cm3x a secret that the token names", func(t *testing.T) {
		header := lab.Claims{"alg": "HS256", "typ": "at+jwt", "kid": "", "secret": "", "k": lab.B64(nil)}
		l.Forged(t, l.Guard(), lab.Compact(header, l.Claims(), lab.By("HS256", []byte{})), popauth.ErrTokenMalformed)
		delete(header, "kid")
		l.Forged(t, l.Guard(), lab.Compact(header, l.Claims(), lab.By("HS256", []byte{})), popauth.ErrTokenAlgorithm)
	})
}

// A key that says nothing of its algorithm does not leave the choice to the token.
func TestAdvisoryKeyWithoutAlgorithm(t *testing.T) {
	l := lab.New(t, "RS256", "PS256", "RS512")
	bare := lab.Jwk(l.Published()[0].Key, lab.Claims{"kid": "bare"})
	g := l.Guard(lab.WithKeys(l, bare), onlyAlgorithms("RS256"))
	token := func(alg string) string {
		return l.Issuer.TokenWith(lab.Claims{"alg": alg, "kid": "bare"}, l.Owner.Bound(), lab.Claims{"scope": "orders.read"})
	}
	l.Genuine(t, g, token("RS256"))
	t.Run("CVE-2026-22817", func(t *testing.T) {
		l.Forged(t, g, token("PS256"), popauth.ErrTokenAlgorithm)
		l.Forged(t, g, token("RS512"), popauth.ErrTokenAlgorithm)
		for _, secret := range [][]byte{[]byte(bare), spki(l.Published()[0].Key), nil} {
			forged := lab.Compact(lab.Claims{"alg": "HS256", "typ": "at+jwt", "kid": "bare"}, l.Claims(),
				lab.By("HS256", append([]byte{}, secret...)))
			l.Forged(t, g, forged, popauth.ErrTokenAlgorithm)
		}
	})
}

func TestAdvisoryNone(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	honest := l.Bound()
	l.Genuine(t, g, honest)
	kid := l.Published()[0].Kid
	for _, alg := range []any{
		"none", "None", "NONE", "nOnE", "none ", " none", "none\x00", "no\u006ee", "null", "", "plain", "HS256none", "es256", "ES256 ",
		"ES 256", "RS256\n",
		nil, 0, false, []string{"none"}, []string{"ES256"}, lab.Claims{"alg": "none"},
	} {
		t.Run(fmt.Sprintf("CVE-2022-23540 %v", alg), func(t *testing.T) {
			want := popauth.ErrTokenAlgorithm
			if _, text := alg.(string); !text {
				want = popauth.ErrTokenMalformed
			}
			for _, signature := range []func(string) []byte{
				unsigned, lab.By("HS256", []byte("x")), func(string) []byte { return []byte{0} },
			} {
				l.Forged(t, g, lab.Compact(lab.Claims{"alg": alg, "typ": "at+jwt", "kid": kid}, l.Claims(), signature), want)
				l.Forged(t, g, lab.Compact(lab.Claims{"alg": alg, "typ": "at+jwt"}, l.Claims(), signature), want)
			}
		})
	}
	t.Run("CVE-2021-22160", func(t *testing.T) {
		l.Forged(t, g, lab.Compact(`{"typ":"at+jwt"}`, l.Claims(), unsigned), popauth.ErrTokenAlgorithm)
		l.Forged(t, g, lab.Compact(`{"alg":"none"}`, l.Claims(), unsigned), popauth.ErrTokenType)
		l.Forged(t, g, l.Issuer.TokenWith(lab.Claims{"alg": "none"}, l.Owner.Bound()), popauth.ErrTokenAlgorithm)
		// Two readers, two algorithms.
		l.Forged(t, g, lab.Compact(`{"alg":"none","alg":"ES256","typ":"at+jwt"}`, l.Claims(), unsigned), popauth.ErrTokenMalformed)
		l.Forged(t, g, lab.Compact(`{"alg":"ES256","ALG":"none","typ":"at+jwt"}`, l.Claims(), unsigned), popauth.ErrTokenMalformed)
	})
}

// Every algorithm with every key of another one: in kind, in curve, or as the JWK itself names it.
func TestAdvisoryKeyUnfitForTheAlgorithm(t *testing.T) {
	algorithms := []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"}
	l := lab.New(t, algorithms...)
	g := l.Guard()
	for _, k := range l.Published() {
		for _, alg := range algorithms {
			token := l.Issuer.TokenWith(lab.Claims{"alg": alg, "kid": k.Kid}, l.Owner.Bound(), lab.Claims{"scope": "orders.read"})
			if alg == k.Alg {
				l.Genuine(t, g, token)
				continue
			}
			t.Run("CVE-2022-23539 "+alg+" by the key of "+k.Alg, func(t *testing.T) { l.Forged(t, g, token, popauth.ErrTokenKey) })
		}
	}
	// golang-jwt leaves the curve open: the length of the signature is all it looks at.
	bare := lab.Jwk(l.Published()[3].Key, lab.Claims{"kid": "p384"})
	g = l.Over(bare)
	header := lab.Claims{"alg": "ES256", "typ": "at+jwt", "kid": "p384"}
	l.Forged(t, g, lab.Compact(header, l.Claims(), func(string) []byte { return make([]byte, 64) }), popauth.ErrTokenKey)
}

// No setting and no missing setting turns a check off.
func TestAdvisoryNoSwitchTurnsAChecksOff(t *testing.T) {
	l := lab.New(t, "ES256")
	other := lab.New(t, "ES256")
	full := reflect.TypeFor[popauth.Options]()
	for i := range full.NumField() {
		name := full.Field(i).Name
		t.Run("GHSA-q926-c743-49qj CVE-2026-40946 CVE-2020-15084 without "+name, func(t *testing.T) {
			o := l.Issuer.Options()
			o.Algorithms, o.TokenTypes, o.Confirmers = []string{"ES256"}, []string{"at+jwt"}, []popauth.Confirmer{popauth.MutualTLS{}}
			if field := reflect.ValueOf(&o).Elem().Field(i); field.CanSet() {
				field.SetZero()
			}
			g, err := popauth.New(o)
			if err != nil {
				return // refusing to start is safe
			}
			for _, token := range []string{
				l.Issuer.TokenWith(lab.Claims{"alg": "none"}, l.Owner.Bound()), other.Bound(l.Owner.Bound()),
				l.Bound(lab.Claims{"aud": "x"}), l.Bound(lab.Claims{"iss": "x"}),
				l.Bound(lab.Claims{"exp": 1}), l.Bound(l.Thief.Bound()), l.Issuer.TokenWith(lab.Claims{"typ": "dpop+jwt"}, l.Owner.Bound()),
			} {
				if o := lab.Send(g.Confirm, l.Owner.Request("GET", "/", token)); o.Ran {
					t.Errorf("VULNERABLE: lets pass %s", lab.PayloadOf(token))
				}
			}
		})
	}
	for _, names := range [][]string{{}, {""}, {"none"}, {"ES256", "none"}, {"HS256"}, {"hs256"}, {"*"}, {"any"}} {
		o := l.Issuer.Options()
		o.Algorithms = names
		if g, err := popauth.New(o); err == nil {
			t.Errorf("VULNERABLE: Algorithms %q: got %v, want an error", names, g)
		}
	}
	lab.Send((&popauth.Guard{}).Authenticate, l.Owner.Request("GET", "/", l.Bound())).Refused(t, http.StatusInternalServerError, "")
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
func rawKey(k lab.Published) []byte {
	switch key := k.Key.(type) {
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
