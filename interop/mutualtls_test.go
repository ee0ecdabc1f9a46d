package interop_test

import (
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// popclient finds the provider's endpoint for certificates, gets a token there, and uses it with the same certificate.
func TestMutualTLSClient(t *testing.T) {
	p := newProvider(t)
	jwts, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: p.issuer, Audience: []string{structured}, Keys: p.keys()})
	if err != nil {
		t.Fatal(err)
	}
	a := p.api(popauth.Options{Verifier: popauth.JWTOr(jwts, p.introspection(introspection.Options{Remember: -1}))})
	key, err := popclient.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		id     string
		client *popauthtest.Client
		key    *popclient.Key
		want   bool
	}{
		{"by-dn", p.byDN, nil, true},
		{"by-san", p.bySAN, nil, true},
		{"self-signed", p.selfSigned, nil, true},
		{"by-san-and-key", p.bySAN, key, true},
		{"by-dn", p.bySAN, nil, false},
		{"by-dn", namesakeOf(t), nil, false},
		{"self-signed", popauthtest.SelfSigned(t, "self-signed"), nil, false},
	} {
		for _, resource := range []string{structured, opaque} {
			name := test.id + ", " + resource
			client := p.client(popclient.MutualTLSOptions{
				ClientID: test.id, Certificate: popclient.StaticCertificate(test.client.Certificate), Key: test.key,
				Resources: []string{resource},
			})
			before := a.spy.Ran()
			resp, err := client.Get(a.URL + confirmed)
			switch {
			case err != nil && test.want:
				t.Errorf("%s: %v", name, err)
			case err == nil && (!test.want || resp.StatusCode != http.StatusOK):
				t.Errorf("%s: got %s, wanted a pass: %t", name, resp.Status, test.want)
			case a.spy.Ran() > before != test.want:
				t.Errorf("%s: the handler ran: %t", name, !test.want)
			}
			if err == nil {
				resp.Body.Close()
			}
		}
	}
}

// A provider that has forgotten a token makes popclient get another, and its caller doesn't notice.
func TestForgottenToken(t *testing.T) {
	p := newProvider(t)
	a := p.api(popauth.Options{Verifier: p.introspection(introspection.Options{Remember: -1})})
	client := p.client(popclient.MutualTLSOptions{
		ClientID: "by-dn", Certificate: popclient.StaticCertificate(p.byDN.Certificate), Resources: []string{opaque},
	})
	old := p.obtain(opaque)
	a.want(t, p.byDN, old, "a token of before", "")
	for range 2 {
		r, err := http.NewRequest(http.MethodGet, a.URL+confirmed, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := a.get(t, client, r), wanted(""); got != want {
			t.Errorf("popclient: got %+v, want %+v", got, want)
		}
		p.start(newSigningKey(t, "2"))
		a.want(t, p.byDN, old, "a token that is forgotten", popauth.ErrTokenInvalid)
	}
}

// client is one of popclient's.
func (s *authorizationServer) client(o popclient.MutualTLSOptions) *http.Client {
	s.Helper()
	o.Issuer, o.Scopes, o.RootCAs = s.issuer, []string{"orders.read"}, s.ca.Pool()
	m, err := popclient.NewMutualTLS(o)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(m.CloseIdleConnections)
	return &http.Client{Transport: m}
}
