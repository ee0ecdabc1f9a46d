package probe

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// withKey is a check for those whose token is bound to a key.
func withKey(name, section string, severity Severity, title, want string, run func(*session) verdict) Check {
	return Check{Name: name, Section: section, Severity: severity, needs: needsKey, Title: title, Want: want, run: run}
}

const badProof = "401, invalid_dpop_proof"

// schemeChecks are those for which no proof is made.
func schemeChecks() []Check {
	const want = badProof
	return []Check{
		withKey("dpop-as-bearer", "RFC 9449, section 7.2", Critical, "the token under Bearer, without a proof", "401, invalid_token",
			asBearer),
		withKey("dpop-as-bearer-with-proof", "RFC 9449, section 7.2", Medium, "the token under Bearer, beside the owner's proof",
			"401: the scheme of the token is DPoP", refuse(func(_ *session, c *call) { c.scheme = "Bearer" })),
		withKey("dpop-with-certificate", "RFC 9449, section 7.2", High,
			"the token under Bearer, over a connection with a thief's certificate",
			"401: the certificate isn't what the token is bound to", withCertificate),
		withKey("proof-missing", "RFC 9449, section 7.1", Critical, "the token without a proof", want,
			refuse(func(_ *session, c *call) { c.proof = nil })),
		withKey("proof-empty", "RFC 9449, section 4.3, item 2", Critical, "an empty DPoP line", want,
			refuse(func(_ *session, c *call) { c.proof, c.proofs = nil, []string{""} })),
		withKey("proof-garbage", "RFC 9449, section 4.3, item 2", Critical, "a DPoP line that is no JWT", want,
			refuse(func(_ *session, c *call) { c.proof, c.proofs = nil, []string{"popauth-probe"} })),
	}
}

func proofChecks() []Check {
	const want, bound = badProof, "401: the token is bound to another key"
	header := func(name string, value any) func(*session) verdict {
		return refuse(func(_ *session, c *call) { c.proof.header = map[string]any{name: value} })
	}
	return []Check{
		withKey("proof-other-key", "RFC 9449, section 4.3, item 12", Critical, "a proof of a thief's own key", bound,
			refuse(func(s *session, c *call) { c.proof.key = s.thief })),
		withKey("proof-signature", "RFC 9449, section 4.3, item 6", Critical, "the owner's key in the proof, and a thief's signature", want,
			refuse(func(s *session, c *call) {
				own := c.proof.key
				c.proof.key = s.thief
				c.proof.header = map[string]any{"jwk": own.jwk, "alg": own.alg}
			})),
		withKey("proof-signature-missing", "RFC 9449, section 4.3, item 6", Critical, "a proof without its signature", want,
			refuse(func(_ *session, c *call) {
				c.proof.rewrite = func(t string) string { return t[:strings.LastIndexByte(t, '.')+1] }
			})),
		withKey("proof-signature-changed", "RFC 9449, section 4.3, item 6", Critical, "the owner's proof with another signature", want,
			refuse(func(_ *session, c *call) {
				c.proof.rewrite = func(t string) string {
					at := strings.LastIndexByte(t, '.') + 1
					return t[:at] + flipped(t[at:])
				}
			})),
		withKey("proof-alg-none", "RFC 9449, section 4.3, item 5", Critical, "the owner's key in a proof with alg none", want, proofNone),
		withKey("proof-alg-hmac", "RFC 9449, section 4.3, item 5", Critical,
			"a proof with an HMAC, the owner's public key being the secret", want,
			proofHMAC),
		withKey("proof-typ", "RFC 9449, section 4.3, item 4", Medium, "a proof whose typ is JWT or at+jwt, or that has none", want,
			proofTyp),
		withKey("proof-is-token", "RFC 9449, section 4.3, item 4", High, "the access token in the place of the proof", want,
			refuse(func(_ *session, c *call) { c.proof, c.proofs = nil, []string{c.token} })),
		withKey("proof-private-key", "RFC 9449, section 4.3, item 7", Low, "a private member in the jwk, which is made up", want,
			privateMember),
		withKey("proof-jwk-missing", "RFC 9449, section 4.3, item 3", Low, "a proof without jwk", want, header("jwk", omit)),
		withKey("proof-crit", "RFC 7515, section 4.1.11", Low, "a proof with a critical extension that nobody knows", want,
			refuse(func(_ *session, c *call) {
				c.proof.header = map[string]any{"crit": []string{"popauth_probe"}, "popauth_probe": true}
			})),
	}
}

// claimChecks send proofs whose signature is right, and whose claims are not.
func claimChecks() []Check {
	const want = badProof
	claim := func(name string, value any) func(*session) verdict {
		return refuse(func(_ *session, c *call) { c.proof.claims = map[string]any{name: value} })
	}
	return []Check{
		withKey("proof-jti-missing", "RFC 9449, section 4.3, item 3", Medium, "a proof without jti", want, claim("jti", omit)),
		withKey("proof-iat-missing", "RFC 9449, section 4.3, item 3", Medium, "a proof without iat", want, claim("iat", omit)),
		withKey("proof-htm-missing", "RFC 9449, section 4.3, item 3", High, "a proof without htm", want, claim("htm", omit)),
		withKey("proof-htu-missing", "RFC 9449, section 4.3, item 3", High, "a proof without htu", want, claim("htu", omit)),
		withKey("proof-ath-missing", "RFC 9449, section 4.3, item 12", High, "a proof without ath", want, claim("ath", omit)),
		withKey("proof-ath-other", "RFC 9449, section 4.3, item 12", High, "a proof for another token", want,
			claim("ath", encode(make([]byte, 32)))),
		withKey("proof-iat-old", "RFC 9449, section 4.3, item 11", High, "a proof that was made an hour ago, and one of yesterday", want,
			proofTime(-time.Hour, -24*time.Hour)),
		withKey("proof-iat-future", "RFC 9449, section 4.3, item 11", Medium, "a proof that is made in an hour, and one of tomorrow", want,
			proofTime(time.Hour, 24*time.Hour)),
		withKey("proof-twice", "RFC 9449, section 4.3, item 1", Medium, "two proofs, in two lines or in one", want, proofTwice),
		withKey("proof-claim-twice", "RFC 7519, section 4", Low, "a proof that says htu twice", want, claimTwice),
		withKey("proof-nonce", "RFC 9449, section 4.3, item 10", High, "a proof with a nonce that the API hasn't made",
			"401, use_dpop_nonce", proofNonce),
		{Name: "proof-http2", Section: "RFC 9449, section 7.1", Severity: Critical, needs: needsKey | needsHTTP2,
			Title: "the token over HTTP/2, without a proof, and with a thief's", Want: want, run: proofHTTP2},
	}
}

func asBearer(s *session) verdict {
	return s.refused(variant{"", func(c *call) { c.scheme, c.proof = "Bearer", nil }})
}

func withCertificate(s *session) verdict {
	if s.url.Scheme != "https" {
		return skipped("the API is reached without TLS")
	}
	plain, err := throwaway()
	if err != nil {
		return unclear("%v", err)
	}
	return s.refused(variant{"", func(c *call) { c.scheme, c.proof, c.link.certificate = "Bearer", nil, plain }})
}

// unsignedProof is the owner's proof with another header, and with what sign makes of it.
func unsignedProof(alg string, sign func(input string) string) func(*session, *call) {
	return func(_ *session, c *call) {
		c.proof.rewrite = func(text string) string {
			t := readToken(text)
			if t == nil {
				return text
			}
			h, p := t.altered(map[string]any{"alg": alg}, nil)
			input := encode(h) + "." + encode(p)
			return input + "." + sign(input)
		}
	}
}

func proofNone(s *session) verdict {
	var all []variant
	for _, alg := range []string{"none", "None", "NONE"} {
		all = append(all, variant{alg, func(c *call) { unsignedProof(alg, func(string) string { return "" })(s, c) }})
	}
	return s.refused(all...)
}

func proofHMAC(s *session) verdict {
	var all []variant
	secrets := spelled(s.options.Key.private.Public())
	secrets["empty"] = nil
	for name, secret := range secrets {
		all = append(all, variant{name, func(c *call) {
			unsignedProof("HS256", func(input string) string {
				signature, err := jwt.SigningMethodHS256.Sign(input, append([]byte{}, secret...))
				if err != nil {
					return ""
				}
				return encode(signature)
			})(s, c)
		}})
	}
	return s.refused(all...)
}

func proofTyp(s *session) verdict {
	var all []variant
	for name, typ := range map[string]any{"JWT": "JWT", "at+jwt": "at+jwt", "none": omit} {
		all = append(all, variant{name, func(c *call) { c.proof.header = map[string]any{"typ": typ} }})
	}
	return s.refused(all...)
}

// privateMember never has the owner's private key: what a proof has, the API and its logs have.
func privateMember(s *session) verdict {
	return s.refused(variant{"", func(c *call) {
		jwk := edited(map[string]any{"d": encode([]byte(rand.Text()))}, c.proof.key.jwk)
		c.proof.header = map[string]any{"jwk": jwk}
	}})
}

func proofTime(offsets ...time.Duration) func(*session) verdict {
	return func(s *session) verdict {
		if s.nonces {
			return skipped("the API asks for nonces: their time counts (RFC 9449, section 11.1)")
		}
		var all []variant
		for _, d := range offsets {
			all = append(all, variant{d.String(), func(c *call) {
				c.proof.claims = map[string]any{"iat": time.Now().Add(d).Unix()}
			}})
		}
		return s.refused(all...)
	}
}

// write2 is a second proof for a request, of the owner's or of another's.
func (s *session) write2(c *call, key *Key) string {
	p := &proof{key: key, nonce: true}
	text, err := p.write(c.method, c.proofURL, c.token, s.nonce)
	if err != nil {
		return "popauth-probe"
	}
	return text
}

func proofTwice(s *session) verdict {
	own := s.options.Key
	return s.refused(
		variant{"two of the owner's", func(c *call) { c.proofs = []string{s.write2(c, own)} }},
		variant{"the owner's and a thief's", func(c *call) { c.proofs = []string{s.write2(c, s.thief)} }},
		variant{"a thief's and the owner's", func(c *call) { c.proofs = []string{s.write2(c, s.thief), s.write2(c, own)}; c.proof = nil }},
		variant{"in one line", func(c *call) {
			c.proofs, c.proof = []string{s.write2(c, own) + ", " + s.write2(c, own)}, nil
		}},
	)
}

// claimTwice writes a proof whose first htu is another API's.
func claimTwice(s *session) verdict {
	return s.refused(variant{"", func(c *call) {
		key := c.proof.key
		c.proof.rewrite = func(text string) string {
			t := readToken(text)
			if t == nil {
				return text
			}
			h, err := json.Marshal(t.header)
			if err != nil {
				return text
			}
			_, claims := t.altered(nil, nil)
			twice := `{"htu":"https://other.example/",` + string(claims[1:])
			if text, err = key.sealed(h, []byte(twice)); err != nil {
				return "popauth-probe"
			}
			return text
		}
	}})
}

func proofNonce(s *session) verdict {
	if !s.nonces {
		return skipped("the API asks for no nonces")
	}
	return s.refused(
		variant{"made up", func(c *call) { c.proof.nonce, c.proof.claims = false, map[string]any{"nonce": rand.Text()} }},
		variant{"none", func(c *call) { c.proof.nonce = false }},
	)
}

func proofHTTP2(s *session) verdict {
	return s.refused(
		variant{"no proof", func(c *call) { c.proof, c.link.http2 = nil, true }},
		variant{"a thief's", func(c *call) { c.proof.key, c.link.http2 = s.thief, true }},
	)
}
