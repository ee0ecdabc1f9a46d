package popauth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const (
	notBound = `error="invalid_token", error_description="Possession of the key that the access token is bound to was not proven"`
	badShape = `error="invalid_request", error_description="The request's credentials are malformed"`
)

// TestSchemes is one API with Bearer and DPoP: RFC 9449, sections 7.1 and 7.2.
func TestSchemes(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	owner, thief := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief")
	other := popauthtest.NewProofKey(t, "")
	other.Now = a.clock.Now
	jkt := a.token
	unbound := a.issuer.Token()
	x5t := a.issuer.Token(owner.Bound())
	both := a.issuer.Token(fields{"cnf": fields{"x5t#S256": owner.Thumbprint(), "jkt": a.key.Thumbprint()}})
	more := a.issuer.Token(fields{"cnf": fields{"jkt": a.key.Thumbprint(), "kc-jkt-type": "x"}})
	bad := unbound[:len(unbound)-4] + "AAAA"
	binding, algs := notBound, dpopAlgs
	idp := func(reason popauth.Reason) []string { return []string{proofChallenges[reason], "Bearer"} }

	for name, test := range map[string]struct {
		client        *popauthtest.Client
		authorization []string
		proof         *popauthtest.ProofKey // nil: none
		proofFor      string                // the token it is made for
		reason        popauth.Reason        // "": accepted
		status        int                   // 401 unless said
		challenges    []string
	}{
		"nothing":                         {reason: popauth.ErrCredentialsMissing, challenges: []string{"Bearer", "DPoP " + algs}},
		"only a proof":                    {proof: a.key, proofFor: jkt, reason: popauth.ErrCredentialsMissing, challenges: []string{"Bearer", "DPoP " + algs}},
		"unknown scheme":                  {authorization: []string{"MAC " + jkt}, reason: popauth.ErrCredentialsMissing, challenges: []string{"Bearer", "DPoP " + algs}},
		"Bearer, unbound":                 {authorization: []string{"Bearer " + unbound}},
		"Bearer, bad token":               {authorization: []string{"Bearer " + bad}, reason: popauth.ErrTokenSignature, challenges: []string{`Bearer error="invalid_token", error_description="The access token is not valid for this resource"`, "DPoP " + algs}},
		"Bearer, jkt":                     {authorization: []string{"Bearer " + jkt}, reason: popauth.ErrBindingScheme, challenges: []string{"Bearer " + binding, "DPoP " + algs}},
		"Bearer, jkt, proof":              {authorization: []string{"Bearer " + jkt}, proof: a.key, proofFor: jkt, reason: popauth.ErrBindingScheme, challenges: []string{"Bearer " + binding, "DPoP " + algs}},
		"Bearer, unbound, proof":          {authorization: []string{"Bearer " + unbound}, proof: a.key, proofFor: unbound},
		"Bearer, x5t":                     {client: owner, authorization: []string{"Bearer " + x5t}},
		"Bearer, x5t, proof":              {client: owner, authorization: []string{"Bearer " + x5t}, proof: a.key, proofFor: x5t},
		"Bearer, x5t, thief, proof":       {client: thief, authorization: []string{"Bearer " + x5t}, proof: a.key, proofFor: x5t, reason: popauth.ErrCertificateMismatch, challenges: []string{"Bearer " + binding, "DPoP " + algs}},
		"Bearer, jkt, certificate":        {client: owner, authorization: []string{"Bearer " + jkt}, reason: popauth.ErrBindingScheme, challenges: []string{"Bearer " + binding, "DPoP " + algs}},
		"Bearer, both, certificate":       {client: owner, authorization: []string{"Bearer " + both}, reason: popauth.ErrBindingScheme, challenges: []string{"Bearer " + binding, "DPoP " + algs}},
		"DPoP, jkt":                       {authorization: []string{"DPoP " + jkt}, proof: a.key, proofFor: jkt},
		"DPoP, jkt, certificate":          {client: thief, authorization: []string{"DPoP " + jkt}, proof: a.key, proofFor: jkt},
		"DPoP, jkt, no proof":             {authorization: []string{"DPoP " + jkt}, reason: popauth.ErrProofMissing, challenges: idp(popauth.ErrProofMissing)},
		"DPoP, jkt, other's proof":        {authorization: []string{"DPoP " + jkt}, proof: other, proofFor: jkt, reason: popauth.ErrProofKey, challenges: idp(popauth.ErrProofKey)},
		"DPoP, jkt, unbound's proof":      {authorization: []string{"DPoP " + jkt}, proof: a.key, proofFor: unbound, reason: popauth.ErrProofToken, challenges: idp(popauth.ErrProofToken)},
		"DPoP, unbound, proof":            {authorization: []string{"DPoP " + unbound}, proof: a.key, proofFor: unbound, reason: popauth.ErrBindingScheme, challenges: []string{"DPoP " + binding + ", " + algs, "Bearer"}},
		"DPoP, unbound":                   {authorization: []string{"DPoP " + unbound}, reason: popauth.ErrBindingScheme, challenges: []string{"DPoP " + binding + ", " + algs, "Bearer"}},
		"DPoP, x5t, proof":                {client: owner, authorization: []string{"DPoP " + x5t}, proof: a.key, proofFor: x5t, reason: popauth.ErrBindingScheme, challenges: []string{"DPoP " + binding + ", " + algs, "Bearer"}},
		"DPoP, bad token":                 {authorization: []string{"DPoP " + bad}, proof: a.key, proofFor: bad, reason: popauth.ErrTokenSignature, challenges: []string{`DPoP error="invalid_token", error_description="The access token is not valid for this resource", ` + algs, "Bearer"}},
		"DPoP, both":                      {client: owner, authorization: []string{"DPoP " + both}, proof: a.key, proofFor: both},
		"DPoP, both, thief's certificate": {client: thief, authorization: []string{"DPoP " + both}, proof: a.key, proofFor: both, reason: popauth.ErrCertificateMismatch, challenges: []string{"DPoP " + binding + ", " + algs, "Bearer"}},
		"DPoP, both, no certificate":      {authorization: []string{"DPoP " + both}, proof: a.key, proofFor: both, reason: popauth.ErrCertificateMissing, challenges: []string{"DPoP " + binding + ", " + algs, "Bearer"}},
		"DPoP, both, no proof":            {client: owner, authorization: []string{"DPoP " + both}, reason: popauth.ErrProofMissing, challenges: idp(popauth.ErrProofMissing)},
		"DPoP, both, other's proof":       {client: owner, authorization: []string{"DPoP " + both}, proof: other, proofFor: both, reason: popauth.ErrProofKey, challenges: idp(popauth.ErrProofKey)},
		"DPoP, jkt and an unknown":        {authorization: []string{"DPoP " + more}, proof: a.key, proofFor: more, reason: popauth.ErrBindingUnknown, challenges: []string{"DPoP " + binding + ", " + algs, "Bearer"}},
		"DPoP without a token":            {authorization: []string{"DPoP"}, proof: a.key, proofFor: jkt, status: 400, reason: popauth.ErrCredentialsMalformed, challenges: []string{"DPoP " + badShape + ", " + algs}},
		"both schemes":                    {authorization: []string{"Bearer " + jkt, "DPoP " + jkt}, proof: a.key, proofFor: jkt, status: 400, reason: popauth.ErrCredentialsMalformed, challenges: []string{"Bearer " + badShape, "DPoP " + badShape + ", " + algs}},
		"both schemes, other order":       {authorization: []string{"DPoP " + jkt, "Bearer " + unbound}, proof: a.key, proofFor: jkt, status: 400, reason: popauth.ErrCredentialsMalformed, challenges: []string{"Bearer " + badShape, "DPoP " + badShape + ", " + algs}},
		"DPoP twice":                      {authorization: []string{"DPoP " + jkt, "DPoP " + jkt}, proof: a.key, proofFor: jkt, status: 400, reason: popauth.ErrCredentialsMalformed, challenges: []string{"Bearer " + badShape, "DPoP " + badShape + ", " + algs}},
		"both schemes in one":             {authorization: []string{"DPoP " + jkt + ", Bearer " + jkt}, proof: a.key, proofFor: jkt, status: 400, reason: popauth.ErrCredentialsMalformed, challenges: []string{"DPoP " + badShape + ", " + algs}},
	} {
		t.Run(name, func(t *testing.T) {
			r := test.client.Request("GET", dpopURL, "")
			if test.authorization != nil {
				r.Header["Authorization"] = test.authorization
			}
			if test.proof != nil {
				r.Header.Set("DPoP", test.proof.Proof("GET", dpopURL, test.proofFor))
			}
			if test.reason == "" {
				a.accept(t, r)
				return
			}
			if test.status == 0 {
				test.status = http.StatusUnauthorized
			}
			w := a.refuse(t, r, test.reason, test.status, test.challenges...)
			for name := range w.Header() {
				if strings.HasPrefix(name, "Proxy-") { // RFC 9449, section 7.1
					t.Errorf("header %s", name)
				}
			}
		})
	}

	// The token in the query or in a form as well.
	r := a.request()
	r.URL.RawQuery = "access_token=" + jkt
	a.refuse(t, r, popauth.ErrCredentialsMalformed, http.StatusBadRequest, "DPoP "+badShape+", "+algs)
	r = a.request()
	r.Header.Del("Authorization")
	r.PostForm = url.Values{"access_token": {jkt}}
	a.refuse(t, r, popauth.ErrCredentialsMissing, http.StatusUnauthorized, "Bearer", "DPoP "+algs)
}

// A cnf that can't be read is refused under either scheme, and never with a 5xx.
func TestSchemesMalformedBinding(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	jkt := a.key.Thumbprint()
	for _, cnf := range []any{
		"", "not-a-json-object", 1, 0, true, false, 3.14159, []any{}, []any{123}, []any{"asdf"}, nil, fields{}, fields{"jkt": 1},
		fields{"jkt": ""}, fields{"jkt": nil}, fields{"jkt": []string{jkt}}, fields{"jkt": jkt + "="}, fields{"jkt": jkt[:42]},
		fields{"jkt": strings.ReplaceAll(strings.ReplaceAll(jkt, "-", "+"), "_", "/") + "\n"}, fields{"jkt": jkt + " "}, fields{"JKT": jkt},
		fields{"jkt": jkt, "x5t#S256": 1}, fields{"jwk": a.key.JWK()},
	} {
		a.token = a.issuer.Token(fields{"cnf": cnf})
		for _, scheme := range []string{"DPoP", "Bearer"} {
			r := a.request()
			r.Header.Set("Authorization", scheme+" "+a.token)
			before := a.spy.Ran()
			if w := a.serve(r); w.Code != http.StatusUnauthorized || a.spy.Ran() != before || a.store.len() != 0 {
				t.Errorf("%v under %s: got %d, handler ran %d times", cnf, scheme, w.Code, a.spy.Ran()-before)
			}
		}
	}
	// The token's fault, not the proof's.
	a.token = a.issuer.Token(fields{"cnf": fields{"jkt": jkt + "="}})
	a.refuse(t, a.request(), popauth.ErrBindingMalformed, http.StatusUnauthorized, "DPoP "+notBound+", "+dpopAlgs, "Bearer")
	a.token = a.issuer.Token()
	a.refuse(t, a.request(), popauth.ErrBindingScheme, http.StatusUnauthorized, "DPoP "+notBound+", "+dpopAlgs, "Bearer")
}

// An API without DPoP refuses what is bound to a key, whatever comes with it: nobody confirms it.
func TestSchemesWithoutDPoP(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.Confirmers = nil })
	a.refuse(t, a.request(), popauth.ErrCredentialsMissing, http.StatusUnauthorized, "Bearer")
	r := a.request()
	r.Header.Set("Authorization", "Bearer "+a.token)
	a.refuse(t, r, popauth.ErrBindingUnknown, http.StatusUnauthorized, "Bearer "+notBound)
}

// An API that takes bound tokens only, and one that takes those bound by DPoP only.
func TestSchemesRequired(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	owner := popauthtest.SelfSigned(t, "owner")
	a.handler = a.guard.Confirm(a.spy)
	unbound := `Bearer error="invalid_token", error_description="The access token is not bound to a key"`
	a.accept(t, a.request())
	a.accept(t, owner.Request("GET", dpopURL, a.issuer.Token(owner.Bound())))
	a.refuse(t, owner.Request("GET", dpopURL, a.issuer.Token()), popauth.ErrBindingMissing, http.StatusUnauthorized, unbound, "DPoP "+dpopAlgs)
	a.handler = a.guard.Authorize(popauth.BoundBy("jkt"))(a.spy)
	a.accept(t, a.request())
	a.refuse(t, owner.Request("GET", dpopURL, a.issuer.Token(owner.Bound())), popauth.ErrBindingMissing, http.StatusUnauthorized, unbound, "DPoP "+dpopAlgs)
}

// Confirmed first, then authorized: the scope challenge is in the scheme that was used.
func TestSchemesScope(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	a.handler = a.guard.Authorize(popauth.Scope("orders.read"))(a.spy)
	ran := a.spy.Ran()
	w := a.serve(a.request())
	want := `DPoP error="insufficient_scope", error_description="The access token lacks a scope", scope="orders.read", ` + dpopAlgs
	if w.Code != http.StatusForbidden || a.spy.Ran() != ran || strings.Join(w.Header()["Www-Authenticate"], "\n") != want {
		t.Errorf("got %d %q, want 403 %q", w.Code, w.Header()["Www-Authenticate"], want)
	}
	// A thief learns nothing about scopes.
	a.refuseProof(t, a.request(fields{"htm": "PUT"}), popauth.ErrProofTarget)
}

// A request that carries another proof is another request, even where it was made from one that has passed.
func TestDecisionBelongsToTheProof(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	inner := a.guard.Confirm(a.spy)
	a.handler = a.guard.Authenticate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		again := r.Clone(r.Context())
		again.Header.Set("DPoP", a.key.Proof("GET", "https://api.example.com/other", a.token))
		inner.ServeHTTP(w, again)
	}))
	ran := a.spy.Ran()
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, a.request())
	if w.Code != http.StatusUnauthorized || a.spy.Ran() != ran {
		t.Errorf("got %d", w.Code)
	}
}
