package main

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/seed-171ab058/popauth/clientauth"
)

// provider implements zitadel/oidc's interfaces for client authentication, tokens and metadata. All else is answered as
// unimplemented.
type provider struct {
	op.UnimplementedServer
	server *server
}

var _ op.Server = (*provider)(nil)

// VerifyClient returns the client that clientauth has authenticated; it ignores what the library read from the form.
func (p *provider) VerifyClient(ctx context.Context, _ *op.Request[op.ClientCredentials]) (op.Client, error) {
	g, ok := grantOf(ctx)
	if !ok {
		return nil, oidc.ErrInvalidClient()
	}
	return verified{id: g.client.id}, nil
}

// verified is a client as the library sees it. GrantTypes excludes the grants whose methods are not implemented here.
type verified struct {
	op.Client
	id string
}

func (v verified) GetID() string             { return v.id }
func (verified) AuthMethod() oidc.AuthMethod { return oidc.AuthMethodBasic } // any but none
func (verified) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeClientCredentials}
}

// claims are those of an access token (RFC 9068, section 2.2).
type claims struct {
	Issuer       string                  `json:"iss"`
	Subject      string                  `json:"sub"`
	ClientID     string                  `json:"client_id"`
	Audience     []string                `json:"aud"`
	Scope        string                  `json:"scope"`
	ID           string                  `json:"jti"`
	IssuedAt     int64                   `json:"iat"`
	Expires      int64                   `json:"exp"`
	Confirmation clientauth.Confirmation `json:"cnf,omitzero"`
}

// ClientCredentialsExchange issues a token.
func (p *provider) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response,
	error) {
	g, ok := grantOf(ctx)
	if !ok {
		return nil, oidc.ErrInvalidClient()
	}
	scopes, ok := g.client.scopes(r.Data.Scope)
	if !ok {
		return nil, oidc.ErrInvalidScope()
	}
	audience, ok := g.client.audience(append(r.PostForm["resource"], r.PostForm["audience"]...))
	if !ok {
		return nil, &oidc.Error{ErrorType: "invalid_target"} // RFC 8707, section 2
	}
	now, lifetime := p.server.now(), g.client.lifetime(p.server.lifetime)
	token, err := p.server.signer.sign(claims{
		Issuer: p.server.issuer, Subject: g.client.id, ClientID: g.client.id, Audience: audience,
		Scope: strings.Join(scopes, " "), ID: rand.Text(), IssuedAt: now.Unix(), Expires: now.Add(lifetime).Unix(),
		Confirmation: g.cnf,
	})
	if err != nil {
		return nil, oidc.ErrServerError()
	}
	return op.NewResponse(&oidc.AccessTokenResponse{
		AccessToken: token, TokenType: g.cnf.TokenType(), ExpiresIn: uint64(lifetime.Seconds()), Scope: scopes,
	}), nil
}

// Discovery describes the server.
func (p *provider) Discovery(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	return op.NewResponse(p.server.metadata), nil
}

// Keys are what the API verifies tokens with.
func (p *provider) Keys(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	return op.NewResponse(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{p.server.signer.public}}), nil
}
