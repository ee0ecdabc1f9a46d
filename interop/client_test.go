package interop_test

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/counterpart"
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
	if reason == "" {
		return
	}
	if !slices.ContainsFunc(got.Challenges, func(ch challenge) bool { return ch.Parameters["error"] == want.code }) {
		c.Errorf("%s: challenges: got %+v, want one with %s", what, got.Challenges, want.code)
	}
	// Both schemes are in use: a client has to learn which algorithms its proofs may have (RFC 9449, section 7.1).
	if !slices.ContainsFunc(got.Challenges, func(ch challenge) bool { return ch.Scheme == "bearer" }) ||
		!slices.ContainsFunc(got.Challenges, func(ch challenge) bool {
			return ch.Scheme == "dpop" && slices.Contains(strings.Fields(ch.Parameters["algs"]), "ES256")
		}) {
		c.Errorf("%s: challenges: got %+v, want one for each scheme", what, got.Challenges)
	}
}

// openid-client gets tokens from the provider, and from a server that popauth is part of, and uses them. Thieves are
// openid-clients too.
func TestOpenIDClient(t *testing.T) {
	t.Run("oidc-provider", func(t *testing.T) { testOpenIDClient(t, newProvider(t).authorizationServer) })
	t.Run("tokenserver", func(t *testing.T) {
		if err := installed(); err != nil {
			counterpart.Missing(t, err)
		}
		testOpenIDClient(t, newTokenServer(t, "-dpop-nonces"))
	})
}

func testOpenIDClient(t *testing.T, s *authorizationServer) {
	proofs, err := dpop.New(dpop.Options{
		URL: dpop.RequestURL, Nonces: dpop.StatelessNonces{Secrets: [][]byte{[]byte(rand.Text() + rand.Text())}},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := s.api(popauth.Options{
		Issuer: s.issuer, Audience: []string{structured}, Keys: s.keys(), Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs},
	})
	client := func(id, secret, alg string, certificate *popauthtest.Client) *npmClient {
		t.Helper()
		return newNPMClient(t, npmSettings{
			Issuer: s.issuer, ID: id, Secret: secret, Alg: alg, Roots: string(s.ca.PEM()),
			Parameters: map[string]string{"scope": "orders.read", "resource": structured},
		}, certificate)
	}

	t.Run("certificate", func(t *testing.T) {
		owner, selfSigned := client("by-dn", "", "", s.byDN), client("self-signed", "", "", s.selfSigned)
		thief, nobody := client("by-san", "", "", s.bySAN), client("by-dn", "", "", nil)
		for who, got := range map[string]npmAnswer{"by-dn": owner.npmAnswer, "by-san": thief.npmAnswer,
			"self-signed": selfSigned.npmAnswer} {
			if got.Token == "" || got.Type != "bearer" {
				t.Errorf("%s: got %+v, want a token", who, got)
			}
		}
		if nobody.Token != "" || nobody.Error != "invalid_client" {
			t.Errorf("nobody: got %+v, want invalid_client", nobody.npmAnswer)
		}
		owner.check(a, npmRequest{}, "the owner", "")
		selfSigned.check(a, npmRequest{}, "a self-signed certificate, with its own token", "")
		selfSigned.check(a, npmRequest{Token: owner.Token}, "a self-signed certificate", popauth.ErrCertificateMismatch)
		thief.check(a, npmRequest{}, "another client, with its own token", "")
		thief.check(a, npmRequest{Token: owner.Token}, "another client", popauth.ErrCertificateMismatch)
		nobody.check(a, npmRequest{Token: owner.Token}, "no certificate", popauth.ErrCertificateMissing)
		owner.check(a, npmRequest{Token: thief.Token}, "the owner, with the other's token", popauth.ErrCertificateMismatch)
	})
	t.Run("DPoP", func(t *testing.T) {
		owner, thief := client("by-key", clientSecret, "ES256", nil), client("by-key", clientSecret, "Ed25519", nil)
		for _, got := range []npmAnswer{owner.npmAnswer, thief.npmAnswer} {
			if got.Token == "" || got.Type != "dpop" {
				t.Errorf("got %+v, want a token", got)
			}
		}
		owner.check(a, npmRequest{}, "the owner, who has no nonce yet", "")
		owner.check(a, npmRequest{}, "the owner", "")
		owner.check(a, npmRequest{Bearer: true}, "the owner, as Bearer", popauth.ErrBindingScheme)
		thief.check(a, npmRequest{Token: owner.Token, Bearer: true}, "a thief, as Bearer", popauth.ErrBindingScheme)
		thief.check(a, npmRequest{Token: owner.Token}, "another key, without a nonce yet", popauth.ErrProofKey)
		thief.check(a, npmRequest{Token: owner.Token}, "another key", popauth.ErrProofKey)
		thief.check(a, npmRequest{}, "the other, with its own token", "")
		owner.check(a, npmRequest{Token: thief.Token}, "the owner, with the other's token", popauth.ErrProofKey)
		if got := a.challenged.Load(); got != 2 {
			t.Errorf("asked for a nonce: got %d times, want once of each", got)
		}
	})
}
