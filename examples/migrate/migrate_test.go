package migrate

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// The owner of a token passes before and after; a thief with a copy of it before only.
func TestMigrations(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	owner, thief := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief")
	bound := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read", "roles": []string{"orders"}})
	secret := []byte("a secret of at least thirty-two bytes")
	shared := hmacToken(t, secret)
	set, err := jwkset.NewStorageFromHTTP(issuer.JWKSURL(), jwkset.HTTPClientStorageOptions{Client: issuer.Client(), Ctx: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	byHand, err := keyfunc.New(keyfunc.Options{Ctx: t.Context(), Storage: set})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, token string // before
		before      func() (func(http.Handler) http.Handler, error)
		after       func() (func(http.Handler) http.Handler, error)
	}{
		{"auth0", bound,
			func() (func(http.Handler) http.Handler, error) {
				return auth0Before(issuer.URL, popauthtest.Audience, issuer.Client())
			},
			func() (func(http.Handler) http.Handler, error) {
				return auth0After(issuer.URL, popauthtest.Audience, issuer.RootCAs())
			}},
		{"jwtauth", bound,
			func() (func(http.Handler) http.Handler, error) {
				return as(jwtauthBefore(publicKey(t, issuer), issuer.URL, popauthtest.Audience, ok)), nil
			},
			func() (func(http.Handler) http.Handler, error) {
				h, err := jwtauthAfter(issuer.JWKS(), issuer.URL, popauthtest.Audience, ok)
				return as(h), err
			}},
		{"keyfunc", bound,
			func() (func(http.Handler) http.Handler, error) {
				return keyfuncBefore(byHand, issuer.URL, popauthtest.Audience), nil
			},
			func() (func(http.Handler) http.Handler, error) {
				return keyfuncAfter(byHand, issuer.URL, popauthtest.Audience)
			}},
		{"hs256", shared,
			func() (func(http.Handler) http.Handler, error) { return hs256Before(secret, popauthtest.Audience), nil },
			func() (func(http.Handler) http.Handler, error) {
				return hs256After(issuer.Options().Keys, issuer.URL, popauthtest.Audience)
			}},
	} {
		before, err := tt.before()
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		after, err := tt.after()
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for who, want := range map[*popauthtest.Client][2]int{owner: {200, 200}, thief: {200, 401}} {
			if got := status(before, who, tt.token); got != want[0] {
				t.Errorf("%s, before: got %d, want %d", tt.name, got, want[0])
			}
			if got := status(after, who, bound); got != want[1] {
				t.Errorf("%s, after: got %d, want %d", tt.name, got, want[1])
			}
		}
		unbound := issuer.Token(popauthtest.Claims{"scope": "orders.read"})
		for what, token := range map[string]string{"none": "", "HMAC": shared, "unbound": unbound} {
			if got := status(after, owner, token); got != http.StatusUnauthorized {
				t.Errorf("%s, after, %s: got %d, want 401", tt.name, what, got)
			}
		}
	}
}

func ok(http.ResponseWriter, *http.Request) {}

// as has a whole handler stand where middleware does.
func as(h http.Handler) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler { return h }
}

func status(wrap func(http.Handler) http.Handler, who *popauthtest.Client, token string) int {
	w := httptest.NewRecorder()
	wrap(http.HandlerFunc(ok)).ServeHTTP(w, who.Request("GET", "/orders", token))
	return w.Code
}

func hmacToken(t *testing.T, secret []byte) string {
	t.Helper()
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, hmacClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Audience: jwt.ClaimStrings{popauthtest.Audience}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Minute)),
		},
		Roles: []string{"orders"},
	}).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// publicKey is the issuer's key for ES256.
func publicKey(t *testing.T, issuer *popauthtest.Issuer) any {
	t.Helper()
	source, err := popauth.StaticKeys(issuer.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	token := issuer.Token()
	parsed, err := jwt.Parse(token, source.KeyfuncCtx(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	key, err := source.KeyfuncCtx(t.Context())(parsed)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// docs/migrate.md quotes the functions as they are.
func TestPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "migrate.md"))
	if err != nil {
		t.Fatal(err)
	}
	quoted := 0
	for _, name := range []string{"auth0.go", "jwtauth.go", "keyfunc.go", "roles.go"} {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(source), "\nfunc ")[1:] {
			body, _, whole := strings.Cut(part, "\n}\n")
			if !whole || strings.Contains(body, "Before(") && !strings.Contains(string(page), "```go\nfunc "+body) {
				continue // what there was is quoted where it isn't plain
			}
			quoted++
			if !strings.Contains(string(page), "func "+body+"\n}\n") {
				t.Errorf("%s: docs/migrate.md doesn't quote func %s", name, body[:strings.IndexByte(body, '(')])
			}
		}
	}
	if quoted < 4 {
		t.Errorf("quoted %d functions", quoted)
	}
}
