package popclient

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-171ab058/popauth/internal/field"
)

// ClientAuthentication is how a client authenticates at a token endpoint, where its certificate doesn't do that:
// [ClientSecretBasic], [ClientSecretPost] or [PrivateKeyJWT]. What its tokens are bound to is another matter.
type ClientAuthentication interface {
	// complete returns what authenticates requests of the client, or all that is wrong. Audience is the default of an
	// assertion's aud.
	complete(clientID, audience string) (authenticator, error)
}

// authenticator adds to the header or the form of one request. It is a function, so that fmt prints no secret of it.
type authenticator func(ctx context.Context, header http.Header, form url.Values) error

var (
	_ ClientAuthentication = ClientSecretBasic{}
	_ ClientAuthentication = ClientSecretPost{}
	_ ClientAuthentication = PrivateKeyJWT{}
)

// completed is complete, unless there is a nil pointer in the interface, which would panic.
func completed(a ClientAuthentication, clientID, audience string) (authenticator, error) {
	if v := reflect.ValueOf(a); v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, fmt.Errorf("a nil %T", a)
	}
	return a.complete(clientID, audience)
}

// ClientSecretBasic sends a secret in the Authorization header (client_secret_basic: RFC 6749, section 2.3.1). It prints
// itself without the secret, except in an unexported field of another struct: keep it out of those.
type ClientSecretBasic struct{ Secret string }

func (c ClientSecretBasic) complete(clientID, _ string) (authenticator, error) {
	return func(_ context.Context, header http.Header, form url.Values) error {
		form.Del("client_id") // the header has it
		header.Set("Authorization", field.Basic(clientID, c.Secret))
		return nil
	}, needSecret(c.Secret)
}

// ClientSecretPost sends a secret in the form, for servers that know nothing better (client_secret_post: RFC 6749,
// section 2.3.1). It prints itself without the secret, except in an unexported field of another struct: keep it out of those.
type ClientSecretPost struct{ Secret string }

func (c ClientSecretPost) complete(_, _ string) (authenticator, error) {
	return func(_ context.Context, _ http.Header, form url.Values) error {
		form.Set("client_secret", c.Secret)
		return nil
	}, needSecret(c.Secret)
}

func needSecret(secret string) error {
	if secret == "" {
		return errors.New("without Secret")
	}
	return nil
}

// PrivateKeyJWT sends a JWT that is signed with a key of the client's (private_key_jwt: RFC 7523, section 2.2), a new one
// for each request, and for each repetition of one: servers take an assertion only once.
type PrivateKeyJWT struct {
	_ [0]func()

	// Key is the one that the client is registered with. It is required. One that tokens are bound to is better another.
	Key *Key

	// KeyID is the kid of the header. If empty, there is none: then the server has to know the client by one key alone.
	KeyID string

	// Audience is the JWT's aud. If empty, the Issuer of MutualTLSOptions; where there is none, it is required.
	// Give one server's name alone, or another server that it is sent to may use it there.
	Audience string
}

// assertionLifetime leaves time for one request, and for clocks that differ.
const assertionLifetime = time.Minute

func (c PrivateKeyJWT) complete(clientID, audience string) (authenticator, error) {
	if c.Audience != "" {
		audience = c.Audience
	}
	var wrong []error
	if c.Key == nil || c.Key.signer == nil {
		wrong = append(wrong, errKey)
	}
	if audience == "" {
		wrong = append(wrong, errors.New("without Audience: it is the issuer's identifier, or what the server's documentation says"))
	}
	for name, text := range map[string]string{"ClientID": clientID, "KeyID": c.KeyID, "Audience": audience} {
		if !utf8.ValidString(text) {
			wrong = append(wrong, fmt.Errorf("%s is not UTF-8, which a JWT has to be", name))
		}
	}
	return func(ctx context.Context, _ http.Header, form url.Values) error {
		assertion, err := c.assertion(ctx, clientID, audience)
		if err != nil {
			return fmt.Errorf("popclient: client assertion: %w", err)
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
		return nil
	}, errors.Join(wrong...)
}

// assertion is a JWT of RFC 7523, section 3. Its typ and its claims are no proof's, nor the other way round.
func (c PrivateKeyJWT) assertion(ctx context.Context, clientID, audience string) (string, error) {
	header := map[string]string{"typ": "JWT", "alg": c.Key.alg.name}
	if c.KeyID != "" {
		header["kid"] = c.KeyID
	}
	now := c.Key.now()
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	p, err := json.Marshal(map[string]any{
		"iss": clientID, "sub": clientID, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLifetime).Unix(),
	})
	if err != nil {
		return "", err
	}
	input := encode(h) + "." + encode(p)
	sign := func() (string, error) {
		signature, err := c.Key.sign([]byte(input))
		return input + "." + encode(signature), err
	}
	if c.Key.places == nil {
		return sign()
	}
	return signWithin(ctx, c.Key.places, sign)
}

// credentialParams are the parameters of a form that authenticate a client, or would.
var credentialParams = []string{"client_secret", "client_assertion", "client_assertion_type"}

// replace takes a request's own authentication out, and adds this one. RFC 6749, section 2.3: no more than one.
func (a authenticator) replace(ctx context.Context, clientID string, header http.Header, form url.Values) error {
	for _, id := range form["client_id"] {
		if id != clientID {
			return fmt.Errorf("popclient: the request is of the client %.64q, and ClientID is %.64q", id, clientID)
		}
	}
	for name := range header {
		if strings.EqualFold(name, "Authorization") {
			delete(header, name)
		}
	}
	for _, name := range credentialParams {
		form.Del(name)
	}
	form.Set("client_id", clientID)
	return a(ctx, header, form)
}
