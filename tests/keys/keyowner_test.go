package keys_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// setOf is a JWK Set of the issuers' keys, with a member issuer in each; nil for none.
func setOf(t *testing.T, keys ...ownedKeys) []byte {
	t.Helper()
	var all []map[string]any
	for _, k := range keys {
		var set struct {
			Keys []map[string]any `json:"keys"`
		}
		if err := json.Unmarshal(k.of.JWKS(), &set); err != nil {
			t.Fatal(err)
		}
		for _, jwk := range set.Keys {
			if k.says != popauthtest.Omit {
				jwk["issuer"] = k.says
			}
			if k.kid != "" {
				jwk["kid"] = k.kid
			}
			all = append(all, jwk)
		}
	}
	set, err := json.Marshal(map[string]any{"keys": all})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

type ownedKeys struct {
	of   *popauthtest.Issuer
	says any
	kid  string
}

// A key that says whose it is counts for that issuer's tokens alone.
func TestAKeyOfAnotherIssuer(t *testing.T) {
	const tenant, other = "https://login.example.com/9188040d/v2.0", "https://login.example.com/72f988bf/v2.0"
	const template = "https://login.example.com/{tenantid}/v2.0"
	issuer := popauthtest.NewIssuer(t, "ES256")
	for _, tt := range []struct {
		name      string
		says      any
		iss       string
		unnamed   bool // the token names no key
		keyIssuer string
		good      bool
	}{
		{name: "no issuer", says: popauthtest.Omit, iss: tenant, good: true},
		{name: "null", says: nil, iss: tenant, good: true},
		{name: "its own", says: tenant, iss: tenant, good: true},
		{name: "its own, no kid", says: tenant, iss: tenant, unnamed: true, good: true},
		{name: "any tenant's", says: template, iss: tenant, good: true},
		{name: "any tenant's, no kid", says: template, iss: tenant, unnamed: true, good: true},
		{name: "another's", says: other, iss: tenant},
		{name: "another's, no kid", says: other, iss: tenant, unnamed: true},
		{name: "another case", says: "HTTPS://login.example.com/9188040d/v2.0", iss: tenant},
		{name: "another host's tenants", says: "https://evil.example/{tenantid}/v2.0", iss: tenant},
		{name: "another version's", says: "https://login.example.com/{tenantid}/v1.0", iss: tenant},
		{name: "two segments for one", says: template, iss: "https://login.example.com/a/b/v2.0"},
		{name: "no tenant", says: template, iss: "https://login.example.com//v2.0"},
		{name: "overlapping", says: "https://login.example.com/a{tenantid}a", iss: "https://login.example.com/a"},
		{name: "the template's own text", says: "{tenantid}", iss: tenant},
		{name: "a prefix without placeholder", says: "https://login.example.com/9188040d", iss: tenant},
		{name: "a shorter end", says: "https://login.example.com/{tenantid}/v2", iss: tenant},
		{name: "twice the same", says: "https://{tenantid}.login.example.com/{tenantid}/v2.0",
			iss: "https://a1.login.example.com/a1/v2.0", good: true},
		{name: "twice another", says: "https://{tenantid}.login.example.com/{tenantid}/v2.0", iss: "https://a1.login.example.com/a2/v2.0"},
		{name: "named by the option", says: other, iss: tenant, keyIssuer: other, good: true},
		{name: "named by the option, any tenant's", says: template, iss: "https://sts.example.com/72f988bf/", keyIssuer: other, good: true},
		{name: "not the one that the option names", says: tenant, iss: tenant, keyIssuer: other},
		{name: "empty", says: "", iss: tenant},
		{name: "a number", says: 1, iss: tenant},
		{name: "an array", says: []string{tenant}, iss: tenant},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spare := popauthtest.NewIssuer(t, "EdDSA") // so that the set is never without a key
			set := setOf(t, ownedKeys{of: issuer, says: tt.says}, ownedKeys{of: spare, says: popauthtest.Omit})
			static, err := popauth.StaticKeys(set)
			if err != nil {
				t.Fatal(err)
			}
			served := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) }))
			remote, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{URL: served.URL, Client: served.Client()})
			if err != nil {
				t.Fatal(err)
			}
			for name, keys := range map[string]popauth.KeySource{"StaticKeys": static, "RemoteKeys": remote} {
				g, err := popauth.New(popauth.Options{Issuer: tt.iss, Audience: []string{popauthtest.Audience}, Keys: keys,
					KeyIssuer: tt.keyIssuer})
				if err != nil {
					t.Fatal(err)
				}
				header := lab.Claims{}
				if tt.unnamed {
					header["kid"] = popauthtest.Omit
				}
				token := issuer.TokenWith(header, lab.Claims{"iss": tt.iss})
				for range 2 { // at first sight, and again
					o := lab.Send(g.Authenticate, (*popauthtest.Client)(nil).Request("GET", "/", token))
					if o.Ran != tt.good || (o.Status == 200) != tt.good {
						t.Errorf("%s: got %d, ran %t, want good %t", name, o.Status, o.Ran, tt.good)
					}
				}
			}
		})
	}
}

// Two issuers share a set, and a kid.
func TestOneKeyIDOfTwoIssuers(t *testing.T) {
	one, two := popauthtest.NewIssuer(t, "ES256"), popauthtest.NewIssuer(t, "ES256")
	keys, err := popauth.StaticKeys(setOf(t, ownedKeys{of: one, says: one.URL, kid: "k"}, ownedKeys{of: two, says: two.URL, kid: "k"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, iss := range []*popauthtest.Issuer{one, two} {
		g, err := popauth.New(popauth.Options{Issuer: iss.URL, Audience: []string{popauthtest.Audience}, Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		for _, signer := range []*popauthtest.Issuer{one, two} {
			o := lab.Send(g.Authenticate, (*popauthtest.Client)(nil).Request("GET", "/",
				signer.TokenWith(lab.Claims{"kid": "k"}, lab.Claims{"iss": iss.URL})))
			if want := signer == iss; o.Ran != want {
				t.Errorf("signed by %s for %s: ran %t, want %t", signer.URL, iss.URL, o.Ran, want)
			}
		}
	}
	// Whoever uses keys without popauth's own verification says whose token it is, too.
	choose := keys.KeyfuncCtx(context.Background())
	header := map[string]any{"kid": "k", "alg": "ES256"}
	if _, err := choose(&jwt.Token{Header: header, Claims: jwt.RegisteredClaims{Issuer: one.URL}}); err != nil {
		t.Error(err)
	}
	if key, err := choose(&jwt.Token{Header: header}); !errors.Is(err, popauth.ErrTokenKey) {
		t.Errorf("no issuer: got %v, %v, want ErrTokenKey", key, err)
	}
}
