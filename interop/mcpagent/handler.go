package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
)

// handler is how the client gets its tokens: by the code flow, unless the scenario is about another grant.
func handler(scenario, endpoint string, s settings, client *http.Client) (auth.OAuthHandler, error) {
	credentials := func(id, secret string) *oauthex.ClientCredentials {
		c := &oauthex.ClientCredentials{ClientID: id}
		if secret != "" {
			c.ClientSecretAuth = &oauthex.ClientSecretAuth{ClientSecret: secret}
		}
		return c
	}
	switch scenario {
	case "auth/client-credentials-basic":
		return extauth.NewClientCredentialsHandler(&extauth.ClientCredentialsHandlerConfig{
			Credentials: credentials(s.ID, s.Secret), HTTPClient: client,
		})
	case "auth/client-credentials-jwt":
		return &grant{client: client, endpoint: endpoint, parameters: func(issuer string) (url.Values, error) {
			assertion, err := assertion(s, issuer)
			return url.Values{
				"grant_type": {"client_credentials"}, "client_id": {s.ID}, "client_assertion": {assertion},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			}, err
		}}, nil
	case "auth/wif-jwt-bearer":
		return &grant{client: client, endpoint: endpoint, parameters: func(string) (url.Values, error) {
			return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "client_id": {s.ID},
				"assertion": {s.Assertion}}, nil
		}}, nil
	case "auth/enterprise-managed-authorization":
		return enterprise(endpoint, s, client), nil
	}
	config := &auth.AuthorizationCodeHandlerConfig{
		RedirectURL:                    "http://localhost:3000/callback",
		AuthorizationCodeFetcher:       consent,
		Client:                         client,
		ClientIDMetadataDocumentConfig: &auth.ClientIDMetadataDocumentConfig{URL: "https://conformance-test.local/client-metadata.json"},
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{RedirectURIs: []string{"http://localhost:3000/callback"}},
		},
	}
	if s.Secret != "" {
		config.PreregisteredClient = credentials(s.ID, s.Secret)
	}
	return auth.NewAuthorizationCodeHandler(config)
}

// consent goes where a user would be sent. The suite's server agrees at once, by a redirect with the code.
func consent(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, args.URL, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	u, err := resp.Location()
	if err != nil {
		return nil, fmt.Errorf("authorization endpoint: status %d: %w", resp.StatusCode, err)
	}
	q := u.Query()
	return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
}

// enterprise exchanges the identity provider's ID token for a grant, and that for an access token. The SDK's own handler
// does so too, but only if the provider's metadata promise PKCE, which this flow has no use for.
func enterprise(endpoint string, s settings, client *http.Client) *grant {
	return &grant{client: client, endpoint: endpoint, id: s.ID, secret: s.Secret, parameters: func(issuer string) (url.Values, error) {
		_, resource, err := authorizationServer(context.Background(), endpoint, client)
		if err != nil {
			return nil, err
		}
		token, err := oauthex.ExchangeToken(context.Background(), s.IDPEndpoint, &oauthex.TokenExchangeRequest{
			RequestedTokenType: oauthex.TokenTypeIDJAG, SubjectTokenType: oauthex.TokenTypeIDToken, SubjectToken: s.IDPToken,
			Audience: issuer, Resource: resource,
		}, &oauthex.ClientCredentials{ClientID: s.IDPClient}, client)
		if err != nil {
			return nil, err
		}
		return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {token.AccessToken}}, nil
	}}
}

// authorizationServer is the first that the server's metadata name (RFC 9728), and the resource's name.
func authorizationServer(ctx context.Context, endpoint string, client *http.Client) (issuer, resource string, err error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", "", err
	}
	u.Path = "/.well-known/oauth-protected-resource" + u.Path
	m, err := oauthex.GetProtectedResourceMetadata(ctx, u.String(), endpoint, client)
	if err != nil {
		return "", "", err
	}
	if len(m.AuthorizationServers) == 0 {
		return "", "", fmt.Errorf("%s names no authorization server", u)
	}
	return m.AuthorizationServers[0], m.Resource, nil
}

// grant gets a token by parameters that the SDK has no handler for.
type grant struct {
	client     *http.Client
	endpoint   string
	id, secret string // for client_secret_basic, if it is used
	parameters func(issuer string) (url.Values, error)
	source     oauth2.TokenSource
}

func (g *grant) TokenSource(context.Context) (oauth2.TokenSource, error) { return g.source, nil }

func (g *grant) Authorize(ctx context.Context, _ *http.Request, refused *http.Response) error {
	refused.Body.Close()
	issuer, resource, err := authorizationServer(ctx, g.endpoint, g.client)
	if err != nil {
		return err
	}
	metadata, err := auth.GetAuthServerMetadata(ctx, issuer, g.client)
	if err != nil {
		return err
	}
	if metadata == nil {
		return fmt.Errorf("%s has no metadata", issuer)
	}
	form, err := g.parameters(metadata.Issuer)
	if err != nil {
		return err
	}
	form.Set("resource", resource)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, metadata.TokenEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if g.secret != "" {
		r.SetBasicAuth(url.QueryEscape(g.id), url.QueryEscape(g.secret))
	}
	resp, err := g.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	var token oauth2.Token
	if err := json.Unmarshal(body, &token); err != nil || token.AccessToken == "" {
		return fmt.Errorf("token endpoint: status %d: %s", resp.StatusCode, body)
	}
	g.source = oauth2.StaticTokenSource(&token)
	return nil
}

// assertion is that of private_key_jwt (RFC 7523).
func assertion(s settings, issuer string) (string, error) {
	key, err := jwt.ParseECPrivateKeyFromPEM([]byte(s.PrivateKey))
	if err != nil {
		return "", err
	}
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": s.ID, "sub": s.ID, "aud": issuer, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}).SignedString(key)
}
