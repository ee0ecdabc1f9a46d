package interop_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
)

// introspection asks the provider about opaque tokens.
func (p *provider) introspection(o introspection.Options) *introspection.Verifier {
	p.Helper()
	o.Issuer, o.Audience = p.issuer, []string{opaque}
	if o.Authentication == nil {
		o.Authentication = introspection.ClientSecretBasic{ID: "api-by-secret", Secret: clientSecret}
	}
	if o.Client == nil {
		o.Client = &http.Client{Transport: p.transport(nil)}
	}
	i, err := introspection.New(o)
	if err != nil {
		p.Fatal(err)
	}
	return i
}

// However an API authenticates, and in whichever form it is answered, it learns what a token is bound to.
func TestIntrospection(t *testing.T) {
	p := newProvider(t)
	token := p.obtain(opaque)
	second := p.obtain(opaque + "/second")
	certified := &http.Client{Transport: p.transport(p.apiByCertificate)}
	for _, test := range []struct {
		name    string
		options introspection.Options
		want    popauth.Reason // of every token
	}{
		{"secret", introspection.Options{}, ""},
		{"certificate", introspection.Options{Authentication: introspection.TLSClientAuth{ID: "api-by-certificate"}, Client: certified},
			""},
		{"key", introspection.Options{Authentication: introspection.PrivateKeyJWT{
			ID: "api-by-key", Method: jwt.SigningMethodES256, Key: p.apiByKey,
		}}, ""},
		{"wrong secret", introspection.Options{
			Authentication: introspection.ClientSecretBasic{ID: "api-by-secret", Secret: "wrong"},
		}, popauth.ErrUnavailable},
		{"wrong certificate", introspection.Options{
			Authentication: introspection.TLSClientAuth{ID: "api-by-certificate"}, Client: &http.Client{Transport: p.transport(p.byDN)},
		}, popauth.ErrUnavailable},
		{"wrong key", introspection.Options{Authentication: introspection.PrivateKeyJWT{
			ID: "api-by-key", Method: jwt.SigningMethodES256, Key: newKey(t),
		}}, popauth.ErrUnavailable},
	} {
		for form, signed := range map[string]bool{"JSON": false, "signed": true} {
			t.Run(test.name+", "+form, func(t *testing.T) {
				test.options.Signed = signed
				a := p.api(popauth.Options{Verifier: p.introspection(test.options)})
				want := func(reason popauth.Reason) popauth.Reason {
					if test.want != "" {
						return test.want
					}
					return reason
				}
				a.want(t, p.byDN, token, "the owner", want(""))
				a.want(t, p.bySAN, token, "another client", want(popauth.ErrCertificateMismatch))
				a.want(t, nil, token, "no certificate", want(popauth.ErrCertificateMissing))
				a.want(t, p.byDN, second, "a token for another API", want(popauth.ErrTokenAudience))
				a.want(t, p.byDN, "made-up", "a token that there never was", want(popauth.ErrTokenInvalid))
			})
		}
	}
}

// What an API that takes both forms of token says, from its issue to the end of the provider.
func TestRevocation(t *testing.T) {
	p := newProvider(t)
	jwts, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: p.issuer, Audience: []string{structured}, Keys: p.keys()})
	if err != nil {
		t.Fatal(err)
	}
	a := p.api(popauth.Options{Verifier: popauth.JWTOr(jwts, p.introspection(introspection.Options{Remember: -1}))})
	structured, token, other := p.obtain(structured), p.obtain(opaque), p.obtain(opaque)
	a.want(t, p.byDN, structured, "a JWT", "")
	a.want(t, p.byDN, token, "an opaque token", "")
	a.want(t, p.bySAN, token, "an opaque token, by another client", popauth.ErrCertificateMismatch)

	p.revoke(token)
	a.want(t, p.byDN, token, "a revoked token", popauth.ErrTokenInvalid)
	a.want(t, p.byDN, other, "one that isn't", "")

	p.process.end()
	a.want(t, p.byDN, other, "an opaque token, without the provider", popauth.ErrUnavailable)
	a.want(t, p.byDN, structured, "a JWT, without the provider", "")
}

// revoke withdraws a token (RFC 7009).
func (p *provider) revoke(token string) {
	p.Helper()
	r, err := http.NewRequest(http.MethodPost, p.metadata.RevocationEndpoint, strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		p.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("api-by-secret", url.QueryEscape(clientSecret))
	resp, err := p.transport(nil).RoundTrip(r)
	if err != nil {
		p.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p.Fatalf("revocation: %s", resp.Status)
	}
}
