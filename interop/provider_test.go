package interop_test

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// algorithms are those that an API can have its JWTs signed with: structured, with the algorithm as path.
var algorithms = []string{"ES256", "ES384", "ES512", "Ed25519", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}

// provider is an oidc-provider, and who is registered there.
type provider struct {
	*authorizationServer
	process *node
	ports   [2]int // without and with client certificates

	// The APIs that may ask about tokens, beside the one with a secret.
	apiByCertificate *popauthtest.Client
	apiByKey         crypto.Signer
}

// newProvider starts one with these keys; if there are none, it has one of its own.
func newProvider(tb testing.TB, keys ...signingKey) *provider {
	tb.Helper()
	p := &provider{authorizationServer: newAuthorizationServer(tb)}
	p.apiByCertificate, p.apiByKey = p.ca.Client("api-by-certificate"), newKey(tb)
	if len(keys) == 0 {
		keys = []signingKey{newSigningKey(tb, "1")}
	}
	p.start(keys...)
	return p
}

// start starts the provider, again where it was. It has forgotten the tokens that are not JWTs.
func (p *provider) start(keys ...signingKey) {
	p.Helper()
	if p.process != nil {
		p.process.end()
	}
	resources := object{
		opaque:             object{"accessTokenFormat": "opaque"},
		opaque + "/second": object{"accessTokenFormat": "opaque"},
	}
	for _, alg := range algorithms {
		resources[structured+"/"+alg] = object{"accessTokenFormat": "jwt", "jwt": object{"sign": object{"alg": alg}}}
	}
	resources[structured] = resources[structured+"/ES256"]
	nonces := make([]byte, 32)
	rand.Read(nonces)
	certificate, key := pems(p, p.certificate)
	p.process = run(p.TB, "server.mjs", object{
		"tls":       object{"cert": certificate, "key": key},
		"roots":     string(p.ca.PEM()),
		"ports":     p.ports,
		"keys":      keys,
		"secret":    base64.StdEncoding.EncodeToString(nonces),
		"clients":   p.registrations(),
		"resources": resources,
	})
	var ready struct {
		Issuer string
		Ports  [2]int
	}
	p.process.read(&ready)
	p.issuer, p.ports = ready.Issuer, ready.Ports
	p.discover("openid-configuration")
}
