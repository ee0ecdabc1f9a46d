package interop_test

import (
	"crypto/rand"
	"slices"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// npmClient is an openid-client, and the token that it got.
type npmClient struct {
	*node
	npmAnswer
}

// npmAnswer is what openid-client makes of an answer: of a token endpoint's the token, of an API's the status.
type npmAnswer struct {
	Token, Type, Error string
	Status             int
	Challenges         []challenge
}

type challenge struct {
	Scheme     string
	Parameters map[string]string
}

// npmSettings say who an openid-client is: with a secret, a client that doesn't authenticate by certificate; with an
// alg, one that has a key for DPoP proofs.
type npmSettings struct {
	Issuer     string            `json:"issuer"`
	ID         string            `json:"id"`
	Secret     string            `json:"secret,omitempty"`
	Alg        string            `json:"alg,omitempty"`
	TLS        object            `json:"tls,omitempty"`
	Roots      string            `json:"roots"`
	Parameters map[string]string `json:"parameters"`
}

func newNPMClient(tb testing.TB, s npmSettings, certificate *popauthtest.Client) *npmClient {
	tb.Helper()
	if certificate != nil {
		c, key := pems(tb, certificate.Certificate)
		s.TLS = object{"cert": c, "key": key}
	}
	c := &npmClient{node: run(tb, "client.mjs", s)}
	c.read(&c.npmAnswer)
	return c
}

// npmRequest is a request to an API. An empty token is the client's own.
type npmRequest struct {
	URL    string `json:"url"`
	Token  string `json:"token,omitempty"`
	Bearer bool   `json:"bearer,omitempty"`
}

// check wants a request to be refused for this reason, or to pass if there is none, and openid-client to understand.
func (c *npmClient) check(a *api, r npmRequest, what string, reason popauth.Reason) {
	c.Helper()
	before := a.spy.Ran()
	r.URL = a.URL + confirmed
	c.write(r)
	var got npmAnswer
	c.read(&got)
	want := wanted(reason)
	if got.Status != want.status || a.spy.Ran() > before != want.ran {
		c.Errorf("%s: got %+v, the handler ran: %t, want %+v", what, got, a.spy.Ran() > before, want)
	}
	if reason != "" && !slices.ContainsFunc(got.Challenges, func(ch challenge) bool { return ch.Parameters["error"] == want.code }) {
		c.Errorf("%s: challenges: got %+v, want one with %s", what, got.Challenges, want.code)
	}
}

// openid-client gets tokens from the provider and uses them. Thieves are openid-clients too.
func TestOpenIDClient(t *testing.T) {
	p := newProvider(t)
	a := p.api(popauth.Options{
		Issuer: p.issuer, Audience: []string{structured}, Keys: p.keys(),
		Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, popauth.DPoP{
			Nonces: popauth.StatelessNonces{Secrets: [][]byte{[]byte(rand.Text() + rand.Text())}},
		}},
	})
	settings := func(id, secret, alg string) npmSettings {
		return npmSettings{
			Issuer: p.issuer, ID: id, Secret: secret, Alg: alg, Roots: string(p.ca.PEM()),
			Parameters: map[string]string{"scope": "orders.read", "resource": structured},
		}
	}

	t.Run("certificate", func(t *testing.T) {
		owner := newNPMClient(t, settings("by-dn", "", ""), p.byDN)
		thief := newNPMClient(t, settings("by-san", "", ""), p.bySAN)
		nobody := newNPMClient(t, settings("by-dn", "", ""), nil)
		if owner.Type != "bearer" || nobody.Token != "" || nobody.Error != "invalid_client" {
			t.Errorf("got %+v, and without certificate %+v", owner.npmAnswer, nobody.npmAnswer)
		}
		owner.check(a, npmRequest{}, "the owner", "")
		thief.check(a, npmRequest{}, "another client, with its own token", "")
		thief.check(a, npmRequest{Token: owner.Token}, "another client", popauth.ErrCertificateMismatch)
		nobody.check(a, npmRequest{Token: owner.Token}, "no certificate", popauth.ErrCertificateMissing)
		owner.check(a, npmRequest{Token: thief.Token}, "the owner, with the other's token", popauth.ErrCertificateMismatch)
	})
	for _, alg := range []string{"ES256", "Ed25519"} {
		t.Run("DPoP, "+alg, func(t *testing.T) {
			owner := newNPMClient(t, settings("by-key", clientSecret, alg), nil)
			thief := newNPMClient(t, settings("by-key", clientSecret, alg), nil)
			if owner.Type != "dpop" {
				t.Errorf("got %+v", owner.npmAnswer)
			}
			owner.check(a, npmRequest{}, "the owner, who has no nonce yet", "")
			owner.check(a, npmRequest{}, "the owner", "")
			owner.check(a, npmRequest{Bearer: true}, "the owner, as Bearer", popauth.ErrBindingScheme)
			thief.check(a, npmRequest{Token: owner.Token, Bearer: true}, "a thief, as Bearer", popauth.ErrBindingScheme)
			thief.check(a, npmRequest{Token: owner.Token}, "another key, without a nonce yet", popauth.ErrProofKey)
			thief.check(a, npmRequest{Token: owner.Token}, "another key", popauth.ErrProofKey)
			thief.check(a, npmRequest{}, "the other, with its own token", "")
		})
	}
}
