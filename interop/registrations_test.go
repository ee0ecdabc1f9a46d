package interop_test

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"maps"
)

const clientSecret = "between the provider and its clients without certificates"

// registrations are the provider's clients, in the words of RFC 7591, RFC 8705 and RFC 9449.
func (p *provider) registrations() []object {
	selfSigned := p.jwk(p.selfSigned.Certificate.Leaf.PublicKey)
	selfSigned["x5c"] = []string{base64.StdEncoding.EncodeToString(p.selfSigned.Certificate.Leaf.Raw)}
	list := []struct {
		id, method string
		members    object
	}{
		{"by-dn", "tls_client_auth", object{"tls_client_auth_subject_dn": "CN=by-dn,O=Orders"}},
		{"by-san", "tls_client_auth", object{"tls_client_auth_san_uri": "spiffe://example.org/orders"}},
		{"by-san-and-key", "tls_client_auth", object{
			"tls_client_auth_san_uri":                    "spiffe://example.org/orders",
			"dpop_bound_access_tokens":                   true,
			"tls_client_certificate_bound_access_tokens": false, // one or the other
		}},
		{"self-signed", "self_signed_tls_client_auth", object{"jwks": jwks(selfSigned)}},
		{"by-key", "client_secret_basic", object{"dpop_bound_access_tokens": true}},
		{"unbound", "client_secret_basic", nil},
		{"api-by-secret", "client_secret_basic", nil},
		{"api-by-certificate", "tls_client_auth", object{"tls_client_auth_subject_dn": "CN=api-by-certificate"}},
		{"api-by-key", "private_key_jwt", object{"jwks": jwks(p.jwk(p.apiByKey.Public()))}},
	}
	var all []object
	for _, c := range list {
		o := object{"client_id": c.id, "token_endpoint_auth_method": c.method}
		switch c.method {
		case "client_secret_basic":
			o["client_secret"] = clientSecret
		case "tls_client_auth", "self_signed_tls_client_auth":
			o["tls_client_certificate_bound_access_tokens"] = true
		case "private_key_jwt":
			o["token_endpoint_auth_signing_alg"] = "ES256"
		}
		maps.Copy(o, c.members)
		all = append(all, o)
	}
	return all
}

func jwks(keys ...object) object { return object{"keys": keys} }

// jwk is a public key on P-256.
func (p *provider) jwk(key crypto.PublicKey) object {
	p.Helper()
	public, ok := key.(*ecdsa.PublicKey)
	if !ok {
		p.Fatalf("key: %T", key)
	}
	point, err := public.Bytes() // 4, x, y
	if err != nil {
		p.Fatal(err)
	}
	return object{
		"kty": "EC", "crv": "P-256",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]),
		"y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}
}
