package popclient_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/popclient"
)

func metadataOf(s *realm, list string) {
	if list != "" {
		list = `,"dpop_signing_alg_values_supported":` + list
	}
	document := fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q,"token_endpoint":%q%s}`,
		s.issuer.URL, s.issuer.JWKSURL(), s.issuer.URL+"/mtls/token", list)
	s.issuer.Handle("/.well-known/openid-configuration", text(document))
	s.issuer.Handle("/.well-known/oauth-authorization-server", text(document))
}

// A key is for an algorithm that the server has said it takes.
func TestGenerateKeyFor(t *testing.T) {
	s := newRealm(t)
	for _, test := range []struct{ list, alg, want string }{
		{list: `["RS256","PS256","ES256","ES512"]`, alg: "ES256"},
		{list: `["RS512","PS512","EdDSA"]`, alg: "EdDSA"},
		{list: `["EdDSA","Ed25519"]`, alg: "Ed25519"},
		{list: `["RS256","PS256"]`, alg: "PS256"},
		{list: `["ES512","none","HS256"]`, want: `["ES512" "none" "HS256"]`},
		{list: `[]`, want: "none of dpop_signing_alg_values_supported"},
		{list: `"ES256"`, want: "wrong JSON type"},
		{list: `null`, want: "may not know DPoP"},
		{list: ``, want: "may not know DPoP"},
	} {
		metadataOf(s, test.list)
		key, err := popclient.GenerateKeyFor(t.Context(), s.issuer.Client(), s.issuer.URL)
		if test.want != "" {
			if key != nil || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, %v, want %q", test.list, key, err, test.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.list, err)
			continue
		}
		proof, err := key.Proof("POST", s.issuer.URL, "", "")
		if header, _, _ := strings.Cut(proof, "."); err != nil || !strings.Contains(decode(header), `"alg":"`+test.alg+`"`) {
			t.Errorf("%s: got %s, %v, want %s", test.list, decode(header), err, test.alg)
		}
	}
	if _, err := popclient.GenerateKeyFor(t.Context(), s.issuer.Client(), s.issuer.URL+"/other"); err == nil {
		t.Error("got a key for an issuer without metadata")
	}
}

// A key that the server takes no proofs of is said before a token is asked for.
func TestAlgorithmOfTheKey(t *testing.T) {
	for _, test := range []struct{ list, alg, want string }{
		{`["ES256"]`, "ES256", ""},
		{``, "EdDSA", ""}, // only the server knows
		{`["ES256","RS256"]`, "EdDSA", `Key is for EdDSA, and the server's dpop_signing_alg_values_supported are ["ES256" "RS256"]`},
		{`[]`, "ES256", "Key is for ES256"},
		{`"ES256"`, "ES256", "wrong JSON type"},
	} {
		s := newRealm(t)
		metadataOf(s, test.list)
		key, err := popclient.GenerateKey(test.alg)
		if err != nil {
			t.Fatal(err)
		}
		fails(t, s, s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.Key = key }), test.want)
		if tokens := len(s.tokens); test.want != "" && tokens > 0 {
			t.Errorf("%s: got %d tokens", test.list, tokens)
		}
		fails(t, s, s.client(t, s.ca.Client("job")), "") // without Key the list says nothing
	}
}
