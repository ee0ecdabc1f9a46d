//go:build unix

package interop_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popclient"
)

// The tokens of zitadel/oidc are opaque, in the five parts of a JWE, or JWTs without a scope, and it binds none. Its answers have
// no audience: whoever asks has to be in it. Its ID tokens have the type, the keys and the audience of the JWTs.
func TestZitadel(t *testing.T) {
	z := newZitadel(t)
	sc := newScene(z.authorizationServer)
	jwts := z.api(popauth.Options{
		Issuer: z.issuer, Audience: []string{"signed"}, TokenTypes: []string{"JWT"}, RequiredClaims: []string{"client_id", "jti"},
		Keys: z.keys(func(o *popauth.RemoteKeysOptions) { o.AllowLoopbackHTTP = true }),
	}, popauth.Client("signed"))
	lenient := z.api(popauth.Options{
		Issuer: z.issuer, Audience: []string{"signed"}, TokenTypes: []string{"JWT"},
		Keys: z.keys(func(o *popauth.RemoteKeysOptions) { o.AllowLoopbackHTTP = true }),
	}, popauth.Client("signed"))
	asking := func(id string, missing bool) *api {
		v, err := introspection.New(introspection.Options{
			Issuer: z.issuer, Audience: []string{id}, AllowMissingAudience: missing, AllowLoopbackHTTP: true,
			Authentication: introspection.ClientSecretBasic{ID: id, Secret: "secret"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return z.api(popauth.Options{Verifier: v})
	}
	web, strict, other := asking("web", true), asking("web", false), asking("signed", true)
	proofs := &popclient.Proofs{Key: sc.key, Base: http.DefaultTransport}
	jwt, opaque, proven := z.login("signed", http.DefaultTransport), z.login("web", http.DefaultTransport), z.login("web", proofs)
	idToken, _ := jwt.Extra("id_token").(string)
	webIDToken, _ := opaque.Extra("id_token").(string)
	if n := strings.Count(opaque.AccessToken, "."); n != 4 || idToken == "" || webIDToken == "" {
		t.Fatalf("got an opaque token with %d dots, and the ID tokens %q, %q, want 4 and two", n, idToken, webIDToken)
	}
	t.Logf("\n%s", sc.hold(t, []kind{
		{"JWT", "bearer", "", jwt.AccessToken, jwts, authenticated, ""},
		{"JWT", "unbound", "", jwt.AccessToken, jwts, confirmed, ""},
		{"ID token", "", "", idToken, jwts, authenticated, popauth.ErrTokenType},
		{"ID token", "lenient", "", idToken, lenient, authenticated, popauth.ErrTokenType},
		{"opaque", "bearer", "", opaque.AccessToken, web, authenticated, ""},
		{"opaque", "unbound", "", opaque.AccessToken, web, confirmed, ""},
		{"opaque", "proven", "", proven.AccessToken, web, confirmed, ""},
		{"opaque", "no aud", "", opaque.AccessToken, strict, authenticated, popauth.ErrTokenAudience},
		{"opaque", "other API", "", opaque.AccessToken, other, authenticated, popauth.ErrTokenInvalid},
		{"opaque", "no JWT", "", opaque.AccessToken, jwts, authenticated, popauth.ErrTokenMalformed},
		{"refresh", "", "", opaque.RefreshToken, web, authenticated, popauth.ErrTokenInvalid},
		{"ID token", "asked", "", webIDToken, web, authenticated, popauth.ErrTokenInvalid},
	}))
	z.refresh(sc, proven, proofs, web)
}

// zitadel is the example provider of zitadel/oidc, by http.
type zitadel struct{ *authorizationServer }

func newZitadel(t *testing.T) *zitadel {
	t.Helper()
	counterpart.Need(t, "go")
	inputs := []string{}
	for _, name := range []string{"main.go", "go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join("testdata", "zitadel", name))
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, string(content))
	}
	dir := counterpart.Cache(t, "zitadel", inputs, func(dir string) {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, "zitadel"), ".")
		build.Dir, build.Env = filepath.Join("testdata", "zitadel"), append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
		if out, err := build.CombinedOutput(); err != nil {
			counterpart.Missing(t, fmt.Errorf("testdata/zitadel: %w\n%s", err, out))
		}
	})
	z := &zitadel{newAuthorizationServer(t)}
	port := counterpart.Port(t)
	z.issuer = fmt.Sprintf("http://127.0.0.1:%d/", port)
	cmd := exec.Command(filepath.Join(dir, "zitadel"), fmt.Sprint(port))
	cmd.Env = counterpart.Environment(t.TempDir())
	counterpart.Start(t, cmd).Await(func() error {
		resp, err := http.Get(z.issuer + ".well-known/openid-configuration")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	}, time.Minute)
	return z
}

func (z *zitadel) config(client string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: client, ClientSecret: "secret", RedirectURL: z.issuer + "callback",
		Scopes: []string{"openid", "offline_access", "orders.read"},
		Endpoint: oauth2.Endpoint{
			AuthURL: z.issuer + "auth", TokenURL: z.issuer + "oauth/token", AuthStyle: oauth2.AuthStyleInHeader,
		},
	}
}

// login is the token of a user, by the code flow, in which this transport asks for the token.
func (z *zitadel) login(client string, transport http.RoundTripper) *oauth2.Token {
	z.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		z.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	follow := func(resp *http.Response, err error) *url.URL {
		z.Helper()
		if err != nil {
			z.Fatal(err)
		}
		resp.Body.Close()
		location, err := resp.Location()
		if err != nil {
			z.Fatalf("%s: got %s, want a redirect", resp.Request.URL.Path, resp.Status)
		}
		return location
	}
	config, verifier := z.config(client), oauth2.GenerateVerifier()
	form := follow(browser.Get(config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier))))
	done := follow(browser.PostForm(z.issuer+"login/username", url.Values{
		"id": {form.Query().Get("authRequestID")}, "username": {"test-user@127.0.0.1"}, "password": {"verysecure"},
	}))
	code := follow(browser.Get(done.String())).Query().Get("code")
	ctx := context.WithValue(z.Context(), oauth2.HTTPClient, &http.Client{Transport: transport})
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		z.Fatal(err)
	}
	return token
}

// refresh uses a refresh token that was got with a proof, with and without another: the new token isn't bound either.
func (z *zitadel) refresh(sc *scene, token *oauth2.Token, proofs http.RoundTripper, a *api) {
	z.Helper()
	for name, transport := range map[string]http.RoundTripper{"a proof": proofs, "no proof": http.DefaultTransport} {
		ctx := context.WithValue(z.Context(), oauth2.HTTPClient, &http.Client{Transport: transport})
		fresh, err := z.config("web").TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
		if err != nil {
			z.Fatalf("%s: %v", name, err)
		}
		if fresh.AccessToken == token.AccessToken || fresh.TokenType != "Bearer" {
			z.Errorf("%s: got a token of type %q, want another, of type Bearer", name, fresh.TokenType)
		}
		a.want(z, sc.byDN, fresh.AccessToken, name, popauth.ErrBindingMissing)
		token = fresh
	}
}
