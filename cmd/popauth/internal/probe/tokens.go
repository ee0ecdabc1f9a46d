package probe

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// tokenChecks need no issuer's key: what they send, anybody can make.
func tokenChecks() []Check {
	return []Check{
		{Name: "token-alg-none", Section: "RFC 8725, section 3.2", Severity: Critical, needs: needsJWT,
			Title: "the token's claims with alg none, and no signature", Want: "401", run: algNone},
		{Name: "token-signature-missing", Section: "RFC 8725, section 3.3", Severity: Critical, needs: needsJWT,
			Title: "the token without its signature", Want: "401", run: signatureMissing},
		{Name: "token-signature-changed", Section: "RFC 8725, section 3.3", Severity: Critical, needs: needsJWT,
			Title: "the token with another signature", Want: "401",
			run: altered(func(t *token) string { return t.resignature(flipped(t.parts[2])) })},
		{Name: "token-signature-zero", Section: "RFC 8725, section 3.3", Severity: Critical, needs: needsJWT,
			Title: "a signature of zeros, which some verifiers of ECDSA take for anybody's", Want: "401", run: altered(zeroSignature)},
		{Name: "token-claims-changed", Section: "RFC 8725, section 3.3", Severity: Critical, needs: needsJWT,
			Title: "other claims under the old signature", Want: "401", run: altered(func(t *token) string {
				return t.unsigned(nil, map[string]any{"sub": "popauth-probe", "popauth_probe": true}, t.parts[2])
			})},
		{Name: "token-cnf-removed", Section: "RFC 8725, section 3.3", Severity: Critical, needs: needsJWT,
			Title: "the token without cnf, under the old signature, alone", Want: "401", run: cnfRemoved},
		{Name: "token-cnf-replaced", Section: "RFC 8725, section 3.3", Severity: Critical, needs: needsJWT,
			Title: "a thief's certificate and key in cnf, under the old signature", Want: "401", run: cnfReplaced},
		{Name: "token-key-in-header", Section: "RFC 7515, section 4.1.3", Severity: Critical, needs: needsJWT,
			Title: "signed with a key that the header brings along, as jwk", Want: "401", run: altered(nil, keyInHeader)},
		{Name: "token-certificate-in-header", Section: "RFC 7515, section 4.1.6", Severity: Critical, needs: needsJWT,
			Title: "signed with the key of a certificate in the header, as x5c", Want: "401", run: altered(nil, certificateInHeader)},
		{Name: "token-other-key", Section: "RFC 8725, section 3.3", Severity: Critical, needs: needsJWT,
			Title: "signed with a key that the issuer doesn't have, under the kid of one that it has, or under none", Want: "401",
			run: otherKey},
		{Name: "token-hmac-empty", Section: "RFC 8725, section 3.2", Severity: Critical, needs: needsJWT,
			Title: "HS256 with an empty secret, or with one that is easy to guess", Want: "401", run: hmacGuessed},
		{Name: "token-hmac-public", Section: "RFC 8725, section 2.1", Severity: Critical, needs: needsJWT,
			Title: "HS256 with the issuer's public key for a secret", Want: "401", run: hmacPublic},
		{Name: "token-kid-path", Section: "RFC 8725, section 3.10", Severity: High, needs: needsJWT,
			Title: "a kid that names an empty file, or is a piece of SQL, with a fitting HMAC", Want: "401", run: kidPath},
		{Name: "token-is-proof", Section: "RFC 8725, section 3.11", Severity: Critical, needs: needsJWT,
			Title: "a DPoP proof with the token's claims, in the place of the token", Want: "401", run: altered(nil, proofAsToken)},
		{Name: "token-malleable", Section: "RFC 7515, section 2", Severity: Low, needs: needsJWT,
			Title: "the token in another spelling of base64url", Want: "401: what is revoked or remembered by its text has only one",
			run: malleable},
		{Name: "token-expired", Section: "RFC 9068, section 4", Severity: High, needs: needsJWT,
			Title: "the owner's token, if it has expired by now", Want: "401", run: expired},
		{Name: "token-cnf-unknown", Section: "RFC 7800, section 3.1", Severity: High, needs: needsJWT,
			Title: "the owner's token, if its cnf names a key in another way than those that were proved",
			Want:  "401: what isn't understood isn't proved", run: cnfUnknown},
		{Name: "token-not-bound", Section: "RFC 9700, section 2.2.1", Severity: Medium, needs: needsJWT,
			Title: "the owner's token, if it has no cnf, without certificate and proof",
			Want:  "a token that is good in one client's hands alone", run: notBound},
		{Name: "token-must-refuse", Section: "RFC 9068, section 4", Severity: High,
			Title: "tokens that were given to be refused: expired, an ID token, for another API", Want: "401", run: mustRefuse},
	}
}

// altered sends what becomes of the owner's token, with its certificate, and with a proof for it.
func altered(change func(*token) string, more ...func(*session) string) func(*session) verdict {
	return func(s *session) verdict {
		return s.refused(variant{"", func(c *call) {
			if change != nil {
				c.token = change(s.token)
				return
			}
			c.token = more[0](s)
		}})
	}
}

func (t *token) resignature(signature string) string {
	return t.parts[0] + "." + t.parts[1] + "." + signature
}

// flipped is base64url with other first characters.
func flipped(s string) string {
	if len(s) < 8 {
		return "AAAAAAAA"
	}
	if s[:8] == "AAAAAAAA" {
		return "BBBBBBBB" + s[8:]
	}
	return "AAAAAAAA" + s[8:]
}

// same is a variant for each text.
func tokens(texts map[string]string) []variant {
	var all []variant
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		all = append(all, variant{name, func(c *call) { c.token = texts[name] }})
	}
	return all
}

func algNone(s *session) verdict {
	texts := map[string]string{}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		texts["alg \""+alg+"\""] = s.token.unsigned(map[string]any{"alg": alg}, nil, "")
	}
	texts["alg none with the old signature"] = s.token.unsigned(map[string]any{"alg": "none"}, nil, s.token.parts[2])
	texts["no alg"] = s.token.unsigned(map[string]any{"alg": omit}, nil, "")
	return s.refused(tokens(texts)...)
}

func signatureMissing(s *session) verdict {
	return s.refused(tokens(map[string]string{
		"empty": s.token.resignature(""), "two parts": s.token.parts[0] + "." + s.token.parts[1],
	})...)
}

func zeroSignature(t *token) string {
	b, err := base64.RawURLEncoding.DecodeString(t.parts[2])
	if err != nil || len(b) > 1024 {
		b = make([]byte, 64)
	}
	return t.resignature(encode(make([]byte, len(b))))
}

func cnfRemoved(s *session) verdict {
	return s.judge(s.accepted, s.stolen, []variant{{"", func(c *call) {
		c.scheme, c.token = "Bearer", s.token.unsigned(nil, map[string]any{"cnf": omit}, s.token.parts[2])
	}}})
}

func cnfReplaced(s *session) verdict {
	cnf := map[string]any{}
	if s.options.Certificate != nil {
		sum := sha256.Sum256(s.other.Certificate[0])
		cnf["x5t#S256"] = encode(sum[:])
	}
	if s.options.Key != nil {
		cnf["jkt"] = s.thief.jkt
	}
	return s.refused(variant{"", func(c *call) {
		c.token = s.token.unsigned(nil, map[string]any{"cnf": cnf}, s.token.parts[2])
		c.link.certificate = s.other
		if c.proof != nil {
			c.proof.key = s.thief
		}
	}})
}

func keyInHeader(s *session) string {
	return s.token.resigned(s.thief, map[string]any{"alg": s.thief.alg, "jwk": s.thief.jwk, "kid": omit})
}

func certificateInHeader(s *session) string {
	plain := &x509.Certificate{SerialNumber: newSerial()}
	c, err := certificate(plain, nil, s.thief.private, s.thief.private)
	if err != nil {
		return "popauth-probe"
	}
	chain := []string{base64.StdEncoding.EncodeToString(c.Certificate[0])}
	return s.token.resigned(s.thief, map[string]any{"alg": s.thief.alg, "x5c": chain, "kid": omit})
}

func otherKey(s *session) verdict {
	return s.refused(tokens(map[string]string{
		"the same kid": s.token.resigned(s.thief, map[string]any{"alg": s.thief.alg}),
		"no kid":       s.token.resigned(s.thief, map[string]any{"alg": s.thief.alg, "kid": omit}),
	})...)
}

// mac is the altered token with an HMAC.
func (t *token) mac(header map[string]any, secret []byte) string {
	members := map[string]any{"alg": "HS256"}
	maps.Copy(members, header)
	h, c := t.altered(members, nil)
	input := encode(h) + "." + encode(c)
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(input))
	return input + "." + encode(m.Sum(nil))
}

func hmacGuessed(s *session) verdict {
	texts := map[string]string{}
	for _, secret := range []string{"", "secret", "your-256-bit-secret", "changeme"} {
		texts["secret \""+secret+"\""] = s.token.mac(nil, []byte(secret))
	}
	return s.refused(tokens(texts)...)
}

func hmacPublic(s *session) verdict {
	if len(s.options.IssuerKeys) == 0 {
		return skipped("the issuer's public keys were not given: see --jwks")
	}
	var all []variant
	for _, key := range s.options.IssuerKeys {
		for name, secret := range spelled(key) {
			all = append(all, variant{name, func(c *call) { c.token = s.token.mac(nil, secret) }})
		}
	}
	return s.refused(all...)
}

// spelled are the texts that a public key has in an API's memory.
func spelled(key any) map[string][]byte {
	all := map[string][]byte{}
	if der, err := x509.MarshalPKIXPublicKey(key); err == nil {
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		all["DER"], all["PEM"], all["PEM without its last line break"] = der, text, []byte(strings.TrimSpace(string(text)))
	}
	k := jose.JSONWebKey{Key: key}
	if text, err := json.Marshal(&k); err == nil {
		all["JWK"] = text
	}
	return all
}

func kidPath(s *session) verdict {
	texts := map[string]string{}
	for kid, secret := range map[string]string{
		"/dev/null": "", "../../../../../../dev/null": "", "x' UNION SELECT 'popauth'-- ": "popauth", "": "",
	} {
		texts["kid "+kid] = s.token.mac(map[string]any{"kid": kid}, []byte(secret))
	}
	return s.refused(tokens(texts)...)
}

func proofAsToken(s *session) string {
	return s.token.resigned(s.thief, map[string]any{"typ": "dpop+jwt", "alg": s.thief.alg, "jwk": s.thief.jwk, "kid": omit})
}

func malleable(s *session) verdict {
	texts := map[string]string{
		"padded":                       s.options.Token + "=",
		"a dot more":                   s.options.Token + ".",
		"white space in the signature": spaced(s.token),
	}
	if last := s.token.parts[2]; len(last)%4 != 0 && last != "" { // bits that decode to nothing
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		i := strings.IndexByte(alphabet, last[len(last)-1])
		texts["unused bits"] = s.token.resignature(last[:len(last)-1] + string(alphabet[i|1]))
		if i&1 == 1 {
			delete(texts, "unused bits")
		}
	}
	return s.refused(tokens(texts)...)
}

// spaced has white space inside of the third part, which lenient decoders skip.
func spaced(t *token) string {
	if len(t.parts[2]) < 4 {
		return "popauth-probe"
	}
	return t.resignature(t.parts[2][:4] + "\t" + t.parts[2][4:])
}

func expired(s *session) verdict {
	exp, ok := s.token.date("exp")
	switch late := time.Since(exp); {
	case !ok:
		return found("the token has no exp, and the API takes it")
	case late > 5*time.Minute:
		return found("the token has expired %s ago, and the API takes it", late.Round(time.Second))
	case late > 0:
		return unclear("the token has expired %s ago, which clocks may differ in", late.Round(time.Second))
	}
	return passed()
}

func cnfUnknown(s *session) verdict {
	cnf := s.token.confirmation()
	for _, name := range slices.Sorted(maps.Keys(cnf)) {
		switch {
		case name == "x5t#S256" && s.options.Certificate != nil:
			sum := sha256.Sum256(s.options.Certificate.Certificate[0])
			if cnf[name] != encode(sum[:]) {
				return found("the token is bound to another certificate than the one that was given, and the API takes it")
			}
		case name == "jkt" && s.options.Key != nil:
			if cnf[name] != s.options.Key.jkt {
				return found("the token is bound to another key than the one that was given, and the API takes it")
			}
		default:
			return found("cnf has %q, which nobody has proved, and the API takes the token", name)
		}
	}
	return passed()
}

// notBound asks the API, which may know by introspection what the token is bound to.
func notBound(s *session) verdict {
	if s.token.confirmation() != nil {
		return passed()
	}
	return s.judge(s.accepted, s.stolen, []variant{{"", func(c *call) { c.scheme = "Bearer" }}})
}

func mustRefuse(s *session) verdict {
	if len(s.options.MustRefuse) == 0 {
		return skipped("no such token was given: see --must-refuse")
	}
	return s.refused(tokens(s.options.MustRefuse)...)
}
