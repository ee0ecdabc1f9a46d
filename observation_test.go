package popauth_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestObserve(t *testing.T) {
	l := lab.New(t)
	var seen *lab.Observer
	down := errors.New("down")
	g := l.Guard(func(o *popauth.Options) {
		seen = lab.Observed(o)
		o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}
		o.Revoked = func(_ context.Context, t *popauth.Token) (bool, error) {
			if t.Subject() == "unknown" {
				return false, down
			}
			return t.Subject() == "revoked", nil
		}
	})
	read := g.Authorize(popauth.Scope("orders.read"))
	all := lab.Chain(g.Authenticate, g.Confirm, read, g.Confirm, g.Authenticate)
	key := popauthtest.NewProofKey(t, "ES256")
	iss := l.Issuer.URL
	bearer, bound := "|Bearer||"+iss, "|Bearer|x5t#S256|"+iss
	request := func(c *popauthtest.Client, token string) *http.Request { return c.Request("GET", "/orders", token) }
	foreign := popauthtest.NewIssuer(t)
	for _, tt := range []struct {
		name string
		wrap func(http.Handler) http.Handler
		r    *http.Request
		want []string
	}{
		{"all stages", all, request(l.Owner, l.Bound()),
			[]string{"authenticate 0 " + bound, "confirm 0 " + bound, "authorize 0 " + bound, "confirm 0 " + bound}},
		{"Authorize alone", read, request(l.Owner, l.Bound()), []string{"authenticate 0 " + bound, "authorize 0 " + bound}},
		{"Authenticate alone, bearer", g.Authenticate, request(l.Owner, l.Unbound()), []string{"authenticate 0 " + bearer}},
		{"unbound", all, request(l.Owner, l.Unbound()),
			[]string{"authenticate 0 " + bearer, "confirm 401 token not bound" + bearer}},
		{"scope missing", all, request(l.Owner, l.Bound(popauthtest.Claims{"scope": "other"})),
			[]string{"authenticate 0 " + bound, "confirm 0 " + bound, "authorize 403 scope missing" + bound}},
		{"thief", all, request(l.Thief, l.Bound()), []string{"authenticate 401 token bound to another certificate" + bound}},
		{"no credentials", all, httptest.NewRequest("GET", "/", nil), []string{"authenticate 401 no credentials|||"}},
		{"malformed", all, request(l.Owner, "?"), []string{"authenticate 400 credentials malformed or sent twice|Bearer||"}},
		{"another issuer", all, request(l.Owner, foreign.Token()), []string{"authenticate 401 token from another issuer|Bearer||"}},
		{"mangled", all, request(l.Owner, l.Bound()+"x"), []string{"authenticate 401 token malformed|Bearer||"}},
		{"member nobody confirms", all, request(l.Owner, l.Issuer.Token(popauthtest.Claims{"cnf": popauthtest.Claims{"x": "y", "z": "y"}})),
			[]string{"authenticate 401 cnf member that no confirmer handles|Bearer|other|" + iss}},
		{"revoked", all, request(l.Owner, l.Bound(popauthtest.Claims{"sub": "revoked"})),
			[]string{"authenticate 401 token revoked" + bound}},
		{"unavailable", all, request(l.Owner, l.Bound(popauthtest.Claims{"sub": "unknown"})),
			[]string{"authenticate 503 something needed for the decision can't be reached" + bound}},
		{"DPoP without a proof", all, func() *http.Request {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "dpop "+l.Issuer.Token(key.Bound()))
			return r
		}(), []string{"authenticate 401 DPoP proof missing|DPoP|jkt|" + iss}},
		{"two bindings, whatever their order", all, request(l.Owner, l.Issuer.Token(popauthtest.Claims{
			"cnf": json.RawMessage(`{"x5t#S256":"` + l.Owner.Thumbprint() + `","jkt":"` + key.Thumbprint() + `"}`),
		})), []string{"authenticate 401 authentication scheme does not fit the binding|Bearer|jkt x5t#S256|" + iss}},
	} {
		out := lab.Send(tt.wrap, tt.r)
		got := seen.Take(t)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
		if last := got[len(got)-1]; out.Ran != strings.Contains(last, " 0 |") {
			t.Errorf("%s: ran %t", tt.name, out.Ran)
		}
	}
}

// Check is observed like a handler; what it refuses is not counted again when Refuse answers it.
func TestObserveCheckAndRefuse(t *testing.T) {
	l := lab.New(t)
	var seen, other *lab.Observer
	g := l.Guard(func(o *popauth.Options) { seen = lab.Observed(o) })
	second := l.Guard(func(o *popauth.Options) { other = lab.Observed(o) })
	bound := "|Bearer|x5t#S256|" + l.Issuer.URL
	type key struct{}
	r := l.Owner.Request("GET", "/orders", l.Bound())
	r = r.WithContext(context.WithValue(r.Context(), key{}, 1))
	if _, err := g.Check(r); err != nil || seen.Ctx[0].Value(key{}) != 1 {
		t.Errorf("got %v, %v", err, seen.Ctx)
	}
	want := func(o *lab.Observer, want ...string) {
		t.Helper()
		if got := o.Take(t); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	want(seen, "authenticate 0 "+bound)
	_, err := g.Check(r, popauth.Scope("orders.write"))
	want(seen, "authenticate 0 "+bound, "authorize 403 scope missing"+bound)
	w := httptest.NewRecorder()
	g.Refuse(w, r, err)
	want(seen)
	if w.Code != http.StatusForbidden || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), lab.LacksScope) {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	second.Refuse(httptest.NewRecorder(), r, err)
	want(other, "outside 403 scope missing"+bound)

	w = httptest.NewRecorder()
	g.Refuse(w, r, errors.New("closed on Sundays"))
	want(seen, "outside 403 refused by policy|||")
	if w.Code != http.StatusForbidden || w.Body.Len() > 0 || len(w.Header()["Www-Authenticate"]) > 0 {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	w = httptest.NewRecorder()
	g.Refuse(w, r, popauth.ErrTokenExpired)
	want(seen, "outside 401 token expired|||")
	if w.Code != http.StatusUnauthorized || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), lab.InvalidToken) {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	g.Refuse(w, r, fmt.Errorf("orders: %w", err))
	want(seen)
	if got := w.Header().Get("WWW-Authenticate"); w.Code != http.StatusForbidden || !strings.Contains(got, `scope="orders.write"`) {
		t.Errorf("an error of Check, wrapped: got %d %v", w.Code, w.Header())
	}
	for name, none := range map[string]*popauth.Guard{"zero": {}, "nil": nil} {
		w = httptest.NewRecorder()
		none.Refuse(w, r, popauth.ErrScope)
		if w.Code != http.StatusForbidden {
			t.Errorf("the %s Guard: got %d", name, w.Code)
		}
	}
	if err := lab.Send((&popauth.Guard{}).Confirm, r); err.Status != http.StatusInternalServerError || err.Ran {
		t.Errorf("the zero Guard: got %+v", err)
	}
}

// hostileVerifier finds reasons of its own, with a sender's text in them.
type hostileVerifier struct{ popauth.Verifier }

func (hostileVerifier) Verify(_ context.Context, token string) (*popauth.Token, error) {
	return nil, popauth.Reason("no: " + token)
}

// Whatever is sent, the strings of an Observation come from a fixed set.
func TestObserveFlood(t *testing.T) {
	l := lab.New(t)
	var seen, own *lab.Observer
	g := l.Guard(func(o *popauth.Options) {
		seen = lab.Observed(o)
		o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}
	})
	all := lab.Chain(g.Authenticate, g.Confirm, g.Authorize(popauth.PolicyFunc(func(_ *http.Request, p *popauth.Principal) error {
		return popauth.Reason("not " + p.Subject)
	})))
	custom, err := popauth.New(popauth.Options{Verifier: hostileVerifier{}, Observe: func(ctx context.Context, o popauth.Observation) {
		own.Observe(ctx, o)
	}})
	if err != nil {
		t.Fatal(err)
	}
	own = &lab.Observer{}
	each, err := popauth.NewJWTVerifier(popauth.JWTOptions{
		Issuer: l.Issuer.URL, Audience: []string{popauthtest.Audience}, Keys: l.Issuer.Options().Keys, Now: l.Clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	tenants, err := issuers.New(issuers.Options{Verifiers: map[string]popauth.Verifier{l.Issuer.URL: each}})
	if err != nil {
		t.Fatal(err)
	}
	several, err := popauth.New(popauth.Options{Verifier: tenants, Now: l.Clock.Now, Observe: seen.Observe})
	if err != nil {
		t.Fatal(err)
	}
	thief := popauthtest.NewIssuer(t)
	key := popauthtest.NewProofKey(t, "ES256")
	values := map[string]map[string]bool{}
	grown := 0
	for n := range 60 {
		for _, r := range hostile(l, thief, key) {
			lab.Send(all, r)
			lab.Send(custom.Confirm, r)
			lab.Send(several.Confirm, r)
		}
		for _, o := range append(seen.All, own.All...) {
			for field, value := range map[string]string{
				"stage": string(o.Stage), "reason": string(o.Reason), "status": fmt.Sprint(o.Status),
				"issuer": o.Issuer, "scheme": o.Scheme, "binding": o.Binding,
			} {
				if values[field] == nil {
					values[field] = map[string]bool{}
				}
				if !values[field][value] {
					values[field][value] = true
					grown = n
				}
			}
		}
		seen.All, own.All = nil, nil
	}
	for field, allowed := range map[string][]string{
		"stage": {"authenticate", "confirm", "authorize"}, "issuer": {"", l.Issuer.URL}, "scheme": {"", "Bearer", "DPoP"},
		"binding": {"", "jkt", "x5t#S256", "jkt x5t#S256", "other", "other x5t#S256"}, "status": {"0", "400", "401", "403"},
	} {
		for value := range values[field] {
			if !slices.Contains(allowed, value) {
				t.Errorf("%s: %q", field, value)
			}
		}
	}
	for value := range values["reason"] {
		if value != "" && !popauth.Known(popauth.Reason(value)) {
			t.Errorf("reason: %q", value)
		}
	}
	if grown > 20 || len(values["reason"]) < 8 {
		t.Errorf("the last new value came in round %d: %v", grown, values)
	}
	t.Logf("%d reasons, %d bindings, the last new one in round %d", len(values["reason"]), len(values["binding"]), grown)
}

// hostile is one round of requests, of which each has something that no other has had.
func hostile(l *lab.Lab, thief *popauthtest.Issuer, key *popauthtest.ProofKey) []*http.Request {
	x := rand.Text()
	var all []*http.Request
	add := func(scheme, token string, change ...func(*http.Request)) {
		r := l.Owner.Request(x, "/"+x, "")
		r.Header.Set("Authorization", scheme+" "+token)
		for _, c := range change {
			c(r)
		}
		all = append(all, r)
	}
	proof := func(p string) func(*http.Request) { return func(r *http.Request) { r.Header.Set("Dpop", p) } }
	mine := popauthtest.Claims{"sub": x, "client_id": x, "scope": x, "jti": x, "acr": x}
	random := popauthtest.Claims{"cnf": popauthtest.Claims{x: x}}
	add("Bearer", l.Bound(mine))
	add("Bearer", l.Unbound(mine))
	add(x, l.Bound())
	add("Bearer", x)
	add("bEaReR", x+"."+x+"."+x)
	add("Bearer", thief.Token(popauthtest.Claims{"iss": "https://" + x + ".example"}, mine))
	add("Bearer", thief.Token(popauthtest.Claims{"iss": l.Issuer.URL}, mine, random))
	add("Bearer", l.Issuer.Token(popauthtest.Claims{"iss": "https://" + x + ".example"}))
	add("Bearer", l.Issuer.Token(popauthtest.Claims{"aud": x}))
	add("Bearer", l.Issuer.TokenWith(popauthtest.Claims{"kid": x}))
	add("Bearer", l.Issuer.TokenWith(popauthtest.Claims{"typ": x}))
	add("Bearer", l.Issuer.Token(mine, random))
	add("Bearer", l.Issuer.Token(mine, popauthtest.Claims{"cnf": popauthtest.Claims{x: x, "x5t#S256": l.Owner.Thumbprint()}}))
	add("DPoP", l.Issuer.Token(key.Bound()), proof(x))
	token := l.Issuer.Token(key.Bound(), mine)
	add("DPoP", token, proof(key.Proof(x, "https://example.com/"+x, token, popauthtest.Claims{"jti": x})))
	add("DPoP", token, proof(key.ProofWith(popauthtest.Claims{"alg": x}, x, "https://"+x, token)))
	add("DPoP", l.Bound())
	all = append(all, l.Owner.Request(x, "/?access_token="+x, l.Bound()))
	return all
}

func ExampleOptions_observe() {
	refusals := map[popauth.Reason]int{} // a counter of a metrics library, which is safe for concurrent use
	options := popauth.Options{
		Issuer:   "https://id.example.com",
		Audience: []string{"https://api.example.com"},
		Observe: func(_ context.Context, o popauth.Observation) {
			if o.Reason != "" {
				refusals[o.Reason]++
			}
		},
	}
	guard, err := popauth.New(options)
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := guard.Confirm(http.NotFoundHandler())
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/orders", http.NoBody))
	fmt.Println(refusals)
	// Output: map[no credentials:1]
}
