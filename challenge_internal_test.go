package popauth

import (
	"context"
	"net/http"
	"slices"
	"testing"
)

type verifyNone struct{}

func (verifyNone) Verify(context.Context, string) (*Token, error) { return nil, ErrTokenInvalid }

// What is prepared is what would be written, for every reason and scheme, and for what no Guard of ours would say.
func TestPreparedChallenges(t *testing.T) {
	reasons := []Reason{"one of somebody else's"}
	for reason := range answers {
		reasons = append(reasons, reason)
	}
	for _, realm := range []string{"", "orders"} {
		o := Options{Verifier: verifyNone{}, Realm: realm, Confirmers: []Confirmer{MutualTLS{}, underScheme{}}}
		o.Resource.ID, o.Resource.AuthorizationServers = "https://api.example.com", []string{"https://id.example.com"}
		g, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		for _, reason := range reasons {
			for _, used := range []string{"", "Bearer", "DPoP", "dpop", "Basic"} {
				for _, asked := range [][]Param{nil, {{"scope", "orders.read"}}} {
					e := &Error{Reason: reason, used: used, needed: asked}
					if got, want := g.schemes.challenges(e), challengesFor(e, g.schemes.all, realm); !slices.Equal(got, want) {
						t.Errorf("%q, %q, %v: got %q, want %q", reason, used, asked, got, want)
					}
				}
			}
		}
	}
}

// Nobody who sees the challenges of one refusal can change those of the next.
func TestChallengesNotShared(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), "GET", "https://api.example.com/orders", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(Options{
		Verifier: verifyNone{}, Confirmers: []Confirmer{underScheme{}},
		Deny: func(w http.ResponseWriter, _ *http.Request, e *Error) {
			for _, list := range [...][]string{e.Challenges(), w.Header()["Www-Authenticate"]} {
				clear(list)
				_ = append(list[:1], "Basic")
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.Check(r)
	e := errorOf(err, ErrForbidden)
	want := challengesFor(e, g.schemes.all, "")
	for range 2 {
		g.refusals.write(headerOnly{}, r, e)
		if got := g.schemes.challenges(e); !slices.Equal(got, want) || len(want) != 2 {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

type headerOnly http.Header

func (h headerOnly) Header() http.Header       { return http.Header(h) }
func (headerOnly) Write(b []byte) (int, error) { return len(b), nil }
func (headerOnly) WriteHeader(int)             {}

// underScheme is a Confirmer with a scheme of its own, which has the name of DPoP's.
type underScheme struct{}

func (underScheme) Member() string                            { return "jkt" }
func (underScheme) Confirm(*http.Request, Presentation) error { return nil }
func (underScheme) Challenge() (scheme string, params []Param) {
	return "DPoP", []Param{{"algs", "ES256"}}
}
