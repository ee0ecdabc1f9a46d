package popauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A member of cnf that describes the key beside it binds nothing. Keycloak 26.7 writes kc-jkt-type beside jkt.
func TestDescribedKey(t *testing.T) {
	l := lab.New(t)
	key, other := popauthtest.NewProofKey(t, ""), popauthtest.NewProofKey(t, "")
	key.Now, other.Now = l.Clock.Now, l.Clock.Now
	jkt := key.Thumbprint()
	under := func(scheme string) func(string) *http.Request {
		return func(token string) *http.Request {
			r := httptest.NewRequest(http.MethodGet, "https://api.example.com/orders", http.NoBody)
			r.Header.Set("Authorization", scheme+" "+token)
			return r
		}
	}
	proofless, bearerOnly := under("DPoP"), under("Bearer")
	own := func(token string) *http.Request { return key.Request("GET", "https://api.example.com/orders", token) }
	others := func(token string) *http.Request { return other.Request("GET", "https://api.example.com/orders", token) }
	described := lab.Claims{"jkt": jkt, "kc-jkt-type": "DPoP"}
	for _, tt := range []struct {
		name   string
		cnf    lab.Claims
		sender func(token string) *http.Request
		want   popauth.Reason // "" if the handler runs
		says   string
	}{
		{name: "owner", cnf: described, sender: own},
		{name: "thief with a key of his own", cnf: described, sender: others, want: popauth.ErrProofKey},
		{name: "no proof", cnf: described, sender: proofless, want: popauth.ErrProofMissing},
		{name: "under Bearer", cnf: described, sender: bearerOnly, want: popauth.ErrBindingScheme},
		{name: "alone, under Bearer", cnf: lab.Claims{"kc-jkt-type": "DPoP"}, sender: bearerOnly, want: popauth.ErrBindingUnknown,
			says: `"kc-jkt-type" is known beside "jkt" only`},
		{name: "alone, with a proof", cnf: lab.Claims{"kc-jkt-type": "DPoP"}, sender: own, want: popauth.ErrBindingUnknown},
		{name: "beside another key", cnf: lab.Claims{"x5t#S256": l.Owner.Thumbprint(), "kc-jkt-type": "DPoP"}, sender: bearerOnly,
			want: popauth.ErrBindingUnknown},
		{name: "another value", cnf: lab.Claims{"jkt": jkt, "kc-jkt-type": "Client-Attestation"}, sender: own,
			want: popauth.ErrBindingUnknown, says: `it came with "Client-Attestation"`},
		{name: "the value in another case", cnf: lab.Claims{"jkt": jkt, "kc-jkt-type": "dpop"}, sender: own,
			want: popauth.ErrBindingUnknown},
		{name: "the member in another case", cnf: lab.Claims{"jkt": jkt, "KC-JKT-TYPE": "DPoP"}, sender: own,
			want: popauth.ErrBindingUnknown, says: `"KC-JKT-TYPE"`},
		{name: "a value that is no string", cnf: lab.Claims{"jkt": jkt, "kc-jkt-type": true}, sender: own,
			want: popauth.ErrBindingMalformed, says: `"kc-jkt-type"`},
		{name: "a null", cnf: lab.Claims{"jkt": jkt, "kc-jkt-type": nil}, sender: own, want: popauth.ErrBindingMalformed},
		{name: "one more, unknown", cnf: lab.Claims{"jkt": jkt, "kc-jkt-type": "DPoP", "kid": "1"}, sender: own,
			want: popauth.ErrBindingUnknown, says: `"kid"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var refusal *popauth.Error
			var seen popauth.Observation
			g := l.Guard(func(o *popauth.Options) {
				o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}
				o.Deny = func(w http.ResponseWriter, _ *http.Request, e *popauth.Error) { refusal = e; w.WriteHeader(e.Status()) }
				o.Observe = func(_ context.Context, o popauth.Observation) { seen = o }
			})
			var caller *popauth.Principal
			ran := false
			g.Confirm(g.Authorize(popauth.BoundBy("jkt"))(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				ran = true
				caller, _ = popauth.FromContext(r.Context())
			}))).ServeHTTP(httptest.NewRecorder(), tt.sender(l.Unbound(lab.Claims{"cnf": tt.cnf})))
			if tt.want != "" {
				switch {
				case ran:
					t.Error("the handler ran")
				case refusal.Reason != tt.want || !strings.Contains(refusal.Error(), tt.says):
					t.Errorf("got %v, want %v that says %q", refusal, tt.want, tt.says)
				}
				return
			}
			if !ran {
				t.Fatalf("the handler did not run: %v", refusal)
			}
			if len(caller.Bindings) != 1 || caller.Bindings[0] != (popauth.Binding{Member: "jkt", Value: jkt}) {
				t.Errorf("bindings: got %v, want jkt alone", caller.Bindings)
			}
			if seen.Binding != "jkt" {
				t.Errorf("observed: got %q, want jkt", seen.Binding)
			}
			if _, err := g.Check(tt.sender(l.Unbound(lab.Claims{"cnf": tt.cnf})), popauth.BoundBy("kc-jkt-type")); err == nil {
				t.Error("the description counts as a binding")
			}
		})
	}
}

// A Confirmer that says yes to the description would bind a token by what nobody has to prove.
func TestNoConfirmerForADescription(t *testing.T) {
	l := lab.New(t)
	o := l.Issuer.Options()
	o.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{}), saysYes("kc-jkt-type")}
	if _, err := popauth.New(o); err == nil || !strings.Contains(err.Error(), `"kc-jkt-type" describes a key`) {
		t.Errorf("got %v, want a problem of Confirmers", err)
	}
}

type saysYes string

func (m saysYes) Member() string                                  { return string(m) }
func (saysYes) Confirm(*http.Request, popauth.Presentation) error { return nil }
