package popauth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// mtlsPoP has certificate-bound tokens come under a scheme of their own, as Microsoft Entra's mtls_pop does.
type mtlsPoP struct{ popauth.MutualTLS }

func (mtlsPoP) Challenge() (scheme string, params []popauth.Param) { return "mtls_pop", nil }

// One member under two schemes: each token is confirmed under either, by the same certificate, and under no other.
func TestOneMemberUnderTwoSchemes(t *testing.T) {
	l := lab.New(t)
	both := []popauth.Confirmer{popauth.MutualTLS{}, mtlsPoP{}}
	for name, tt := range map[string]struct {
		confirmers []popauth.Confirmer
		scheme     string
		stolen     bool
		bearer     bool
		want       int
	}{
		"Bearer":                    {confirmers: both, scheme: "Bearer", want: 200},
		"its own":                   {confirmers: both, scheme: "mtls_pop", want: 200},
		"its own, in other case":    {confirmers: both, scheme: "MTLS_PoP", want: 200},
		"the other order":           {confirmers: []popauth.Confirmer{mtlsPoP{}, popauth.MutualTLS{}}, scheme: "Bearer", want: 200},
		"Bearer, stolen":            {confirmers: both, scheme: "Bearer", stolen: true, want: 401},
		"its own, stolen":           {confirmers: both, scheme: "mtls_pop", stolen: true, want: 401},
		"its own, not bound":        {confirmers: both, scheme: "mtls_pop", bearer: true, want: 401},
		"another's scheme":          {confirmers: append(both, underDPoP()), scheme: "DPoP", want: 401},
		"Bearer, its own alone":     {confirmers: []popauth.Confirmer{mtlsPoP{}}, scheme: "Bearer", want: 401},
		"its own, its own alone":    {confirmers: []popauth.Confirmer{mtlsPoP{}}, scheme: "mtls_pop", want: 200},
		"its own, which nobody has": {confirmers: []popauth.Confirmer{popauth.MutualTLS{}}, scheme: "mtls_pop", want: 401},
		"its own, stolen, the order": {confirmers: []popauth.Confirmer{mtlsPoP{}, popauth.MutualTLS{}}, scheme: "mtls_pop", stolen: true,
			want: 401},
	} {
		g := l.Guard(func(o *popauth.Options) { o.Confirmers = tt.confirmers })
		client, token := l.Owner, l.Bound()
		if tt.stolen {
			client = l.Thief
		}
		if tt.bearer {
			token = l.Unbound()
		}
		r := client.Request("GET", "/", "")
		r.Header.Set("Authorization", tt.scheme+" "+token)
		if o := lab.Send(g.Authenticate, r); o.Status != tt.want || o.Ran != (tt.want == 200) {
			t.Errorf("%s: got %d, ran %t, want %d", name, o.Status, o.Ran, tt.want)
		}
	}
	for name, list := range map[string][]popauth.Confirmer{
		"twice under Bearer":        {popauth.MutualTLS{}, popauth.MutualTLS{}},
		"twice under one of theirs": {mtlsPoP{}, popauth.MutualTLS{}, mtlsPoP{}},
	} {
		o := l.Issuer.Options()
		o.Confirmers = list
		if _, err := popauth.New(o); err == nil || !strings.Contains(err.Error(), "two for the cnf member") {
			t.Errorf("%s: got %v, want an error", name, err)
		}
	}
}

func underDPoP() popauth.Confirmer {
	var asked []string
	return fakeScheme{fakeConfirmer{"jkt", "DPoP", nil, &asked}}
}

// jwkConfirmer looks for the value of cnf in a header.
type jwkConfirmer struct{ takes bool }

func (jwkConfirmer) Member() string       { return "jwk" }
func (c jwkConfirmer) TakesObjects() bool { return c.takes }
func (c jwkConfirmer) Confirm(r *http.Request, p popauth.Presentation) error {
	if r.Header.Get("Key") != p.Binding.Value {
		return popauth.ErrBindingUnconfirmed
	}
	return nil
}

// A value that is an object is shown, as it stands in the token, to a Confirmer that takes objects, and to no other.
func TestObjectValues(t *testing.T) {
	l := lab.New(t)
	const key = `{"kty":"EC", "x":"\u0061"}`
	token := lab.RawPayload(l, `"cnf":{"jwk":`+key+`}`)
	for name, tt := range map[string]struct {
		c      popauth.Confirmer
		token  string
		header string
		want   error
	}{
		"the object":             {jwkConfirmer{true}, token, key, nil},
		"another object":         {jwkConfirmer{true}, token, `{"kty":"EC"}`, popauth.ErrBindingUnconfirmed},
		"none":                   {jwkConfirmer{true}, token, "", popauth.ErrBindingUnconfirmed},
		"takes none, none":       {jwkConfirmer{false}, token, "", popauth.ErrBindingMalformed},
		"takes none, the object": {jwkConfirmer{false}, token, key, popauth.ErrBindingMalformed},
		"no such method":         {fakeConfirmer{member: "jwk", asked: new([]string)}, token, "", popauth.ErrBindingMalformed},
		"a string":               {jwkConfirmer{true}, lab.RawPayload(l, `"cnf":{"jwk":"a"}`), "a", nil},
		"a string like an object": {jwkConfirmer{true}, lab.RawPayload(l, `"cnf":{"jwk":"{\"kty\":\"EC\"}"}`), `{"kty":"EC"}`,
			popauth.ErrBindingMalformed},
		"an array":             {jwkConfirmer{true}, lab.RawPayload(l, `"cnf":{"jwk":[1]}`), "", popauth.ErrBindingMalformed},
		"null":                 {jwkConfirmer{true}, lab.RawPayload(l, `"cnf":{"jwk":null}`), "", popauth.ErrBindingMalformed},
		"a number":             {jwkConfirmer{true}, lab.RawPayload(l, `"cnf":{"jwk":1}`), "", popauth.ErrBindingMalformed},
		"an empty string":      {jwkConfirmer{true}, lab.RawPayload(l, `"cnf":{"jwk":""}`), "", popauth.ErrBindingMalformed},
		"a member twice in it": {jwkConfirmer{true}, lab.RawPayload(l, `"cnf":{"jwk":{"x":1,"x":2}}`), "", popauth.ErrTokenMalformed},
		"a thumbprint is no object": {popauth.MutualTLS{}, lab.RawPayload(l, `"cnf":{"x5t#S256":{"a":1}}`), "",
			popauth.ErrBindingMalformed},
	} {
		g := l.Guard(func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{tt.c} })
		r := l.Owner.Request("GET", "/", tt.token)
		if tt.header != "" {
			r.Header.Set("Key", tt.header)
		}
		p, err := g.Check(r)
		if tt.want == nil && (err != nil || p.Bindings[0].Value != tt.header) || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, %v, want %v", name, p, err, tt.want)
		}
	}
}

// Unavailable is an outage, whatever the error says, unless nobody waits any more.
func TestUnavailable(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, err := range []error{errors.New("down"), popauth.ErrTokenInvalid, &popauth.Error{Reason: popauth.ErrScope}, nil} {
		e := popauth.Unavailable(t.Context(), err)
		if e.Reason != popauth.ErrUnavailable || e.Status() != 503 || err != nil && !errors.Is(e, err) {
			t.Errorf("%v: got %v", err, e)
		}
		if e := popauth.Unavailable(gone, err); e.Reason != popauth.ErrRequestEnded || errors.Is(e, popauth.ErrUnavailable) {
			t.Errorf("%v, ended: got %v", err, e)
		}
	}
}
