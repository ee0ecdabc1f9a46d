package popauth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestTokenClaims(t *testing.T) {
	l := lab.New(t)
	now := l.Clock.Now().Unix()
	for _, tt := range []struct {
		name   string
		claims lab.Claims
		want   popauth.Reason // "" to pass
	}{
		{"as issued", lab.Claims{}, ""},
		{"expired within the leeway", lab.Claims{"exp": now - 29}, ""},
		{"expired", lab.Claims{"exp": now - 30}, popauth.ErrTokenExpired},
		{"no exp", lab.Claims{"exp": lab.Omit}, popauth.ErrTokenMalformed},
		{"exp 0", lab.Claims{"exp": 0}, popauth.ErrTokenExpired},
		{"exp null", lab.Claims{"exp": nil}, popauth.ErrTokenMalformed},
		{"exp text", lab.Claims{"exp": fmt.Sprint(now + 300)}, popauth.ErrTokenMalformed},
		{"exp true", lab.Claims{"exp": true}, popauth.ErrTokenMalformed},
		{"exp 1e30", lab.Claims{"exp": 1e30}, popauth.ErrTokenMalformed},
		{"exp negative", lab.Claims{"exp": -1}, popauth.ErrTokenMalformed},
		{"exp fraction", lab.Claims{"exp": float64(now) - 29.5}, popauth.ErrTokenExpired},
		{"not before, within the leeway", lab.Claims{"nbf": now + 30}, ""},
		{"not before", lab.Claims{"nbf": now + 31}, popauth.ErrTokenNotYetValid},
		{"nbf 1e30", lab.Claims{"nbf": 1e30}, popauth.ErrTokenMalformed},
		{"nbf text", lab.Claims{"nbf": "0"}, popauth.ErrTokenMalformed},
		{"issued in the future, within the leeway", lab.Claims{"iat": now + 30}, ""},
		{"issued in the future", lab.Claims{"iat": now + 31}, popauth.ErrTokenNotYetValid},
		{"iat 1e30", lab.Claims{"iat": 1e30}, popauth.ErrTokenMalformed},
		{"other issuer", lab.Claims{"iss": "https://other.example"}, popauth.ErrTokenIssuer},
		{"no issuer", lab.Claims{"iss": lab.Omit}, popauth.ErrTokenIssuer},
		{"issuer with a slash more", lab.Claims{"iss": l.Issuer.URL + "/"}, popauth.ErrTokenIssuer},
		{"issuer in an array", lab.Claims{"iss": []string{l.Issuer.URL}}, popauth.ErrTokenMalformed},
		{"issuer null", lab.Claims{"iss": nil}, popauth.ErrTokenMalformed},
		{"audience among others", lab.Claims{"aud": []string{"x", popauthtest.Audience}}, ""},
		{"other audience", lab.Claims{"aud": "https://other.example"}, popauth.ErrTokenAudience},
		{"other audiences", lab.Claims{"aud": []string{"x", "y"}}, popauth.ErrTokenAudience},
		{"audience with a slash more", lab.Claims{"aud": popauthtest.Audience + "/"}, popauth.ErrTokenAudience},
		{"no audience", lab.Claims{"aud": lab.Omit}, popauth.ErrTokenAudience},
		{"audience empty", lab.Claims{"aud": ""}, popauth.ErrTokenAudience},
		{"audience empty array", lab.Claims{"aud": []string{}}, popauth.ErrTokenAudience},
		{"audience number", lab.Claims{"aud": 5}, popauth.ErrTokenMalformed},
		{"audience mixed", lab.Claims{"aud": []any{popauthtest.Audience, 5}}, popauth.ErrTokenMalformed},
		{"audience null", lab.Claims{"aud": nil}, popauth.ErrTokenMalformed},
		{"subject number", lab.Claims{"sub": 5}, popauth.ErrTokenMalformed},
		{"token id number", lab.Claims{"jti": 5}, popauth.ErrTokenMalformed},
		{"client array", lab.Claims{"client_id": []string{"a"}}, popauth.ErrTokenMalformed},
		{"scope number", lab.Claims{"scope": 5}, popauth.ErrTokenMalformed},
		{"scp object", lab.Claims{"scp": lab.Claims{}}, popauth.ErrTokenMalformed},
		{"folded issuer", lab.Claims{"ISS": "x"}, popauth.ErrTokenMalformed},
		{"folded scope", lab.Claims{"Scope": "admin"}, popauth.ErrTokenMalformed},
		{"other claims", lab.Claims{"tenant": lab.Claims{"a": []int{1}}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := l.Bound(tt.claims)
			check(t, l, token, tt.want)
		})
	}
}

// check sends token through all stages, with its owner's certificate.
func check(t *testing.T, l *lab.Lab, token string, want popauth.Reason, change ...func(*popauth.Options)) {
	t.Helper()
	g := l.Guard(change...)
	lab.Alike(t, g, l.Owner.Request("GET", "/", token))
	_, err := g.Check(l.Owner.Request("GET", "/", token))
	o := lab.Send(g.Confirm, l.Owner.Request("GET", "/", token))
	if want == "" {
		o.Passed(t)
		if err != nil {
			t.Errorf("got %v, want a pass", err)
		}
		return
	}
	o.Refused(t, 401, lab.InvalidToken)
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestTokenHeader(t *testing.T) {
	l := lab.New(t, "ES256", "ES384", "RS256", "PS256", "EdDSA", "Ed25519")
	only := func(names ...string) func(*popauth.Options) {
		return func(o *popauth.Options) { o.Algorithms = names }
	}
	types := func(names ...string) func(*popauth.Options) {
		return func(o *popauth.Options) { o.TokenTypes = names }
	}
	for _, tt := range []struct {
		name   string
		header lab.Claims
		change func(*popauth.Options)
		want   popauth.Reason
	}{
		{"ES256", lab.Claims{"alg": "ES256"}, nil, ""},
		{"ES384", lab.Claims{"alg": "ES384"}, nil, ""},
		{"RS256", lab.Claims{"alg": "RS256"}, nil, ""},
		{"PS256", lab.Claims{"alg": "PS256"}, nil, ""},
		{"EdDSA", lab.Claims{"alg": "EdDSA"}, nil, ""},
		{"Ed25519", lab.Claims{"alg": "Ed25519"}, nil, ""},
		{"Ed25519 where EdDSA is listed", lab.Claims{"alg": "Ed25519"}, only("EdDSA"), ""},
		{"EdDSA where Ed25519 is listed", lab.Claims{"alg": "EdDSA"}, only("Ed25519"), ""},
		{"algorithm not listed", lab.Claims{"alg": "ES256"}, only("ES384", "RS256"), popauth.ErrTokenAlgorithm},
		{"none", lab.Claims{"alg": "none"}, nil, popauth.ErrTokenAlgorithm},
		{"HMAC with the public key", lab.Claims{"alg": "HS256"}, nil, popauth.ErrTokenAlgorithm},
		{"typ JWT", lab.Claims{"typ": "JWT"}, nil, ""},
		{"typ in full", lab.Claims{"typ": "application/at+jwt"}, nil, ""},
		{"typ in other case", lab.Claims{"typ": "AT+JWT"}, nil, ""},
		{"no typ", lab.Claims{"typ": lab.Omit}, nil, popauth.ErrTokenType},
		{"no typ, allowed", lab.Claims{"typ": lab.Omit}, types(""), ""},
		{"logout token", lab.Claims{"typ": "logout+jwt"}, nil, popauth.ErrTokenType},
		{"proof", lab.Claims{"typ": "dpop+jwt"}, nil, popauth.ErrTokenType},
		{"typ not listed", lab.Claims{"typ": "JWT"}, types("at+jwt"), popauth.ErrTokenType},
		{"typ number", lab.Claims{"typ": 5}, nil, popauth.ErrTokenMalformed},
		{"alg number", lab.Claims{"alg": 5}, nil, popauth.ErrTokenMalformed},
		{"crit", lab.Claims{"crit": []string{"exp"}}, nil, popauth.ErrTokenMalformed},
		{"crit empty", lab.Claims{"crit": []string{}}, nil, popauth.ErrTokenMalformed},
		{"b64", lab.Claims{"b64": false}, nil, popauth.ErrTokenMalformed},
		{"zip", lab.Claims{"zip": "DEF"}, nil, popauth.ErrTokenMalformed},
		{"zip of no string", lab.Claims{"zip": nil}, nil, popauth.ErrTokenMalformed},
		{"enc", lab.Claims{"enc": "A128GCM"}, nil, popauth.ErrTokenMalformed},
		{"nested", lab.Claims{"cty": "JWT"}, nil, popauth.ErrTokenMalformed},
		{"other content type", lab.Claims{"cty": "json"}, nil, ""},
		{"own key", lab.Claims{"jwk": lab.Claims{"kty": "EC"}, "jku": "https://x", "x5u": "https://x", "x5c": []string{"x"}}, nil, ""},
		{"no kid, one key of the kind", lab.Claims{"alg": "ES384", "kid": lab.Omit}, nil, ""},
		{"kid empty", lab.Claims{"kid": ""}, nil, popauth.ErrTokenMalformed},
		{"kid number", lab.Claims{"kid": 5}, nil, popauth.ErrTokenMalformed},
		{"kid too long", lab.Claims{"kid": strings.Repeat("k", 257)}, nil, popauth.ErrTokenMalformed},
		{"kid unknown", lab.Claims{"kid": "k"}, nil, popauth.ErrTokenKey},
		{"folded alg", lab.Claims{"ALG": "none"}, nil, popauth.ErrTokenMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, number := tt.header["alg"].(int); number {
				check(t, l, l.Issuer.Sign([]byte(`{"alg":5,"typ":"at+jwt"}`), []byte(`{}`), "ES256"), tt.want)
				return
			}
			token := l.Issuer.TokenWith(tt.header, l.Owner.Bound())
			change := tt.change
			if change == nil {
				change = func(*popauth.Options) {}
			}
			check(t, l, token, tt.want, change)
		})
	}
}

// Two keys of one kind, and a token that names none: nobody tries them all.
func TestNoKeyIDAndSeveralKeys(t *testing.T) {
	l := lab.New(t, "ES256")
	token := l.Issuer.TokenWith(lab.Claims{"kid": lab.Omit}, l.Owner.Bound())
	check(t, l, token, "")
	keys := strings.TrimSuffix(strings.TrimSpace(string(l.Issuer.JWKS())), "]}")
	other := strings.TrimPrefix(strings.TrimSpace(string(popauthtest.NewIssuer(t, "ES256").JWKS())), `{"keys":[`)
	two, err := popauth.StaticKeys([]byte(keys + "," + other))
	if err != nil {
		t.Fatal(err)
	}
	check(t, l, token, popauth.ErrTokenKey, func(o *popauth.Options) { o.Keys = two })
	check(t, l, l.Bound(), "", func(o *popauth.Options) { o.Keys = two })
}

func TestTokenForm(t *testing.T) {
	l := lab.New(t)
	good := l.Bound()
	part := strings.Split(good, ".")
	resigned := func(header, payload string) string {
		return header + "." + payload + "." + l.Issuer.Signature(header+"."+payload, "ES256")
	}
	b64 := base64.RawURLEncoding.EncodeToString
	plain, err := base64.RawURLEncoding.DecodeString(part[0])
	if err != nil {
		t.Fatal(err)
	}
	header := string(plain)
	for _, tt := range []struct {
		name, token string
		want        popauth.Reason
	}{
		{"good", good, ""},
		{"signature of another token", part[0] + "." + part[1] + "." + strings.Split(l.Bound(), ".")[2], popauth.ErrTokenSignature},
		{"payload changed", part[0] + "." + strings.Split(l.Bound(), ".")[1] + "." + part[2], popauth.ErrTokenSignature},
		{"no signature", part[0] + "." + part[1] + ".", popauth.ErrTokenSignature},
		{"expired and forged", func() string {
			p := strings.Split(l.Bound(lab.Claims{"exp": 1}), ".")
			return p[0] + "." + p[1] + "." + part[2]
		}(), popauth.ErrTokenSignature},
		{"one segment", part[0], popauth.ErrTokenMalformed},
		{"two segments", part[0] + "." + part[1], popauth.ErrTokenMalformed},
		{"four segments", good + ".", popauth.ErrTokenMalformed},
		{"five segments", good + ".a.b", popauth.ErrTokenMalformed},
		{"padding", good + "==", popauth.ErrTokenMalformed},
		{"header in standard base64", resigned("+"+part[0][1:], part[1]), popauth.ErrTokenMalformed},
		{"header is no JSON", resigned(b64([]byte("x")), part[1]), popauth.ErrTokenMalformed},
		{"header behind each white space of JSON", resigned(b64([]byte(" \t\r\n"+header)), part[1]), ""},
		{"header behind a tab", resigned(b64([]byte("\t"+header)), part[1]), ""},
		{"header behind a line feed", resigned(b64([]byte("\n"+header)), part[1]), ""},
		{"header behind a carriage return", resigned(b64([]byte("\r"+header)), part[1]), ""},
		{"header behind a form feed", resigned(b64([]byte("\f"+header)), part[1]), popauth.ErrTokenMalformed},
		{"header empty", resigned("", part[1]), popauth.ErrTokenMalformed},
		{"header null", resigned(b64([]byte("null")), part[1]), popauth.ErrTokenMalformed},
		{"payload null", resigned(part[0], b64([]byte("null"))), popauth.ErrTokenMalformed},
		{"payload array", resigned(part[0], b64([]byte("[]"))), popauth.ErrTokenMalformed},
		{"payload empty", resigned(part[0], ""), popauth.ErrTokenMalformed},
		{"alg twice", resigned(b64([]byte(`{"alg":"ES256","alg":"ES256","typ":"at+jwt"}`)), part[1]), popauth.ErrTokenMalformed},
		{"too long", part[0] + "." + strings.Repeat("A", 16<<10) + "." + part[2], popauth.ErrTokenMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, l, tt.token, tt.want) })
	}
}

// Whatever a Verifier does wrong, a request does not pass by it.
func TestVerifierFaults(t *testing.T) {
	l := lab.New(t)
	for _, tt := range []struct {
		name   string
		verify lab.VerifierFunc
		status int
		want   popauth.Reason
	}{
		{"nothing", func(context.Context, string) (*popauth.Token, error) { return nil, nil }, 401, popauth.ErrTokenInvalid},
		{"zero token", func(context.Context, string) (*popauth.Token, error) { return &popauth.Token{}, nil }, 401,
			popauth.ErrTokenInvalid},
		{"error", func(context.Context, string) (*popauth.Token, error) { return nil, errors.New("no") }, 401, popauth.ErrTokenInvalid},
		{"error and token", func(_ context.Context, token string) (*popauth.Token, error) {
			good, _ := popauth.TrustJWT(token)
			return good, errors.New("no")
		}, 401, popauth.ErrTokenInvalid},
		{"reason", func(context.Context, string) (*popauth.Token, error) { return nil, popauth.ErrTokenExpired }, 401,
			popauth.ErrTokenExpired},
		{"wrapped reason", func(context.Context, string) (*popauth.Token, error) {
			return nil, fmt.Errorf("introspection: %w", popauth.ErrUnavailable)
		}, 503, popauth.ErrUnavailable},
		{"reason of its own", func(context.Context, string) (*popauth.Token, error) { return nil, popauth.Reason("odd") }, 401, "odd"},
		{"success as an error", func(context.Context, string) (*popauth.Token, error) { return nil, &popauth.Error{} }, 401, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := popauth.New(popauth.Options{Verifier: tt.verify})
			if err != nil {
				t.Fatal(err)
			}
			o := lab.Send(g.Authenticate, l.Owner.Request("GET", "/", l.Bound()))
			if o.Ran || o.Status != tt.status {
				t.Errorf("got %d, ran %t, want %d", o.Status, o.Ran, tt.status)
			}
			if _, err := g.Check(l.Owner.Request("GET", "/", l.Bound())); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestTrustJWT(t *testing.T) {
	l := lab.New(t)
	token, err := popauth.TrustJWT(l.Bound())
	if err != nil || token.Issuer() != l.Issuer.URL || token.Scopes()[0] != "orders.read" {
		t.Errorf("got %+v, %v", token, err)
	}
	for _, other := range []string{
		"e30.e30.AA", // neither sub nor a client's name
		l.Issuer.TokenWith(lab.Claims{"typ": "JWT"}, lab.Claims{"at_hash": "x"}), l.Issuer.TokenWith(lab.Claims{"typ": "logout+jwt"}),
		l.Bound(lab.Claims{"token_use": "refresh"}),
	} {
		if token, err := popauth.TrustJWT(other); token != nil || !errors.Is(err, popauth.ErrTokenType) {
			t.Errorf("%q: got %v, %v", other, token, err)
		}
	}
	for _, bad := range []string{"", "a", "a.b", "a.!.c", "a.bnVsbA.c", "e30.e\n30.AA", "e30.e31.AA", "e30.e30.A\nA", "e30.e30.AB"} {
		if token, err := popauth.TrustJWT(bad); token != nil || !errors.Is(err, popauth.ErrTokenMalformed) {
			t.Errorf("%q: got %v, %v", bad, token, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	l := lab.New(t)
	good := l.Bound()
	for _, tt := range []struct {
		name      string
		change    func(*http.Request)
		status    int
		challenge string
	}{
		{"header", func(*http.Request) {}, 200, ""},
		{"scheme in other case", func(r *http.Request) { r.Header.Set("Authorization", "bEARER "+good) }, 200, ""},
		{"several spaces", func(r *http.Request) { r.Header.Set("Authorization", "Bearer   "+good) }, 200, ""},
		{"none", func(r *http.Request) { r.Header.Del("Authorization") }, 401, "Bearer"},
		{"another scheme", func(r *http.Request) { r.Header.Set("Authorization", "Basic "+good) }, 401, "Bearer"},
		{"no scheme", func(r *http.Request) { r.Header.Set("Authorization", good) }, 401, "Bearer"},
		{"scheme and token in one", func(r *http.Request) { r.Header.Set("Authorization", "Bearer"+good) }, 401, "Bearer"},
		{"empty", func(r *http.Request) { r.Header.Set("Authorization", "") }, 400, lab.InvalidRequest},
		{"scheme alone", func(r *http.Request) { r.Header.Set("Authorization", "Bearer") }, 400, lab.InvalidRequest},
		{"scheme and space", func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, 400, lab.InvalidRequest},
		{"tab", func(r *http.Request) { r.Header.Set("Authorization", "Bearer\t"+good) }, 400, lab.InvalidRequest},
		{"something behind", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+good+" x") }, 400, lab.InvalidRequest},
		{"comma", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+good+",x") }, 400, lab.InvalidRequest},
		{"quotes", func(r *http.Request) { r.Header.Set("Authorization", `Bearer "`+good+`"`) }, 400, lab.InvalidRequest},
		{"padding alone", func(r *http.Request) { r.Header.Set("Authorization", `Bearer ==`) }, 400, lab.InvalidRequest},
		{"beyond ASCII", func(r *http.Request) { r.Header.Set("Authorization", "Bearer ä") }, 400, lab.InvalidRequest},
		{"two lines", func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+good) }, 400, lab.InvalidRequest},
		{"two schemes", func(r *http.Request) { r.Header.Add("Authorization", "Basic dTpw") }, 400, lab.InvalidRequest},
		{"too long", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+strings.Repeat("a", 1<<20)) }, 401, lab.InvalidToken},
		{"in the query as well", func(r *http.Request) { r.URL.RawQuery = "a=b&access_token=" + good }, 400, lab.InvalidRequest},
		{"in the query as well, escaped", func(r *http.Request) { r.URL.RawQuery = "access%5Ftoken=" + good }, 400, lab.InvalidRequest},
		{"in the query as well, empty", func(r *http.Request) { r.URL.RawQuery = "access_token" }, 400, lab.InvalidRequest},
		{"another parameter", func(r *http.Request) { r.URL.RawQuery = "my_access_token=x&access%zztoken=y&q=access_token" }, 200, ""},
		{"in the query alone", func(r *http.Request) { r.Header.Del("Authorization"); r.URL.RawQuery = "access_token=" + good }, 401,
			"Bearer"},
		{"in a parsed form as well", func(r *http.Request) { r.PostForm = map[string][]string{"access_token": {good}} }, 400,
			lab.InvalidRequest},
		{"in a cookie alone", func(r *http.Request) {
			r.Header.Del("Authorization")
			r.Header.Set("Cookie", "access_token="+good)
		}, 401, "Bearer"},
		{"in another header alone", func(r *http.Request) {
			r.Header.Del("Authorization")
			r.Header.Set("Proxy-Authorization", "Bearer "+good)
		}, 401, "Bearer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := l.Owner.Request("GET", "/", good)
			tt.change(r)
			o := lab.Send(l.Guard().Confirm, r)
			if tt.status == 200 {
				o.Passed(t)
				return
			}
			o.Refused(t, tt.status, tt.challenge)
			if strings.Contains(strings.Join(o.Challenges, ""), good) {
				t.Error("the token is in the answer")
			}
		})
	}
}
