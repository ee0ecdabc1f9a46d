package popauth_test

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

//nolint:gosec // the value that a wrong issuer would write

type cnf = popauthtest.Claims

const omit = popauthtest.Omit

// steal sends the owner's token by r and fails if a handler runs.
func (l *lab) steal(t *testing.T, g *popauth.Guard, r *http.Request) {
	t.Helper()
	for i, stage := range stages(g) {
		o := send(stage, r)
		if o.ran {
			t.Errorf("VULNERABLE: stage %d lets the thief pass", i)
		}
		o.refused(t, 401, invalidToken)
	}
}

// forged holds that no stage of g lets a handler run for a token, that the reason is the one wanted, and that the
// answer has nothing of the token in it. The token comes with the certificate that it is bound to, so that nothing
// but its own fault can refuse it.
func (l *lab) forged(t *testing.T, g *popauth.Guard, token string, want popauth.Reason) {
	t.Helper()
	alike(t, g, l.owner.Request("GET", "/", token))
	_, err := g.Check(l.owner.Request("GET", "/", token))
	var e *popauth.Error
	if !errors.As(err, &e) {
		t.Errorf("VULNERABLE: Check lets pass %.100q", token)
		return
	}
	if e.Reason != want {
		t.Errorf("reason: got %v, want %v, for %.100q", err, want, token)
	}
	challenge := invalidToken
	if e.Status() == http.StatusBadRequest {
		challenge = invalidRequest
	}
	for i, stage := range stages(g) {
		o := send(stage, l.owner.Request("GET", "/", token))
		if o.ran {
			t.Errorf("VULNERABLE: stage %d lets pass %.100q", i, token)
		}
		o.refused(t, e.Status(), challenge)
		l.reflects(t, o, token)
	}
}

// reflects fails if the answer has a part of the token in it.
func (*lab) reflects(t *testing.T, o outcome, token string) {
	t.Helper()
	all := o.body
	for name, values := range o.header {
		all += name + strings.Join(values, "")
	}
	for _, part := range strings.Split(token, ".") {
		if len(part) > 8 && strings.Contains(all, part) {
			t.Errorf("VULNERABLE: the answer reflects %.60q", part)
		}
	}
}

// genuine is the positive control: the same Guard lets an honest token pass.
func (l *lab) genuine(t *testing.T, g *popauth.Guard, token string) {
	t.Helper()
	alike(t, g, l.owner.Request("GET", "/", token))
	for _, stage := range stages(g) {
		send(stage, l.owner.Request("GET", "/", token)).passed(t)
	}
	if _, err := g.Check(l.owner.Request("GET", "/", token)); err != nil {
		t.Errorf("got %v, want a pass", err)
	}
}

// claims are the payload of a token that nothing is wrong with, changed as given.
func (l *lab) claims(change ...popauthtest.Claims) []byte {
	l.Helper()
	return payloadOf(l.bound(change...))
}

func (l *lab) published() []published {
	l.Helper()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(l.issuer.JWKS(), &set); err != nil {
		l.Fatal(err)
	}
	var all []published
	for _, raw := range set.Keys {
		var m jwkset.JWKMarshal
		if err := json.Unmarshal(raw, &m); err != nil {
			l.Fatal(err)
		}
		k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil {
			l.Fatal(err)
		}
		all = append(all, published{m.KID, m.ALG.String(), string(raw), k.Key()})
	}
	return all
}

// over is a Guard of the lab's issuer with these keys instead of the published ones.
func (l *lab) over(jwks ...string) *popauth.Guard {
	l.Helper()
	return l.guard(withKeys(l, jwks...))
}

func (l *lab) ask() *http.Request { return l.owner.Request("GET", "/orders", l.bound()) }

func text(v any) string {
	s, _ := v.(string)
	return s
}

// rawPayload is a token with correct signature whose payload has the members given, as they are written.
func rawPayload(l *lab, members string) string {
	_, rest, _ := strings.Cut(l.unbound(), ".")
	payload, _, _ := strings.Cut(rest, ".")
	b, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		l.Fatal(err)
	}
	header, _, _ := strings.Cut(l.unbound(), ".")
	h, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		l.Fatal(err)
	}
	return l.issuer.Sign(h, []byte(strings.TrimSuffix(string(b), "}")+","+members+"}"), "ES256")
}

func payloadOf(token string) []byte {
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	return payload
}

// published are the issuer's public keys with the text of their JWKs.
type published struct {
	kid, alg, text string
	key            crypto.PublicKey
}

// stages are all the ways of a Guard to wrap a handler.
func stages(g *popauth.Guard) []func(http.Handler) http.Handler {
	return []func(http.Handler) http.Handler{g.Authenticate, g.Confirm, g.Authorize(popauth.Scope("orders.read"))}
}

func withKeys(l *lab, jwks ...string) func(*popauth.Options) {
	l.Helper()
	keys, err := popauth.StaticKeys([]byte(`{"keys":[` + strings.Join(jwks, ",") + `]}`))
	if err != nil {
		l.Fatal(err)
	}
	return func(o *popauth.Options) { o.Keys = keys }
}
