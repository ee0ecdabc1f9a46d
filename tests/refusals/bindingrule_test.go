package refusals_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// bindingDoor is a way to a handler whose Guards all have one rule.
type bindingDoor struct {
	name string
	open func(http.Handler) http.Handler
	mint func(...popauthtest.Claims) string
	by   func(*http.Request) *http.Request // as the door gets a request; nil: as it is
}

// bindingDoors are the Guard and whatever else a token may come by.
func bindingDoors(t *testing.T, l lab.Lab, rule popauth.BindingRule) []bindingDoor {
	t.Helper()
	confirmers := []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}
	ruled := func(more ...func(*popauth.Options)) *popauth.Guard {
		bound := func(o *popauth.Options) { o.Binding, o.Confirmers = rule, confirmers }
		return l.Guard(append([]func(*popauth.Options){bound}, more...)...)
	}
	verified := func(v popauth.Verifier) *popauth.Guard {
		return ruled(func(o *popauth.Options) {
			*o = popauth.Options{Verifier: v, Now: o.Now, Binding: o.Binding, Confirmers: o.Confirmers, Logger: o.Logger}
		})
	}
	jwt, opaque := lab.VerifierOf(l, l.Issuer), l.Introspection()
	several := issuersOf(t, map[string]popauth.Verifier{l.Issuer.URL: jwt})
	silent := popauth.RequestLine{Logger: slog.New(slog.DiscardHandler)}
	source := popauth.ClientCertificate(popauth.TLSCertificate())
	outer, shown := ruled(), clientcert.Thumbprint(l.Owner.Thumbprint(), l.Thief.Thumbprint())
	byRoute := l.Guard(func(o *popauth.Options) { // whose proofs are its own: each is good for one use
		o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}
	})
	return []bindingDoor{
		{name: "Guard", open: ruled().Authenticate, mint: l.Issuer.Token},
		{name: "Authorize", open: ruled().Authorize(popauth.AnyOf(popauth.Scope("orders.read"), popauth.Bound())), mint: l.Issuer.Token},
		{name: "Check", open: checking(ruled()), mint: l.Issuer.Token},
		{name: "issuers", open: verified(several).Authenticate, mint: l.Issuer.Token},
		{name: "introspection", open: verified(opaque).Authenticate, mint: l.Issuer.Opaque},
		{name: "JWTOr, a JWT", open: verified(popauth.JWTOr(jwt, opaque)).Authenticate, mint: l.Issuer.Token},
		{name: "JWTOr, another", open: verified(popauth.JWTOr(jwt, opaque)).Authenticate, mint: l.Issuer.Opaque},
		{name: "behind ClientCertificate", open: lab.Chain(source, ruled().Authenticate), mint: l.Issuer.Token},
		{name: "around Require", mint: l.Issuer.Token,
			open: lab.Chain(silent.Handler, outer.Authenticate, clientcert.Require(nil, shown), outer.Authenticate)},
		{name: "inside of one by route", open: lab.Chain(byRoute.Authenticate, ruled().Authenticate), mint: l.Issuer.Token},
		{name: "around one by route", open: lab.Chain(ruled().Authenticate, byRoute.Authenticate), mint: l.Issuer.Token},
		{name: "forwardauth", open: forwarding(t, l, rule), mint: l.Issuer.Token, by: asked},
	}
}

func issuersOf(t *testing.T, of map[string]popauth.Verifier) popauth.Verifier {
	t.Helper()
	v, err := issuers.New(issuers.Options{Verifiers: of})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// checking is a door by Check.
func checking(g *popauth.Guard) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := g.Check(r); err != nil {
				g.Refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// forwarding is a proxy, 192.0.2.1, that asks package forwardauth before it serves.
func forwarding(t *testing.T, l lab.Lab, rule popauth.BindingRule) func(http.Handler) http.Handler {
	t.Helper()
	peers := proxy.TrustPeers(netip.MustParsePrefix("192.0.2.1/32"))
	trusted, err := proxy.Trusted(peers)
	if err != nil {
		t.Fatal(err)
	}
	o := l.Issuer.Options()
	o.Now, o.Binding, o.Logger, o.Certificate = l.Clock.Now, rule, slog.New(slog.DiscardHandler), lab.ByProxy(proxy.Traefik(), peers)
	o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{URL: forwardauth.OriginalURL})}
	e, err := forwardauth.New(forwardauth.Options{Guard: o, Headers: forwardauth.Traefik(), Proxy: trusted})
	if err != nil {
		t.Fatal(err)
	}
	endpoint := e.Authenticate()
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			endpoint.ServeHTTP(answer, r)
			if answer.Code != http.StatusOK {
				w.WriteHeader(answer.Code)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// asked is what Traefik asks about a request.
func asked(r *http.Request) *http.Request {
	q := httptest.NewRequest(http.MethodGet, "http://auth.internal/", http.NoBody)
	q.RemoteAddr = "192.0.2.1:4711"
	for name, value := range map[string]string{"Method": r.Method, "Proto": "https", "Host": r.Host, "Uri": r.URL.RequestURI(),
		"For": "198.51.100.7"} {
		q.Header.Set("X-Forwarded-"+name, value)
	}
	for _, name := range []string{"Authorization", "Dpop"} {
		q.Header[name] = r.Header[name]
	}
	if len(r.TLS.PeerCertificates) > 0 {
		q.Header.Set("X-Forwarded-Tls-Client-Cert", lab.Base64Of(r.TLS.PeerCertificates[0].Raw))
	}
	return q
}

// Whatever the rule, and by whichever door: no bound token passes unconfirmed. Announced lets pass what no rule does, and no more;
// required is the same without unbound tokens.
func TestBindingRuleByEveryDoor(t *testing.T) {
	l := lab.New(t)
	key, other := popauthtest.NewProofKey(t, "ES256"), popauthtest.NewProofKey(t, "ES256")
	key.Now, other.Now = l.Clock.Now, l.Clock.Now
	scope := popauthtest.Claims{"scope": "orders.read"}
	by := func(c *popauthtest.Client) func(string) *http.Request {
		return func(token string) *http.Request { return c.Request("GET", "https://api.example.com/orders", token) }
	}
	proof := func(k *popauthtest.ProofKey, as *popauthtest.Client) func(string) *http.Request {
		return func(token string) *http.Request {
			r := k.Request("GET", "https://api.example.com/orders", token)
			r.RequestURI, r.TLS = "/orders", as.Request("GET", "/", "").TLS
			return r
		}
	}
	both := popauthtest.Claims{"cnf": popauthtest.Claims{"x5t#S256": l.Owner.Thumbprint(), "jkt": key.Thumbprint()}}
	rows := []struct {
		name    string
		claims  popauthtest.Claims
		send    func(token string) *http.Request
		unbound bool
		passes  bool
	}{
		{name: "unbound", send: by(l.Owner), unbound: true, passes: true},
		{name: "unbound, no certificate", send: by(nil), unbound: true, passes: true},
		{name: "owner", claims: l.Owner.Bound(), send: by(l.Owner), passes: true},
		{name: "thief", claims: l.Owner.Bound(), send: by(l.Thief)},
		{name: "thief without a certificate", claims: l.Owner.Bound(), send: by(nil)},
		{name: "proof", claims: key.Bound(), send: proof(key, nil), passes: true},
		{name: "another's proof", claims: key.Bound(), send: proof(other, nil)},
		{name: "jkt under Bearer", claims: key.Bound(), send: by(l.Owner)},
		{name: "unbound under DPoP", send: proof(key, nil)},
		{name: "both", claims: both, send: proof(key, l.Owner), passes: true},
		{name: "both, proof alone", claims: both, send: proof(key, nil)},
		{name: "both, certificate alone", claims: both, send: by(l.Owner)},
		{name: "unknown member", claims: popauthtest.Claims{"cnf": popauthtest.Claims{"kid": "x"}}, send: by(l.Owner)},
		{name: "empty cnf", claims: popauthtest.Claims{"cnf": popauthtest.Claims{}}, send: by(l.Owner)},
		{name: "null cnf", claims: popauthtest.Claims{"cnf": nil}, send: by(l.Owner)},
		{name: "a description alone", claims: popauthtest.Claims{"cnf": popauthtest.Claims{"kc-jkt-type": "DPoP"}}, send: by(l.Owner)},
	}
	for _, rule := range []popauth.BindingRule{popauth.BindingByRoute, popauth.BindingAnnounced, popauth.BindingRequired} {
		for _, door := range bindingDoors(t, *l, rule) {
			for _, row := range rows {
				r := row.send(door.mint(scope, row.claims))
				if door.by != nil {
					r = door.by(r)
				}
				out := lab.Send(door.open, r)
				want := row.passes && !(row.unbound && rule == popauth.BindingRequired)
				if door.name == "around Require" && len(r.TLS.PeerCertificates) == 0 {
					want = false // a certificate is asked for besides
				}
				if out.Ran && !row.passes {
					t.Errorf("VULNERABLE: rule %d, %s, %s: passed", rule, door.name, row.name)
				}
				if out.Ran != want {
					t.Errorf("rule %d, %s, %s: got %d, ran %t, want %t", rule, door.name, row.name, out.Status, out.Ran, want)
				}
			}
		}
	}
}

// Only a token that isn't bound is announced, by its issuer and client, and the next line says how many came in between.
func TestAnnouncedLine(t *testing.T) {
	var log bytes.Buffer
	l := lab.New(t)
	g := l.Guard(func(o *popauth.Options) {
		o.Logger, o.Binding = slog.New(slog.NewTextHandler(&log, nil)), popauth.BindingAnnounced
	})
	log.Reset() // of what New has warned of
	lab.Send(g.Authenticate, l.Owner.Request("GET", "/orders", l.Bound())).Passed(t)
	if log.Len() > 0 {
		t.Errorf("a bound token: got %s", &log)
	}
	hostile := l.Unbound(popauthtest.Claims{"client_id": strings.Repeat("é\" level=ERROR ", 400)})
	lab.Send(g.Authenticate, l.Owner.Request("GET", "/orders", hostile)).Passed(t)
	if line := log.String(); strings.Count(line, "\n") != 1 || len(line) > 1<<10 || strings.Contains(line, "é") {
		t.Errorf("a hostile name: got %d bytes: %.300q", len(line), line)
	}
	if _, err := popauth.New(popauth.Options{Issuer: l.Issuer.URL, Audience: []string{"a"}, Binding: -1}); err == nil ||
		!strings.Contains(err.Error(), "Options.Binding") {
		t.Errorf("a negative rule: got %v", err)
	}
}
