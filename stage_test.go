package popauth_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// apart stands between two handlers and does nothing, but neither knows what the other is.
func apart(next http.Handler) http.Handler { return http.HandlerFunc(next.ServeHTTP) }

// A stage right behind another answers, and tells Observe, as it does behind a handler that does nothing.
func TestStageRightBehindAnother(t *testing.T) {
	l := lab.New(t)
	var seen *lab.Observer
	g := l.Guard(func(o *popauth.Options) {
		seen = lab.Observed(o)
		o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}
	})
	other := l.Guard(func(o *popauth.Options) { o.Audience = []string{"https://other.example.com"} })
	key := popauthtest.NewProofKey(t, "ES256")
	proved := l.Issuer.Token(key.Bound(), lab.Claims{"scope": "orders.read"})
	read, write := g.Authorize(popauth.Scope("orders.read")), g.Authorize(popauth.Scope("orders.write"))
	type stages = []func(http.Handler) http.Handler
	chains := map[string]stages{
		"confirm, authorize":               {g.Confirm, read},
		"authenticate, confirm, authorize": {g.Authenticate, g.Confirm, read},
		"confirm, refusing":                {g.Confirm, write},
		"confirm, authorize, refusing":     {g.Confirm, read, write},
		"confirm, bearer inside":           {g.Authenticate, g.Authenticate, g.Confirm},
		"another Guard inside":             {g.Authenticate, other.Authenticate},
		"another Guard between":            {g.Authenticate, other.Authenticate, read},
	}
	for name, request := range map[string]func() *http.Request{
		"good":               func() *http.Request { return l.Owner.Request("GET", "/orders", l.Bound()) },
		"bearer":             func() *http.Request { return l.Owner.Request("GET", "/orders", l.Unbound()) },
		"stolen":             func() *http.Request { return l.Thief.Request("GET", "/orders", l.Bound()) },
		"no token":           func() *http.Request { return l.Owner.Request("GET", "/orders", "") },
		"garbage":            func() *http.Request { return l.Owner.Request("GET", "/orders", "garbage") },
		"no scope":           func() *http.Request { return l.Owner.Request("GET", "/orders", l.Issuer.Token(l.Owner.Bound())) },
		"two readings":       func() *http.Request { return l.Owner.Request("GET", "/orders//1", l.Bound()) },
		"proof":              func() *http.Request { return key.Request("GET", "https://api.example.com/orders", proved) },
		"proof of another's": func() *http.Request { return popauthtest.NewProofKey(t, "ES256").Request("GET", "/orders", proved) },
		"HTTP/2 on this line": func() *http.Request {
			r := l.Owner.Request("GET", "/", l.Bound())
			r.Header.Set("Upgrade", "h2c")
			return r
		},
	} {
		for which, stages := range chains {
			var loose []func(http.Handler) http.Handler
			for _, s := range stages {
				loose = append(loose, s, apart)
			}
			want := lab.Send(lab.Chain(loose...), request())
			wantSeen := seen.Take(t)
			got := lab.Send(lab.Chain(stages...), request())
			gotSeen := seen.Take(t)
			if got.Status != want.Status || got.Ran != want.Ran || lab.Text(got.Header) != lab.Text(want.Header) || got.Body != want.Body {
				t.Errorf("%s: %s: got %+v, want %+v", which, name, got, want)
			}
			if !slices.Equal(gotSeen, wantSeen) {
				t.Errorf("%s: %s: observed %q, want %q", which, name, gotSeen, wantSeen)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		inner  func(http.Handler) http.Handler
		client *popauthtest.Client
		token  string
		want   int
	}{
		{"bearer", read, l.Owner, l.Unbound(), 401}, {"stolen", read, l.Thief, l.Bound(), 401},
		{"no scope", write, l.Owner, l.Bound(), 403},
	} {
		for range 2 { // the second time the token is remembered
			if got := lab.Send(lab.Chain(g.Confirm, tt.inner), tt.client.Request("GET", "/orders", tt.token)); got.Ran ||
				got.Status != tt.want {
				t.Errorf("%s: got status %d, ran %t, want %d", tt.name, got.Status, got.Ran, tt.want)
			}
		}
	}
}

// Where code of the program sees the request before a stage, the stage looks at it again.
func TestStageBehindCodeOfTheProgram(t *testing.T) {
	l := lab.New(t)
	change := func(r *http.Request) { r.Header.Set("Authorization", "Bearer another") }
	changing := popauth.PolicyFunc(func(r *http.Request, _ *popauth.Principal) error { change(r); return nil })
	changingSource := popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) { change(r); return nil, nil })
	withHeader := popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) { change(r); return nil, nil }, "X-Cert")
	read := popauth.Scope("orders.read")
	for _, tt := range []struct {
		name    string
		options func(*popauth.Options)
		outer   func(*popauth.Guard) func(http.Handler) http.Handler
	}{
		{"policy", func(*popauth.Options) {}, func(g *popauth.Guard) func(http.Handler) http.Handler { return g.Authorize(changing) }},
		{"source", func(o *popauth.Options) { o.Certificate = changingSource }, nil},
		{"source with headers", func(o *popauth.Options) { o.Certificate = withHeader }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := l.Guard(tt.options)
			outer := g.Authenticate
			if tt.outer != nil {
				outer = tt.outer(g)
			}
			r := l.Owner.Request("GET", "/orders", l.Unbound())
			lab.Send(lab.Chain(outer, g.Authorize(read)), r).Refused(t, 401, lab.InvalidToken)
		})
	}
}

// A Confirmer must not change the request. What one changes nevertheless is not looked at: the stages right behind go by what has
// been decided on, and so does the handler.
func TestConfirmerThatChangesTheRequest(t *testing.T) {
	l := lab.New(t)
	g := l.Guard(func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{changer{func(r *http.Request) { r.Header.Set("Authorization", "Bearer another") }}}
	})
	subject := ""
	h := lab.Chain(g.Authenticate, g.Authorize(popauth.Scope("orders.read")))(http.HandlerFunc(func(_ http.ResponseWriter,
		r *http.Request) {
		p, _ := popauth.FromContext(r.Context())
		subject = p.Subject
	}))
	lab.Send(func(http.Handler) http.Handler {
		return h
	}, l.Owner.Request("GET", "/orders", l.Unbound(lab.Claims{"cnf": lab.Claims{"x": "1"}})))
	if subject != "client-1" {
		t.Errorf("got %q, want the subject of the token that was sent", subject)
	}
	lab.Send(g.Authorize(popauth.Scope("orders.write")),
		l.Owner.Request("GET", "/orders", l.Unbound(lab.Claims{"cnf": lab.Claims{"x": "1"}}))).Refused(t, 403, lab.LacksScope)
}

// changer is a Confirmer that changes what it is shown.
type changer struct{ change func(*http.Request) }

func (changer) Member() string { return "x" }

func (c changer) Confirm(r *http.Request, _ popauth.Presentation) error { c.change(r); return nil }

// A key that is withdrawn while a source of the program looks for the certificate counts no longer, though the token was
// remembered when the request came.
func TestKeyWithdrawnWhileTheSourceLooks(t *testing.T) {
	l := lab.New(t)
	withdraw := func() {}
	g := l.Guard(func(o *popauth.Options) {
		keys, _ := o.Keys.(*popauth.RemoteKeys)
		o.Certificate = popauth.CertificateFunc(func(*http.Request) (*popauth.Certificate, error) {
			withdraw()
			return nil, keys.Preload(t.Context())
		})
	})
	token := l.Unbound()
	request := func() *http.Request { return l.Owner.Request("GET", "/", token) }
	lab.Send(g.Authenticate, request()).Passed(t)
	lab.Remembers(t, g, request(), true)
	withdraw = l.Issuer.Rotate
	lab.Send(g.Authenticate, request()).Refused(t, 401, lab.InvalidToken)
}

// What is withdrawn, or over, while a source of the program waits doesn't count.
func TestTokenWithdrawnWhileTheSourceWaits(t *testing.T) {
	l := lab.New(t)
	meanwhile := func() {}
	slow := popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
		meanwhile()
		return popauth.TLSCertificate().Certificate(r)
	})
	withdrawn := false
	g := l.Guard(func(o *popauth.Options) {
		o.Certificate = slow
		o.Revoked = func(context.Context, *popauth.Token) (bool, error) { return withdrawn, nil }
	})
	token := l.Bound()
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", token)).Passed(t)
	meanwhile = func() { withdrawn = true }
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", token)).Refused(t, 401, lab.InvalidToken)

	// Of an introspected token, nobody else looks at the time again.
	meanwhile = func() { l.Clock.Advance(10 * time.Minute) }
	asked := lab.IntrospectionOptions(l.Issuer)
	asked.Now = l.Clock.Now
	v, err := introspection.New(asked)
	if err != nil {
		t.Fatal(err)
	}
	opaque := l.Issuer.Opaque(l.Owner.Bound(), popauthtest.Claims{"exp": l.Clock.Now().Add(5 * time.Minute).Unix()})
	g = l.Guard(func(o *popauth.Options) {
		o.Certificate, o.Now = slow, l.Clock.Now
		o.Verifier, o.Issuer, o.Audience, o.Keys = v, "", nil, nil
	})
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", opaque)).Refused(t, 401, lab.InvalidToken)
}

// Chains are verified, and responders asked, for those alone who have a token.
func TestSourceIsAskedForTheSakeOfAToken(t *testing.T) {
	l := lab.New(t)
	asked := 0
	g := l.Guard(func(o *popauth.Options) {
		o.Certificate = popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
			asked++
			return popauth.TLSCertificate().Certificate(r)
		})
	})
	forged := l.Bound()
	forged = forged[:len(forged)-8] + "AAAAAAAA"
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", forged)).Refused(t, 401, lab.InvalidToken)
	if asked != 0 {
		t.Errorf("asked %d times with a forged token, want 0", asked)
	}
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", l.Bound())).Passed(t)
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
}

// What is remembered of a token says nothing about one that goes on, or differs in a character that no token has.
func TestRememberedTokenWithMoreBehindIt(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	token := l.Bound()
	lab.Send(g.Authenticate, l.Owner.Request("GET", "/", token)).Passed(t)
	lab.Remembers(t, g, l.Owner.Request("GET", "/", token), true)
	last := token[:len(token)-1]
	for _, more := range []string{
		token + ",", token + " ", token + "\t", token + "\x00", token + "é", last + ",", token + " " + token, "\t" + token,
	} {
		r := l.Owner.Request("GET", "/", "")
		r.Header.Set("Authorization", "Bearer "+more)
		lab.Alike(t, g, r)
		lab.Send(g.Authenticate, r).Refused(t, 400, lab.InvalidRequest)
	}
	for _, more := range []string{token + "=", token + ".", last, token + token} {
		r := l.Owner.Request("GET", "/", more)
		lab.Alike(t, g, r)
		lab.Send(g.Authenticate, r).Refused(t, 401, lab.InvalidToken)
	}
	// The same beside another place for a token.
	lab.Send(g.Authenticate, l.Owner.Request("GET", "/?access_token="+token, token)).Refused(t, 400, lab.InvalidRequest)
}
