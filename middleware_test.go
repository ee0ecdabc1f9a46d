package popauth_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// The table of answers, row by row.
func TestAnswers(t *testing.T) {
	l := lab.New(t)
	broken := lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { return nil, errors.New("unreadable") })
	huge := lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { return nil, popauth.ErrCertificateTooLarge })
	down := popauthtest.NewIssuer(t)
	down.Handle("/jwks", http.NotFoundHandler())
	for _, tt := range []struct {
		name       string
		header     []string
		client     *popauthtest.Client
		change     func(*popauth.Options)
		status     int
		challenges []string
		retry      string
	}{
		{name: "no credentials", client: l.Owner, status: 401, challenges: []string{`Bearer`}},
		{name: "no credentials, realm", client: l.Owner, change: func(o *popauth.Options) { o.Realm = "orders" }, status: 401,
			challenges: []string{`Bearer realm="orders"`}},
		{name: "another scheme", header: []string{"Basic dTpw"}, client: l.Owner, status: 401, challenges: []string{`Bearer`}},
		{name: "two headers", header: []string{"Bearer " + l.Bound(), "Bearer " + l.Bound()}, client: l.Owner, status: 400,
			challenges: []string{`Bearer error="invalid_request", error_description="The request's credentials are malformed"`}},
		{name: "malformed credentials", header: []string{`Bearer a"b`}, client: l.Owner, status: 400,
			challenges: []string{`Bearer error="invalid_request", error_description="The request's credentials are malformed"`}},
		{name: "not a token", header: []string{"Bearer abc"}, client: l.Owner, status: 401,
			challenges: []string{`Bearer error="invalid_token", error_description="The access token is malformed"`}},
		{name: "expired", header: []string{"Bearer " + l.Bound(popauthtest.Claims{"exp": l.Clock.Now().Unix() - 60})}, client: l.Owner,
			status:     401,
			challenges: []string{`Bearer error="invalid_token", error_description="The access token expired"`}},
		{name: "other audience, realm", header: []string{"Bearer " + l.Bound(popauthtest.Claims{"aud": "x"})}, client: l.Owner,
			change: func(o *popauth.Options) { o.Realm = "orders" }, status: 401,
			challenges: []string{`Bearer error="invalid_token", error_description="The access token is not valid for this resource", ` +
				`realm="orders"`}},
		{name: "no certificate", header: []string{"Bearer " + l.Bound()}, status: 401,
			challenges: []string{`Bearer error="invalid_token", error_description="Possession of the key that the access token is ` +
				`bound to was not proven"`}},
		{name: "another certificate", header: []string{"Bearer " + l.Bound()}, client: l.Thief, status: 401,
			challenges: []string{`Bearer error="invalid_token", error_description="Possession of the key that the access token is ` +
				`bound to was not proven"`}},
		{name: "unbound behind Confirm", header: []string{"Bearer " + l.Unbound()}, client: l.Owner, status: 401,
			challenges: []string{`Bearer error="invalid_token", error_description="The access token is not bound to a key"`}},
		{name: "scope missing", header: []string{"Bearer " + l.Bound(popauthtest.Claims{"scope": "a b"})}, client: l.Owner, status: 403,
			challenges: []string{`Bearer error="insufficient_scope", error_description="The access token lacks a scope", ` +
				`scope="orders.read"`}},
		{name: "certificate unreadable", header: []string{"Bearer " + l.Bound()}, client: l.Owner,
			change: func(o *popauth.Options) { o.Certificate = broken }, status: 400},
		{name: "certificate too large", header: []string{"Bearer " + l.Bound()}, client: l.Owner,
			change: func(o *popauth.Options) { o.Certificate = huge }, status: 431},
		{name: "no keys", header: []string{"Bearer " + down.Token(l.Owner.Bound())}, client: l.Owner,
			change: func(o *popauth.Options) { *o = down.Options() }, status: 503, retry: "1"},
		{name: "revoked", header: []string{"Bearer " + l.Bound()}, client: l.Owner, change: func(o *popauth.Options) {
			o.Revoked = func(context.Context, *popauth.Token) (bool, error) { return true, nil }
		}, status: 401, challenges: []string{`Bearer error="invalid_token", error_description="The access token was revoked"`}},
		{name: "revocation unknown", header: []string{"Bearer " + l.Bound()}, client: l.Owner, change: func(o *popauth.Options) {
			o.Revoked = func(context.Context, *popauth.Token) (bool, error) { return false, errors.New("database down") }
		}, status: 503, retry: "5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			change := tt.change
			if change == nil {
				change = func(*popauth.Options) {}
			}
			g := l.Guard(change)
			r := tt.client.Request("GET", "https://api.example.com/orders", "")
			for _, h := range tt.header {
				r.Header.Add("Authorization", h)
			}
			lab.Alike(t, g, r)
			o := lab.Send(lab.Chain(g.Authenticate, g.Confirm, g.Authorize(popauth.Scope("orders.read"))), r)
			if o.Ran || o.Status != tt.status || !slices.Equal(o.Challenges, tt.challenges) || o.Body != "" {
				t.Errorf("got %d, ran %t, body %q, %q\nwant %d %q", o.Status, o.Ran, o.Body, o.Challenges, tt.status, tt.challenges)
			}
			if got := o.Header.Get("Retry-After"); got != tt.retry {
				t.Errorf("Retry-After: got %q, want %q", got, tt.retry)
			}
		})
	}
	g := l.Guard()
	lab.Send(lab.Chain(g.Authenticate, g.Confirm, g.Authorize(popauth.Scope("orders.read"))),
		l.Owner.Request("GET", "/orders", l.Bound())).Passed(t)
}

// The property to protect: no handler runs for a request whose token is bound but unconfirmed, whichever stages there
// are and in whatever order.
func TestNoOrderOfStagesLetsAThiefIn(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	stages := []func(http.Handler) http.Handler{g.Authenticate, g.Confirm, g.Authorize(popauth.Scope("orders.read"))}
	var orders func(prefix []int, length int) [][]int
	orders = func(prefix []int, length int) [][]int {
		if length == 0 {
			return [][]int{prefix}
		}
		var all [][]int
		for i := range stages {
			all = append(all, orders(append(slices.Clone(prefix), i), length-1)...)
		}
		return all
	}
	token := l.Bound()
	for length := 1; length <= 4; length++ {
		for _, order := range orders(nil, length) {
			var picked []func(http.Handler) http.Handler
			for _, i := range order {
				picked = append(picked, stages[i])
			}
			for name, thief := range map[string]*popauthtest.Client{"no certificate": nil, "another": l.Thief} {
				if o := lab.Send(lab.Chain(picked...), thief.Request("GET", "/", token)); o.Ran || o.Status != 401 {
					t.Errorf("%v, %s: got %d, ran %t", order, name, o.Status, o.Ran)
				}
			}
			if o := lab.Send(lab.Chain(picked...), l.Owner.Request("GET", "/", token)); !o.Ran {
				t.Errorf("%v, owner: got %d", order, o.Status)
			}
		}
	}
}

type countingVerifier struct {
	popauth.Verifier
	calls atomic.Int64
}

func (v *countingVerifier) Verify(ctx context.Context, token string) (*popauth.Token, error) {
	v.calls.Add(1)
	return popauth.TrustJWT(token)
}

type countingConfirmer struct {
	popauth.MutualTLS
	calls *atomic.Int64
}

func (c countingConfirmer) Confirm(r *http.Request, p popauth.Presentation) error {
	c.calls.Add(1)
	return c.MutualTLS.Confirm(r, p)
}

// A proof may be good for one use only, so what has run for these credentials does not run again; for others it does.
func TestAStageRunsOncePerCredentials(t *testing.T) {
	l := lab.New(t)
	v, confirmed := &countingVerifier{}, &atomic.Int64{}
	g, err := popauth.New(popauth.Options{Verifier: v, Confirmers: []popauth.Confirmer{countingConfirmer{calls: confirmed}}})
	if err != nil {
		t.Fatal(err)
	}
	all := lab.Chain(g.Authenticate, g.Confirm, g.Authorize(popauth.AnyIssuer(), popauth.Scope("orders.read")), g.Authenticate)
	counts := func(want int64) {
		t.Helper()
		if v.calls.Load() != want || confirmed.Load() != want {
			t.Errorf("verified %d times, confirmed %d, want %d", v.calls.Load(), confirmed.Load(), want)
		}
		v.calls.Store(0)
		confirmed.Store(0)
	}
	lab.Send(all, l.Owner.Request("GET", "/", l.Bound())).Passed(t)
	counts(1)

	lab.Send(func(h http.Handler) http.Handler {
		return g.Authenticate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := g.Check(r, popauth.AnyIssuer(), popauth.Bound(), popauth.Scope("orders.read")); err != nil {
				t.Error(err)
			}
			h.ServeHTTP(w, r)
		}))
	}, l.Owner.Request("GET", "/", l.Bound())).Passed(t)
	counts(1)

	for name, other := range map[string]func(*http.Request){
		"other token":    func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+l.Bound()) },
		"token in place": func(r *http.Request) { r.Header["Authorization"][0] = "Bearer " + l.Bound() },
		"other proof":    func(r *http.Request) { r.Header.Set("DPoP", "x") },
		"other request":  func(r *http.Request) { *r = *l.Owner.Request("GET", "/", l.Bound()).WithContext(r.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			lab.Send(lab.Chain(g.Authenticate, lab.Altered(other), g.Authenticate), l.Owner.Request("GET", "/", l.Bound())).Passed(t)
			counts(2)
		})
	}
	for name, same := range map[string]func(*http.Request){
		"a copy":                  func(*http.Request) {},
		"a copy of the TLS state": func(r *http.Request) { c := *r.TLS; r.TLS = &c },
		"the certificate once more": func(r *http.Request) {
			c := *r.TLS
			c.PeerCertificates = l.Owner.Request("GET", "/", "").TLS.PeerCertificates
			r.TLS = &c
		},
	} {
		t.Run(name, func(t *testing.T) {
			lab.Send(lab.Chain(g.Authenticate, lab.Altered(same), g.Authenticate), l.Owner.Request("GET", "/", l.Bound())).Passed(t)
			counts(1)
		})
	}
}

// A request made from one that has passed, with its context but another's credentials, passes on its own merits.
func TestADerivedRequestIsDecidedAfresh(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	thiefs := l.Issuer.Token(l.Thief.Bound())
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
	}{
		{"another's token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+thiefs) }},
		{"no token", func(r *http.Request) { r.Header.Del("Authorization") }},
		{"another's connection", func(r *http.Request) { r.TLS = l.Thief.Request("GET", "/", "").TLS }},
		{"no connection", func(r *http.Request) { r.TLS = nil }},
		{"another's certificate on the connection", func(r *http.Request) {
			r.TLS.PeerCertificates = l.Thief.Request("GET", "/", "").TLS.PeerCertificates
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if o := lab.Send(lab.Chain(g.Authenticate, lab.Altered(tt.change), g.Authenticate),
				l.Owner.Request("GET", "/", l.Bound())); o.Ran || o.Status != 401 {
				t.Errorf("got %d, ran %t, want a refusal", o.Status, o.Ran)
			}
		})
	}
}

func TestAForgedContextDoesNotCount(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	forge := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(popauth.NewContext(r.Context(), &popauth.Principal{
				Subject: "root", Scopes: []string{"orders.read", "admin"}, Bindings: []popauth.Binding{{Member: "x5t#S256", Value: "x"}},
			})))
		})
	}
	admin := g.Authorize(popauth.Scope("admin"))
	lab.Send(lab.Chain(forge, g.Authenticate), l.Owner.Request("GET", "/", "")).Refused(t, 401, "Bearer")
	lab.Send(lab.Chain(forge, g.Confirm), l.Thief.Request("GET", "/", l.Bound())).Refused(t, 401, lab.InvalidToken)
	lab.Send(lab.Chain(forge, g.Confirm), l.Owner.Request("GET", "/", l.Unbound())).Refused(t, 401, lab.InvalidToken)
	lab.Send(lab.Chain(g.Authenticate, forge, admin), l.Owner.Request("GET", "/", l.Bound())).Refused(t, 403, lab.LacksScope)
	other := l.Guard()
	lab.Send(lab.Chain(other.Authenticate, forge, admin), l.Owner.Request("GET", "/", l.Bound())).Refused(t, 403, lab.LacksScope)

	var subject string
	lab.Send(lab.Chain(g.Authenticate, forge, g.Authenticate, lab.Tap(func(r *http.Request) {
		p, _ := popauth.FromContext(r.Context())
		subject = p.Subject
	})), l.Owner.Request("GET", "/", l.Bound())).Passed(t)
	if subject != "client-1" {
		t.Errorf("behind the Guard: got subject %q, want the token's", subject)
	}
}

// A handler that changes its Principal changes no decision, and nobody else's Principal.
func TestAPrincipalIsACopy(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	grab := lab.Tap(func(r *http.Request) {
		p, _ := popauth.FromContext(r.Context())
		p.Scopes[0], p.Subject, p.Bindings[0].Value, p.Audience[0] = "admin", "root", "x", "x"
		p.Scopes = append(p.Scopes, "admin")
	})
	lab.Send(lab.Chain(g.Authenticate, grab, g.Authorize(popauth.Scope("admin"))), l.Owner.Request("GET", "/", l.Bound())).Refused(t, 403,
		lab.LacksScope)
	lab.Send(lab.Chain(g.Authenticate, grab, lab.Tap(func(r *http.Request) {
		p, _ := popauth.FromContext(r.Context())
		if p.Subject != "client-1" || !slices.Equal(p.Scopes, []string{"orders.read"}) || p.Audience[0] != popauthtest.Audience ||
			p.Bindings[0].Value != l.Owner.Thumbprint() {
			t.Errorf("got %+v", p)
		}
	})), l.Owner.Request("GET", "/", l.Bound())).Passed(t)
}

func TestNestedGuards(t *testing.T) {
	l := lab.New(t)
	partner := popauthtest.NewIssuer(t)
	partner.Now = l.Clock.Now
	outer := l.Guard()
	inner, err := popauth.New(partner.Options())
	if err != nil {
		t.Fatal(err)
	}
	lab.Send(lab.Chain(outer.Authenticate, inner.Authenticate), l.Owner.Request("GET", "/", l.Bound())).Refused(t, 401, lab.InvalidToken)

	v := &countingVerifier{}
	again, err := popauth.New(popauth.Options{Verifier: v})
	if err != nil {
		t.Fatal(err)
	}
	var issuers []string
	look := lab.Tap(func(r *http.Request) { p, _ := popauth.FromContext(r.Context()); issuers = append(issuers, p.ClientID) })
	lab.Send(lab.Chain(again.Authenticate, outer.Authenticate, look, again.Confirm, outer.Confirm, look),
		l.Owner.Request("GET", "/", l.Bound())).Passed(t)
	if v.calls.Load() != 1 || len(issuers) != 2 {
		t.Errorf("verified %d times, looked %d times, want 1 and 2", v.calls.Load(), len(issuers))
	}
}

func TestTheZeroGuardDeniesEverything(t *testing.T) {
	l := lab.New(t)
	for name, g := range map[string]*popauth.Guard{"zero": {}, "nil": nil} {
		for _, wrap := range []func(http.Handler) http.Handler{g.Authenticate, g.Confirm, g.Authorize(popauth.Scope("a"))} {
			lab.Send(wrap, l.Owner.Request("GET", "/", l.Bound())).Refused(t, 500, "")
		}
		if p, err := g.Check(l.Owner.Request("GET", "/", l.Bound())); p != nil || !errors.Is(err, popauth.ErrUnconfigured) {
			t.Errorf("%s: Check: got %v, %v", name, p, err)
		}
		if p, err := g.Recheck(l.Owner.Request("GET", "/", l.Bound())); p != nil || !errors.Is(err, popauth.ErrUnconfigured) {
			t.Errorf("%s: Recheck: got %v, %v", name, p, err)
		}
	}
}

func TestBadWiringPanics(t *testing.T) {
	g := lab.New(t).Guard()
	for name, wire := range map[string]func(){
		"Authenticate(nil)":         func() { g.Authenticate(nil) },
		"Confirm(nil)":              func() { g.Confirm(nil) },
		"Authorize()":               func() { g.Authorize() },
		"Authorize(zero)":           func() { g.Authorize(popauth.Policy{}) },
		"Authorize(…)(nil)":         func() { g.Authorize(popauth.Scope("a"))(nil) },
		"ClientCertificate(nil)":    func() { popauth.ClientCertificate(nil) },
		"ClientCertificate(…)(nil)": func() { popauth.ClientCertificate(popauth.TLSCertificate())(nil) },
		"Scope()":                   func() { popauth.Scope() },
		"Scope(empty)":              func() { popauth.Scope("") },
		"Scope(two in one)":         func() { popauth.Scope("a b") },
		"Scope(quote)":              func() { popauth.Scope(`a"`) },
		"AnyScope()":                func() { popauth.AnyScope() },
		"Client()":                  func() { popauth.Client() },
		"Subject(empty)":            func() { popauth.Subject("") },
		"BoundBy()":                 func() { popauth.BoundBy() },
		"AnyOf()":                   func() { popauth.AnyOf() },
		"AnyOf(zero)":               func() { popauth.AnyOf(popauth.Scope("a"), popauth.Policy{}) },
		"ClaimsPolicy(nil)":         func() { popauth.ClaimsPolicy[struct{}](nil) },
		"PolicyFunc(nil)":           func() { popauth.PolicyFunc(nil) },
	} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.HasPrefix(fmt.Sprint(v), "popauth: ") {
					t.Errorf("%s: got %v, want a panic of popauth's", name, v)
				}
			}()
			wire()
		}()
	}
}

func TestCheck(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	p, err := g.Check(l.Owner.Request("GET", "/", l.Bound()), popauth.Scope("orders.read"))
	if err != nil || p.Subject != "client-1" || p.Bindings[0] != (popauth.Binding{Member: "x5t#S256", Value: l.Owner.Thumbprint()}) ||
		p.Certificate.Thumbprint != l.Owner.Thumbprint() || p.Certificate.Source != popauth.SourceTLS {
		t.Errorf("got %+v, %v", p, err)
	}
	for _, tt := range []struct {
		name     string
		r        *http.Request
		policies []popauth.Policy
		want     popauth.Reason
		status   int
	}{
		{"thief", l.Thief.Request("GET", "/", l.Bound()), nil, popauth.ErrCertificateMismatch, 401},
		{"unbound", l.Owner.Request("GET", "/", l.Unbound()), []popauth.Policy{popauth.Bound()}, popauth.ErrBindingMissing, 401},
		{"scope", l.Owner.Request("GET", "/", l.Bound()), []popauth.Policy{popauth.Scope("x")}, popauth.ErrScope, 403},
		{"zero policy", l.Owner.Request("GET", "/", l.Bound()), []popauth.Policy{{}}, popauth.ErrForbidden, 403},
		{"nothing", l.Owner.Request("GET", "/", ""), nil, popauth.ErrCredentialsMissing, 401},
	} {
		p, err := g.Check(tt.r, tt.policies...)
		var e *popauth.Error
		if p != nil || !errors.Is(err, tt.want) || !errors.As(err, &e) || e.Status() != tt.status {
			t.Errorf("%s: got %v, %v, want %v", tt.name, p, err, tt.want)
		}
	}
}

// The Deny hook can shape the answer, but neither forget the challenge nor turn the refusal into a success.
func TestDeny(t *testing.T) {
	l := lab.New(t)
	for _, tt := range []struct {
		name   string
		deny   func(http.ResponseWriter, *http.Request, *popauth.Error)
		status int
		body   string
	}{
		{"does nothing", func(http.ResponseWriter, *http.Request, *popauth.Error) {}, 401, ""},
		{"writes only a body", func(w http.ResponseWriter, _ *http.Request, _ *popauth.Error) { _, _ = w.Write([]byte("no")) }, 401, "no"},
		{"says 200", func(w http.ResponseWriter, _ *http.Request, _ *popauth.Error) { w.WriteHeader(200) }, 401, ""},
		{"teapot", func(w http.ResponseWriter, _ *http.Request, _ *popauth.Error) { w.WriteHeader(418) }, 418, ""},
		{"redirect", func(w http.ResponseWriter, r *http.Request, _ *popauth.Error) { w.WriteHeader(302) }, 302, ""},
		{"informs first", func(w http.ResponseWriter, r *http.Request, _ *popauth.Error) {
			w.WriteHeader(103)
			_, _ = w.Write([]byte("no"))
		}, 401, "no"},
		{"uses the error", func(w http.ResponseWriter, _ *http.Request, e *popauth.Error) {
			if !errors.Is(e, popauth.ErrCertificateMissing) {
				t.Errorf("got %v", e)
			}
			w.WriteHeader(e.Status())
		}, 401, ""},
		{"flushes first", func(w http.ResponseWriter, _ *http.Request, _ *popauth.Error) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			_, _ = w.Write([]byte("no"))
		}, 401, "no"},
		{"flushes", func(w http.ResponseWriter, _ *http.Request, _ *popauth.Error) {
			w.WriteHeader(401)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}, 401, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := l.Guard(func(o *popauth.Options) { o.Deny = tt.deny })
			server := popauthtest.NewServer(t, g.Authenticate(&popauthtest.Spy{}))
			client := (*popauthtest.Client)(nil).HTTP(server)
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			status, header, body := lab.Fetch(t, client, server.URL, l.Bound())
			if status != tt.status || body != tt.body || !strings.HasPrefix(header.Get("WWW-Authenticate"), lab.InvalidToken) {
				t.Errorf("got %d %q %q, want %d %q", status, body, header, tt.status, tt.body)
			}
		})
	}
}

// Every version of the protocols, first on a full handshake, then on a resumed one.
func TestOverTheWire(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	spy := &popauthtest.Spy{Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %#x %t", r.Proto, r.TLS.Version, r.TLS.DidResume)
	})}
	for _, auth := range []tls.ClientAuthType{tls.RequestClientCert, tls.VerifyClientCertIfGiven} {
		server := popauthtest.NewServer(t, g.Confirm(spy), func(c *tls.Config) { c.ClientAuth, c.ClientCAs = auth, l.CA.Pool() })
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, h2 := range []bool{false, true} {
				client := func(c *popauthtest.Client) *http.Client {
					h := c.HTTP(server)
					tr := h.Transport.(*http.Transport)
					tr.TLSClientConfig.MinVersion, tr.TLSClientConfig.MaxVersion = version, version
					tr.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(4)
					tr.ForceAttemptHTTP2 = h2
					if !h2 {
						tr.TLSClientConfig.NextProtos = []string{"http/1.1"}
					}
					return h
				}
				proto := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[h2]
				owner := client(l.Owner)
				for _, resumed := range []bool{false, true} {
					status, _, body := lab.Fetch(t, owner, server.URL, l.Bound())
					if want := fmt.Sprintf("%s %#x %t", proto, version, resumed); status != 200 || body != want {
						t.Errorf("owner: got %d %q, want 200 %q", status, body, want)
					}
					owner.CloseIdleConnections()
				}
				ran := spy.Ran()
				thieves := []*popauthtest.Client{nil, l.CA.Client("other")}
				if auth == tls.RequestClientCert {
					thieves = append(thieves, l.Thief)
				}
				for _, c := range thieves {
					thief := client(c)
					for range 2 {
						if status, _, _ := lab.Fetch(t, thief, server.URL, l.Bound()); status != 401 {
							t.Errorf("thief, %s, %#x: got %d, want 401", proto, version, status)
						}
						thief.CloseIdleConnections()
					}
				}
				if spy.Ran() != ran {
					t.Error("the handler ran for a thief")
				}
			}
		}
	}
}

// 100 callers of their own at once, half of them thieves of the next one's token.
func TestConcurrentCallers(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	h := lab.Chain(g.Authenticate, g.Confirm, g.Authorize(popauth.Scope("orders.read")))(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		p, _ := popauth.FromContext(r.Context())
		_, _ = w.Write([]byte(p.Subject))
	}))
	const callers, rounds = 100, 20
	clients := make([]*popauthtest.Client, callers)
	tokens := make([]string, callers)
	for i := range clients {
		clients[i] = popauthtest.SelfSigned(t, fmt.Sprint("caller-", i))
		tokens[i] = l.Issuer.Token(clients[i].Bound(), popauthtest.Claims{"sub": fmt.Sprint("caller-", i), "scope": "orders.read"})
	}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range rounds {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, clients[i].Request("GET", "/", tokens[i]))
				if w.Code != 200 || w.Body.String() != fmt.Sprint("caller-", i) {
					t.Errorf("caller %d: got %d %q", i, w.Code, w.Body)
				}
				w = httptest.NewRecorder()
				h.ServeHTTP(w, clients[i].Request("GET", "/", tokens[(i+1)%callers]))
				if w.Code != 401 {
					t.Errorf("caller %d as thief: got %d", i, w.Code)
				}
			}
		})
	}
	wg.Wait()
}

// What is kept does not grow with the number of requests, whatever they carry.
func TestMemoryDoesNotGrow(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	h := g.Confirm(&popauthtest.Spy{})
	burst := func(n int) uint64 {
		for i := range n {
			token := fmt.Sprintf("e%d.e.e", i)
			if i%50 == 0 {
				token = l.Bound()
			}
			h.ServeHTTP(httptest.NewRecorder(), l.Owner.Request("GET", "/", token))
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := burst(500)
	after := burst(5000)
	if after > before && after-before > 512<<10 {
		t.Errorf("the heap grew by %d bytes", after-before)
	}
}

// The log line names what is known and can't be broken by what a sender writes.
func TestLog(t *testing.T) {
	l := lab.New(t)
	var buffer bytes.Buffer
	raw := &rawHandler{w: &buffer}
	g := l.Guard(func(o *popauth.Options) { o.Logger, o.TokenTypes = slog.New(raw), []string{"at+jwt"} })
	hostile := "x\nlevel=ERROR msg=forged\r\x1b[2J\u202e" + strings.Repeat("y", 1000)
	token := l.Bound(popauthtest.Claims{"client_id": hostile, "jti": hostile, "exp": 1})
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", token)).Refused(t, 401, lab.InvalidToken)
	line := buffer.String()
	for _, want := range []string{"reason=" + string(popauth.ErrTokenExpired), "status=401", "issuer=" + l.Issuer.URL, "client=x?level",
		"token_id=x?level"} {
		if !strings.Contains(line, want) {
			t.Errorf("got %q, want %q in it", line, want)
		}
	}
	if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(c rune) bool { return c < ' ' || c > '~' }) || len(line) > 2000 {
		t.Errorf("unprintable or endless: %q", line)
	}
	for _, part := range strings.Split(token, ".") {
		if strings.Contains(line, part) {
			t.Error("the line has a part of the token")
		}
	}
	buffer.Reset()
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", l.Bound())).Passed(t)
	if buffer.Len() > 0 {
		t.Errorf("a request that passed was logged: %q", &buffer)
	}
	down := popauthtest.NewIssuer(t)
	down.Handle("/jwks", http.NotFoundHandler())
	o := down.Options()
	o.Logger = slog.New(raw)
	g, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", down.Token())).Refused(t, 503, "")
	if !strings.HasPrefix(buffer.String(), "WARN") {
		t.Errorf("an outage: got %q, want a warning", &buffer)
	}
}

// rawHandler escapes nothing.
type rawHandler struct {
	slog.Handler
	w *bytes.Buffer
}

func (h *rawHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h *rawHandler) Handle(_ context.Context, r slog.Record) error {
	h.w.WriteString(r.Level.String() + " " + r.Message)
	r.Attrs(func(a slog.Attr) bool { fmt.Fprintf(h.w, " %s=%v", a.Key, a.Value); return true })
	h.w.WriteString("\n")
	return nil
}

// The clock is the Options' own.
func TestClock(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	token := l.Bound()
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", token)).Passed(t)
	l.Clock.Advance(5*time.Minute + 29*time.Second)
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", token)).Passed(t)
	l.Clock.Advance(time.Second)
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", token)).Refused(t, 401, lab.InvalidToken)
}
