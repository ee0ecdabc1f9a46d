package introspection

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/jose"
)

// ClientAuthentication is how this API authenticates to an authorization server: ClientSecretBasic, ClientSecretPost,
// PrivateKeyJWT, TLSClientAuth or NoAuthentication.
type ClientAuthentication interface {
	// completed returns a copy with the defaults filled in, or what is wrong.
	completed(audience string, now func() time.Time) (ClientAuthentication, error)
	clientID() string
	// authenticate adds to the header or the form of a request.
	authenticate(r *http.Request, form url.Values) error
}

var (
	_ ClientAuthentication = ClientSecretBasic{}
	_ ClientAuthentication = ClientSecretPost{}
	_ ClientAuthentication = PrivateKeyJWT{}
	_ ClientAuthentication = TLSClientAuth{}
)

// byValue returns what a pointer points to, which implements the interface as well; nil if that is nothing.
func byValue(a ClientAuthentication) ClientAuthentication {
	v := reflect.ValueOf(a)
	if v.Kind() != reflect.Pointer {
		return a
	}
	if v.IsNil() {
		return nil
	}
	if value, ok := v.Elem().Interface().(ClientAuthentication); ok {
		return value
	}
	return a
}

// withheldAuthentication holds a secret where fmt doesn't print it.
type withheldAuthentication struct {
	id   string
	with func(r *http.Request, form url.Values) error
}

func withholding(c ClientAuthentication) ClientAuthentication {
	return withheldAuthentication{c.clientID(), c.authenticate}
}

func (c withheldAuthentication) clientID() string { return c.id }

func (c withheldAuthentication) completed(string, func() time.Time) (ClientAuthentication, error) {
	return c, nil
}

func (c withheldAuthentication) authenticate(r *http.Request, form url.Values) error {
	return c.with(r, form)
}

// ClientSecretBasic sends a secret in the Authorization header (client_secret_basic: RFC 6749, section 2.3.1). It prints
// itself without the secret, except in an unexported field of another struct: keep it out of those.
type ClientSecretBasic struct{ ID, Secret string }

func (c ClientSecretBasic) clientID() string { return c.ID }

func (c ClientSecretBasic) completed(string, func() time.Time) (ClientAuthentication, error) {
	return withholding(c), needed(c.ID, c.Secret)
}

func (c ClientSecretBasic) authenticate(r *http.Request, _ url.Values) error {
	r.Header.Set("Authorization", field.Basic(c.ID, c.Secret))
	return nil
}

// ClientSecretPost sends a secret in the form, for servers that know nothing better (client_secret_post: RFC 6749,
// section 2.3.1). It prints itself without the secret, except in an unexported field of another struct: keep it out of those.
type ClientSecretPost struct{ ID, Secret string }

func (c ClientSecretPost) clientID() string { return c.ID }

func (c ClientSecretPost) completed(string, func() time.Time) (ClientAuthentication, error) {
	return withholding(c), needed(c.ID, c.Secret)
}

func (c ClientSecretPost) authenticate(_ *http.Request, form url.Values) error {
	form.Set("client_id", c.ID)
	form.Set("client_secret", c.Secret)
	return nil
}

// TLSClientAuth names this API, which the certificate of its TLS connection authenticates (tls_client_auth and
// self_signed_tls_client_auth: RFC 8705, section 2). The http.Client beside it must present that certificate. Where
// the server's metadata has mtls_endpoint_aliases, the endpoint is the one in there.
type TLSClientAuth struct{ ID string }

func (c TLSClientAuth) clientID() string { return c.ID }

func (c TLSClientAuth) completed(string, func() time.Time) (ClientAuthentication, error) {
	return c, needed(c.ID)
}

func (c TLSClientAuth) authenticate(_ *http.Request, form url.Values) error {
	form.Set("client_id", c.ID)
	return nil
}

// PrivateKeyJWT sends a JWT that is signed with a key of this API's own (private_key_jwt: RFC 7523, section 2.2), a new
// one for each request. It prints itself without the key, except in an unexported field of another struct: keep it out of those.
type PrivateKeyJWT struct {
	ID string

	// Method signs, with Key: one of golang-jwt for an asymmetric algorithm, or one of your own under such a name,
	// whose key is in a KMS. With one of golang-jwt, Key has to be a private key in memory, which New signs with once.
	Method jwt.SigningMethod
	Key    any

	// KeyID is the kid of the header. If empty, there is none.
	KeyID string

	// Audience is the JWT's aud. If empty, the issuer.
	Audience string

	now func() time.Time
}

// assertionLifetime leaves time for one request, and for clocks that differ.
const assertionLifetime = time.Minute

func (c PrivateKeyJWT) clientID() string { return c.ID }

func (c PrivateKeyJWT) completed(audience string, now func() time.Time) (ClientAuthentication, error) {
	if c.Audience == "" {
		c.Audience = audience
	}
	c.now = now
	wrong := []error{needed(c.ID)}
	if c.Method == nil || c.Key == nil {
		return c, errors.Join(append(wrong, errors.New("without Method or Key"))...)
	}
	for name, text := range map[string]string{"ID": c.ID, "KeyID": c.KeyID, "Audience": c.Audience} {
		if !utf8.ValidString(text) {
			wrong = append(wrong, fmt.Errorf("%s is not UTF-8, which a JWT has to be", name))
		}
	}
	if a, ok := jose.Find(c.Method.Alg()); !ok {
		wrong = append(wrong, fmt.Errorf("%q is no asymmetric signature algorithm that is known here", c.Method.Alg()))
	} else {
		wrong = append(wrong, c.checkKey(a))
	}
	return withholding(c), errors.Join(wrong...)
}

// checkKey signs once, and verifies that: a key that wasn't loaded, or is a public one, would else fail at each request. A
// Method of the caller's own is not asked, since its KMS need not be there yet.
func (c PrivateKeyJWT) checkKey(a jose.Algorithm) (err error) {
	defer func() {
		if p := recover(); p != nil { // a nil pointer does
			err = fmt.Errorf("the key, of type %T, is nil or broken: signing with it panicked: %v", c.Key, p)
		}
	}()
	signer, isSigner := c.Key.(crypto.Signer)
	if isSigner && !a.Fits(signer.Public()) {
		return errors.New("the key does not fit the algorithm")
	}
	switch c.Method.(type) {
	case *jwt.SigningMethodRSA, *jwt.SigningMethodRSAPSS, *jwt.SigningMethodECDSA, *jwt.SigningMethodEd25519:
	default:
		return nil
	}
	if !isSigner {
		return fmt.Errorf("the key, of type %T, is no private key: golang-jwt signs with a pointer to one, or an ed25519.PrivateKey", c.Key)
	}
	const text = "popauth"
	signature, err := c.Method.Sign(text, c.Key)
	if err == nil {
		err = c.Method.Verify(text, signature, signer.Public())
	}
	if err != nil {
		return fmt.Errorf("the key, of type %T, does not sign: %w", c.Key, err)
	}
	return nil
}

func (c PrivateKeyJWT) authenticate(r *http.Request, form url.Values) error {
	now := c.now()
	header := map[string]any{"typ": "JWT", "alg": c.Method.Alg()}
	if c.KeyID != "" {
		header["kid"] = c.KeyID
	}
	input := segment(header) + "." + segment(map[string]any{ // RFC 7523, section 3
		"iss": c.ID, "sub": c.ID, "aud": c.Audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLifetime).Unix(),
	})
	signature, err := c.Method.Sign(input, c.Key)
	if err != nil {
		return fmt.Errorf("client assertion: %w", err)
	}
	form.Set("client_id", c.ID)
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", input+"."+base64.RawURLEncoding.EncodeToString(signature))
	return r.Context().Err() // a signature of a KMS may have taken its time
}

// segment encodes strings and numbers, which can't fail.
func segment(members map[string]any) string {
	b, _ := json.Marshal(members)
	return base64.RawURLEncoding.EncodeToString(b)
}

func needed(values ...string) error {
	for _, v := range values {
		if v == "" {
			return errors.New("without ID or Secret")
		}
	}
	return nil
}
