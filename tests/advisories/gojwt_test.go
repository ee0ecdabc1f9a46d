package advisories_test

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// TestWhatGolangJWTLeavesOpen goes through what golang-jwt's parser decides otherwise than an API should, or leaves to
// its caller. It says so in its documentation; here each point is closed, or can't arise.
func TestWhatGolangJWTLeavesOpen(t *testing.T) {
	tests := testsOf(t)
	for _, tt := range []struct{ point, held, why string }{
		{"G1 an empty list of algorithms allows all", "TestOptions", ""},
		{"G2 an empty issuer or audience is not compared", "TestOptions", ""},
		{"G3 an empty audience matches an empty aud", "TestAdvisoryAudience", ""},
		{"G4 exp is optional, and 0 is none", "TestAdvisoryDates", ""},
		{"G5 claims in a map and in a struct are read differently", "TestAdvisoryTwoReadings", ""},
		{"G6 of two members the last counts", "TestAdvisoryTwoReadings", ""},
		{"G7 dates overflow", "TestAdvisoryDates", ""},
		{"G8 leeway has no bounds", "TestOptions", ""},
		{"G9 typ, crit, cty and b64 are not looked at", "TestAdvisoryCritical", ""},
		{"G10 line breaks in base64 are skipped", "TestGolangJWTStrict", ""},
		{"G11 a second JSON value is not read", "TestAdvisoryTwoReadings", ""},
		{"G12 size and depth have no bound", "TestAdvisoryHugeToken", ""},
		{"G13 code of the claims runs before the signature is verified", "",
			"the claims are read by strictjson; no type of a user's is decoded before a token is genuine"},
		{"G14 null is an empty set of claims", "TestTokenForm", ""},
		{"G15 several errors are joined", "TestAdvisoryModifiedToken", ""},
		{"G16 every key of a set is tried", "TestNoKeyIDAndSeveralKeys", ""},
		{"G17 the curve is not compared", "TestAdvisoryKeyUnfitForTheAlgorithm", ""},
		{"G18 algorithms can be registered by anybody", "TestGolangJWTRegistry", ""},
		{"G19 there is one issuer, and no client_id, jti or scope", "TestAdvisoryEmptyClaims", ""},
		{"G20 its extractors return what is no token", "", "package request is not imported: TestGolangJWTRequest"},
		{"G21 the claims passed in are shared", "TestAdvisoryTokensAreNotMixedUp", ""},
		{"G22 invalid UTF-8 is replaced", "TestAdvisoryTwoReadings", ""},
	} {
		if (tt.held == "") == (tt.why == "") || tt.held != "" && tests[tt.held] == nil {
			t.Errorf("%s: held by %q, reason %q", tt.point, tt.held, tt.why)
		}
	}
}

// A method that some other package of the program has registered, even under a name that is allowed here, changes
// nothing.
func TestGolangJWTRegistry(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	real := jwt.GetSigningMethod("ES256")
	defer jwt.RegisterSigningMethod("ES256", func() jwt.SigningMethod { return real })
	token := l.Bound()
	jwt.RegisterSigningMethod("ES256", func() jwt.SigningMethod { return anySignature{} })
	jwt.RegisterSigningMethod("any", func() jwt.SigningMethod { return anySignature{} })
	l.Genuine(t, g, token)
	l.Forged(t, g, token[:strings.LastIndexByte(token, '.')]+".AAAA", popauth.ErrTokenSignature)
	l.Forged(t, g, lab.Compact(`{"alg":"any","typ":"at+jwt"}`, l.Claims(), unsigned), popauth.ErrTokenAlgorithm)
}

type anySignature struct{}

func (anySignature) Alg() string                      { return "ES256" }
func (anySignature) Sign(string, any) ([]byte, error) { return nil, nil }
func (anySignature) Verify(string, []byte, any) error { return nil }

// Lines inside a token are skipped by its base64, strict or not; no other header than Authorization has a way around
// the b64token check, but a Verifier of one's own does.
func TestGolangJWTStrict(t *testing.T) {
	l := lab.New(t, "ES256")
	for _, token := range []string{"\n" + l.Bound(), l.Bound() + "\r", strings.Replace(l.Bound(), ".", "\n.", 1),
		strings.Replace(l.Bound(), ".", ".\r\n", 1)} {
		if got, err := popauth.TrustJWT(token); err == nil {
			t.Errorf("VULNERABLE: TrustJWT reads %v from a token with line breaks", got)
		}
		l.Forged(t, l.Guard(), token, popauth.ErrCredentialsMalformed)
	}
}

// golang-jwt's request package is not used: it would look in query, form and multipart bodies.
func TestGolangJWTRequest(t *testing.T) {
	read := 0
	err := fs.WalkDir(os.DirFS("../.."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"examples", "internal/lab", "interop", "tests", "bench", "popauthtest"}, name) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		read++
		text, err := os.ReadFile("../../" + name) //nolint:gosec // of this repository
		if err != nil {
			return err
		}
		for _, banned := range []string{`jwt/v5/request"`, "jwt.Parse", "jwt.NewParser", "jwt.MapClaims", "jwt.GetSigningMethod"} {
			if strings.Contains(string(text), banned) {
				t.Errorf("%s uses %s: a second reading of a token", name, banned)
			}
		}
		return nil
	})
	if err != nil || read < 100 {
		t.Errorf("got %d files, %v, want 100 at least", read, err)
	}
}

// differ is a popauth Guard and golang-jwt's own parser with everything switched on that they have in common.
type differ struct {
	guard  *popauth.Guard
	parser *jwt.Parser
	key    ed25519.PrivateKey
}

func newDiffer(tb testing.TB) differ {
	tb.Helper()
	private, _ := lab.FuzzKey()
	return differ{lab.FuzzGuard(tb), jwt.NewParser(
		jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithIssuer(lab.FuzzIssuer), jwt.WithAudience(popauthtest.Audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(30*time.Second), jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return time.Unix(lab.FuzzNow, 0) }),
	), private}
}

// compare fails if popauth accepts what golang-jwt does not, or reads a claim differently.
func (d differ) compare(t *testing.T, token string) {
	t.Helper()
	token = strings.TrimLeft(token, " ") // 1*SP
	p, err := d.guard.Check((&popauthtest.Client{}).Request("GET", "/", token))
	if err != nil {
		return // we may refuse more
	}
	if strings.Contains(string(lab.PayloadOf("."+strings.SplitN(token, ".", 2)[0])), "Ed25519") {
		return // golang-jwt knows EdDSA under that name alone
	}
	_, public := lab.FuzzKey()
	keys := func(*jwt.Token) (any, error) { return public, nil }
	var registered jwt.RegisteredClaims
	if _, err := d.parser.ParseWithClaims(token, &registered, keys); err != nil {
		t.Fatalf("VULNERABLE: accepted %q, golang-jwt says %v", token, err)
	}
	members := jwt.MapClaims{}
	if _, err := d.parser.ParseWithClaims(token, members, keys); err != nil {
		t.Fatalf("VULNERABLE: accepted %q, golang-jwt says %v", token, err)
	}
	seconds := func(d *jwt.NumericDate) int64 {
		if d == nil {
			return 0
		}
		return d.Unix()
	}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"iss", p.Issuer, registered.Issuer}, {"sub", p.Subject, registered.Subject}, {"jti", p.TokenID, registered.ID},
		{"aud", p.Audience, []string(registered.Audience)}, {"exp", p.ExpiresAt.Unix(), seconds(registered.ExpiresAt)},
		{"iat", max(p.IssuedAt.Unix(), 0), seconds(registered.IssuedAt)},
		{"iss in a map", p.Issuer, lab.Text(members["iss"])}, {"sub in a map", p.Subject, lab.Text(members["sub"])},
		{"jti in a map", p.TokenID, lab.Text(members["jti"])},
		{"client_id in a map", p.ClientID, lab.Text(members["client_id"])},
		{"scope", p.Scopes, scopesIn(members)}, {"cnf", len(p.Bindings) > 0, members["cnf"] != nil},
	} {
		if fmt.Sprintf("%q", c.got) != fmt.Sprintf("%q", c.want) {
			t.Fatalf("VULNERABLE: %s: got %q, golang-jwt reads %q, in %q", c.name, c.got, c.want, lab.PayloadOf(token))
		}
	}
}

// scopesIn reads scope, or scp where there is none, from what golang-jwt has read.
func scopesIn(members jwt.MapClaims) []string {
	v, ok := members["scope"]
	if !ok {
		v = members["scp"]
	}
	switch v := v.(type) {
	case string:
		return slices.DeleteFunc(strings.Split(v, " "), func(s string) bool { return s == "" })
	case []any:
		var list []string
		for _, e := range v {
			list = append(list, lab.Text(e))
		}
		return list
	}
	return nil
}

// FuzzAgainstGolangJWT signs any header and payload, and changes the token afterwards.
func FuzzAgainstGolangJWT(f *testing.F) {
	d := newDiffer(f)
	header := `{"alg":"EdDSA","typ":"at+jwt","kid":"k"}`
	payload := fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"s","exp":%d}`, lab.FuzzIssuer, popauthtest.Audience, lab.FuzzNow+60)
	for _, h := range []string{header, `{"alg":"EdDSA"}`, `{"alg":"Ed25519","typ":"JWT"}`, `{"alg":"EdDSA","crit":["x"],"x":1}`,
		`{"alg":"none"}`, `{"ALG":"EdDSA"}`, ` {"alg":"EdDSA"} `} {
		f.Add(h, payload, "", uint16(0))
	}
	for _, more := range []string{
		`,"aud":"x"`, `,"EXP":1`, `,"nbf":1800000030.5`, `,"iat":0`, `,"iat":1.8e9`, `,"iat":1e30`, `,"nbf":"1"`, `,"nbf":null`,
		`,"jti":"\u0000\ud83d\ude00"`, `,"scope":" a  b\t"`,
		`,"scope":["a b",""]`, `,"scp":"a","scope":""`, `,"client_id":"\u2028"`, `,"x":1e999`, `,"x":{"a":1,"a":2}`, `,"sub":"\xff"`,
		`,"cnf":{}`, `,"exp":1800000059.999999999`,
	} {
		f.Add(header, strings.TrimSuffix(payload, "}")+more+"}", "", uint16(0))
	}
	f.Add(header, payload, " ", uint16(0))
	f.Add(header, payload, "=", uint16(9))
	f.Add(header, payload, "\n", uint16(50))
	f.Add(header, payload, ".", uint16(1000))
	f.Fuzz(func(t *testing.T, header, payload, insert string, at uint16) {
		token := lab.Compact(header, []byte(payload), lab.By("EdDSA", d.key))
		d.compare(t, token)
		i := int(at) % (len(token) + 1)
		d.compare(t, token[:i]+insert+token[i:])
		if !json.Valid([]byte(payload)) || !json.Valid([]byte(header)) {
			if _, err := d.guard.Check((&popauthtest.Client{}).Request("GET", "/", token)); err == nil {
				t.Fatalf("VULNERABLE: accepted what is no JSON: %q %q", header, payload)
			}
		}
	})
}
