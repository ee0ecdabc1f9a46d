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
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestTokenClaims(t *testing.T) {
	l := newLab(t)
	now := l.clock.Now().Unix()
	for _, tt := range []struct {
		name   string
		claims cnf
		want   popauth.Reason // "" to pass
	}{
		{"as issued", cnf{}, ""},
		{"expired within the leeway", cnf{"exp": now - 29}, ""},
		{"expired", cnf{"exp": now - 30}, popauth.ErrTokenExpired},
		{"no exp", cnf{"exp": omit}, popauth.ErrTokenMalformed},
		{"exp 0", cnf{"exp": 0}, popauth.ErrTokenExpired},
		{"exp null", cnf{"exp": nil}, popauth.ErrTokenMalformed},
		{"exp text", cnf{"exp": fmt.Sprint(now + 300)}, popauth.ErrTokenMalformed},
		{"exp true", cnf{"exp": true}, popauth.ErrTokenMalformed},
		{"exp 1e30", cnf{"exp": 1e30}, popauth.ErrTokenMalformed},
		{"exp negative", cnf{"exp": -1}, popauth.ErrTokenMalformed},
		{"exp fraction", cnf{"exp": float64(now) - 29.5}, popauth.ErrTokenExpired},
		{"not before, within the leeway", cnf{"nbf": now + 30}, ""},
		{"not before", cnf{"nbf": now + 31}, popauth.ErrTokenNotYetValid},
		{"nbf 1e30", cnf{"nbf": 1e30}, popauth.ErrTokenMalformed},
		{"nbf text", cnf{"nbf": "0"}, popauth.ErrTokenMalformed},
		{"issued in the future, within the leeway", cnf{"iat": now + 30}, ""},
		{"issued in the future", cnf{"iat": now + 31}, popauth.ErrTokenNotYetValid},
		{"iat 1e30", cnf{"iat": 1e30}, popauth.ErrTokenMalformed},
		{"other issuer", cnf{"iss": "https://other.example"}, popauth.ErrTokenIssuer},
		{"no issuer", cnf{"iss": omit}, popauth.ErrTokenIssuer},
		{"issuer with a slash more", cnf{"iss": l.issuer.URL + "/"}, popauth.ErrTokenIssuer},
		{"issuer in an array", cnf{"iss": []string{l.issuer.URL}}, popauth.ErrTokenMalformed},
		{"issuer null", cnf{"iss": nil}, popauth.ErrTokenMalformed},
		{"audience among others", cnf{"aud": []string{"x", popauthtest.Audience}}, ""},
		{"other audience", cnf{"aud": "https://other.example"}, popauth.ErrTokenAudience},
		{"other audiences", cnf{"aud": []string{"x", "y"}}, popauth.ErrTokenAudience},
		{"audience with a slash more", cnf{"aud": popauthtest.Audience + "/"}, popauth.ErrTokenAudience},
		{"no audience", cnf{"aud": omit}, popauth.ErrTokenAudience},
		{"audience empty", cnf{"aud": ""}, popauth.ErrTokenAudience},
		{"audience empty array", cnf{"aud": []string{}}, popauth.ErrTokenAudience},
		{"audience number", cnf{"aud": 5}, popauth.ErrTokenMalformed},
		{"audience mixed", cnf{"aud": []any{popauthtest.Audience, 5}}, popauth.ErrTokenMalformed},
		{"audience null", cnf{"aud": nil}, popauth.ErrTokenMalformed},
		{"subject number", cnf{"sub": 5}, popauth.ErrTokenMalformed},
		{"token id number", cnf{"jti": 5}, popauth.ErrTokenMalformed},
		{"client array", cnf{"client_id": []string{"a"}}, popauth.ErrTokenMalformed},
		{"scope number", cnf{"scope": 5}, popauth.ErrTokenMalformed},
		{"scp object", cnf{"scp": cnf{}}, popauth.ErrTokenMalformed},
		{"folded issuer", cnf{"ISS": "x"}, popauth.ErrTokenMalformed},
		{"folded scope", cnf{"Scope": "admin"}, popauth.ErrTokenMalformed},
		{"other claims", cnf{"tenant": cnf{"a": []int{1}}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := l.bound(tt.claims)
			check(t, l, token, tt.want)
		})
	}
}

// check sends token through all stages, with its owner's certificate.
func check(t *testing.T, l *lab, token string, want popauth.Reason, change ...func(*popauth.Options)) {
	t.Helper()
	g := l.guard(change...)
	alike(t, g, l.owner.Request("GET", "/", token))
	_, err := g.Check(l.owner.Request("GET", "/", token))
	o := send(g.Confirm, l.owner.Request("GET", "/", token))
	if want == "" {
		o.passed(t)
		if err != nil {
			t.Errorf("got %v, want a pass", err)
		}
		return
	}
	o.refused(t, 401, invalidToken)
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestTokenHeader(t *testing.T) {
	l := newLab(t, "ES256", "ES384", "RS256", "PS256", "EdDSA", "Ed25519")
	only := func(names ...string) func(*popauth.Options) {
		return func(o *popauth.Options) { o.Algorithms = names }
	}
	types := func(names ...string) func(*popauth.Options) {
		return func(o *popauth.Options) { o.TokenTypes = names }
	}
	for _, tt := range []struct {
		name   string
		header cnf
		change func(*popauth.Options)
		want   popauth.Reason
	}{
		{"ES256", cnf{"alg": "ES256"}, nil, ""},
		{"ES384", cnf{"alg": "ES384"}, nil, ""},
		{"RS256", cnf{"alg": "RS256"}, nil, ""},
		{"PS256", cnf{"alg": "PS256"}, nil, ""},
		{"EdDSA", cnf{"alg": "EdDSA"}, nil, ""},
		{"Ed25519", cnf{"alg": "Ed25519"}, nil, ""},
		{"Ed25519 where EdDSA is listed", cnf{"alg": "Ed25519"}, only("EdDSA"), ""},
		{"EdDSA where Ed25519 is listed", cnf{"alg": "EdDSA"}, only("Ed25519"), ""},
		{"algorithm not listed", cnf{"alg": "ES256"}, only("ES384", "RS256"), popauth.ErrTokenAlgorithm},
		{"none", cnf{"alg": "none"}, nil, popauth.ErrTokenAlgorithm},
		{"HMAC with the public key", cnf{"alg": "HS256"}, nil, popauth.ErrTokenAlgorithm},
		{"typ JWT", cnf{"typ": "JWT"}, nil, ""},
		{"typ in full", cnf{"typ": "application/at+jwt"}, nil, ""},
		{"typ in other case", cnf{"typ": "AT+JWT"}, nil, ""},
		{"no typ", cnf{"typ": omit}, nil, popauth.ErrTokenType},
		{"no typ, allowed", cnf{"typ": omit}, types(""), ""},
		{"logout token", cnf{"typ": "logout+jwt"}, nil, popauth.ErrTokenType},
		{"proof", cnf{"typ": "dpop+jwt"}, nil, popauth.ErrTokenType},
		{"typ not listed", cnf{"typ": "JWT"}, types("at+jwt"), popauth.ErrTokenType},
		{"typ number", cnf{"typ": 5}, nil, popauth.ErrTokenMalformed},
		{"alg number", cnf{"alg": 5}, nil, popauth.ErrTokenMalformed},
		{"crit", cnf{"crit": []string{"exp"}}, nil, popauth.ErrTokenMalformed},
		{"crit empty", cnf{"crit": []string{}}, nil, popauth.ErrTokenMalformed},
		{"b64", cnf{"b64": false}, nil, popauth.ErrTokenMalformed},
		{"zip", cnf{"zip": "DEF"}, nil, popauth.ErrTokenMalformed},
		{"zip of no string", cnf{"zip": nil}, nil, popauth.ErrTokenMalformed},
		{"enc", cnf{"enc": "A128GCM"}, nil, popauth.ErrTokenMalformed},
		{"nested", cnf{"cty": "JWT"}, nil, popauth.ErrTokenMalformed},
		{"other content type", cnf{"cty": "json"}, nil, ""},
		{"own key", cnf{"jwk": cnf{"kty": "EC"}, "jku": "https://x", "x5u": "https://x", "x5c": []string{"x"}}, nil, ""},
		{"no kid, one key of the kind", cnf{"alg": "ES384", "kid": omit}, nil, ""},
		{"kid empty", cnf{"kid": ""}, nil, popauth.ErrTokenMalformed},
		{"kid number", cnf{"kid": 5}, nil, popauth.ErrTokenMalformed},
		{"kid too long", cnf{"kid": strings.Repeat("k", 257)}, nil, popauth.ErrTokenMalformed},
		{"kid unknown", cnf{"kid": "k"}, nil, popauth.ErrTokenKey},
		{"folded alg", cnf{"ALG": "none"}, nil, popauth.ErrTokenMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, number := tt.header["alg"].(int); number {
				check(t, l, l.issuer.Sign([]byte(`{"alg":5,"typ":"at+jwt"}`), []byte(`{}`), "ES256"), tt.want)
				return
			}
			token := l.issuer.TokenWith(tt.header, l.owner.Bound())
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
	l := newLab(t, "ES256")
	token := l.issuer.TokenWith(cnf{"kid": omit}, l.owner.Bound())
	check(t, l, token, "")
	keys := strings.TrimSuffix(strings.TrimSpace(string(l.issuer.JWKS())), "]}")
	other := strings.TrimPrefix(strings.TrimSpace(string(popauthtest.NewIssuer(t, "ES256").JWKS())), `{"keys":[`)
	two, err := popauth.StaticKeys([]byte(keys + "," + other))
	if err != nil {
		t.Fatal(err)
	}
	check(t, l, token, popauth.ErrTokenKey, func(o *popauth.Options) { o.Keys = two })
	check(t, l, l.bound(), "", func(o *popauth.Options) { o.Keys = two })
}

func TestTokenForm(t *testing.T) {
	l := newLab(t)
	good := l.bound()
	part := strings.Split(good, ".")
	resigned := func(header, payload string) string {
		return header + "." + payload + "." + l.issuer.Signature(header+"."+payload, "ES256")
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
		{"signature of another token", part[0] + "." + part[1] + "." + strings.Split(l.bound(), ".")[2], popauth.ErrTokenSignature},
		{"payload changed", part[0] + "." + strings.Split(l.bound(), ".")[1] + "." + part[2], popauth.ErrTokenSignature},
		{"no signature", part[0] + "." + part[1] + ".", popauth.ErrTokenSignature},
		{"expired and forged", func() string {
			p := strings.Split(l.bound(cnf{"exp": 1}), ".")
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
	l := newLab(t)
	for _, tt := range []struct {
		name   string
		verify verifierFunc
		status int
		want   popauth.Reason
	}{
		{"nothing", func(context.Context, string) (*popauth.Token, error) { return nil, nil }, 401, popauth.ErrTokenInvalid},
		{"zero token", func(context.Context, string) (*popauth.Token, error) { return &popauth.Token{}, nil }, 401, popauth.ErrTokenInvalid},
		{"error", func(context.Context, string) (*popauth.Token, error) { return nil, errors.New("no") }, 401, popauth.ErrTokenInvalid},
		{"error and token", func(_ context.Context, token string) (*popauth.Token, error) {
			good, _ := popauth.TrustJWT(token)
			return good, errors.New("no")
		}, 401, popauth.ErrTokenInvalid},
		{"reason", func(context.Context, string) (*popauth.Token, error) { return nil, popauth.ErrTokenExpired }, 401, popauth.ErrTokenExpired},
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
			o := send(g.Authenticate, l.owner.Request("GET", "/", l.bound()))
			if o.ran || o.status != tt.status {
				t.Errorf("got %d, ran %t, want %d", o.status, o.ran, tt.status)
			}
			if _, err := g.Check(l.owner.Request("GET", "/", l.bound())); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestTrustJWT(t *testing.T) {
	l := newLab(t)
	token, err := popauth.TrustJWT(l.bound())
	if err != nil || token.Issuer() != l.issuer.URL || token.Scopes()[0] != "orders.read" {
		t.Errorf("got %+v, %v", token, err)
	}
	for _, other := range []string{
		"e30.e30.AA", // neither sub nor a client's name
		l.issuer.TokenWith(cnf{"typ": "JWT"}, cnf{"at_hash": "x"}), l.issuer.TokenWith(cnf{"typ": "logout+jwt"}), l.bound(cnf{"token_use": "refresh"}),
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
	l := newLab(t)
	good := l.bound()
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
		{"empty", func(r *http.Request) { r.Header.Set("Authorization", "") }, 400, invalidRequest},
		{"scheme alone", func(r *http.Request) { r.Header.Set("Authorization", "Bearer") }, 400, invalidRequest},
		{"scheme and space", func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, 400, invalidRequest},
		{"tab", func(r *http.Request) { r.Header.Set("Authorization", "Bearer\t"+good) }, 400, invalidRequest},
		{"something behind", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+good+" x") }, 400, invalidRequest},
		{"comma", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+good+",x") }, 400, invalidRequest},
		{"quotes", func(r *http.Request) { r.Header.Set("Authorization", `Bearer "`+good+`"`) }, 400, invalidRequest},
		{"padding alone", func(r *http.Request) { r.Header.Set("Authorization", `Bearer ==`) }, 400, invalidRequest},
		{"beyond ASCII", func(r *http.Request) { r.Header.Set("Authorization", "Bearer ä") }, 400, invalidRequest},
		{"two lines", func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+good) }, 400, invalidRequest},
		{"two schemes", func(r *http.Request) { r.Header.Add("Authorization", "Basic dTpw") }, 400, invalidRequest},
		{"too long", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+strings.Repeat("a", 1<<20)) }, 401, invalidToken},
		{"in the query as well", func(r *http.Request) { r.URL.RawQuery = "a=b&access_token=" + good }, 400, invalidRequest},
		{"in the query as well, escaped", func(r *http.Request) { r.URL.RawQuery = "access%5Ftoken=" + good }, 400, invalidRequest},
		{"in the query as well, empty", func(r *http.Request) { r.URL.RawQuery = "access_token" }, 400, invalidRequest},
		{"another parameter", func(r *http.Request) { r.URL.RawQuery = "my_access_token=x&access%zztoken=y&q=access_token" }, 200, ""},
		{"in the query alone", func(r *http.Request) { r.Header.Del("Authorization"); r.URL.RawQuery = "access_token=" + good }, 401, "Bearer"},
		{"in a parsed form as well", func(r *http.Request) { r.PostForm = map[string][]string{"access_token": {good}} }, 400, invalidRequest},
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
			r := l.owner.Request("GET", "/", good)
			tt.change(r)
			o := send(l.guard().Confirm, r)
			if tt.status == 200 {
				o.passed(t)
				return
			}
			o.refused(t, tt.status, tt.challenge)
			if strings.Contains(strings.Join(o.challenges, ""), good) {
				t.Error("the token is in the answer")
			}
		})
	}
}
