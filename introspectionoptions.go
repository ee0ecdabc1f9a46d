package popauth

import (
	"slices"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/settings"
)

func (o *IntrospectionOptions) completeAuthentication(problem settings.Problem) ClientAuthentication {
	if o.Authentication == nil {
		problem("Authentication", "nil")
		return nil
	}
	a, err := o.Authentication.completed(o.Issuer, o.Now)
	if err != nil {
		problem("Authentication", "%w", err)
	}
	if _, ok := a.(TLSClientAuth); ok && (o.Client == nil || o.Client.Transport == nil) {
		problem("Client", "nil, or without Transport: TLSClientAuth needs one that presents the certificate")
	}
	return a
}

// discovered is the issuer whose metadata say where the endpoint is, or the keys of signed answers.
func (o *IntrospectionOptions) discovered(problem settings.Problem) *discovery.Issuer {
	if o.MetadataURL != "" {
		issuer, err := discovery.NewIssuerAt(o.Issuer, o.MetadataURL, o.AllowLoopbackHTTP)
		if err != nil {
			problem("MetadataURL", "%w", err)
		}
		return issuer
	}
	issuer, err := discovery.NewIssuer(o.Issuer, o.AllowLoopbackHTTP)
	if err != nil {
		problem("Issuer", "can't be the start of discovery: %w", err)
	}
	return issuer
}

// signedAnswers returns what verifies signed answers; nil if they are plain.
func (o *IntrospectionOptions) signedAnswers(problem settings.Problem) *jwtVerifier {
	if !o.Signed {
		if o.Keys != nil || o.Algorithms != nil {
			problem("Signed", "false: leave Keys and Algorithms empty")
		}
		return nil
	}
	names := o.Audience
	if o.Authentication != nil {
		names = append(slices.Clone(names), o.Authentication.clientID())
	}
	v := &jwtVerifier{issuer: o.Issuer, keyIssuer: o.Issuer, keys: o.Keys, types: []string{signedAnswerType, "application/" + signedAnswerType}}
	if v.keys == nil {
		// An error is one that discovered has reported.
		keys, _ := NewRemoteKeys(RemoteKeysOptions{
			Issuer: o.Issuer, MetadataURL: o.MetadataURL, Client: o.Client, AllowLoopbackHTTP: o.AllowLoopbackHTTP, Now: o.Now,
		})
		v.keys = keys
	} else {
		checkKeys(v.keys, o.Issuer, problem)
	}
	v.known = ownOf(v.keys)
	v.algorithms = jose.NamedOrAll(o.Algorithms, problem)
	v.validator = jwt.NewValidator(jwt.WithIssuedAt(), jwt.WithIssuer(o.Issuer), jwt.WithAudience(names...),
		jwt.WithLeeway(o.Leeway), jwt.WithTimeFunc(o.Now))
	return v
}
