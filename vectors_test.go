package popauth_test

import (
	"bytes"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/MicahParks/jwkset"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// rowsOf reads a file of testdata with one JSON object in each line.
func rowsOf[T any](tb testing.TB, file string) []T {
	tb.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		tb.Fatal(err)
	}
	var rows []T
	for line := range bytes.Lines(data) {
		var row T
		if err := json.Unmarshal(line, &row); err != nil {
			tb.Fatalf("%s: %v", line, err)
		}
		rows = append(rows, row)
	}
	return rows
}

// vectorDecision is what popauth makes of a JWS and the keys for it.
func vectorDecision(jwks json.RawMessage, jws string) error {
	keys, err := popauth.StaticKeys(jwks)
	if err != nil {
		return err
	}
	return popauth.VerifyJWS(keys, jws)
}

// TestWycheproof runs the vectors at the layer of the signature: no payload of theirs is a JSON object.
func TestWycheproof(t *testing.T) {
	// What the vectors leave open.
	either := map[string]string{
		"rfc7520":                 "the JWK's alg is another one than the token's, or none that exists: refused",
		"rfc7520WithKeyOps":       "the same: refused",
		"jws_mixedSymmetryKeyset": "HMAC: refused",
		"jws_duplicate_kid":       "HMAC: refused",
		"jws_rsa_roca_key": "the modulus has a known weakness that only its factors would prove: accepted, an issuer's keys " +
			"are taken as they are",
	}
	counts := map[string]int{}
	for _, row := range rowsOf[struct {
		ID, Group, Alg, Expected string
		JWKS                     json.RawMessage
		JWS                      string
	}](t, "wycheproof/jws.jsonl") {
		accepted := vectorDecision(row.JWKS, row.JWS) == nil
		symmetric := strings.HasPrefix(row.Alg, "HS")
		want := row.Expected == "accept" && !symmetric // an HMAC is never accepted
		if row.Expected == "either" {
			if either[row.Group] == "" {
				t.Errorf("%s: group %s is not explained", row.ID, row.Group)
			}
			want = row.Group == "jws_rsa_roca_key" && !fips140.Enforced() // which refuses more RSA keys
		}
		if accepted != want {
			t.Errorf("%s (%s): accepted %t, want %t", row.ID, row.Group, accepted, want)
		}
		if symmetric {
			row.Expected += " HMAC"
		}
		counts[row.Expected]++
	}
	want := map[string]int{"accept": 35, "accept HMAC": 16, "reject": 375, "reject HMAC": 41, "either": 6, "either HMAC": 3}
	if !maps.Equal(counts, want) {
		t.Errorf("rows: got %v, want %v", counts, want)
	}
}

// TestRFCVectors are the examples of RFC 7515, 7519, 7520, 7797, 8037 and 9449.
func TestRFCVectors(t *testing.T) {
	l := lab.New(t, "EdDSA")
	g := l.Guard()
	for _, row := range rowsOf[struct {
		ID, Kind, Alg, Expected, Compact string
		JWKS                             json.RawMessage
		JWS, Token                       string
		JWSJSON                          json.RawMessage `json:"jws_json"`
	}](t, "jose/rfc.jsonl") {
		t.Run(row.ID, func(t *testing.T) {
			if row.JWS != "" && row.JWKS != nil {
				want := row.Expected == "accept" && !strings.HasPrefix(row.Alg, "HS")
				if accepted := vectorDecision(row.JWKS, row.JWS) == nil; accepted != want {
					t.Errorf("accepted %t, want %t", accepted, want)
				}
			}
			// None of them is an access token of this issuer, in whichever form it is offered.
			for _, token := range []string{row.JWS, row.Token, row.Compact, string(row.JWSJSON)} {
				if token == "" {
					continue
				}
				lab.Alike(t, g, l.Owner.Request("GET", "/", token))
				if o := lab.Send(g.Confirm, l.Owner.Request("GET", "/", token)); o.Ran || o.Status != 401 && o.Status != 400 {
					t.Errorf("VULNERABLE: got %d, ran %t", o.Status, o.Ran)
				}
			}
		})
	}
}

// strictlyNot is JSON that a token must not have.
var strictlyNot = []string{"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}

// TestJSONTestSuite sends every text as a payload, as a header, and as one member of each.
func TestJSONTestSuite(t *testing.T) {
	l := lab.New(t, "EdDSA")
	g := l.Guard()
	header := fmt.Sprintf(`{"alg":"EdDSA","typ":"at+jwt","kid":%q`, l.Published()[0].Kid)
	payload := strings.TrimSuffix(string(l.Claims()), "}")
	accepted := func(header, payload string) bool {
		token := l.Issuer.Sign([]byte(header), []byte(payload), "")
		o := lab.Send(g.Confirm, l.Owner.Request("GET", "/", token))
		if o.Ran != (o.Status == 200) || !o.Ran && o.Status != 401 {
			t.Errorf("%q %q: got %d, ran %t", header, payload, o.Status, o.Ran)
		}
		return o.Ran
	}
	if !accepted(header+"}", payload+"}") {
		t.Fatal("the honest token is refused")
	}
	inside := map[string]int{}
	for _, row := range rowsOf[struct {
		ID, Use, Expected, Klass, File string
		Payload                        []byte `json:"payload_b64"`
		Header                         []byte `json:"header_b64"`
	}](t, "jsontestsuite/payloads.jsonl") {
		name := row.File[strings.LastIndexByte(row.File, '/')+1:]
		whole, member := [2]string{header + "}", string(row.Payload)},
			[2]string{header + "}", payload + `,"x":` + string(row.Payload) + "}"}
		if row.Use == "header" {
			whole, member = [2]string{string(row.Header), payload + "}"},
				[2]string{header + `,"x":` + string(row.Header) + "}", payload + "}"}
		}
		if got := accepted(whole[0], whole[1]); got != (row.Expected == "accept") {
			t.Errorf("%s: accepted %t, want %s", row.ID, got, row.Expected)
		}
		got := accepted(member[0], member[1])
		want := row.Klass == "y" && !slices.Contains(strictlyNot, name)
		text := string(row.Payload) + string(row.Header)
		if row.Klass == "i" { // left open: never more than is JSON in UTF-8
			want = got && json.Valid([]byte(text)) && utf8.ValidString(text)
		}
		if got != want {
			t.Errorf("%s as a member: accepted %t, want %t", row.ID, got, want)
		}
		inside[fmt.Sprintf("%s %t", row.Klass, got)]++
	}
	if want := (map[string]int{"i false": 78, "i true": 36, "n false": 372, "y false": 4, "y true": 186}); !maps.Equal(inside, want) {
		t.Errorf("members: got %v, want %v", inside, want)
	}
}

// TestBearerRequests takes a token from the Authorization header and nowhere else, whatever other programs offer.
func TestBearerRequests(t *testing.T) {
	l := lab.New(t, "EdDSA")
	g := l.Guard()
	good := l.Bound()
	for _, row := range rowsOf[struct {
		ID, Method, Query, Expected, Token string
		Headers                            [][2]string
		Form                               json.RawMessage
		Options                            []string
		Status                             []int
	}](t, "bearer/requests.jsonl") {
		t.Run(row.ID, func(t *testing.T) {
			text := strings.NewReplacer("test-token==", good, "test-token", good).Replace
			if row.Token == "token" {
				text = strings.NewReplacer("token", good).Replace
			}
			r := l.Owner.Request(row.Method, "/?"+text(row.Query), "")
			for _, h := range row.Headers {
				r.Header.Add(h[0], h[1][:strings.IndexByte(h[1]+" ", ' ')]+text(h[1][strings.IndexByte(h[1]+" ", ' '):]))
			}
			r.PostForm = bearerForm(row.Form, good)
			o := lab.Send(g.Confirm, r)
			want := bearerAnswer(row.Expected, row.Options, row.Headers)
			if !slices.Contains(want, o.Status) || o.Ran != (o.Status == 200) {
				t.Errorf("got %d, ran %t, want %v", o.Status, o.Ran, want)
			}
		})
	}
}

func bearerForm(form json.RawMessage, token string) url.Values {
	var pairs [][2]string
	if json.Unmarshal(form, &pairs) != nil || pairs == nil {
		return nil
	}
	values := url.Values{}
	for _, p := range pairs {
		values.Add(p[0], strings.ReplaceAll(p[1], "test-token", token))
	}
	return values
}

// bearerAnswer is the status that popauth has for a row. It is stricter where a program takes tokens from elsewhere when
// told so: query and form parameters leak (RFC 6750, section 5.3), other headers are nobody's standard. Without an
// Authorization header those are no credentials; beside one they are a second one.
func bearerAnswer(expected string, options []string, headers [][2]string) []int {
	dpop, authorization := false, false
	for _, h := range headers {
		authorization = authorization || strings.EqualFold(h[0], "Authorization")
		dpop = dpop || strings.HasPrefix(strings.ToLower(h[1]), "dpop ")
	}
	switch {
	case !authorization:
		return []int{http.StatusUnauthorized}
	case dpop && len(headers) == 1:
		return []int{http.StatusUnauthorized} // no Confirmer of this Guard has that scheme
	case expected == "token", expected == "either":
		return []int{http.StatusOK}
	case expected == "none":
		return []int{http.StatusUnauthorized}
	case len(options) == 0:
		return []int{http.StatusBadRequest, http.StatusUnauthorized}
	}
	return []int{http.StatusBadRequest}
}

// TestIdentityModelVectors are cases for validators of tokens in general, with a key of their own.
func TestIdentityModelVectors(t *testing.T) {
	jwks, err := os.ReadFile("testdata/identity-model/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := popauth.StaticKeys(jwks)
	if err != nil {
		t.Fatal(err)
	}
	fixture, ephemeral := identityModelKeys(t)
	for _, row := range rowsOf[identityModelRow](t, "identity-model/vectors.jsonl") {
		t.Run(row.ID+" "+row.Title, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, row.Options["now"].(string))
			if err != nil {
				t.Fatal(err)
			}
			leeway, _ := time.ParseDuration(fmt.Sprint(row.Options["clock_skew"]))
			var required []string
			if all, ok := row.Options["required_claims"].([]any); ok {
				for _, name := range all {
					required = append(required, name.(string))
				}
			}
			g, err := popauth.New(popauth.Options{
				Issuer: "https://issuer.example.com", Audience: []string{"test-client"}, Keys: keys, RequiredClaims: required,
				Leeway: leeway, Now: func() time.Time { return now },
			})
			if err != nil {
				t.Fatal(err)
			}
			key := fixture
			if row.Token.SigningKey == "ephemeral" {
				key = ephemeral
			}
			spy := &popauthtest.Spy{}
			o := lab.Send(func(http.Handler) http.Handler { return g.Authenticate(spy) },
				(&popauthtest.Client{}).Request("GET", "/", row.token(t, now, key)))
			want := row.Expect.Outcome == "accept"
			if reason := identityModelExceptions[row.ID]; reason != "" {
				want = !want
			}
			if got := spy.Ran() == 1; got != want || got != (o.Status == 200) {
				t.Errorf("accepted %t (%d), want %t", got, o.Status, want)
			}
		})
	}
}

// identityModelExceptions are cases that ask for what an access token does not have, or need not.
var identityModelExceptions = map[string]string{
	"JWT-004/0": "nonce without scope or client_id belongs to ID tokens",
	"JWT-013/0": "iat is not needed to decide: exp is required, iat only must not lie ahead",
}

type identityModelRow struct {
	ID, Title string
	Token     struct {
		SigningKey string `json:"signing_key"`
		Static     string
		Claims     map[string]any
	}
	Options map[string]any
	Expect  struct{ Outcome string }
}

// token mints the row's token: dates are durations from now.
func (row identityModelRow) token(t *testing.T, now time.Time, key *rsa.PrivateKey) string {
	t.Helper()
	if row.Token.Static != "" {
		static, err := os.ReadFile("testdata/identity-model/alg-none-token.txt")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(static))
	}
	for _, date := range []string{"exp", "nbf", "iat"} {
		if text, ok := row.Token.Claims[date].(string); ok {
			d, err := time.ParseDuration(text)
			if err != nil {
				t.Fatal(err)
			}
			row.Token.Claims[date] = now.Add(d).Unix()
		}
	}
	payload, err := json.Marshal(row.Token.Claims)
	if err != nil {
		t.Fatal(err)
	}
	return lab.Compact(lab.Claims{"alg": "RS256", "typ": "JWT", "kid": "test-key-1"}, payload, lab.By("RS256", key))
}

func identityModelKeys(t *testing.T) (fixture, ephemeral *rsa.PrivateKey) {
	t.Helper()
	text, err := os.ReadFile("testdata/identity-model/signing-key.jwk.json")
	if err != nil {
		t.Fatal(err)
	}
	k, err := jwkset.NewJWKFromRawJSON(text, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fixture, ok := k.Key().(*rsa.PrivateKey)
	if !ok {
		t.Fatal(errors.New("no private key"))
	}
	if ephemeral, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	return fixture, ephemeral
}
