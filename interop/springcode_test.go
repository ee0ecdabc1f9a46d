//go:build unix

package interop_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popclient"
)

const (
	springUser     = "alice"
	springRedirect = "https://shop.example.com/callback"
)

var springCSRF = regexp.MustCompile(`name="_csrf"[^>]*value="([^"]+)"`)

// springClient is a client of users, as golang.org/x/oauth2 has it, whose requests to the token endpoint go by this transport.
type springClient struct {
	*spring
	config    oauth2.Config
	transport http.RoundTripper
}

func (s *spring) ofUsers(id string, transport http.RoundTripper) *springClient {
	return &springClient{spring: s, transport: transport, config: oauth2.Config{
		ClientID: id, RedirectURL: springRedirect, Scopes: []string{"orders.read"},
		Endpoint: oauth2.Endpoint{
			AuthURL: s.issuer + "/oauth2/authorize", TokenURL: s.metadata.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams,
		},
	}}
}

// byJWT is the client web, which authenticates by private_key_jwt with the registered key. Proofs are of key, if there is one.
func (s *spring) byJWT(key *popclient.Key) *springClient {
	s.Helper()
	signer := proofKey(s, s.selfSigned.Certificate.PrivateKey.(crypto.Signer))
	var transport http.RoundTripper = &popclient.Authenticated{
		ClientID: "web", Authentication: popclient.PrivateKeyJWT{Key: signer, Audience: s.issuer},
		Endpoints: []string{s.metadata.TokenEndpoint}, Base: s.transport(nil),
	}
	if key != nil {
		transport = &popclient.Proofs{Key: key, Base: transport}
	}
	return s.ofUsers("web", transport)
}

func (c *springClient) context() context.Context {
	return context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: c.transport, Timeout: 20 * time.Second})
}

// code has alice log in with a browser, and is what comes back to the client.
func (c *springClient) code(o ...oauth2.AuthCodeOption) string {
	c.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.Fatal(err)
	}
	browser := &http.Client{Transport: c.spring.transport(nil), Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "shop.example.com" {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	r, err := http.NewRequest(http.MethodGet, c.config.AuthCodeURL("the state", o...), nil)
	if err != nil {
		c.Fatal(err)
	}
	r.Header.Set("Accept", "text/html") // others get 401, not the login
	resp, err := browser.Do(r)
	if err != nil {
		c.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	field := springCSRF.FindSubmatch(page)
	if err != nil || field == nil {
		c.Fatalf("login: got %s, %v\n%s", resp.Status, err, page)
	}
	back, err := browser.PostForm(c.issuer+"/login", url.Values{
		"username": {springUser}, "password": {clientSecret}, "_csrf": {string(field[1])},
	})
	if err != nil {
		c.Fatal(err)
	}
	back.Body.Close()
	location, err := back.Location()
	if err != nil || location.Query().Get("state") != "the state" || location.Query().Get("code") == "" {
		c.Fatalf("after the login: got %s, to %v", back.Status, location)
	}
	return location.Query().Get("code")
}

// login is the whole flow, with PKCE.
func (c *springClient) login() *oauth2.Token {
	c.Helper()
	verifier := oauth2.GenerateVerifier()
	return c.exchange(c.code(oauth2.S256ChallengeOption(verifier)), oauth2.VerifierOption(verifier))
}

// exchange is what the client gets for its code.
func (c *springClient) exchange(code string, o ...oauth2.AuthCodeOption) *oauth2.Token {
	c.Helper()
	token, err := c.config.Exchange(c.context(), code, o...)
	if err != nil {
		c.Fatal(err)
	}
	if token.RefreshToken == "" {
		c.Error("got no refresh token")
	}
	return token
}

// refresh is what comes of a refresh token.
func (c *springClient) refresh(token string) (*oauth2.Token, error) {
	return c.config.TokenSource(c.context(), &oauth2.Token{RefreshToken: token}).Token()
}

// refused wants an error of the token endpoint's. Spring gives none to who says nothing of its authentication, but 401.
func (c *springClient) refused(what, code string, err error) {
	c.Helper()
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.ErrorCode != code || code == "" && answer.Response.StatusCode != http.StatusUnauthorized {
		c.Errorf("%s: got %v, want %s", what, err, code)
	}
}

// proving sends a token with proofs of this key.
func (a *api) proving(s *spring, key *popclient.Key, token *oauth2.Token, what string, reason popauth.Reason) {
	s.Helper()
	r, err := http.NewRequest(http.MethodGet, a.URL+confirmed, nil)
	if err != nil {
		s.Fatal(err)
	}
	client := &http.Client{Transport: &popclient.DPoP{
		Key: key, Source: oauth2.StaticTokenSource(token), Base: s.transport(nil), Origins: []string{a.URL},
	}}
	if got, want := a.get(s, client, r), wanted(reason); got != want {
		s.Errorf("%s:\ngot  %+v\nwant %+v", what, got, want)
	}
}

// The authorization code flow, and refresh, by golang.org/x/oauth2 over popclient's transports: with a key, and with a certificate.
func testSpringCode(t *testing.T, s *spring) {
	a := s.guarded()
	t.Run("Key", func(t *testing.T) {
		defer func(outer testing.TB) { s.TB = outer }(s.TB)
		s.TB = t
		testSpringCodeByKey(t, s, a)
	})
	t.Run("Certificate", func(t *testing.T) {
		defer func(outer testing.TB) { s.TB = outer }(s.TB)
		s.TB = t
		testSpringCodeByCertificate(t, s, a)
	})
	t.Run("Stolen", func(t *testing.T) {
		defer func(outer testing.TB) { s.TB = outer }(s.TB)
		s.TB = t
		testSpringCodeStolen(s)
	})
}

func testSpringCodeByKey(t *testing.T, s *spring, a *api) {
	key, other := proofKey(t, newKey(t)), proofKey(t, newKey(t))
	web := s.byJWT(key)
	first := web.login()
	second, err := web.refresh(first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if second.AccessToken == first.AccessToken || second.RefreshToken == first.RefreshToken {
		t.Error("got the first tokens from the refresh, want others")
	}
	for what, token := range map[string]*oauth2.Token{"of the code": first, "of the refresh": second} {
		if token.Type() != "DPoP" {
			t.Errorf("%s: got type %q, want DPoP", what, token.Type())
		}
		a.proving(s, key, token, what+", its owner", "")
		a.proving(s, other, token, what+", another key", popauth.ErrProofKey)
		a.want(t, nil, token.AccessToken, what+", as Bearer", popauth.ErrBindingScheme)
		a.want(t, s.byDN, token.AccessToken, what+", as Bearer with a certificate", popauth.ErrBindingScheme)
	}
	_, err = web.refresh(first.RefreshToken)
	web.refused("the first refresh token, again", "invalid_grant", err)

	// The refresh token of a client that authenticates is bound to that, not to the key (RFC 9449, section 5).
	third, err := s.byJWT(other).refresh(second.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	a.proving(s, other, third, "refreshed with another key, by that", "")
	a.proving(s, key, third, "refreshed with another key, by the first", popauth.ErrProofKey)
	// Without a proof Spring answers with a token that is bound to nothing. Confirm is what refuses it.
	unbound, err := s.byJWT(nil).refresh(third.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	a.want(t, nil, unbound.AccessToken, "refreshed without a proof", popauth.ErrBindingMissing)
}

func testSpringCodeByCertificate(t *testing.T, s *spring, a *api) {
	web := s.ofUsers("web-by-dn", s.transport(s.byDN))
	first := web.exchange(web.code())
	second, err := web.refresh(first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	for what, token := range map[string]*oauth2.Token{"of the code": first, "of the refresh": second} {
		a.want(t, s.byDN, token.AccessToken, what+", its owner", "")
		a.want(t, s.bySAN, token.AccessToken, what+", another certificate", popauth.ErrCertificateMismatch)
		a.want(t, namesakeOf(t), token.AccessToken, what+", a namesake", popauth.ErrCertificateMismatch)
		a.want(t, nil, token.AccessToken, what+", no certificate", popauth.ErrCertificateMissing)
	}
	for what, transport := range map[string]http.RoundTripper{"another's": s.transport(s.bySAN), "none": s.transport(nil)} {
		_, err = s.ofUsers("web-by-dn", transport).refresh(second.RefreshToken)
		code := "invalid_client"
		if what == "none" {
			code = ""
		}
		web.refused("refresh with a certificate, "+what, code, err)
	}
	// Spring takes a request with a code_verifier for a public client's, before it looks for a certificate.
	verifier := oauth2.GenerateVerifier()
	_, err = web.config.Exchange(web.context(), web.code(oauth2.S256ChallengeOption(verifier)), oauth2.VerifierOption(verifier))
	web.refused("a certificate and PKCE", "invalid_client", err)
}

// Who has caught a code or a refresh token gets nothing for it.
func testSpringCodeStolen(s *spring) {
	key := proofKey(s, newKey(s))
	web, tls := s.byJWT(key), s.ofUsers("web-by-dn", s.transport(s.byDN))
	verifier := oauth2.GenerateVerifier()
	code := func() string { return web.code(oauth2.S256ChallengeOption(verifier)) }
	exchange := func(c *springClient, code string, o ...oauth2.AuthCodeOption) error {
		_, err := c.config.Exchange(c.context(), code, o...)
		return err
	}
	web.refused("a code, by another client", "invalid_grant", exchange(tls, code()))
	web.refused("a code, with another verifier", "invalid_grant", exchange(web, code(), oauth2.VerifierOption(oauth2.GenerateVerifier())))
	web.refused("a code, without a verifier", "invalid_grant", exchange(web, code()))
	anonymous := s.ofUsers("web", &popclient.Proofs{Key: key, Base: s.transport(nil)})
	web.refused("a code, without authentication", "invalid_client", exchange(anonymous, code(), oauth2.VerifierOption(verifier)))
	refresh := web.login().RefreshToken
	_, err := tls.refresh(refresh)
	web.refused("a refresh token, by another client", "invalid_grant", err)
	_, err = anonymous.refresh(refresh)
	web.refused("a refresh token, without authentication", "", err)
}
