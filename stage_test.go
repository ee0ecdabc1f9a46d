package popauth_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// apart stands between two handlers and does nothing, but neither knows what the other is.
func apart(next http.Handler) http.Handler { return http.HandlerFunc(next.ServeHTTP) }

// A stage right behind another answers, and tells Observe, as it does behind a handler that does nothing.
func TestStageRightBehindAnother(t *testing.T) {
	l := newLab(t)
	var seen *observer
	g := l.guard(func(o *popauth.Options) {
		seen = observed(o)
		o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs(dpop.Options{})}
	})
	other := l.guard(func(o *popauth.Options) { o.Audience = []string{"https://other.example.com"} })
	key := popauthtest.NewProofKey(t, "ES256")
	proved := l.issuer.Token(key.Bound(), cnf{"scope": "orders.read"})
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
		"good":               func() *http.Request { return l.owner.Request("GET", "/orders", l.bound()) },
		"bearer":             func() *http.Request { return l.owner.Request("GET", "/orders", l.unbound()) },
		"stolen":             func() *http.Request { return l.thief.Request("GET", "/orders", l.bound()) },
		"no token":           func() *http.Request { return l.owner.Request("GET", "/orders", "") },
		"garbage":            func() *http.Request { return l.owner.Request("GET", "/orders", "garbage") },
		"no scope":           func() *http.Request { return l.owner.Request("GET", "/orders", l.issuer.Token(l.owner.Bound())) },
		"two readings":       func() *http.Request { return l.owner.Request("GET", "/orders//1", l.bound()) },
		"proof":              func() *http.Request { return key.Request("GET", "https://api.example.com/orders", proved) },
		"proof of another's": func() *http.Request { return popauthtest.NewProofKey(t, "ES256").Request("GET", "/orders", proved) },
		"HTTP/2 on this line": func() *http.Request {
			r := l.owner.Request("GET", "/", l.bound())
			r.Header.Set("Upgrade", "h2c")
			return r
		},
	} {
		for which, stages := range chains {
			var loose []func(http.Handler) http.Handler
			for _, s := range stages {
				loose = append(loose, s, apart)
			}
			want := send(chain(loose...), request())
			wantSeen := seen.take(t)
			got := send(chain(stages...), request())
			gotSeen := seen.take(t)
			if got.status != want.status || got.ran != want.ran || text(got.header) != text(want.header) || got.body != want.body {
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
		{"bearer", read, l.owner, l.unbound(), 401}, {"stolen", read, l.thief, l.bound(), 401}, {"no scope", write, l.owner, l.bound(), 403},
	} {
		for range 2 { // the second time the token is remembered
			if got := send(chain(g.Confirm, tt.inner), tt.client.Request("GET", "/orders", tt.token)); got.ran || got.status != tt.want {
				t.Errorf("%s: got status %d, ran %t, want %d", tt.name, got.status, got.ran, tt.want)
			}
		}
	}
}

// Where code of the program sees the request before a stage, the stage looks at it again.
func TestStageBehindCodeOfTheProgram(t *testing.T) {
	l := newLab(t)
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
			g := l.guard(tt.options)
			outer := g.Authenticate
			if tt.outer != nil {
				outer = tt.outer(g)
			}
			r := l.owner.Request("GET", "/orders", l.unbound())
			send(chain(outer, g.Authorize(read)), r).refused(t, 401, invalidToken)
		})
	}
}

// A Confirmer must not change the request. What one changes nevertheless is not looked at: the stages right behind go by what has
// been decided on, and so does the handler.
func TestConfirmerThatChangesTheRequest(t *testing.T) {
	l := newLab(t)
	g := l.guard(func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{changer{func(r *http.Request) { r.Header.Set("Authorization", "Bearer another") }}}
	})
	subject := ""
	h := chain(g.Authenticate, g.Authorize(popauth.Scope("orders.read")))(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, _ := popauth.FromContext(r.Context())
		subject = p.Subject
	}))
	send(func(http.Handler) http.Handler { return h }, l.owner.Request("GET", "/orders", l.unbound(cnf{"cnf": cnf{"x": "1"}})))
	if subject != "client-1" {
		t.Errorf("got %q, want the subject of the token that was sent", subject)
	}
	send(g.Authorize(popauth.Scope("orders.write")), l.owner.Request("GET", "/orders", l.unbound(cnf{"cnf": cnf{"x": "1"}}))).refused(t, 403, lacksScope)
}

// changer is a Confirmer that changes what it is shown.
type changer struct{ change func(*http.Request) }

func (changer) Member() string { return "x" }

func (c changer) Confirm(r *http.Request, _ popauth.Presentation) error { c.change(r); return nil }

// A key that is withdrawn while a source of the program looks for the certificate counts no longer, though the token was
// remembered when the request came.
func TestKeyWithdrawnWhileTheSourceLooks(t *testing.T) {
	l := newLab(t)
	withdraw := func() {}
	g := l.guard(func(o *popauth.Options) {
		keys, _ := o.Keys.(*popauth.RemoteKeys)
		o.Certificate = popauth.CertificateFunc(func(*http.Request) (*popauth.Certificate, error) {
			withdraw()
			return nil, keys.Preload(t.Context())
		})
	})
	token := l.unbound()
	request := func() *http.Request { return l.owner.Request("GET", "/", token) }
	send(g.Authenticate, request()).passed(t)
	remembers(t, g, request(), true)
	withdraw = l.issuer.Rotate
	send(g.Authenticate, request()).refused(t, 401, invalidToken)
}

// What is withdrawn, or over, while a source of the program waits doesn't count.
func TestTokenWithdrawnWhileTheSourceWaits(t *testing.T) {
	l := newLab(t)
	meanwhile := func() {}
	slow := popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
		meanwhile()
		return popauth.TLSCertificate().Certificate(r)
	})
	withdrawn := false
	g := l.guard(func(o *popauth.Options) {
		o.Certificate = slow
		o.Revoked = func(context.Context, *popauth.Token) (bool, error) { return withdrawn, nil }
	})
	token := l.bound()
	send(g.Confirm, l.owner.Request("GET", "/", token)).passed(t)
	meanwhile = func() { withdrawn = true }
	send(g.Confirm, l.owner.Request("GET", "/", token)).refused(t, 401, invalidToken)

	// Of an introspected token, nobody else looks at the time again.
	meanwhile = func() { l.clock.Advance(10 * time.Minute) }
	asked := introspectionOptions(l.issuer)
	asked.Now = l.clock.Now
	v, err := introspection.New(asked)
	if err != nil {
		t.Fatal(err)
	}
	opaque := l.issuer.Opaque(l.owner.Bound(), popauthtest.Claims{"exp": l.clock.Now().Add(5 * time.Minute).Unix()})
	g = l.guard(func(o *popauth.Options) {
		o.Certificate, o.Now = slow, l.clock.Now
		o.Verifier, o.Issuer, o.Audience, o.Keys = v, "", nil, nil
	})
	send(g.Confirm, l.owner.Request("GET", "/", opaque)).refused(t, 401, invalidToken)
}

// Chains are verified, and responders asked, for those alone who have a token.
func TestSourceIsAskedForTheSakeOfAToken(t *testing.T) {
	l := newLab(t)
	asked := 0
	g := l.guard(func(o *popauth.Options) {
		o.Certificate = popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
			asked++
			return popauth.TLSCertificate().Certificate(r)
		})
	})
	forged := l.bound()
	forged = forged[:len(forged)-8] + "AAAAAAAA"
	send(g.Confirm, l.owner.Request("GET", "/", forged)).refused(t, 401, invalidToken)
	if asked != 0 {
		t.Errorf("asked %d times with a forged token, want 0", asked)
	}
	send(g.Confirm, l.owner.Request("GET", "/", l.bound())).passed(t)
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
}

// What is remembered of a token says nothing about one that goes on, or differs in a character that no token has.
func TestRememberedTokenWithMoreBehindIt(t *testing.T) {
	l := newLab(t)
	g := l.guard()
	token := l.bound()
	send(g.Authenticate, l.owner.Request("GET", "/", token)).passed(t)
	remembers(t, g, l.owner.Request("GET", "/", token), true)
	last := token[:len(token)-1]
	for _, more := range []string{
		token + ",", token + " ", token + "\t", token + "\x00", token + "é", last + ",", token + " " + token, "\t" + token,
	} {
		r := l.owner.Request("GET", "/", "")
		r.Header.Set("Authorization", "Bearer "+more)
		alike(t, g, r)
		send(g.Authenticate, r).refused(t, 400, invalidRequest)
	}
	for _, more := range []string{token + "=", token + ".", last, token + token} {
		r := l.owner.Request("GET", "/", more)
		alike(t, g, r)
		send(g.Authenticate, r).refused(t, 401, invalidToken)
	}
	// The same beside another place for a token.
	send(g.Authenticate, l.owner.Request("GET", "/?access_token="+token, token)).refused(t, 400, invalidRequest)
}
