//go:build unix

package interop_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// serveJWK serves a JWK Set with the client's certificate, as self_signed_tls_client_auth registers it (RFC 8705, section 2.2.2).
func serveJWK(tb testing.TB, client *popauthtest.Client) string {
	tb.Helper()
	point, err := client.Certificate.PrivateKey.(*ecdsa.PrivateKey).PublicKey.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(object{"keys": []object{{
		"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:]),
		"x5c": []string{base64.StdEncoding.EncodeToString(client.Certificate.Certificate[0])}, "x5t#S256": client.Thumbprint(),
	}}})
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(set)
	}))
	tb.Cleanup(server.Close)
	return server.URL
}

func (s *spring) guarded() *api {
	o := springOptions()
	o.Issuer, o.Audience, o.Keys = s.issuer, []string{structured}, s.keys()
	return s.api(o)
}

// asking is an API that asks Spring about tokens.
func (s *spring) asking() *api {
	s.Helper()
	v, err := introspection.New(introspection.Options{
		Issuer: s.issuer, Audience: []string{structured}, Client: &http.Client{Transport: s.transport(nil)},
		Authentication: introspection.ClientSecretBasic{ID: "api-by-secret", Secret: clientSecret},
	})
	if err != nil {
		s.Fatal(err)
	}
	return s.api(popauth.Options{Verifier: v})
}

// opaque is an opaque token, which is bound if the transport proves a key.
func (s *spring) opaque(transport http.RoundTripper) string {
	s.Helper()
	token, err := s.token(transport, clientcredentials.Config{
		ClientID: "opaque-by-secret", ClientSecret: clientSecret, TokenURL: s.metadata.TokenEndpoint, AuthStyle: oauth2.AuthStyleInHeader,
	}, structured)
	if err != nil {
		s.Fatal(err)
	}
	if strings.Contains(token.AccessToken, ".") {
		s.Errorf("got %s, want an opaque token", token.AccessToken)
	}
	return token.AccessToken
}

// Spring's tokens, with their owner and with thieves.
func testSpringTable(t *testing.T, s *spring) {
	sc := newScene(s.authorizationServer)
	a, asking := s.guarded(), s.asking()
	ofCertificate, ofKey, unbound := sc.tokens(structured)
	askedOfCertificate, err := s.bound(s.byDN, "opaque-by-dn", structured)
	if err != nil {
		t.Fatal(err)
	}
	askedOfKey := s.opaque(&popclient.Proofs{Key: sc.key, Base: s.transport(nil)})
	askedUnbound := s.opaque(s.transport(nil))
	selfSigned, err := s.bound(s.selfSigned, "self-signed", structured)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + sc.hold(t, []kind{
		{"JWT", "x5t#S256", "x5t#S256", ofCertificate, a, confirmed, ""},
		{"JWT", "jkt", "jkt", ofKey, a, confirmed, ""},
		{"JWT", "unbound", "", unbound, a, confirmed, ""},
		{"JWT", "bearer", "", unbound, a, authenticated, ""},
		{"opaque", "x5t#S256", "x5t#S256", askedOfCertificate.AccessToken, asking, confirmed, ""},
		{"opaque", "jkt", "jkt", askedOfKey, asking, confirmed, ""},
		{"opaque", "unbound", "", askedUnbound, asking, confirmed, ""},
		{"opaque", "bearer", "", askedUnbound, asking, authenticated, ""},
		{"JWT", "asked", "x5t#S256", ofCertificate, asking, confirmed, ""},
	}))
	a.want(t, s.selfSigned, selfSigned.AccessToken, "self-signed, its owner", "")
	a.want(t, s.byDN, selfSigned.AccessToken, "self-signed, another", popauth.ErrCertificateMismatch)
	a.want(t, popauthtest.SelfSigned(t, "self-signed"), selfSigned.AccessToken, "self-signed, a namesake", popauth.ErrCertificateMismatch)
}

// popclient gets tokens from Spring's server and sends them to Spring's API.
func testSpringPopclient(t *testing.T, s *spring) {
	// Java has its own list of authorities, so the keys come by plain HTTP.
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		resp, err := (&http.Client{Transport: s.transport(nil)}).Get(s.issuer + "/oauth2/jwks")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(keys.Close)
	address, ready := startSpringAPI(t, s.authorizationServer, s.issuer, keys.URL, "--test.audience="+structured)
	ready()
	a := s.guarded()

	key, other := proofKey(t, newKey(t)), proofKey(t, newKey(t))
	ofKey, err := s.boundTo(key, structured)
	if err != nil {
		t.Fatal(err)
	}
	bound, err := s.bound(s.byDN, "by-dn", structured)
	if err != nil {
		t.Fatal(err)
	}
	dpop := func(key *popclient.Key) *http.Client {
		return &http.Client{Transport: &popclient.DPoP{Key: key, Source: oauth2.StaticTokenSource(ofKey), Base: s.transport(nil)}}
	}
	bearer := func(client *popauthtest.Client) *http.Client {
		return &http.Client{Transport: &oauth2.Transport{Source: oauth2.StaticTokenSource(bound), Base: s.transport(client)}}
	}
	mutual := func(id string, client *popauthtest.Client, key *popclient.Key) *http.Client {
		return s.client(popclient.MutualTLSOptions{ClientID: id, Certificate: popclient.StaticCertificate(client.Certificate), Key: key})
	}
	for _, test := range []struct {
		name   string
		client *http.Client
		want   int
	}{
		{"by its certificate", mutual("by-dn", s.byDN, nil), http.StatusOK},
		{"by its certificate and a key", mutual("by-dn", s.byDN, key), http.StatusOK},
		{"by a self-signed certificate", mutual("self-signed", s.selfSigned, nil), http.StatusOK},
		{"by its key", dpop(key), http.StatusOK},
		{"a thief of the key's token", dpop(other), http.StatusUnauthorized},
		{"a thief of the certificate's token", bearer(s.bySAN), http.StatusUnauthorized},
		{"a thief of the certificate's token, without one", bearer(nil), http.StatusUnauthorized},
	} {
		for _, target := range []string{"https://" + address + "/orders?a=1", a.URL + confirmed} {
			resp, err := test.client.Get(target)
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != test.want {
				t.Errorf("%s, %s: got %d, want %d", test.name, target, resp.StatusCode, test.want)
			}
		}
	}
}

// A client in Java gets its tokens from Spring's server and calls an API of popauth's, by HTTP/1.1 and by HTTP/2.
func testSpringJava(t *testing.T, s *spring) {
	a := s.guarded()
	key, err := x509.MarshalPKCS8PrivateKey(s.byDN.Certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.StdEncoding.EncodeToString
	args := []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", filepath.Join(s.libraries, "*"),
		filepath.Join("testdata", "spring", "JavaClient.java"), s.metadata.TokenEndpoint, a.URL + confirmed, clientSecret,
		encode(s.ca.Certificate.Raw), encode(key)}
	for _, der := range s.byDN.Certificate.Certificate {
		args = append(args, encode(der))
	}
	cmd := exec.CommandContext(t.Context(), javaProgram(), args...)
	cmd.Env, cmd.WaitDelay = counterpart.Environment(t.TempDir()), 10*time.Second
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &failure)
	}
	var want strings.Builder
	for _, version := range []string{"HTTP_1_1", "HTTP_2"} {
		for _, line := range []string{
			"certificate\t200", "certificate, none\t401", "key\t200", "key, proof used\t401", "key, as Bearer\t401", "key, no proof\t401",
			"key, another\t401",
		} {
			want.WriteString(version + "\t" + line + "\n")
		}
	}
	if got := strings.ReplaceAll(string(out), "\r", ""); got != want.String() {
		t.Errorf("got\n%swant\n%s", got, &want)
	}
	if got, want := a.spy.Ran(), 4; got != want {
		t.Errorf("the handler ran %d times, want %d", got, want)
	}
}
