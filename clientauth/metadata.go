package clientauth

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// EndpointURLs are the endpoints that clients call themselves, by their names in metadata (RFC 8414, section 2; RFC 8628;
// RFC 9126; OpenID Connect Discovery). One that is empty is not there.
type EndpointURLs struct {
	Token                      string `json:"token_endpoint,omitempty"`
	Revocation                 string `json:"revocation_endpoint,omitempty"`
	Introspection              string `json:"introspection_endpoint,omitempty"`
	DeviceAuthorization        string `json:"device_authorization_endpoint,omitempty"`
	PushedAuthorizationRequest string `json:"pushed_authorization_request_endpoint,omitempty"`
	UserInfo                   string `json:"userinfo_endpoint,omitempty"` // where bound tokens are shown
}

// Metadata is what mutual TLS and DPoP add to a server's metadata (RFC 8705, sections 2.1.1, 2.2.1, 3.3 and 5; RFC
// 9449, section 5.1). Embed it in the document's struct, after appending the server's other methods.
type Metadata struct {
	Aliases              EndpointURLs `json:"mtls_endpoint_aliases,omitzero"`
	TokenMethods         []Method     `json:"token_endpoint_auth_methods_supported,omitempty"`
	RevocationMethods    []Method     `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	IntrospectionMethods []Method     `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	BoundAccessTokens    bool         `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	DPoPAlgorithms       []string     `json:"dpop_signing_alg_values_supported,omitempty"`
}

// Metadata returns the metadata that follows from the options. Base is the server's public URL, with the path that it
// is mounted under; paths are those of its ordinary endpoints as Handler sees them, below that. Without Endpoints it
// has nothing of mutual TLS, without DPoP nothing of that.
func (a *Authenticator) Metadata(base string, paths EndpointURLs) (Metadata, error) {
	if a.unconfigured() {
		return Metadata{}, ErrUnconfigured
	}
	u, err := url.Parse(strings.TrimSuffix(base, "/"))
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Metadata{}, errors.New("clientauth: Metadata: base is not an https URL of host and path")
	}
	var m Metadata
	if a.options.DPoP != nil {
		m.DPoPAlgorithms = slices.Clone(a.options.DPoP.Algorithms())
	}
	e := a.options.Endpoints
	if e.nowhere() {
		return m, nil
	}
	m.BoundAccessTokens = true
	var wrong []error
	for _, x := range []struct {
		path    string
		alias   *string
		methods *[]Method
	}{
		{paths.Token, &m.Aliases.Token, &m.TokenMethods},
		{paths.Revocation, &m.Aliases.Revocation, &m.RevocationMethods},
		{paths.Introspection, &m.Aliases.Introspection, &m.IntrospectionMethods},
		{paths.DeviceAuthorization, &m.Aliases.DeviceAuthorization, nil},
		{paths.PushedAuthorizationRequest, &m.Aliases.PushedAuthorizationRequest, nil},
		{paths.UserInfo, &m.Aliases.UserInfo, nil},
	} {
		if x.path == "" {
			continue
		}
		if *x.alias, err = e.alias(u, x.path); err != nil {
			wrong = append(wrong, fmt.Errorf("clientauth: Metadata: %q: %w", x.path, err))
		}
		if x.methods != nil {
			*x.methods = slices.Clone(a.options.Methods)
		}
	}
	if len(wrong) > 0 {
		return Metadata{}, errors.Join(wrong...)
	}
	return m, nil
}
