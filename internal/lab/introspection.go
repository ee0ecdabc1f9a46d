package lab

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// IntrospectionOptions are those of a Verifier that asks an issuer, whose clock it has.
func IntrospectionOptions(i *popauthtest.Issuer) introspection.Options {
	return introspection.Options{
		Issuer: i.URL, Audience: []string{popauthtest.Audience}, Client: i.Client(), Now: i.Now,
		Authentication: introspection.ClientSecretBasic{ID: "api", Secret: "secret"},
	}
}

// ReasonIs tells whether an answer would be given for this reason, not for one that it wraps.
func ReasonIs(err error, want popauth.Reason) bool {
	if e, ok := errors.AsType[*popauth.Error](err); ok {
		return e.Reason == want
	}
	return errors.Is(err, want)
}

// Introspection is a Verifier that asks the lab's issuer, over TLS.
func (l *Lab) Introspection(change ...func(*introspection.Options)) *introspection.Verifier {
	l.Helper()
	o := IntrospectionOptions(l.Issuer)
	return newIntrospection(l, o, change)
}

func newIntrospection(tb testing.TB, o introspection.Options, change []func(*introspection.Options)) *introspection.Verifier {
	tb.Helper()
	for _, c := range change {
		c(&o)
	}
	v, err := introspection.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// OpaqueGuard accepts what v does, bound by certificate or proof.
func (l *Lab) OpaqueGuard(v popauth.Verifier) *popauth.Guard {
	l.Helper()
	g, err := popauth.New(popauth.Options{
		Verifier: v, Now: l.Clock.Now, Observe: Note,
		Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, Proofs(dpop.Options{})},
	})
	if err != nil {
		l.Fatal(err)
	}
	return g
}

// Answering makes the endpoint answer every token with status and body.
func (l *Lab) Answering(status int, body string, header ...string) {
	l.Issuer.Handle("/introspect", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for n := 0; n+1 < len(header); n += 2 {
			w.Header().Set(header[n], header[n+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
}

func (l *Lab) SignedAnswers(o *introspection.Options) {
	o.Signed = true
	o.Keys, _ = popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: l.Issuer.URL, Client: l.Issuer.Client(), Now: l.Clock.Now})
}

// IntrospectionOf is a Verifier of another issuer's tokens.
func (l *Lab) IntrospectionOf(issuer string) popauth.Verifier {
	return l.Introspection(func(o *introspection.Options) { o.Issuer = issuer })
}

// Active is an answer that everything accepts.
const Active = `{"active":true,"aud":"` + popauthtest.Audience + `"}`

// Introspect asks the issuer through memory, so that calls take no time but what a test says.
func (i *MemoryIssuer) Introspect(t testing.TB, change ...func(*introspection.Options)) *introspection.Verifier {
	t.Helper()
	o := IntrospectionOptions(i.Issuer)
	o.Endpoint, o.Client = i.URL+"/introspect", &http.Client{Transport: i}
	return newIntrospection(t, o, change)
}

func Body(s string) *readCloser { return &readCloser{strings.NewReader(s)} }

type readCloser struct{ *strings.Reader }

func (*readCloser) Close() error { return nil }

// IntrospectionBy asks https://id.example.com, and remembers nothing.
func IntrospectionBy(t *testing.T, client *http.Client, change ...func(*introspection.Options)) *introspection.Verifier {
	t.Helper()
	o := introspection.Options{Issuer: "https://id.example.com", Audience: []string{popauthtest.Audience}, Client: client, Remember: -1,
		Authentication: introspection.ClientSecretBasic{ID: "a", Secret: "b"}}
	return newIntrospection(t, o, change)
}
