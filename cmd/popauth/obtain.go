package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/popclient"
)

// holder has credentials and gets tokens that are bound to them.
type holder struct {
	credentials
	client     *client
	transcript *transcript
}

func (c *client) holder(ctx context.Context, in io.Reader, errOut io.Writer, api *url.URL) (*holder, error) {
	k, err := c.read(ctx, in)
	if err != nil {
		return nil, err
	}
	m := &mask{off: c.secrets}
	m.add(k.secret)
	if k.secret != "" { // as it is sent under Basic (RFC 6749, section 2.3.1), with a space encoded in one way or the other
		text := url.QueryEscape(c.id) + ":" + url.QueryEscape(k.secret)
		m.add(base64.StdEncoding.EncodeToString([]byte(text)))
		m.add(base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(text, "+", "%20"))))
	}
	return &holder{k, c, &transcript{out: errOut, verbose: c.verbose, mask: m, api: api, timeout: c.timeout}}, nil
}

// source is where tokens come from, and what sends requests with them. Both belong together: the token is bound.
type source struct {
	token func(context.Context) (*oauth2.Token, error)
	api   http.RoundTripper
}

// obtain finds the token endpoint, and asks nothing of it yet.
func (h *holder) obtain(ctx context.Context, origins []string) (source, error) {
	c := h.client
	var wrong []error
	if (c.issuer == "") == (c.endpoint == "") {
		wrong = append(wrong, errors.New("where to get the token: give --issuer or --token-endpoint"))
	}
	if c.id == "" {
		wrong = append(wrong, errors.New("who asks for the token: give --client-id"))
	}
	if h.certificate == nil && h.key == nil {
		wrong = append(wrong, errors.New("what to bind the token to: give --cert, --dpop-key or --dpop"))
	} else if h.certificate == nil && h.authentication == nil {
		wrong = append(wrong, errors.New("how the client authenticates: give --cert, --client-secret-file or --assertion-key"))
	}
	params, err := c.parameters()
	if err = errors.Join(append(wrong, err)...); err != nil {
		return source{}, err
	}
	if h.certificate != nil {
		return h.byCertificate(params, origins)
	}
	return h.byKey(ctx, params, origins)
}

// flagNames has the flags for the options whose problems are reported.
var flagNames = strings.NewReplacer("popclient: MutualTLSOptions.Issuer", "--issuer", "popclient: MutualTLSOptions.TokenURL",
	"--token-endpoint",
	"popclient: MutualTLSOptions.Scopes", "--scope", "popclient: MutualTLSOptions.Resources", "--resource",
	"popclient: MutualTLSOptions.Params", "--param", "popclient: MutualTLSOptions.Authentication", "--auth",
	"popclient: MutualTLSOptions.Certificate", "--cert", "popclient: MutualTLSOptions", "options")

// byCertificate is for clients that have a certificate, whether it authenticates them, binds the token, or both.
func (h *holder) byCertificate(params url.Values, origins []string) (source, error) {
	c := h.client
	transport := h.transport(c.timeout)
	transport.TLSClientConfig.GetClientCertificate = nil // MutualTLS presents it
	m, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
		Issuer: c.issuer, TokenURL: c.endpoint, ClientID: c.id, Certificate: h.certificate, Authentication: h.authentication,
		Scopes: c.scopes, Resources: c.resources, Params: params, Key: h.key, Origins: origins, RootCAs: h.roots, Transport: transport,
		Wrap: h.transcript.around, Timeout: c.timeout,
	})
	if err != nil {
		return source{}, errors.New(flagNames.Replace(err.Error()))
	}
	return source{api: m, token: func(ctx context.Context) (*oauth2.Token, error) {
		own, err := m.Credentials(ctx)
		if err != nil {
			return nil, err
		}
		t, err := own.Token()
		if err == nil {
			h.transcript.mask.add(t.AccessToken)
		}
		return t, err
	}}, nil
}

// byKey is for clients without certificate: the token is bound to the key of the proofs.
func (h *holder) byKey(ctx context.Context, params url.Values, origins []string) (source, error) {
	c := h.client
	sent := h.transcript.around(h.transport(c.timeout))
	endpoint, err := c.find(ctx, sent)
	if err != nil {
		return source{}, err
	}
	for _, resource := range c.resources {
		params.Add("resource", resource)
	}
	tokens := &http.Client{Timeout: c.timeout, CheckRedirect: stay, Transport: &popclient.Proofs{Key: h.key, Base: &popclient.Authenticated{
		ClientID: c.id, Authentication: h.authentication, Endpoints: []string{endpoint}, Base: sent,
	}}}
	config := clientcredentials.Config{
		ClientID: c.id, TokenURL: endpoint, Scopes: c.scopes, EndpointParams: params, AuthStyle: oauth2.AuthStyleInParams,
	}
	own := &keyed{config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, tokens)), h.transcript.mask}
	return source{
		token: func(context.Context) (*oauth2.Token, error) { return own.Token() },
		api:   &popclient.DPoP{Key: h.key, Source: own, Base: sent, Origins: origins},
	}, nil
}

// find is the token endpoint.
func (c *client) find(ctx context.Context, sent http.RoundTripper) (string, error) {
	if c.endpoint != "" {
		if _, err := discovery.ParseURL(c.endpoint, discovery.LoopbackHTTP); err != nil {
			return "", fmt.Errorf("--token-endpoint: %w", err)
		}
		return c.endpoint, nil
	}
	issuer, err := discovery.NewIssuer(c.issuer, discovery.LoopbackHTTP)
	if err != nil {
		return "", fmt.Errorf("--issuer: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	found, err := discovery.NewClient(&http.Client{Transport: sent}, time.Now).Find(ctx, issuer, "token_endpoint", false)
	if err != nil {
		return "", fmt.Errorf("--issuer: %w", err)
	}
	return found.URL.String(), nil
}

// stay has a redirect returned as the answer that it is: a token goes nowhere that nobody named.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// keyed is a source of tokens that are bound to a key, whose errors quote nothing of an answer but what RFC 6749 defines.
type keyed struct {
	source oauth2.TokenSource
	mask   *mask
}

func (k *keyed) Token() (*oauth2.Token, error) {
	t, err := k.source.Token()
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		text := "token: the server refuses"
		if refused.Response != nil {
			text = "token: the server answers " + refused.Response.Status
		}
		return nil, errors.New(k.mask.text(strings.TrimSpace(text + " " + refused.ErrorCode + " " + refused.ErrorDescription)))
	}
	if err != nil {
		return nil, fmt.Errorf("token: %s", k.mask.text(err.Error()))
	}
	k.mask.add(t.AccessToken)
	if !strings.EqualFold(t.TokenType, "DPoP") {
		return nil, fmt.Errorf("token: its type is %.20q, want DPoP: the server has not bound it to the key. Switch DPoP on there for "+
			"this client",
			t.TokenType)
	}
	return t, nil
}
