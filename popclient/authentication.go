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
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/seed-171ab058/popauth/internal/field"
)

// ClientAuthentication is how a client authenticates at a token endpoint, where its certificate doesn't do that:
// [ClientSecretBasic], [ClientSecretPost] or [PrivateKeyJWT]. What its tokens are bound to is another matter.
type ClientAuthentication interface {
	// complete returns what authenticates requests of the client, or all that is wrong. Audience is the default of an
	// assertion's aud, asking counts the calls of a secret's Source.
	complete(clientID, audience string, asking *atomic.Int32) (authenticator, error)
}

// authenticator is nothing but functions and a Key, so that fmt prints no secret of it.
type authenticator struct {
	// add adds to the header or the form of one request.
	add func(ctx context.Context, header http.Header, form url.Values, by clock) error

	key *Key // of assertions, which say when they were made; else nil
}

var (
	_ ClientAuthentication = ClientSecretBasic{}
	_ ClientAuthentication = ClientSecretPost{}
	_ ClientAuthentication = PrivateKeyJWT{}
)

// completed is complete, unless there is a nil pointer in the interface, which would panic.
func completed(a ClientAuthentication, clientID, audience string, asking *atomic.Int32) (authenticator, error) {
	if v := reflect.ValueOf(a); v.Kind() == reflect.Pointer && v.IsNil() {
		return authenticator{}, fmt.Errorf("a nil %T", a)
	}
	return a.complete(clientID, audience, asking)
}

// ClientSecretBasic sends a secret in the Authorization header (client_secret_basic: RFC 6749, section 2.3.1). It prints
// itself without the secret, except in an unexported field of another struct: keep it out of those.
type ClientSecretBasic struct {
	Secret string

	// Source, instead of Secret, is asked for it before each request to the server, such as for a file or a vault that changes it
	// while the client runs. What it returns counts for that request; keep what is expensive to ask. A token request waits for it
	// no longer than it may take itself.
	Source func(context.Context) (string, error)
}

func (c ClientSecretBasic) complete(clientID, _ string, asking *atomic.Int32) (authenticator, error) {
	source, err := newSecretSource(c.Secret, c.Source, asking)
	return authenticator{add: func(ctx context.Context, header http.Header, form url.Values, _ clock) error {
		secret, err := source(ctx)
		if err != nil {
			return err
		}
		note(ctx, clientID, secret)
		form.Del("client_id") // the header has it
		header.Set("Authorization", field.Basic(clientID, secret))
		return nil
	}}, err
}

// ClientSecretPost sends a secret in the form, for servers that know nothing better (client_secret_post: RFC 6749,
// section 2.3.1). It prints itself without the secret, except in an unexported field of another struct: keep it out of those.
type ClientSecretPost struct {
	Secret string

	// Source is that of ClientSecretBasic.
	Source func(context.Context) (string, error)
}

func (c ClientSecretPost) complete(clientID, _ string, asking *atomic.Int32) (authenticator, error) {
	source, err := newSecretSource(c.Secret, c.Source, asking)
	return authenticator{add: func(ctx context.Context, _ http.Header, form url.Values, _ clock) error {
		secret, err := source(ctx)
		if err != nil {
			return err
		}
		note(ctx, clientID, secret)
		form.Set("client_secret", secret)
		return nil
	}}, err
}

// PrivateKeyJWT sends a JWT that is signed with a key of the client's (private_key_jwt: RFC 7523, section 2.2), a new one
// for each request, and for each repetition of one: servers take an assertion only once.
//
// Where the server refuses one with invalid_client, and the Date of that answer differs from this clock, the request is sent
// again, once, with an assertion by the time of that Date, on the conditions of [DPoP]. If a token comes of it, that clock
// counts from then on, for this server's assertions alone.
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

func (c PrivateKeyJWT) complete(clientID, audience string, _ *atomic.Int32) (authenticator, error) {
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
	return authenticator{key: c.Key, add: func(ctx context.Context, _ http.Header, form url.Values, by clock) error {
		assertion, err := c.assertion(ctx, clientID, audience, by)
		if err != nil {
			return fmt.Errorf("popclient: client assertion: %w", err)
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
		return nil
	}}, errors.Join(wrong...)
}

// assertion is a JWT of RFC 7523, section 3. Its typ and its claims are no proof's, nor the other way round.
func (c PrivateKeyJWT) assertion(ctx context.Context, clientID, audience string, by clock) (string, error) {
	header := map[string]string{"typ": "JWT", "alg": c.Key.alg.name}
	if c.KeyID != "" {
		header["kid"] = c.KeyID
	}
	now := by.at(c.Key.now())
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
func (a authenticator) replace(ctx context.Context, clientID string, header http.Header, form url.Values, by clock) error {
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
	return a.add(ctx, header, form, by)
}
