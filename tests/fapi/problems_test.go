package fapi_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func (a *api) revoked(_ context.Context, t *popauth.Token) (bool, error) {
	return t.TokenID() == revokedID, nil
}

func privateKeyJWT(tb testing.TB) introspection.PrivateKeyJWT {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	return introspection.PrivateKeyJWT{ID: "api", Method: jwt.SigningMethodPS256, Key: key}
}

// TestFAPI2Problems has one option at a time that the profile doesn't allow. New takes it without FAPI2, and reports it with.
func TestFAPI2Problems(t *testing.T) {
	a := newAPI(t)
	proofs := func(o dpop.Options) func(*popauth.Options) {
		o.BaseURL = "https://api.example.com"
		return func(options *popauth.Options) { options.Confirmers = a.confirmers(o) }
	}
	jwts := func(o popauth.JWTOptions) func(*popauth.Options) {
		options := a.Issuer.Options()
		o.Issuer, o.Audience, o.Keys = options.Issuer, options.Audience, options.Keys
		v, err := popauth.NewJWTVerifier(o)
		if err != nil {
			t.Fatal(err)
		}
		return verifier(v)
	}
	asking := func(change func(*introspection.Options)) popauth.Verifier {
		return a.Introspection(func(o *introspection.Options) {
			o.Authentication = privateKeyJWT(t)
			change(o)
		})
	}
	good := asking(func(*introspection.Options) {})
	nonces := dpop.StatelessNonces{Secrets: [][]byte{lab.NonceSecret(1)}}
	for _, row := range []struct {
		name   string
		change func(*popauth.Options)
		want   string // in the error; "" if it is allowed
	}{
		{"nothing", func(*popauth.Options) {}, ""},
		{"one of the algorithms", func(o *popauth.Options) { o.Algorithms = []string{"ES256"} }, ""},
		{"required claims", func(o *popauth.Options) { o.TokenTypes, o.RequiredClaims = []string{"JWT"}, []string{"scope"} }, ""},
		{"a leeway of 10 s", func(o *popauth.Options) { o.Leeway = 10 * time.Second }, ""},
		{"a leeway of 60 s", func(o *popauth.Options) { o.Leeway = time.Minute }, ""},
		{"introspection without Revoked", func(o *popauth.Options) { verifier(good)(o); o.Revoked = nil }, ""},
		{"certificates alone", func(o *popauth.Options) { o.Confirmers = nil }, ""},
		{"signed answers", verifier(asking(func(o *introspection.Options) { a.SignedAnswers(o); *o = o.FAPI2() })), ""},
		{"JWTs by FAPI2", jwts(popauth.JWTOptions{}.FAPI2()), ""},

		{"another algorithm", func(o *popauth.Options) { o.Algorithms = []string{"ES256", "RS256"} }, "Options.Algorithms: RS256 "},
		{"another type", func(o *popauth.Options) { o.TokenTypes = []string{"JWT"} }, "Options.TokenTypes: "},
		{"ID tokens", func(o *popauth.Options) { o.AllowIDTokens = true }, "Options.AllowIDTokens: true"},
		{"no Revoked", func(o *popauth.Options) { o.Revoked = nil }, "Revoked is nil"},
		{"a leeway of 9 s", func(o *popauth.Options) { o.Leeway = 9 * time.Second }, "Options.Leeway: 9s"},
		{"a leeway of 61 s", func(o *popauth.Options) { o.Leeway = 61 * time.Second }, "Options.Leeway: 1m1s"},
		{"keys by http", func(o *popauth.Options) {
			o.Keys, _ = popauth.NewRemoteKeys(popauth.RemoteKeysOptions{URL: "http://localhost/jwks", AllowLoopbackHTTP: true})
		}, "Options.Keys: AllowLoopbackHTTP"},
		{"another Confirmer", func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{lab.MemberName("other")} },
			"has no method FAPI2"},
		{"proofs by all algorithms", proofs(dpop.Options{}), "dpop: Options.Algorithms: ES384 RS256 not"},
		{"proofs by another algorithm", proofs(dpop.Options{Algorithms: []string{"ES512"}}.FAPI2()), "dpop: Options.Algorithms: ES512 not"},
		{"proofs with a leeway of 61 s", proofs(dpop.Options{Leeway: 61 * time.Second}.FAPI2()), "Options.Leeway: 1m1s"},
		{"proofs by the time of nonces", proofs(dpop.Options{Nonces: nonces, NonceTime: true}.FAPI2()), "NonceTime: true"},
		{"another Verifier", verifier(lab.VerifierFunc(nil)), "has no method FAPI2"},
		{"another Verifier of known issuers", verifier(lab.IssuingVerifier{Verifier: lab.VerifierFunc(nil), All: []string{"https://x"}}),
			"has no method FAPI2"},
		{"a Verifier by all algorithms", jwts(popauth.JWTOptions{TokenTypes: []string{"at+jwt"}}), "Options.Algorithms: RS256 RS384"},
		{"a Verifier without expiration", jwts(popauth.JWTOptions{AllowMissingExpiration: true}.FAPI2()), "AllowMissingExpiration: true"},
		{"introspection by a secret", verifier(a.Introspection()), "neither TLSClientAuth nor PrivateKeyJWT"},
		{"introspection by RS256", verifier(asking(func(o *introspection.Options) {
			c := privateKeyJWT(t)
			c.Method = jwt.SigningMethodRS256
			o.Authentication = c
		})), "signs by RS256"},
		{"introspection for another audience", verifier(asking(func(o *introspection.Options) {
			c := privateKeyJWT(t)
			c.Audience = "https://id.example.com/introspect"
			o.Authentication = c
		})), "Audience is"},
		{"introspection with a leeway of 61 s", verifier(asking(func(o *introspection.Options) { o.Leeway = 61 * time.Second })),
			"Options.Leeway: 1m1s"},
		{"introspection by http", verifier(asking(func(o *introspection.Options) { o.AllowLoopbackHTTP = true })),
			"AllowLoopbackHTTP: true"},
		{"answers by all algorithms", verifier(asking(a.SignedAnswers)), "Options.Algorithms: RS256 "},
		{"JWTs by all algorithms beside opaque tokens", func(o *popauth.Options) {
			jwts(popauth.JWTOptions{TokenTypes: []string{"at+jwt"}})(o)
			o.Verifier = popauth.JWTOr(o.Verifier, good)
		}, "Options.Algorithms: RS256 "},
		{"opaque tokens by a secret beside JWTs", func(o *popauth.Options) {
			jwts(popauth.JWTOptions{}.FAPI2())(o)
			o.Verifier = popauth.JWTOr(o.Verifier, a.Introspection())
		}, "neither TLSClientAuth nor PrivateKeyJWT"},
		{"JWTs without Revoked beside opaque tokens", func(o *popauth.Options) {
			jwts(popauth.JWTOptions{}.FAPI2())(o)
			o.Verifier, o.Revoked = popauth.JWTOr(o.Verifier, good), nil
		}, "Revoked is nil"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := a.Issuer.Options()
			o.Confirmers, o.Revoked = a.confirmers(dpop.Options{BaseURL: "https://api.example.com"}.FAPI2()), a.revoked
			row.change(&o)
			if _, err := popauth.New(o); err != nil {
				t.Errorf("without FAPI2: got %v", err)
			}
			g, err := popauth.New(o.FAPI2())
			switch {
			case row.want == "" && err != nil:
				t.Errorf("got %v, want none", err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %v, want one with %q", err, row.want)
			case err != nil && g != nil:
				t.Error("a Guard beside an error")
			}
		})
	}
}

// verifier puts v in the place of the issuer's settings.
func verifier(v popauth.Verifier) func(*popauth.Options) {
	return func(o *popauth.Options) {
		o.Verifier = v
		o.Issuer, o.Audience, o.Keys = "", nil, nil
	}
}

// FAPI2 changes nothing of the options that it is called on.
func TestFAPI2LeavesItsOptionsAlone(t *testing.T) {
	o := popauthtest.NewIssuer(t).Options()
	if f := o.FAPI2(); f.Algorithms == nil || f.TokenTypes == nil || o.Algorithms != nil || o.TokenTypes != nil {
		t.Errorf("got %q %q and %q %q", f.Algorithms, f.TokenTypes, o.Algorithms, o.TokenTypes)
	}
	if _, err := popauth.New(o); err != nil { // without Revoked
		t.Error(err)
	}
	for range 2 {
		one, two := o.FAPI2(), o.FAPI2()
		one.Algorithms[0] = "RS256"
		if two.Algorithms[0] == "RS256" {
			t.Error("two share their algorithms")
		}
	}
}

// What New and introspection.New have not made keeps to nothing.
func TestFAPI2OfWhatIsNotMade(t *testing.T) {
	for _, v := range []interface{ FAPI2() error }{
		(*dpop.Confirmer)(nil), &dpop.Confirmer{}, (*introspection.Verifier)(nil), &introspection.Verifier{},
	} {
		if v.FAPI2() == nil {
			t.Errorf("%T: got nil", v)
		}
	}
}
