package popauth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/mismatch"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// Mismatch is the cause of a refusal where two values were compared: what a request or a token came with, and what would have
// done. errors.As finds it in an *Error, and Options.Logger has its fields as attributes.
//
// Got is the sender's, cut and in printable ASCII. Want is this side's own, and Advice names the setting that would admit what
// came, where there is one, or who is probably wrong. None of it is for a client. A Verifier, Confirmer or Policy of your own can
// return one too, within an *Error.
type Mismatch = mismatch.Error

var errNoExpiration = errors.New("no exp, and every token needs one: see JWTOptions.AllowMissingExpiration")

// wrongIssuer is the refusal of a JWT with this iss; nil if it has none.
func (v *jwtVerifier) wrongIssuer(iss []byte) error {
	m := &Mismatch{What: "iss", Got: mismatch.Text(string(iss)), Want: mismatch.Own(v.issuer), Advice: "to the letter, as Options.Issuer"}
	switch {
	case v.omitted.svids:
		m.Want, m.Advice = "none", "a JWT-SVID has none, and JWTOptions.JWTSVIDs is set"
	case iss == nil:
		m.Advice = "the issuer has to write it; SPIFFE's JWT-SVIDs have none, see JWTOptions.JWTSVIDs"
	case strings.TrimSuffix(string(iss), "/") == strings.TrimSuffix(v.issuer, "/"):
		m.Advice = "only the slash at the end differs: set Options.Issuer to what the token says"
	case strings.EqualFold(string(iss), v.issuer):
		m.Advice = "only the case differs: set Options.Issuer to what the token says"
	}
	return &Error{Reason: ErrTokenIssuer, Err: m}
}

// wrongType is the refusal of a JWT whose header has this typ.
func (v *jwtVerifier) wrongType(typ string) error {
	m := &Mismatch{What: "typ", Got: mismatch.Text(typ), Want: mismatch.Any(v.types),
		Advice: "if the issuer's access tokens have it, list it in Options.TokenTypes, see docs/tokens.md"}
	if typ == "" {
		m.Advice = `if the issuer's access tokens have none, list "" in Options.TokenTypes, see docs/tokens.md`
	}
	return &Error{Reason: ErrTokenType, Err: m}
}

func (v *jwtVerifier) wrongAlgorithm(alg string) error {
	names := make([]string, len(v.algorithms))
	for i, a := range v.algorithms {
		names[i] = a.Name
	}
	m := &Mismatch{What: "alg", Got: mismatch.Text(alg), Want: mismatch.Any(names)}
	switch {
	case strings.HasPrefix(alg, "HS"):
		m.Advice = "whoever can verify an HMAC can make one: have the issuer sign with a key pair"
	case slices.ContainsFunc(jose.Algorithms, func(a jose.Algorithm) bool { return a.Name == alg }):
		m.Advice = "see Options.Algorithms"
	}
	return &Error{Reason: ErrTokenAlgorithm, Err: m}
}

func (v *jwtVerifier) wrongAudience(t *Token) error {
	m := &Mismatch{What: "aud", Got: mismatch.Texts(t.audience), Want: mismatch.Any(v.audience),
		Advice: "have the client ask the issuer for this API, or add the API's other name to Options.Audience"}
	if len(t.audience) == 0 {
		m.Advice = "have the issuer write it, or see Options.ClientsWithoutAudience"
	}
	return m
}

// wrongSignature is the refusal of a JWT that the key which it names has not signed.
func (v *jwtVerifier) wrongSignature(h jose.Header) error {
	by := fmt.Sprintf("the issuer's key with the %s %s", h.By, mismatch.Text(h.KeyID))
	if h.By == "" {
		by = "the issuer's only key for " + h.Algorithm
	}
	return &Error{Reason: ErrTokenSignature, Err: errors.New("not made by " + by +
		": a forgery, a token that was changed on the way, or a key that the issuer has replaced under its name")}
}

// wrongTime says which time of a token is wrong, by how much, and in which direction.
func wrongTime(t *Token, now time.Time, leeway time.Duration) error {
	m := &Mismatch{}
	begin := func(what string, at time.Time) {
		m.What, m.Got = what, mismatch.At(at)
		m.Want = fmt.Sprintf("%s at the latest, with a leeway of %v", mismatch.At(now.Add(leeway)), leeway)
		m.Advice = fmt.Sprintf("it is %s ahead of this clock, %s: compare the clocks of both machines", mismatch.By(at.Sub(now)),
			mismatch.At(now))
	}
	switch {
	case !t.expiresAt.IsZero() && !now.Before(t.expiresAt.Add(leeway)):
		m.What, m.Got = "exp", mismatch.At(t.expiresAt)
		m.Want = fmt.Sprintf("after %s, with a leeway of %v", mismatch.At(now.Add(-leeway)), leeway)
		m.Advice = fmt.Sprintf("it was %s ago by this clock, %s: the client has to get a new token; where it just has, a clock or a "+
			"time zone is wrong",
			mismatch.By(now.Sub(t.expiresAt)), mismatch.At(now))
	case now.Before(t.NotBefore().Add(-leeway)):
		begin("nbf", t.NotBefore())
	default:
		begin("iat", t.IssuedAt())
	}
	return m
}

// ofClaim says which claim can't be read.
func ofClaim(name string, err error) error {
	if err == nil || name == "cnf" {
		return err
	}
	want := "a string"
	switch name {
	case "exp", "nbf", "iat":
		want = "a number of seconds since 1970"
	case "aud", "scope", "scp":
		want = "a string or a list of strings"
	}
	if errors.Is(err, strictjson.ErrType) {
		return fmt.Errorf("claim %s: %w, want %s", name, err, want)
	}
	return fmt.Errorf("claim %s: %w", name, err)
}

// wrongScheme is why a token that is bound as it is can't come under that scheme.
func wrongScheme(t *Token, scheme, fit string) error {
	m := &Mismatch{What: "Authorization", Got: mismatch.Own(scheme), Want: mismatch.Own(fit),
		Advice: "the token isn't bound at all: the issuer doesn't bind by DPoP, or the client has sent no proof when it got the token"}
	switch {
	case fit != bearer:
		m.Advice = "the token is bound by DPoP: a thief's request, or a client that takes it for a bearer token"
	case len(t.bindings) > 0:
		m.Advice = "the token is bound by " + mismatch.Texts(members(t.bindings)) + " alone, and not by DPoP"
	}
	return m
}

// unbound is why a token's binding, or its lack, isn't enough.
func unbound(by []Binding, required string) error {
	m := &Mismatch{What: "cnf", Got: mismatch.Texts(members(by)), Want: "a member", Advice: "the issuer has to bind the token: " +
		"turn that on for the client, see docs/issuers.md"}
	if required != "" {
		m.Want = mismatch.Own(required)
	}
	return m
}

func members(by []Binding) []string {
	all := make([]string, len(by))
	for i, b := range by {
		all[i] = b.Member
	}
	slices.Sort(all)
	return all
}

// wrongScheme is the cause where an Authorization came under none of a Guard's schemes. What looks like no scheme isn't named: it
// may be a token.
func (s *schemes) wrongScheme(scheme string, alone bool) error {
	m := &Mismatch{What: "scheme of Authorization", Got: "an unknown one", Want: mismatch.Any(s.names())}
	switch {
	case alone:
		m.Got, m.Advice = "none, one word alone", "the client has to send Authorization: Bearer TOKEN"
	case strings.EqualFold(scheme, "DPoP"):
		m.Got = mismatch.Own(scheme)
		m.Advice = "set Options.Confirmers to a dpop.Confirmer, and MutualTLS{} too where tokens are bound to certificates"
	case slices.ContainsFunc(namedSchemes, func(s string) bool { return strings.EqualFold(s, scheme) }):
		m.Got = mismatch.Text(scheme)
	}
	return m
}

// namedSchemes are those of IANA's registry, and further ones in use. Any other word may be a secret.
var namedSchemes = []string{
	"Basic", "Bearer", "Digest", "HOBA", "Mutual", "Negotiate", "NTLM", "OAuth", "GNAP", "SCRAM-SHA-1", "SCRAM-SHA-256", "vapid",
	"Concealed", "PrivateToken", "Token", "JWT", "ApiKey", "Api-Key", "Key", "AWS4-HMAC-SHA256", "MAC", "Hawk", "Signature", "access_token",
}

func (s *schemes) names() []string {
	all := make([]string, len(s.all))
	for i := range s.all {
		all[i] = s.all[i].scheme
	}
	return all
}

// wrongCertificate is why a certificate isn't the one that a token is bound to.
func wrongCertificate(p Presentation, got [sha256.Size]byte) error {
	by := " of the certificate of this connection"
	if source := p.certificate.Source; source != SourceTLS {
		by = " of the certificate that the proxy has forwarded, by " + mismatch.Text(string(source))
	}
	return &Mismatch{
		What:   memberX5T,
		Got:    mismatch.Own(base64.RawURLEncoding.EncodeToString(got[:])) + by,
		Want:   mismatch.Text(p.Binding.Value) + " of the token's cnf",
		Advice: "a thief's, or the client has renewed its certificate since it got the token",
	}
}

// lacking is why a token's scopes aren't enough.
func lacking(has []string, want string) error {
	m := &Mismatch{What: "scope", Got: mismatch.Texts(has), Want: want,
		Advice: "the client has to ask for it, and its user or the issuer to grant it"}
	if slices.ContainsFunc(has, func(s string) bool { return strings.Contains(s, ",") }) {
		m.Advice = "a comma separates no scopes: the issuer has to write them with spaces (RFC 8693, section 4.2), or as a list"
	}
	return m
}
