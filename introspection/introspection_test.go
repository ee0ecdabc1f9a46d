package introspection_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// TestIntrospectionThieves is every kind of token in every hand.
func TestIntrospectionThieves(t *testing.T) {
	l := lab.New(t)
	guard := l.OpaqueGuard(popauth.JWTOr(&namedVerifier{}, l.Introspection()))
	key, other := popauthtest.NewProofKey(t, ""), popauthtest.NewProofKey(t, "")
	key.Now, other.Now = l.Clock.Now, l.Clock.Now
	both := popauthtest.Claims{"cnf": popauthtest.Claims{"x5t#S256": l.Owner.Thumbprint(), "jkt": key.Thumbprint()}}
	tokens := map[string]string{
		"unbound": l.Issuer.Opaque(),
		"x5t":     l.Issuer.Opaque(l.Owner.Bound()),
		"jkt":     l.Issuer.Opaque(key.Bound(), popauthtest.Claims{"token_type": "DPoP"}),
		"both":    l.Issuer.Opaque(both),
		"unknown": l.Issuer.Opaque(popauthtest.Claims{"cnf": popauthtest.Claims{"kid": "k"}}),
		"empty":   l.Issuer.Opaque(popauthtest.Claims{"cnf": popauthtest.Claims{}}),
		"null":    l.Issuer.Opaque(popauthtest.Claims{"cnf": nil}),
		"array":   l.Issuer.Opaque(popauthtest.Claims{"cnf": []string{l.Owner.Thumbprint()}}),
	}
	type caller struct {
		client *popauthtest.Client
		proof  *popauthtest.ProofKey
	}
	callers := map[string]caller{
		"owner": {l.Owner, nil}, "owner, proof": {l.Owner, key},
		"thief": {l.Thief, nil}, "thief, proof": {l.Thief, other},
		"nobody": {nil, nil}, "nobody, proof": {nil, key},
	}
	passes := map[string]bool{
		"x5t/owner": true, "jkt/owner, proof": true, "jkt/nobody, proof": true, "both/owner, proof": true,
	}
	for kind, token := range tokens {
		for who, c := range callers {
			for range 2 { // asked, and remembered
				r := c.client.Request("GET", "https://api.example.com/orders", token)
				if c.proof != nil {
					r = c.proof.Request("GET", "https://api.example.com/orders", token)
					r.TLS = c.client.Request("GET", "/", "").TLS
				}
				got := lab.Send(guard.Confirm, r)
				if name := kind + "/" + who; passes[name] != got.Ran || passes[name] != (got.Status == 200) ||
					!got.Ran && got.Status != 401 {
					t.Errorf("%s: got status %d, ran %t, want a pass: %t", name, got.Status, got.Ran, passes[name])
				}
			}
		}
	}
	if got := l.Issuer.Introspections(); got != len(tokens) {
		t.Errorf("calls: got %d, want %d", got, len(tokens))
	}
	bearer := guard.Authenticate
	lab.Send(bearer, (*popauthtest.Client)(nil).Request("GET", "/", tokens["unbound"])).Passed(t)
	for _, kind := range []string{"x5t", "jkt", "both", "unknown", "empty", "null", "array"} {
		if got := lab.Send(bearer, (*popauthtest.Client)(nil).Request("GET", "/", tokens[kind])); got.Ran || got.Status != 401 {
			t.Errorf("%s as a bearer token: got status %d, ran %t", kind, got.Status, got.Ran)
		}
	}
}

// TestIntrospectionAnswers is what each answer comes to. ISS stands for the issuer.
func TestIntrospectionAnswers(t *testing.T) {
	l := lab.New(t)
	const aud = `"aud":"` + popauthtest.Audience + `"`
	for name, tt := range map[string]struct {
		body   string
		reason popauth.Reason // "": accepted
	}{
		"everything":              {`{"active":true,"iss":"ISS",` + aud + `,"exp":1800000300,"scope":"a b","username":"x"}`, ""},
		"only what is needed":     {`{"active":true,` + aud + `}`, ""},
		"several audiences":       {`{"active":true,"aud":["x","` + popauthtest.Audience + `"]}`, ""},
		"not active":              {`{"active":false}`, popauth.ErrTokenInvalid},
		"not active, with claims": {`{"active":false,"iss":"ISS",` + aud + `}`, popauth.ErrTokenInvalid},
		"active missing":          {`{` + aud + `}`, popauth.ErrUnavailable},
		"active a string":         {`{"active":"true",` + aud + `}`, popauth.ErrUnavailable},
		"active a number":         {`{"active":1,` + aud + `}`, popauth.ErrUnavailable},
		"active null":             {`{"active":null,` + aud + `}`, popauth.ErrUnavailable},
		"active an array":         {`{"active":[true],` + aud + `}`, popauth.ErrUnavailable},
		"active twice":            {`{"active":false,"active":true,` + aud + `}`, popauth.ErrUnavailable},
		"active in another case":  {`{"active":true,"Active":false,` + aud + `}`, popauth.ErrUnavailable},
		"empty":                   {``, popauth.ErrUnavailable},
		"null":                    {`null`, popauth.ErrUnavailable},
		"array":                   {`[{"active":true}]`, popauth.ErrUnavailable},
		"more after it":           {`{"active":true,` + aud + `}{}`, popauth.ErrUnavailable},
		"HTML":                    {`<html>`, popauth.ErrUnavailable},
		"too large":               {`{"active":true,` + aud + `,"x":"` + strings.Repeat("x", 65<<10) + `"}`, popauth.ErrUnavailable},
		"too much space after it": {`{"active":true,` + aud + `}` + strings.Repeat(" ", 65<<10), popauth.ErrUnavailable},
		"a signed answer":         {l.Issuer.Token(), popauth.ErrUnavailable},
		"no audience":             {`{"active":true}`, popauth.ErrTokenAudience},
		"empty audience":          {`{"active":true,"aud":[]}`, popauth.ErrTokenAudience},
		"another audience":        {`{"active":true,"aud":"https://other.example.com"}`, popauth.ErrTokenAudience},
		"another issuer":          {`{"active":true,"iss":"ISS/",` + aud + `}`, popauth.ErrTokenIssuer},
		"issuer null":             {`{"active":true,"iss":null,` + aud + `}`, ""},
		"all optional members null": {`{"active":true,` + aud +
			`,"sub":null,"client_id":null,"scope":null,"exp":null,"nbf":null,"iat":null,"jti":null,"token_type":null,"acr":null}`, ""},
		"aud null":                  {`{"active":true,"aud":null}`, popauth.ErrTokenAudience},
		"aud an empty list":         {`{"active":true,"aud":[]}`, popauth.ErrTokenAudience},
		"byte order mark":           {"\ufeff" + `{"active":true,` + aud + `}`, ""},
		"expired":                   {`{"active":true,` + aud + `,"exp":1799999969}`, popauth.ErrTokenExpired},
		"expired within the leeway": {`{"active":true,` + aud + `,"exp":1799999971}`, ""},
		"exp a string":              {`{"active":true,` + aud + `,"exp":"1800000300"}`, popauth.ErrTokenMalformed},
		"not yet valid":             {`{"active":true,` + aud + `,"nbf":1800000031}`, popauth.ErrTokenNotYetValid},
		"issued in the future":      {`{"active":true,` + aud + `,"iat":1800000031}`, popauth.ErrTokenNotYetValid},
		"Bearer":                    {`{"active":true,` + aud + `,"token_type":"bearer"}`, ""},
		"typ and use":               {`{"active":true,` + aud + `,"typ":"Bearer","token_use":"access_token"}`, ""},
		"DPoP without jkt":          {`{"active":true,` + aud + `,"token_type":"DPoP"}`, popauth.ErrBindingMalformed},
		"DPoP with another binding": {`{"active":true,` + aud + `,"token_type":"DPoP","cnf":{"x5t#S256":"a"}}`,
			popauth.ErrBindingMalformed},
		"jkt without DPoP": {`{"active":true,` + aud + `,"token_type":"Bearer","cnf":{"jkt":"a"}}`,
			popauth.ErrBindingMalformed},
		"refresh token by token_type":    {`{"active":true,` + aud + `,"token_type":"refresh_token"}`, popauth.ErrTokenType},
		"refresh token by token_use":     {`{"active":true,` + aud + `,"token_use":"refresh_token"}`, popauth.ErrTokenType},
		"refresh token by typ":           {`{"active":true,` + aud + `,"typ":"Refresh"}`, popauth.ErrTokenType},
		"offline token":                  {`{"active":true,` + aud + `,"typ":"Offline"}`, popauth.ErrTokenType},
		"ID token by typ":                {`{"active":true,` + aud + `,"typ":"ID"}`, popauth.ErrTokenType},
		"ID token by at_hash":            {`{"active":true,` + aud + `,"at_hash":"x"}`, popauth.ErrTokenType},
		"token_type null":                {`{"active":true,` + aud + `,"token_type":null}`, ""},
		"cnf in another case":            {`{"active":true,` + aud + `,"CNF":{"jkt":"a"}}`, popauth.ErrTokenMalformed},
		"cnf twice":                      {`{"active":true,` + aud + `,"cnf":{"jkt":"a"},"cnf":{"jkt":"b"}}`, popauth.ErrUnavailable},
		"cnf a string, as some flatten":  {`{"active":true,` + aud + `,"cnf":"{\"jkt\":\"a\"}"}`, popauth.ErrBindingMalformed},
		"unsigned answer inside another": {`{"token_introspection":{"active":true}}`, popauth.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			l.Answering(200, strings.ReplaceAll(tt.body, "ISS", l.Issuer.URL))
			v := l.Introspection()
			for range 2 { // asked, and remembered
				token, err := v.Verify(t.Context(), "opaque")
				if (token == nil) == (tt.reason == "") || tt.reason != "" && !lab.ReasonIs(err, tt.reason) {
					t.Errorf("got %v, %v, want %q", token, err, tt.reason)
				}
				if token != nil && token.Issuer() != l.Issuer.URL {
					t.Errorf("issuer: got %q", token.Issuer())
				}
			}
		})
	}
}

func TestIntrospectionAllowsMissingAudience(t *testing.T) {
	l := lab.New(t)
	v := l.Introspection(func(o *introspection.Options) { o.AllowMissingAudience = true })
	for aud, want := range map[any]error{
		popauthtest.Omit: nil, popauthtest.Audience: nil, "https://other.example.com": popauth.ErrTokenAudience,
	} {
		if _, err := v.Verify(t.Context(), l.Issuer.Opaque(popauthtest.Claims{"aud": aud})); !errors.Is(err, want) {
			t.Errorf("%v: got %v, want %v", aud, err, want)
		}
	}
	// Hydra writes an empty list where nobody asked for an audience, and others write null.
	for _, aud := range []any{[]string{}, nil} {
		if _, err := v.Verify(t.Context(), l.Issuer.Opaque(popauthtest.Claims{"aud": aud})); err != nil {
			t.Errorf("aud %v: got %v, want it to count as absent", aud, err)
		}
	}
}

func TestIntrospectionOptions(t *testing.T) {
	good := introspection.Options{
		Issuer: "https://id.example.com", Audience: []string{"a"},
		Authentication: introspection.ClientSecretBasic{ID: "api", Secret: "s"},
	}
	es256 := introspection.PrivateKeyJWT{ID: "api", Method: jwt.SigningMethodES256, Key: "in a KMS"}
	for _, tt := range []struct {
		name   string
		change func(*introspection.Options)
		want   []string
	}{
		{"good", func(*introspection.Options) {}, nil},
		{"nothing", func(o *introspection.Options) { *o = introspection.Options{} }, []string{"Issuer", "Audience", "Authentication"}},
		{"empty audience", func(o *introspection.Options) { o.Audience = []string{""} }, []string{"Audience"}},
		{"issuer without TLS", func(o *introspection.Options) { o.Issuer = "http://id.example.com" }, []string{"Issuer"}},
		{"issuer no URL, but endpoint", func(o *introspection.Options) { o.Issuer, o.Endpoint = "id", "https://id.example.com/i" }, nil},
		{"endpoint without TLS", func(o *introspection.Options) { o.Endpoint = "http://id.example.com/i" }, []string{"Endpoint"}},
		{"endpoint on loopback", func(o *introspection.Options) { o.Endpoint = "http://127.0.0.1/i" }, []string{"Endpoint"}},
		{"endpoint on loopback, allowed", func(o *introspection.Options) {
			o.Endpoint, o.AllowLoopbackHTTP = "http://127.0.0.1/i", true
		}, nil},
		{"endpoint without TLS, loopback allowed", func(o *introspection.Options) {
			o.Endpoint, o.AllowLoopbackHTTP = "http://id.example.com/i", true
		}, []string{"Endpoint"}},
		{"no secret", func(o *introspection.Options) {
			o.Authentication = introspection.ClientSecretBasic{ID: "api"}
		}, []string{"Authentication"}},
		{"no ID", func(o *introspection.Options) {
			o.Authentication = introspection.ClientSecretPost{Secret: "s"}
		}, []string{"Authentication"}},
		{"no key", func(o *introspection.Options) {
			o.Authentication = introspection.PrivateKeyJWT{ID: "api", Method: jwt.SigningMethodES256}
		}, []string{"Authentication"}},
		{"no method", func(o *introspection.Options) {
			o.Authentication = introspection.PrivateKeyJWT{ID: "api", Key: "in a KMS"}
		}, []string{"Authentication"}},
		{"key that is no signer", func(o *introspection.Options) { o.Authentication = es256 }, []string{"Authentication"}},
		{"key of another algorithm", func(o *introspection.Options) {
			o.Authentication = introspection.PrivateKeyJWT{ID: "api", Method: jwt.SigningMethodES256,
				Key: ed25519.NewKeyFromSeed(make([]byte, 32))}
		}, []string{"Authentication"}},
		{"HMAC", func(o *introspection.Options) {
			o.Authentication = introspection.PrivateKeyJWT{ID: "api", Method: jwt.SigningMethodHS256, Key: []byte("k")}
		}, []string{"Authentication"}},
		{"none", func(o *introspection.Options) {
			o.Authentication = introspection.PrivateKeyJWT{ID: "api", Method: jwt.SigningMethodNone, Key: jwt.UnsafeAllowNoneSignatureType}
		}, []string{"Authentication"}},
		{"certificate without a client", func(o *introspection.Options) {
			o.Authentication = introspection.TLSClientAuth{ID: "api"}
		}, []string{"Client"}},
		{"certificate with a client that has none", func(o *introspection.Options) {
			o.Authentication, o.Client = introspection.TLSClientAuth{ID: "api"}, &http.Client{}
		}, []string{"Client"}},
		{"keys of plain answers", func(o *introspection.Options) { o.Keys = lab.Nowhere{} }, []string{"Signed"}},
		{"keys of another issuer", func(o *introspection.Options) {
			o.Signed = true
			o.Keys, _ = popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: "https://other.example.com"})
		}, []string{"Keys"}},
		{"symmetric signatures", func(o *introspection.Options) { o.Signed, o.Algorithms = true, []string{"HS256"} },
			[]string{"Algorithms"}},
		{"limits", func(o *introspection.Options) {
			o.Timeout, o.Wait, o.Calls, o.Entries, o.Leeway = -1, -1, -1, 1<<20+1, time.Hour
		}, []string{"Timeout", "Wait", "Calls", "Entries", "Leeway"}},
		{"not remembered", func(o *introspection.Options) { o.Remember = -1 }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			tt.change(&o)
			v, err := introspection.New(o)
			if (v == nil) != (len(tt.want) > 0) || (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("got %v, %v, want %q", v, err, tt.want)
			}
			for _, field := range tt.want {
				if !strings.Contains(fmt.Sprint(err), "introspection: Options."+field+": ") {
					t.Errorf("got %v, want %s named", err, field)
				}
			}
		})
	}
}

// The zero Verifier and the nil one refuse everything.
func TestIntrospectionUnmade(t *testing.T) {
	for _, v := range []*introspection.Verifier{nil, {}} {
		g, err := popauth.New(popauth.Options{Verifier: v})
		if err != nil {
			t.Fatal(err)
		}
		lab.Send(g.Authenticate, (*popauthtest.Client)(nil).Request("GET", "/", "opaque")).Refused(t, 500, "")
	}
}

// What one request does to the lists of its Token, in Options.Revoked for one, is no other's business.
func TestIntrospectedTokensAreTheirOwn(t *testing.T) {
	l := lab.New(t)
	v, token := l.Introspection(), l.Issuer.Opaque(popauthtest.Claims{"scope": "read"})
	first, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	first.Scopes()[0], first.Audience()[0] = "x", "x"
	second, err := v.Verify(t.Context(), token)
	if err != nil || second.Scopes()[0] != "read" || second.Audience()[0] != popauthtest.Audience {
		t.Errorf("got %+v, %v", second, err)
	}
}

type namedVerifier struct{ asked []string }

func (v *namedVerifier) Verify(_ context.Context, token string) (*popauth.Token, error) {
	v.asked = append(v.asked, token)
	return nil, popauth.ErrTokenInvalid
}

// A token goes to one Verifier by its form, and to no other if that refuses it.
func TestJWTOr(t *testing.T) {
	l := lab.New(t)
	jwtToken := l.Issuer.Token()
	header, rest, _ := strings.Cut(jwtToken, ".")
	for name, tt := range map[string]struct {
		token string
		jwt   bool
	}{
		"JWT":                   {jwtToken, true},
		"JWT with another key":  {jwtToken[:len(jwtToken)-4] + "AAAA", true},
		"unsigned":              {strings.TrimRight(jwtToken, "-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), true},
		"header malformed":      {"eyJhbGciOiJFUzI1NiIsImFsZyI6Im5vbmUifQ." + rest, true},
		"header cut":            {"ew." + rest, true},
		"header with a space":   {"IHs." + rest, true},
		"opaque":                {"opaque", false},
		"one dot":               {header + ".x", false},
		"five parts":            {jwtToken + ".x.x", false},
		"three parts":           {"v2.local.abc", false},
		"header an array":       {"W10.e30.AAAA", false},
		"header padded":         {"eyJhbGciOiJFUzI1NiJ9==.e30.AAAA", false},
		"header a plain string": {"ImEi.e30.AAAA", false},
		"empty":                 {"", false},
	} {
		one, other := &namedVerifier{}, &namedVerifier{}
		_, _ = popauth.JWTOr(one, other).Verify(t.Context(), tt.token)
		if len(one.asked) != lab.Btoi(tt.jwt) || len(other.asked) != lab.Btoi(!tt.jwt) {
			t.Errorf("%s: got %d JWTs, %d others", name, len(one.asked), len(other.asked))
		}
	}
	for _, f := range []func(){func() { popauth.JWTOr(nil, l.Introspection()) }, func() { popauth.JWTOr(l.Introspection(), nil) }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a nil Verifier: got no panic")
				}
			}()
			f()
		}()
	}
}

// A refusal says what came and what was expected, in a line of bounded length.
func TestRefusalsSayWhatCame(t *testing.T) {
	l := lab.New(t)
	v := l.Introspection()
	for i, tt := range []struct {
		body   string
		reason popauth.Reason
		want   string
	}{
		{`{"active":true,"aud":["client-1"]}`, popauth.ErrTokenAudience,
			`aud is ["client-1"], and Options.Audience has ["` + popauthtest.Audience},
		{`{"active":true,"aud":["` + strings.Repeat(`x","`, 5000) + `"]}`, popauth.ErrTokenAudience, `aud is ["x" "x"`},
		{`{"active":true,"iss":"https://other.example.com"}`, popauth.ErrTokenIssuer,
			`iss is "https://other.example.com", want "` + l.Issuer.URL},
	} {
		l.Answering(200, tt.body)
		_, err := v.Verify(t.Context(), "opaque"+strings.Repeat("x", i))
		if !lab.ReasonIs(err, tt.reason) || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 600 {
			t.Errorf("%.80s: got %.800v, want %s with %s", tt.body, err, tt.reason, tt.want)
		}
	}
}
