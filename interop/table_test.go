package interop_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// kind is a column of the table: a token of the authorization server's, and where it is used.
type kind struct {
	form, name string // as the column is headed
	bound      string // x5t#S256, jkt or ""
	token      string
	api        *api
	path       string

	refused popauth.Reason // whoever sends it
}

// sender is a row of the table: who has the token and sends it in this way, and why that is refused; "" if it passes.
type sender struct {
	name        string
	scheme      string // "" for the owner's client, which knows
	certificate func(*scene) *popauthtest.Client
	proofs      []proof

	ofCertificate, ofKey, ofNone popauth.Reason // tokens bound to a certificate, to a key, to nothing
}

type proof func(*scene, kind) string

const (
	noCertificate    = popauth.ErrCertificateMissing
	otherCertificate = popauth.ErrCertificateMismatch
	scheme           = popauth.ErrBindingScheme
)

var senders = []sender{
	{
		name: "its owner", certificate: owner,
	},
	{
		name: "a thief", scheme: "Bearer", certificate: nobody,
		ofCertificate: noCertificate, ofKey: scheme,
	},
	{
		name: "a thief, as DPoP", scheme: "DPoP", certificate: nobody,
		ofCertificate: scheme, ofKey: popauth.ErrProofMissing, ofNone: scheme,
	},
	{
		name: "another client", scheme: "Bearer", certificate: otherClient,
		ofCertificate: otherCertificate, ofKey: scheme,
	},
	{
		name: "another client, as DPoP", scheme: "DPoP", certificate: otherClient, proofs: []proof{otherKey},
		ofCertificate: scheme, ofKey: popauth.ErrProofKey, ofNone: scheme,
	},
	{
		name: "a namesake's certificate", scheme: "Bearer", certificate: namesake,
		ofCertificate: otherCertificate, ofKey: scheme,
	},
	{
		name: "the owner's certificate, as DPoP", scheme: "DPoP", certificate: owner,
		ofCertificate: scheme, ofKey: popauth.ErrProofMissing, ofNone: scheme,
	},
	{
		name: "the owner's certificate and proof", scheme: "DPoP", certificate: owner, proofs: []proof{good},
		ofCertificate: scheme, ofNone: scheme,
	},
	{
		name: "the owner's proof, as Bearer", scheme: "Bearer", certificate: nobody, proofs: []proof{good},
		ofCertificate: noCertificate, ofKey: scheme,
	},
	{
		name: "another key", scheme: "DPoP", certificate: nobody, proofs: []proof{otherKey},
		ofCertificate: scheme, ofKey: popauth.ErrProofKey, ofNone: scheme,
	},
	{
		name: "the owner's proof, used", scheme: "DPoP", certificate: nobody, proofs: []proof{used},
		ofCertificate: scheme, ofKey: popauth.ErrProofReplayed, ofNone: scheme,
	},
	{
		name: "the owner's proof, twice", scheme: "DPoP", certificate: nobody, proofs: []proof{good, good},
		ofCertificate: scheme, ofKey: popauth.ErrProofMalformed, ofNone: scheme,
	},
	{
		name: "… for another URL", scheme: "DPoP", certificate: nobody, proofs: []proof{otherURL},
		ofCertificate: scheme, ofKey: popauth.ErrProofTarget, ofNone: scheme,
	},
	{
		name: "… for another method", scheme: "DPoP", certificate: nobody, proofs: []proof{otherMethod},
		ofCertificate: scheme, ofKey: popauth.ErrProofTarget, ofNone: scheme,
	},
	{
		name: "… for another token", scheme: "DPoP", certificate: nobody, proofs: []proof{otherToken},
		ofCertificate: scheme, ofKey: popauth.ErrProofToken, ofNone: scheme,
	},
	{
		name: "… for no token", scheme: "DPoP", certificate: nobody, proofs: []proof{noToken},
		ofCertificate: scheme, ofKey: popauth.ErrProofMalformed, ofNone: scheme,
	},
	{
		name: "… of an hour ago", scheme: "DPoP", certificate: nobody, proofs: []proof{old},
		ofCertificate: scheme, ofKey: popauth.ErrProofTime, ofNone: scheme,
	},
	{
		name: "… with another signature", scheme: "DPoP", certificate: nobody, proofs: []proof{altered},
		ofCertificate: scheme, ofKey: popauth.ErrProofSignature, ofNone: scheme,
	},
}

func (s sender) want(k kind) outcome {
	switch {
	case k.refused != "":
		return wanted(k.refused)
	case k.bound == "x5t#S256":
		return wanted(s.ofCertificate)
	case k.bound == "jkt":
		return wanted(s.ofKey)
	case s.ofNone == "" && k.path == confirmed:
		return wanted(popauth.ErrBindingMissing)
	}
	return wanted(s.ofNone)
}

func (s sender) send(sc *scene, k kind) outcome {
	sc.Helper()
	r, err := http.NewRequest(http.MethodGet, k.api.URL+k.path, nil)
	if err != nil {
		sc.Fatal(err)
	}
	if s.scheme == "" && k.bound == "jkt" {
		source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: k.token, TokenType: "DPoP"})
		base := k.api.caller(nobody(sc)).Transport
		return k.api.get(sc, &http.Client{Transport: &popclient.DPoP{Key: sc.key, Source: source, Base: base}}, r)
	}
	if s.scheme == "" {
		s.scheme = "Bearer"
	}
	r.Header.Set("Authorization", s.scheme+" "+k.token)
	for _, p := range s.proofs {
		r.Header.Add("DPoP", p(sc, k))
	}
	return k.api.get(sc, k.api.caller(s.certificate(sc)), r)
}

// scene is who takes part: the owner, who is the client by-dn with the certificate and by-key with the key, and others.
type scene struct {
	*authorizationServer
	key, otherKey *popclient.Key
	late          *popclient.Key // key, whose clock is slow
	namesake      *popauthtest.Client
}

func newScene(a *authorizationServer) *scene {
	a.Helper()
	s := &scene{authorizationServer: a}
	key := newKey(a)
	s.key, s.late, s.otherKey = proofKey(a, key), proofKey(a, key), proofKey(a, newKey(a))
	s.late.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	s.namesake = namesakeOf(a)
	return s
}

func nobody(*scene) *popauthtest.Client        { return nil }
func owner(s *scene) *popauthtest.Client       { return s.byDN }
func otherClient(s *scene) *popauthtest.Client { return s.bySAN }
func namesake(s *scene) *popauthtest.Client    { return s.namesake }

func good(s *scene, k kind) string        { return s.prove(s.key, "GET", k.api.URL+k.path, k.token) }
func otherKey(s *scene, k kind) string    { return s.prove(s.otherKey, "GET", k.api.URL+k.path, k.token) }
func otherURL(s *scene, k kind) string    { return s.prove(s.key, "GET", k.api.URL+"/other", k.token) }
func otherMethod(s *scene, k kind) string { return s.prove(s.key, "POST", k.api.URL+k.path, k.token) }
func otherToken(s *scene, k kind) string  { return s.prove(s.key, "GET", k.api.URL+k.path, "other") }
func noToken(s *scene, k kind) string     { return s.prove(s.key, "GET", k.api.URL+k.path, "") }
func old(s *scene, k kind) string         { return s.prove(s.late, "GET", k.api.URL+k.path, k.token) }

// used is a proof that the thief saw the owner use.
func used(s *scene, k kind) string {
	p := good(s, k)
	seen := sender{scheme: "DPoP", certificate: nobody, proofs: []proof{func(*scene, kind) string { return p }}}
	if o := seen.send(s, k); o.ran != (k.bound == "jkt" && k.refused == "") {
		s.Errorf("%s, %s, the owner: got %+v", k.form, k.name, o)
	}
	return p
}

// altered has the first character of the signature changed.
func altered(s *scene, k kind) string {
	p := good(s, k)
	i := strings.LastIndex(p, ".") + 1
	other := "A"
	if p[i] == 'A' {
		other = "B"
	}
	return p[:i] + other + p[i+1:]
}

func (s *scene) prove(key *popclient.Key, method, target, token string) string {
	s.Helper()
	p, err := key.Proof(method, target, token, "")
	if err != nil {
		s.Fatal(err)
	}
	return p
}

// Each kind of token, with its owner and with thieves.
func TestTable(t *testing.T) {
	p := newProvider(t)
	s := newScene(p.authorizationServer)
	kinds := s.kinds(p)

	t.Logf("\n%ssigned: opaque, with signed answers; bearer: unbound, on a route without Confirm", s.hold(t, kinds))
}

// hold has each sender send each kind, and returns the table.
func (s *scene) hold(t *testing.T, kinds []kind) string {
	t.Helper()
	var table strings.Builder
	row(&table, "wanted=got", kinds, func(k kind) string { return k.form })
	row(&table, "", kinds, func(k kind) string { return k.name })
	for _, sender := range senders {
		row(&table, sender.name, kinds, func(k kind) string {
			want, got := sender.want(k), sender.send(s, k)
			if got != want {
				t.Errorf("%s, %s, %s:\ngot  %+v\nwant %+v", k.form, k.name, sender.name, got, want)
			}
			sign := "="
			if got.status != want.status {
				sign = "≠"
			}
			return fmt.Sprint(want.status, sign, got.status)
		})
	}
	return table.String()
}

func row(table *strings.Builder, name string, kinds []kind, cell func(kind) string) {
	fmt.Fprintf(table, "%-33s", name)
	for _, k := range kinds {
		fmt.Fprintf(table, " %-9s", cell(k))
	}
	table.WriteString("\n")
}

// kinds are the columns.
func (s *scene) kinds(p *provider) []kind {
	s.Helper()
	jwts := p.api(popauth.Options{Issuer: p.issuer, Audience: []string{structured}, Keys: p.keys()})
	plain := p.api(popauth.Options{Verifier: p.introspection(introspection.Options{})})
	signed := p.api(popauth.Options{Verifier: p.introspection(introspection.Options{Signed: true})})
	jwt, ofKey, unbound := s.tokens(structured)
	asked, askedOfKey, askedUnbound := s.tokens(opaque)
	other, _, _ := s.tokens(structured + "/ES256")
	return []kind{
		{"JWT", "x5t#S256", "x5t#S256", jwt, jwts, confirmed, ""},
		{"JWT", "jkt", "jkt", ofKey, jwts, confirmed, ""},
		{"opaque", "x5t#S256", "x5t#S256", asked, plain, confirmed, ""},
		{"opaque", "jkt", "jkt", askedOfKey, plain, confirmed, ""},
		{"signed", "x5t#S256", "x5t#S256", asked, signed, confirmed, ""},
		{"signed", "jkt", "jkt", askedOfKey, signed, confirmed, ""},
		{"JWT", "other API", "x5t#S256", other, jwts, confirmed, popauth.ErrTokenAudience},
		{"JWT", "unbound", "", unbound, jwts, confirmed, ""},
		{"JWT", "bearer", "", unbound, jwts, authenticated, ""},
		{"opaque", "bearer", "", askedUnbound, plain, authenticated, ""},
	}
}

// tokens are one bound to the certificate, one to the key, and one unbound.
func (s *scene) tokens(resource string) (ofCertificate, ofKey, ofNone string) {
	s.Helper()
	bound, err := s.boundTo(s.key, resource)
	if err != nil {
		s.Fatal(err)
	}
	unbound, err := s.unbound(resource)
	if err != nil {
		s.Fatal(err)
	}
	return s.obtain(resource), bound.AccessToken, unbound.AccessToken
}
