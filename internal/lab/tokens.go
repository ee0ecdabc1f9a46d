package lab

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/MicahParks/jwkset"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

type Claims = popauthtest.Claims

const Omit = popauthtest.Omit

// Steal sends the owner's token by r and fails if a handler runs.
func (l *Lab) Steal(t *testing.T, g *popauth.Guard, r *http.Request) {
	t.Helper()
	for i, stage := range Stages(g) {
		o := Send(stage, r)
		if o.Ran {
			t.Errorf("VULNERABLE: stage %d lets the thief pass", i)
		}
		o.Refused(t, 401, InvalidToken)
	}
}

// Forged holds that no stage of g lets a handler run for a token, that the reason is the one wanted, and that the
// answer has nothing of the token in it. The token comes with the certificate that it is bound to, so that nothing
// but its own fault can refuse it.
func (l *Lab) Forged(t *testing.T, g *popauth.Guard, token string, want popauth.Reason) {
	t.Helper()
	Alike(t, g, l.Owner.Request("GET", "/", token))
	_, err := g.Check(l.Owner.Request("GET", "/", token))
	var e *popauth.Error
	if !errors.As(err, &e) {
		t.Errorf("VULNERABLE: Check lets pass %.100q", token)
		return
	}
	if e.Reason != want {
		t.Errorf("reason: got %v, want %v, for %.100q", err, want, token)
	}
	challenge := InvalidToken
	if e.Status() == http.StatusBadRequest {
		challenge = InvalidRequest
	}
	for i, stage := range Stages(g) {
		o := Send(stage, l.Owner.Request("GET", "/", token))
		if o.Ran {
			t.Errorf("VULNERABLE: stage %d lets pass %.100q", i, token)
		}
		o.Refused(t, e.Status(), challenge)
		l.Reflects(t, o, token)
	}
}

// Reflects fails if the answer has a part of the token in it.
func (*Lab) Reflects(t *testing.T, o Outcome, token string) {
	t.Helper()
	all := o.Body
	for name, values := range o.Header {
		all += name + strings.Join(values, "")
	}
	for _, part := range strings.Split(token, ".") {
		if len(part) > 8 && strings.Contains(all, part) {
			t.Errorf("VULNERABLE: the answer reflects %.60q", part)
		}
	}
}

// Genuine is the positive control: the same Guard lets an honest token pass.
func (l *Lab) Genuine(t *testing.T, g *popauth.Guard, token string) {
	t.Helper()
	Alike(t, g, l.Owner.Request("GET", "/", token))
	for _, stage := range Stages(g) {
		Send(stage, l.Owner.Request("GET", "/", token)).Passed(t)
	}
	if _, err := g.Check(l.Owner.Request("GET", "/", token)); err != nil {
		t.Errorf("got %v, want a pass", err)
	}
}

// Claims are the payload of a token that nothing is wrong with, changed as given.
func (l *Lab) Claims(change ...popauthtest.Claims) []byte {
	l.Helper()
	return PayloadOf(l.Bound(change...))
}

func (l *Lab) Published() []Published {
	l.Helper()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(l.Issuer.JWKS(), &set); err != nil {
		l.Fatal(err)
	}
	var all []Published
	for _, raw := range set.Keys {
		var m jwkset.JWKMarshal
		if err := json.Unmarshal(raw, &m); err != nil {
			l.Fatal(err)
		}
		k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil {
			l.Fatal(err)
		}
		all = append(all, Published{m.KID, m.ALG.String(), string(raw), k.Key()})
	}
	return all
}

// Over is a Guard of the lab's issuer with these keys instead of the published ones.
func (l *Lab) Over(jwks ...string) *popauth.Guard {
	l.Helper()
	return l.Guard(WithKeys(l, jwks...))
}

func (l *Lab) Ask() *http.Request { return l.Owner.Request("GET", "/orders", l.Bound()) }

func Text(v any) string {
	s, _ := v.(string)
	return s
}

// RawPayload is a token with correct signature whose payload has the members given, as they are written.
func RawPayload(l *Lab, members string) string {
	_, rest, _ := strings.Cut(l.Unbound(), ".")
	payload, _, _ := strings.Cut(rest, ".")
	b, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		l.Fatal(err)
	}
	header, _, _ := strings.Cut(l.Unbound(), ".")
	h, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		l.Fatal(err)
	}
	return l.Issuer.Sign(h, []byte(strings.TrimSuffix(string(b), "}")+","+members+"}"), "ES256")
}

func PayloadOf(token string) []byte {
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	return payload
}

// Published are the issuer's public keys with the text of their JWKs.
type Published struct {
	Kid, Alg, Text string
	Key            crypto.PublicKey
}

// Stages are all the ways of a Guard to wrap a handler.
func Stages(g *popauth.Guard) []func(http.Handler) http.Handler {
	return []func(http.Handler) http.Handler{g.Authenticate, g.Confirm, g.Authorize(popauth.Scope("orders.read"))}
}

func WithKeys(l *Lab, jwks ...string) func(*popauth.Options) {
	l.Helper()
	keys, err := popauth.StaticKeys([]byte(`{"keys":[` + strings.Join(jwks, ",") + `]}`))
	if err != nil {
		l.Fatal(err)
	}
	return func(o *popauth.Options) { o.Keys = keys }
}
