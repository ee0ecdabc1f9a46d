package dpop_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const (
	notBound = `error="invalid_token", error_description="Possession of the key that the access token is bound to was not proven"`
	badShape = `error="invalid_request", error_description="The request's credentials are malformed"`
)

// TestSchemes is one API with Bearer and DPoP: RFC 9449, sections 7.1 and 7.2.
func TestSchemes(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	owner, thief := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief")
	other := popauthtest.NewProofKey(t, "")
	other.Now = a.Clock.Now
	jkt := a.Token
	unbound := a.Issuer.Token()
	x5t := a.Issuer.Token(owner.Bound())
	both := a.Issuer.Token(lab.Fields{"cnf": lab.Fields{"x5t#S256": owner.Thumbprint(), "jkt": a.Key.Thumbprint()}})
	more := a.Issuer.Token(lab.Fields{"cnf": lab.Fields{"jkt": a.Key.Thumbprint(), "kc-jkt-type": "x"}})
	bad := unbound[:len(unbound)-4] + "AAAA"
	binding, algs := notBound, lab.DPoPAlgs
	idp := func(reason popauth.Reason) []string { return []string{lab.ProofChallenges[reason], "Bearer"} }

	for name, test := range map[string]struct {
		client        *popauthtest.Client
		authorization []string
		proof         *popauthtest.ProofKey // nil: none
		proofFor      string                // the token it is made for
		reason        popauth.Reason        // "": accepted
		status        int                   // 401 unless said
		challenges    []string
	}{
		"nothing": {reason: popauth.ErrCredentialsMissing, challenges: []string{"Bearer", "DPoP " + algs}},
		"only a proof": {proof: a.Key, proofFor: jkt, reason: popauth.ErrCredentialsMissing,
			challenges: []string{"Bearer", "DPoP " + algs}},
		"unknown scheme": {authorization: []string{"MAC " + jkt}, reason: popauth.ErrCredentialsMissing,
			challenges: []string{"Bearer", "DPoP " + algs}},
		"Bearer, unbound": {authorization: []string{"Bearer " + unbound}},
		"Bearer, bad token": {authorization: []string{"Bearer " + bad}, reason: popauth.ErrTokenSignature,
			challenges: []string{`Bearer error="invalid_token", error_description="The access token is not valid for this resource"`,
				"DPoP " + algs}},
		"Bearer, jkt": {authorization: []string{"Bearer " + jkt}, reason: popauth.ErrBindingScheme,
			challenges: []string{"Bearer " + binding, "DPoP " + algs}},
		"Bearer, jkt, proof": {authorization: []string{"Bearer " + jkt}, proof: a.Key, proofFor: jkt,
			reason: popauth.ErrBindingScheme, challenges: []string{"Bearer " + binding, "DPoP " + algs}},
		"Bearer, unbound, proof": {authorization: []string{"Bearer " + unbound}, proof: a.Key, proofFor: unbound},
		"Bearer, x5t":            {client: owner, authorization: []string{"Bearer " + x5t}},
		"Bearer, x5t, proof":     {client: owner, authorization: []string{"Bearer " + x5t}, proof: a.Key, proofFor: x5t},
		"Bearer, x5t, thief, proof": {client: thief, authorization: []string{"Bearer " + x5t}, proof: a.Key, proofFor: x5t,
			reason: popauth.ErrCertificateMismatch, challenges: []string{"Bearer " + binding, "DPoP " + algs}},
		"Bearer, jkt, certificate": {client: owner, authorization: []string{"Bearer " + jkt}, reason: popauth.ErrBindingScheme,
			challenges: []string{"Bearer " + binding, "DPoP " + algs}},
		"Bearer, both, certificate": {client: owner, authorization: []string{"Bearer " + both}, reason: popauth.ErrBindingScheme,
			challenges: []string{"Bearer " + binding, "DPoP " + algs}},
		"DPoP, jkt":              {authorization: []string{"DPoP " + jkt}, proof: a.Key, proofFor: jkt},
		"DPoP, jkt, certificate": {client: thief, authorization: []string{"DPoP " + jkt}, proof: a.Key, proofFor: jkt},
		"DPoP, jkt, no proof": {authorization: []string{"DPoP " + jkt}, reason: popauth.ErrProofMissing,
			challenges: idp(popauth.ErrProofMissing)},
		"DPoP, jkt, other's proof": {authorization: []string{"DPoP " + jkt}, proof: other, proofFor: jkt,
			reason: popauth.ErrProofKey, challenges: idp(popauth.ErrProofKey)},
		"DPoP, jkt, unbound's proof": {authorization: []string{"DPoP " + jkt}, proof: a.Key, proofFor: unbound,
			reason: popauth.ErrProofToken, challenges: idp(popauth.ErrProofToken)},
		"DPoP, unbound, proof": {authorization: []string{"DPoP " + unbound}, proof: a.Key, proofFor: unbound,
			reason: popauth.ErrBindingScheme, challenges: []string{"DPoP " + binding + ", " + algs, "Bearer"}},
		"DPoP, unbound": {authorization: []string{"DPoP " + unbound}, reason: popauth.ErrBindingScheme,
			challenges: []string{"DPoP " + binding + ", " + algs, "Bearer"}},
		"DPoP, x5t, proof": {client: owner, authorization: []string{"DPoP " + x5t}, proof: a.Key, proofFor: x5t,
			reason: popauth.ErrBindingScheme, challenges: []string{"DPoP " + binding + ", " + algs, "Bearer"}},
		"DPoP, bad token": {authorization: []string{"DPoP " + bad}, proof: a.Key, proofFor: bad,
			reason: popauth.ErrTokenSignature, challenges: []string{`DPoP error="invalid_token", error_description="The access token ` +
				`is not valid for this resource", ` + algs, "Bearer"}},
		"DPoP, both": {client: owner, authorization: []string{"DPoP " + both}, proof: a.Key, proofFor: both},
		"DPoP, both, thief's certificate": {client: thief, authorization: []string{"DPoP " + both}, proof: a.Key, proofFor: both,
			reason: popauth.ErrCertificateMismatch, challenges: []string{"DPoP " + binding + ", " + algs, "Bearer"}},
		"DPoP, both, no certificate": {authorization: []string{"DPoP " + both}, proof: a.Key, proofFor: both,
			reason: popauth.ErrCertificateMissing, challenges: []string{"DPoP " + binding + ", " + algs, "Bearer"}},
		"DPoP, both, no proof": {client: owner, authorization: []string{"DPoP " + both}, reason: popauth.ErrProofMissing,
			challenges: idp(popauth.ErrProofMissing)},
		"DPoP, both, other's proof": {client: owner, authorization: []string{"DPoP " + both}, proof: other, proofFor: both,
			reason: popauth.ErrProofKey, challenges: idp(popauth.ErrProofKey)},
		"DPoP, jkt and an unknown": {authorization: []string{"DPoP " + more}, proof: a.Key, proofFor: more,
			reason: popauth.ErrBindingUnknown, challenges: []string{"DPoP " + binding + ", " + algs, "Bearer"}},
		"DPoP without a token": {authorization: []string{"DPoP"}, proof: a.Key, proofFor: jkt, status: 400,
			reason: popauth.ErrCredentialsMalformed, challenges: []string{"DPoP " + badShape + ", " + algs}},
		"both schemes": {authorization: []string{"Bearer " + jkt, "DPoP " + jkt}, proof: a.Key, proofFor: jkt, status: 400,
			reason: popauth.ErrCredentialsMalformed, challenges: []string{"Bearer " + badShape, "DPoP " + badShape + ", " + algs}},
		"both schemes, other order": {authorization: []string{"DPoP " + jkt, "Bearer " + unbound}, proof: a.Key, proofFor: jkt,
			status: 400, reason: popauth.ErrCredentialsMalformed,
			challenges: []string{"Bearer " + badShape, "DPoP " + badShape + ", " + algs}},
		"DPoP twice": {authorization: []string{"DPoP " + jkt, "DPoP " + jkt}, proof: a.Key, proofFor: jkt, status: 400,
			reason: popauth.ErrCredentialsMalformed, challenges: []string{"Bearer " + badShape, "DPoP " + badShape + ", " + algs}},
		"both schemes in one": {authorization: []string{"DPoP " + jkt + ", Bearer " + jkt}, proof: a.Key, proofFor: jkt, status: 400,
			reason: popauth.ErrCredentialsMalformed, challenges: []string{"DPoP " + badShape + ", " + algs}},
	} {
		t.Run(name, func(t *testing.T) {
			r := test.client.Request("GET", lab.DPoPURL, "")
			if test.authorization != nil {
				r.Header["Authorization"] = test.authorization
			}
			if test.proof != nil {
				r.Header.Set("DPoP", test.proof.Proof("GET", lab.DPoPURL, test.proofFor))
			}
			if test.reason == "" {
				a.Accept(t, r)
				return
			}
			if test.status == 0 {
				test.status = http.StatusUnauthorized
			}
			w := a.Refuse(t, r, test.reason, test.status, test.challenges...)
			for name := range w.Header() {
				if strings.HasPrefix(name, "Proxy-") { // RFC 9449, section 7.1
					t.Errorf("header %s", name)
				}
			}
		})
	}

	// The token in the query or in a form as well.
	r := a.Request()
	r.URL.RawQuery = "access_token=" + jkt
	a.Refuse(t, r, popauth.ErrCredentialsMalformed, http.StatusBadRequest, "DPoP "+badShape+", "+algs)
	r = a.Request()
	r.Header.Del("Authorization")
	r.PostForm = url.Values{"access_token": {jkt}}
	a.Refuse(t, r, popauth.ErrCredentialsMissing, http.StatusUnauthorized, "Bearer", "DPoP "+algs)
}

// A cnf that can't be read is refused under either scheme, and never with a 5xx.
func TestSchemesMalformedBinding(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	jkt := a.Key.Thumbprint()
	for _, cnf := range []any{
		"", "not-a-json-object", 1, 0, true, false, 3.14159, []any{}, []any{123}, []any{"asdf"}, nil, lab.Fields{}, lab.Fields{"jkt": 1},
		lab.Fields{"jkt": ""}, lab.Fields{"jkt": nil}, lab.Fields{"jkt": []string{jkt}}, lab.Fields{"jkt": jkt + "="},
		lab.Fields{"jkt": jkt[:42]},
		lab.Fields{"jkt": strings.ReplaceAll(strings.ReplaceAll(jkt, "-", "+"), "_", "/") + "\n"}, lab.Fields{"jkt": jkt + " "},
		lab.Fields{"JKT": jkt},
		lab.Fields{"jkt": jkt, "x5t#S256": 1}, lab.Fields{"jwk": a.Key.JWK()},
	} {
		a.Token = a.Issuer.Token(lab.Fields{"cnf": cnf})
		for _, scheme := range []string{"DPoP", "Bearer"} {
			r := a.Request()
			r.Header.Set("Authorization", scheme+" "+a.Token)
			before := a.Spy.Ran()
			if w := a.Serve(r); w.Code != http.StatusUnauthorized || a.Spy.Ran() != before || a.Store.Len() != 0 {
				t.Errorf("%v under %s: got %d, handler ran %d times", cnf, scheme, w.Code, a.Spy.Ran()-before)
			}
		}
	}
	// The token's fault, not the proof's.
	a.Token = a.Issuer.Token(lab.Fields{"cnf": lab.Fields{"jkt": jkt + "="}})
	a.Refuse(t, a.Request(), popauth.ErrBindingMalformed, http.StatusUnauthorized, "DPoP "+notBound+", "+lab.DPoPAlgs, "Bearer")
	a.Token = a.Issuer.Token()
	a.Refuse(t, a.Request(), popauth.ErrBindingScheme, http.StatusUnauthorized, "DPoP "+notBound+", "+lab.DPoPAlgs, "Bearer")
}

// An API without DPoP refuses what is bound to a key, whatever comes with it: nobody confirms it.
func TestSchemesWithoutDPoP(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.Confirmers = nil })
	a.Refuse(t, a.Request(), popauth.ErrCredentialsMissing, http.StatusUnauthorized, "Bearer")
	r := a.Request()
	r.Header.Set("Authorization", "Bearer "+a.Token)
	a.Refuse(t, r, popauth.ErrBindingUnknown, http.StatusUnauthorized, "Bearer "+notBound)
}

// An API that takes bound tokens only, and one that takes those bound by DPoP only.
func TestSchemesRequired(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	owner := popauthtest.SelfSigned(t, "owner")
	a.Handler = a.Guard.Confirm(a.Spy)
	unbound := `Bearer error="invalid_token", error_description="The access token is not bound to a key"`
	a.Accept(t, a.Request())
	a.Accept(t, owner.Request("GET", lab.DPoPURL, a.Issuer.Token(owner.Bound())))
	a.Refuse(t, owner.Request("GET", lab.DPoPURL, a.Issuer.Token()), popauth.ErrBindingMissing, http.StatusUnauthorized, unbound,
		"DPoP "+lab.DPoPAlgs)
	a.Handler = a.Guard.Authorize(popauth.BoundBy("jkt"))(a.Spy)
	a.Accept(t, a.Request())
	a.Refuse(t, owner.Request("GET", lab.DPoPURL, a.Issuer.Token(owner.Bound())), popauth.ErrBindingMissing, http.StatusUnauthorized,
		unbound, "DPoP "+lab.DPoPAlgs)
}

// Confirmed first, then authorized: the scope challenge is in the scheme that was used.
func TestSchemesScope(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	a.Handler = a.Guard.Authorize(popauth.Scope("orders.read"))(a.Spy)
	ran := a.Spy.Ran()
	w := a.Serve(a.Request())
	want := `DPoP error="insufficient_scope", error_description="The access token lacks a scope", scope="orders.read", ` + lab.DPoPAlgs
	if w.Code != http.StatusForbidden || a.Spy.Ran() != ran || strings.Join(w.Header()["Www-Authenticate"], "\n") != want {
		t.Errorf("got %d %q, want 403 %q", w.Code, w.Header()["Www-Authenticate"], want)
	}
	// A thief learns nothing about scopes.
	a.RefuseProof(t, a.Request(lab.Fields{"htm": "PUT"}), popauth.ErrProofTarget)
}

// A request that carries another proof is another request, even where it was made from one that has passed.
func TestDecisionBelongsToTheProof(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	inner := a.Guard.Confirm(a.Spy)
	a.Handler = a.Guard.Authenticate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		again := r.Clone(r.Context())
		again.Header.Set("DPoP", a.Key.Proof("GET", "https://api.example.com/other", a.Token))
		inner.ServeHTTP(w, again)
	}))
	ran := a.Spy.Ran()
	w := httptest.NewRecorder()
	a.Handler.ServeHTTP(w, a.Request())
	if w.Code != http.StatusUnauthorized || a.Spy.Ran() != ran {
		t.Errorf("got %d", w.Code)
	}
}
