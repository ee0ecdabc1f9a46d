package popclient_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

const (
	secret        = "s3cret: %+é"
	encodedSecret = "s3cret%3A%20%25%2B%C3%A9" // %20 for the space: a plus sign is left as it is by some servers
)

// signer is a client's key for assertions, and what it is registered with.
func signer(t testing.TB) (*popclient.Key, *ecdsa.PublicKey) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := popclient.NewKey(private, "ES256")
	if err != nil {
		t.Fatal(err)
	}
	return key, &private.PublicKey
}

// office is a token endpoint whose clients authenticate by something else than their certificate, and whose tokens are bound
// to the key of a proof, or else to the certificate.
type office struct {
	*realm
	public *ecdsa.PublicKey

	mu    sync.Mutex
	asked []*http.Request // with their forms
	used  map[string]bool // assertions
	nonce bool            // is asked for, after the client was authenticated
}

func newOffice(t testing.TB) *office {
	s := &office{realm: newRealm(t), used: map[string]bool{}}
	s.issuer.Metadata = popauthtest.Claims{"token_endpoint": s.issuer.URL + "/office/token"}
	s.issuer.Handle("/office/token", http.HandlerFunc(s.serve))
	return s
}

func (s *office) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if err := r.ParseForm(); err != nil {
		panic(err)
	}
	s.asked = append(s.asked, r)
	if err := s.authenticate(r); err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":"invalid_client","error_description":%q}`, err.Error())
		return
	}
	proof, cnf, typ := r.Header.Get("DPoP"), clientauth.Confirmation{}, "Bearer"
	switch {
	case proof != "" && s.nonce && !strings.Contains(decode(strings.Split(proof, ".")[1]), `"nonce"`):
		w.Header().Set("DPoP-Nonce", "n1")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"use_dpop_nonce"}`)
		return
	case proof != "":
		cnf, typ = clientauth.Confirmation{JKT: jkt(proof)}, "DPoP"
	case len(r.TLS.PeerCertificates) > 0:
		cnf = clientauth.ConfirmationX509(r.TLS.PeerCertificates[0])
	}
	token := s.issuer.Token(popauthtest.Claims{"cnf": cnf, "client_id": "job"})
	fmt.Fprintf(w, `{"access_token":%q,"token_type":%q,"expires_in":300,"refresh_token":"r1"}`, token, typ)
}

// authenticate reads what a server reads, by another library than the client's.
func (s *office) authenticate(r *http.Request) error {
	assertion := r.PostForm.Get("client_assertion")
	id, password, basic := r.BasicAuth()
	switch {
	case len(r.Header.Values("Authorization")) > 1 || basic && (assertion != "" || r.PostForm.Has("client_secret")):
		return errors.New("two methods")
	case basic:
		id, _ = url.QueryUnescape(id)
		password, _ = url.QueryUnescape(password)
	case assertion != "":
		if r.PostForm.Has("client_secret") || s.used[assertion] {
			return errors.New("token reuse detected")
		}
		s.used[assertion] = true
		claims := jwt.RegisteredClaims{}
		_, err := jwt.ParseWithClaims(assertion, &claims, func(t *jwt.Token) (any, error) {
			if t.Header["kid"] != "k1" || t.Header["typ"] != "JWT" {
				return nil, errors.New("another header")
			}
			return s.public, nil
		}, jwt.WithAudience(s.issuer.URL), jwt.WithIssuer("job"), jwt.WithSubject("job"), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
			jwt.WithValidMethods([]string{"ES256"}))
		if err != nil || claims.ID == "" || r.PostForm.Get("client_id") != "job" {
			return fmt.Errorf("assertion: %w", err)
		}
		return nil
	default:
		id, password = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if id != "job" || password != secret {
		return errors.New("no such client")
	}
	return nil
}

// Each authentication goes with each binding, and an assertion is made anew for each request, a repeated one too.
func TestClientAuthentication(t *testing.T) {
	assertions, public := signer(t)
	proofs, err := popclient.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	for name, authentication := range map[string]popclient.ClientAuthentication{
		"client_secret_basic": popclient.ClientSecretBasic{Secret: secret},
		"client_secret_post":  popclient.ClientSecretPost{Secret: secret},
		"private_key_jwt":     popclient.PrivateKeyJWT{Key: assertions, KeyID: "k1"},
	} {
		for binding, key := range map[string]*popclient.Key{"x5t#S256": nil, "jkt": proofs} {
			t.Run(name+" "+binding, func(t *testing.T) {
				s := newOffice(t)
				s.public, s.nonce = public, true
				client := s.client(t, s.ca.Client("bound"), func(o *popclient.MutualTLSOptions) {
					o.Authentication, o.Key = authentication, key
				})
				if got := ask(t, client, s.api.URL); got != "200 job " {
					t.Errorf("got %q, want the API's answer", got)
				}
				want := 1
				if key != nil {
					want = 2 // the first has no nonce
				}
				if len(s.asked) != want {
					t.Errorf("got %d token requests, want %d", len(s.asked), want)
				}
				s.check(t, 0, 1)
			})
		}
	}
}

func ask(t testing.TB, client *http.Client, at string) string {
	t.Helper()
	resp, err := client.Get(at)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}

// Another secret, key or audience gets no token, and the error has nothing of the secret.
func TestWrongAuthentication(t *testing.T) {
	assertions, public := signer(t)
	other, _ := signer(t)
	for name, test := range map[string]struct {
		authentication popclient.ClientAuthentication
		want           string
	}{
		"secret":   {popclient.ClientSecretBasic{Secret: "wrong"}, "no such client"},
		"posted":   {popclient.ClientSecretPost{Secret: "wrong"}, "no such client"},
		"key":      {popclient.PrivateKeyJWT{Key: other, KeyID: "k1"}, "signature is invalid"},
		"audience": {popclient.PrivateKeyJWT{Key: assertions, KeyID: "k1", Audience: "https://other.example.com"}, "invalid audience"},
		"none":     {nil, "1 certificate(s) to present, the first with the subject \"CN=bound\""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newOffice(t)
			s.public = public
			client := s.client(t, s.ca.Client("bound"), func(o *popclient.MutualTLSOptions) { o.Authentication = test.authentication })
			got := ask(t, client, s.api.URL)
			if !strings.Contains(got, "invalid_client") || !strings.Contains(got, test.want) || strings.Contains(got, "wrong") {
				t.Errorf("got %q, want %q", got, test.want)
			}
			s.check(t, 0, 0)
		})
	}
}

func TestClientAuthenticationOptions(t *testing.T) {
	s := newRealm(t)
	key, _ := signer(t)
	for name, test := range map[string]struct {
		authentication popclient.ClientAuthentication
		id             string
		want           string
	}{
		"basic without secret":      {popclient.ClientSecretBasic{}, "job", ".Authentication: without Secret"},
		"post without secret":       {popclient.ClientSecretPost{}, "job", ".Authentication: without Secret"},
		"assertion without key":     {popclient.PrivateKeyJWT{}, "job", "no key"},
		"a nil pointer":             {(*popclient.PrivateKeyJWT)(nil), "job", ".Authentication: a nil *popclient.PrivateKeyJWT"},
		"assertion of the zero Key": {popclient.PrivateKeyJWT{Key: &popclient.Key{}}, "job", "no key"},
		"kid in Latin-1":            {popclient.PrivateKeyJWT{Key: key, KeyID: "\xe9"}, "job", "KeyID is not UTF-8"},
		"audience in Latin-1":       {popclient.PrivateKeyJWT{Key: key, Audience: "\xe9"}, "job", "Audience is not UTF-8"},
		"ClientID in Latin-1":       {popclient.PrivateKeyJWT{Key: key}, "\xe9", "ClientID is not UTF-8"},
	} {
		o := s.options(s.ca.Client("job"))
		o.ClientID, o.Authentication = test.id, test.authentication
		if _, err := popclient.NewMutualTLS(o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	o := s.options(s.ca.Client("job"))
	o.Issuer, o.TokenURL, o.Authentication = "", s.issuer.URL+"/token", popclient.PrivateKeyJWT{Key: key}
	if _, err := popclient.NewMutualTLS(o); err == nil || !strings.Contains(err.Error(), "without Audience") {
		t.Errorf("without issuer: got %v, want an error of Audience", err)
	}
}

// A Key prints its algorithm and its thumbprint.
func TestKeyIsNotPrinted(t *testing.T) {
	for _, alg := range []string{"EdDSA", "ES256"} {
		key := newKey(t, alg)
		o := popclient.MutualTLSOptions{Key: key, Authentication: popclient.PrivateKeyJWT{Key: key}}
		want := "popclient.Key{" + alg + ", " + key.Thumbprint() + "}"
		for _, got := range []string{fmt.Sprintf("%v", key), fmt.Sprintf("%+v", key), fmt.Sprintf("%#v", key), fmt.Sprintf("%x", key)} {
			if got != want {
				t.Errorf("VULNERABLE: got %.100q, want %q", got, want)
			}
		}
		if got := fmt.Sprintf("%+v", o); strings.Count(got, want) != 2 {
			t.Errorf("got %q, want %q twice", got, want)
		}
	}
	for _, key := range []*popclient.Key{nil, {}} {
		if got := fmt.Sprint(key); got != "popclient.Key{}" {
			t.Errorf("got %q", got)
		}
	}
}

// Fmt asks no method of an unexported field's value, nor one with a pointer receiver of a copy.
func TestKeyIsNotPrintedFromWithin(t *testing.T) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := popclient.NewKey(private, "EdDSA")
	if err != nil {
		t.Fatal(err)
	}
	s := newRealm(t)
	o := s.options(s.ca.Client("job"))
	o.Key = key
	m, err := popclient.NewMutualTLS(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, holder := range []any{
		m, *key, []popclient.Key{*key}, struct{ key popclient.Key }{*key}, struct{ key *popclient.Key }{key},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			got := fmt.Sprintf(verb, holder)
			for _, secret := range []string{"%v", "%s", "%q", "%x", "%d", "%#v"} {
				shown := strings.Trim(strings.TrimPrefix(fmt.Sprintf(secret, []byte(private)), "[]byte"), "[]{}")
				if strings.Contains(got, shown) {
					t.Errorf("VULNERABLE: %T by %s has the private key: %.200q", holder, verb, got)
					break
				}
			}
		}
	}
}

// Configurations end up in logs.
func TestSecretsAreNotPrinted(t *testing.T) {
	s := newRealm(t)
	for _, authentication := range []popclient.ClientAuthentication{
		popclient.ClientSecretBasic{Secret: "verysecret"}, popclient.ClientSecretPost{Secret: "verysecret"},
	} {
		o := s.options(s.ca.Client("job"))
		o.Authentication = authentication
		m, err := popclient.NewMutualTLS(o)
		if err != nil {
			t.Fatal(err)
		}
		a := &popclient.Authenticated{ClientID: "job", Authentication: authentication}
		logger, logged := newLog()
		logger.Info("x", "a", authentication, "b", slog.AnyValue(a))
		text, err := json.Marshal(authentication)
		if err != nil {
			t.Fatal(err)
		}
		for _, printed := range []string{
			fmt.Sprintf("%v %+v %#v %s %q %x", authentication, authentication, authentication, authentication, authentication,
				authentication),
			fmt.Sprintf("%v %+v %#v", a, a, a), fmt.Sprintf("%v %+v %#v", o.Authentication, o, o.Authentication),
			fmt.Sprintf("%v %+v %#v", m, m, m), logged(), string(text),
		} {
			if strings.Contains(printed, "verysecret") || strings.Contains(printed, fmt.Sprintf("%x", "verysecret")) {
				t.Errorf("VULNERABLE: %T: got %.200q", authentication, printed)
			}
		}
	}
}
