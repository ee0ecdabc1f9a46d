// Package fapi_test shows that Options.FAPI2 keeps to the FAPI 2.0 Security Profile, and that docs/fapi.md names tests that exist.
package fapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

var algorithms = []string{"ES256", "PS256", "EdDSA", "RS256", "RS384", "RS512", "PS384", "PS512", "ES384", "ES512"}

// api is an API whose Guard is made with FAPI2, and one whose Guard isn't, with the same issuer and clients.
type api struct {
	*lab.Lab
	strict, lax *popauth.Guard
	keys        map[string]*popauthtest.ProofKey // by algorithm
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{Lab: lab.New(t, algorithms...), keys: map[string]*popauthtest.ProofKey{}}
	for _, alg := range []string{"ES256", "EdDSA", "PS256", "RS256", "ES384"} {
		a.keys[alg] = popauthtest.NewProofKey(t, alg)
		a.keys[alg].Now = a.Clock.Now
	}
	own := dpop.Options{BaseURL: "https://api.example.com"}
	a.lax = a.Guard(func(o *popauth.Options) { o.Confirmers, o.Revoked = a.confirmers(own), a.revoked })
	a.strict = a.Guard(func(o *popauth.Options) {
		o.Confirmers, o.Revoked = a.confirmers(own.FAPI2()), a.revoked
		*o = o.FAPI2()
	})
	return a
}

func (a *api) confirmers(o dpop.Options) []popauth.Confirmer {
	return []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(o)}
}

// revokedID is the jti of a token that is revoked.
const revokedID = "revoked"

// TestFAPI2 sends requests that the profile forbids, which pass without FAPI2, and such as it wants, which pass with it too.
func TestFAPI2(t *testing.T) {
	a := newAPI(t)
	mtls := func(alg string, claims ...popauthtest.Claims) *http.Request {
		header := popauthtest.Claims{"alg": alg}
		claims = append([]popauthtest.Claims{a.Owner.Bound(), {"scope": "orders.read"}}, claims...)
		return a.Owner.Request("GET", "/orders", a.Issuer.TokenWith(header, claims...))
	}
	proven := func(alg string) *http.Request {
		key := a.keys[alg]
		return key.Request("GET", lab.DPoPURL, a.Issuer.Token(key.Bound()))
	}
	ofType := func(typ any) *http.Request {
		return a.Owner.Request("GET", "/orders", a.Issuer.TokenWith(popauthtest.Claims{"typ": typ}, a.Owner.Bound()))
	}
	for _, row := range []struct {
		name    string
		request func() *http.Request
		want    popauth.Reason // with FAPI2; "" if it passes
	}{
		{"5.4.1: a token by PS256", func() *http.Request { return mtls("PS256") }, ""},
		{"5.4.1: a token by ES256", func() *http.Request { return mtls("ES256") }, ""},
		{"5.4.1: a token by EdDSA", func() *http.Request { return mtls("EdDSA") }, ""},
		{"5.4.1: a token by RS256", func() *http.Request { return mtls("RS256") }, popauth.ErrTokenAlgorithm},
		{"5.4.1: a token by RS384", func() *http.Request { return mtls("RS384") }, popauth.ErrTokenAlgorithm},
		{"5.4.1: a token by RS512", func() *http.Request { return mtls("RS512") }, popauth.ErrTokenAlgorithm},
		{"5.4.1: a token by PS384", func() *http.Request { return mtls("PS384") }, popauth.ErrTokenAlgorithm},
		{"5.4.1: a token by PS512", func() *http.Request { return mtls("PS512") }, popauth.ErrTokenAlgorithm},
		{"5.4.1: a token by ES384", func() *http.Request { return mtls("ES384") }, popauth.ErrTokenAlgorithm},
		{"5.4.1: a token by ES512", func() *http.Request { return mtls("ES512") }, popauth.ErrTokenAlgorithm},
		{"5.4.1: a proof by ES256", func() *http.Request { return proven("ES256") }, ""},
		{"5.4.1: a proof by EdDSA", func() *http.Request { return proven("EdDSA") }, ""},
		{"5.4.1: a proof by PS256", func() *http.Request { return proven("PS256") }, ""},
		{"5.4.1: a proof by RS256", func() *http.Request { return proven("RS256") }, popauth.ErrProofAlgorithm},
		{"5.4.1: a proof by ES384", func() *http.Request { return proven("ES384") }, popauth.ErrProofAlgorithm},
		{"5.4.1, RFC 8725: a token of type at+jwt", func() *http.Request { return ofType("at+jwt") }, ""},
		{"5.4.1, RFC 8725: a token of type JWT", func() *http.Request { return ofType("JWT") }, popauth.ErrTokenType},
		{"5.3.4, item 5: a token that isn't bound", func() *http.Request {
			return a.Owner.Request("GET", "/orders", a.Unbound())
		}, popauth.ErrBindingMissing},
	} {
		t.Run(row.name, func(t *testing.T) {
			a.passes(t, a.lax, row.request)
			if row.want == "" {
				a.passes(t, a.strict, row.request)
				return
			}
			a.refuses(t, a.strict, row.request, row.want)
		})
	}
}

// TestFAPI2Always sends what a Guard refuses with FAPI2 and without.
func TestFAPI2Always(t *testing.T) {
	a := newAPI(t)
	with := func(claims popauthtest.Claims) func() *http.Request {
		return func() *http.Request { return a.Owner.Request("GET", "/orders", a.Bound(claims)) }
	}
	now := a.Clock.Now().Unix()
	for _, row := range []struct {
		name    string
		request func() *http.Request
		want    popauth.Reason
	}{
		{"5.3.4, item 2: in the query alone", func() *http.Request {
			r := a.Owner.Request("GET", "/orders?access_token="+a.Bound(), "")
			r.Header.Del("Authorization")
			return r
		}, popauth.ErrCredentialsMissing},
		{"5.3.4, item 2: in the query as well", func() *http.Request {
			return a.Owner.Request("GET", "/orders?access_token="+a.Bound(), a.Bound())
		}, popauth.ErrCredentialsMalformed},
		{"5.3.4, item 3: signed by another", func() *http.Request {
			return a.Owner.Request("GET", "/orders", lab.WithBadSignature(a.Bound()))
		}, popauth.ErrTokenSignature},
		{"5.3.4, item 3: expired", with(popauthtest.Claims{"exp": now - 31}), popauth.ErrTokenExpired},
		{"5.3.4, item 3: without exp", with(popauthtest.Claims{"exp": popauthtest.Omit}), popauth.ErrTokenMalformed},
		{"5.3.4, item 3: revoked", with(popauthtest.Claims{"jti": revokedID}), popauth.ErrTokenRevoked},
		{"5.3.2.1, item 13: a minute ahead", with(popauthtest.Claims{"nbf": now + 61, "iat": now + 61}), popauth.ErrTokenNotYetValid},
		{"5.3.4, item 5: bound to another certificate", func() *http.Request {
			return a.Thief.Request("GET", "/orders", a.Bound())
		}, popauth.ErrCertificateMismatch},
		{"5.3.4, item 5: bound to a key, without a proof", func() *http.Request {
			r := a.keys["ES256"].Request("GET", lab.DPoPURL, a.Issuer.Token(a.keys["ES256"].Bound()))
			r.Header.Del("DPoP")
			return r
		}, popauth.ErrProofMissing},
		{"5.3.4, item 5: bound to another key", func() *http.Request {
			return a.keys["EdDSA"].Request("GET", lab.DPoPURL, a.Issuer.Token(a.keys["ES256"].Bound()))
		}, popauth.ErrProofKey},
		{"5.4.1: none", func() *http.Request {
			return a.Owner.Request("GET", "/orders", a.Issuer.TokenWith(popauthtest.Claims{"alg": "none"}, a.Owner.Bound()))
		}, popauth.ErrTokenAlgorithm},
	} {
		t.Run(row.name, func(t *testing.T) {
			a.refuses(t, a.lax, row.request, row.want)
			a.refuses(t, a.strict, row.request, row.want)
		})
	}
	ahead := func(seconds int64) func() *http.Request {
		return with(popauthtest.Claims{"nbf": now + seconds, "iat": now + seconds})
	}
	a.passes(t, a.strict, ahead(10)) // item 13
	key := a.keys["ES256"]
	a.passes(t, a.strict, func() *http.Request {
		return key.Request("GET", lab.DPoPURL, a.Issuer.Token(key.Bound()), popauthtest.Claims{"iat": now + 10})
	})
	a.refuses(t, a.strict, func() *http.Request {
		return key.Request("GET", lab.DPoPURL, a.Issuer.Token(key.Bound()), popauthtest.Claims{"iat": now + 61})
	}, popauth.ErrProofTime)
}

// TestFAPI2Introspection has no Revoked: the issuer is asked whether a token is active.
func TestFAPI2Introspection(t *testing.T) {
	l := lab.New(t)
	v := l.Introspection(func(o *introspection.Options) {
		*o = o.FAPI2()
		o.Authentication = privateKeyJWT(t)
		o.Remember = -1
	})
	g, err := popauth.New(popauth.Options{Verifier: v, Now: l.Clock.Now}.FAPI2())
	if err != nil {
		t.Fatal(err)
	}
	token := l.Issuer.Opaque(l.Owner.Bound())
	request := func() *http.Request { return l.Owner.Request("GET", "/orders", token) }
	lab.Send(g.Authenticate, request()).Passed(t)
	unbound := l.Issuer.Opaque()
	lab.Send(g.Authenticate, l.Owner.Request("GET", "/orders", unbound)).Refused(t, http.StatusUnauthorized, lab.InvalidToken)
	l.Issuer.Revoke(token)
	lab.Send(g.Authenticate, request()).Refused(t, http.StatusUnauthorized, lab.InvalidToken)
}

// Each stage and Check decide alike.
func (a *api) passes(t *testing.T, g *popauth.Guard, request func() *http.Request) {
	t.Helper()
	lab.Send(g.Authenticate, request()).Passed(t)
	if _, err := g.Check(request()); err != nil {
		t.Errorf("Check: %v", err)
	}
}

func (a *api) refuses(t *testing.T, g *popauth.Guard, request func() *http.Request, want popauth.Reason) {
	t.Helper()
	for _, stage := range []func(http.Handler) http.Handler{g.Authenticate, g.Confirm, g.Authorize(popauth.Scope("orders.read"))} {
		spy, w := &popauthtest.Spy{}, httptest.NewRecorder()
		stage(spy).ServeHTTP(w, request())
		if spy.Ran() > 0 || w.Code != (&popauth.Error{Reason: want}).Status() {
			t.Errorf("got %d, ran %d times, want %d", w.Code, spy.Ran(), (&popauth.Error{Reason: want}).Status())
		}
	}
	_, err := g.Check(request())
	var e *popauth.Error
	if !errors.As(err, &e) || e.Reason != want {
		t.Errorf("Check: got %v, want %v", err, want)
	}
}
