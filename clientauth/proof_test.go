package clientauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// keyed is what a token endpoint made of a request with a proof.
type keyed struct {
	*httptest.ResponseRecorder
	ran bool
	cnf clientauth.Confirmation
	err error
}

// proofs verifies proofs for whatever URL a request names. It panics with what is wrong.
func proofs(o dpop.Options) *dpop.Confirmer {
	o.URL = dpop.RequestURL
	d, err := dpop.New(o)
	if err != nil {
		panic(err)
	}
	return d
}

// prove passes a request through Handler to an endpoint that asks for the proof, once the client is authenticated.
func prove(a *clientauth.Authenticator, r *http.Request) keyed {
	k := keyed{ResponseRecorder: httptest.NewRecorder()}
	a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k.cnf, k.err = a.Proof(w.Header(), r); k.err != nil {
			clientauth.WriteError(w, k.err)
			return
		}
		k.ran = true
	})).ServeHTTP(k, r)
	return k
}

func (k keyed) refused(t testing.TB, reason clientauth.Reason, status int, code string) {
	t.Helper()
	outcome{ResponseRecorder: k.ResponseRecorder, ran: k.ran, err: k.err}.refused(t, reason, status, code)
	if k.cnf != (clientauth.Confirmation{}) || k.err == nil {
		t.Errorf("VULNERABLE: got cnf %+v, error %v", k.cnf, k.err)
	}
}

func TestProof(t *testing.T) {
	batch, key := popauthtest.NewCA(t).Client("batch"), popauthtest.NewProofKey(t, "")
	clients := clientauth.Static{"batch": {thumbprint(t, batch)}}
	a := newAuth(t, clientauth.Options{Clients: clients, DPoP: proofs(dpop.Options{}), Endpoints: clientauth.PathPrefix("/mtls")})
	off := newAuth(t, clientauth.Options{Clients: clients, Endpoints: clientauth.PathPrefix("/mtls")})

	// send is a request to a path with these DPoP headers.
	send := func(a *clientauth.Authenticator, path string, proofs ...string) keyed {
		return prove(a, post(batch, form, func(r *http.Request) {
			r.URL.Path, r.RequestURI = path, path
			if proofs != nil {
				r.Header["Dpop"] = proofs
			}
		}))
	}
	ordinary, alias := "https://mtls.example.com/token", "https://mtls.example.com/mtls/token"
	proof := func(target string, claims ...popauthtest.Claims) string {
		return key.Proof("POST", target, "", claims...)
	}

	used := proof(ordinary)
	for _, tt := range []struct {
		name   string
		got    keyed
		reason clientauth.Reason
	}{
		{"ordinary endpoint", send(a, "/token", used), ""},
		{"certificate endpoint", send(a, "/mtls/token", proof(alias)), ""},
		{"used before", send(a, "/token", used), clientauth.ErrProofInvalid},
		{"for the certificate endpoint, at the ordinary one", send(a, "/token", proof(alias)), clientauth.ErrProofInvalid},
		{"for the ordinary endpoint, at the certificate one", send(a, "/mtls/token", proof(ordinary)), clientauth.ErrProofInvalid},
		{"two", send(a, "/token", proof(ordinary), proof(ordinary)), clientauth.ErrProofInvalid},
		{"empty", send(a, "/token", ""), clientauth.ErrProofInvalid},
		{"garbage", send(a, "/token", "<script>"), clientauth.ErrProofInvalid},
		{"old", send(a, "/token", proof(ordinary, popauthtest.Claims{"iat": 1})), clientauth.ErrProofInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.reason != "" {
				tt.got.refused(t, tt.reason, http.StatusBadRequest, "invalid_dpop_proof")
				return
			}
			if !tt.got.ran || tt.got.cnf != (clientauth.Confirmation{JKT: key.Thumbprint()}) || tt.got.cnf.TokenType() != "DPoP" {
				t.Errorf("got %+v, want the key's thumbprint", tt.got)
			}
		})
	}
	for name, got := range map[string]keyed{
		"none":           send(a, "/token"),
		"none, off":      send(off, "/token"),
		"ignored if off": send(off, "/token", "garbage"),
	} {
		if !got.ran || got.cnf != (clientauth.Confirmation{}) || got.cnf.TokenType() != "Bearer" {
			t.Errorf("%s: got %+v, want nothing to bind to", name, got)
		}
	}
}

// TestProofClock holds that proofs and registrations go by one clock.
func TestProofClock(t *testing.T) {
	clock, key := popauthtest.NewClock(time.Unix(1_800_000_000, 0)), popauthtest.NewProofKey(t, "")
	key.Now = clock.Now
	a := newAuth(t, clientauth.Options{Clients: clientauth.Static{}, DPoP: proofs(dpop.Options{}), Now: clock.Now})
	r := httptest.NewRequest("POST", "https://id.example.com/token", nil)
	r.Header.Set("DPoP", key.Proof("POST", "https://id.example.com/token", ""))
	if got := prove(a, r); !got.ran {
		t.Errorf("got %v", got.err)
	}
}

func TestProofNonce(t *testing.T) {
	key := popauthtest.NewProofKey(t, "")
	nonces := dpop.StatelessNonces{Secrets: [][]byte{make([]byte, 32)}}
	a := newAuth(t, clientauth.Options{Clients: clientauth.Static{}, DPoP: proofs(dpop.Options{Nonces: nonces})})
	request := func(nonce any) *http.Request {
		r := httptest.NewRequest("POST", "https://id.example.com/token", nil)
		r.Header.Set("DPoP", key.Proof("POST", "https://id.example.com/token", "", popauthtest.Claims{"nonce": nonce}))
		return r
	}
	first := prove(a, request(popauthtest.Omit))
	first.refused(t, clientauth.ErrProofNonce, http.StatusBadRequest, "use_dpop_nonce")
	nonce := first.Header().Get("DPoP-Nonce")
	if nonce == "" {
		t.Fatal("no nonce to try again with")
	}
	if second := prove(a, request(nonce)); !second.ran || second.cnf.JKT != key.Thumbprint() {
		t.Errorf("got %v with the nonce", second.err)
	}
	prove(a, request("another")).refused(t, clientauth.ErrProofNonce, http.StatusBadRequest, "use_dpop_nonce")
}

type brokenStore struct{ error }

func (s brokenStore) Use(context.Context, string, string, time.Time) (bool, error) {
	return false, s.error
}

func TestProofUnavailable(t *testing.T) {
	key := popauthtest.NewProofKey(t, "")
	r := httptest.NewRequest("POST", "https://id.example.com/token", nil)
	r.Header.Set("DPoP", key.Proof("POST", "https://id.example.com/token", ""))
	a := newAuth(t, clientauth.Options{Clients: clientauth.Static{}, DPoP: proofs(dpop.Options{Replay: brokenStore{errors.New("down")}})})
	got := prove(a, r)
	got.refused(t, clientauth.ErrUnavailable, http.StatusServiceUnavailable, "temporarily_unavailable")
	// Whatever a store says, its failure is no request without a proof, whose token would come out unbound.
	for _, reason := range []popauth.Reason{popauth.ErrProofMissing, popauth.ErrNonceRequired} {
		broken := newAuth(t, clientauth.Options{Clients: clientauth.Static{}, DPoP: proofs(dpop.Options{Replay: brokenStore{reason}})})
		prove(broken, r).refused(t, clientauth.ErrUnavailable, http.StatusServiceUnavailable, "temporarily_unavailable")
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	prove(a, r.WithContext(gone)).refused(t, clientauth.ErrRequestEnded, 499, "temporarily_unavailable")
	limited := newAuth(t, clientauth.Options{Clients: clientauth.Static{},
		DPoP: proofs(dpop.Options{Replay: brokenStore{popauth.ErrProofLimit}})})
	toomany := prove(limited, r)
	toomany.refused(t, clientauth.ErrProofLimit, http.StatusTooManyRequests, "temporarily_unavailable")
	if got.Header().Get("Retry-After") == "" || toomany.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	for name, a := range map[string]*clientauth.Authenticator{"zero": {}, "nil": nil} {
		if cnf, err := a.Proof(http.Header{}, r); !errors.Is(err, clientauth.ErrUnconfigured) || cnf != (clientauth.Confirmation{}) {
			t.Errorf("%s Authenticator: got %+v, %v", name, cnf, err)
		}
	}
}

func TestDPoPOption(t *testing.T) {
	// A server that knows secrets and proofs only.
	alone, err := clientauth.New(clientauth.Options{DPoP: proofs(dpop.Options{Algorithms: []string{"ES256"}})})
	if err != nil {
		t.Fatal(err)
	}
	m, err := alone.Metadata("https://id.example.com", clientauth.EndpointURLs{Token: "/token"})
	if err != nil || !slices.Equal(m.DPoPAlgorithms, []string{"ES256"}) || m.BoundAccessTokens || m.TokenMethods != nil {
		t.Errorf("got %+v, %v", m, err)
	}
	if _, err := alone.Authenticate(post(popauthtest.SelfSigned(t, "batch"), form)); !errors.Is(err, clientauth.ErrOtherMethod) {
		t.Errorf("got %v, want ErrOtherMethod", err)
	}
	for name, o := range map[string]clientauth.Options{
		"without clients": {DPoP: proofs(dpop.Options{}), Endpoints: clientauth.PathPrefix("/mtls")},
		"not made by New": {Clients: clientauth.Static{}, DPoP: &dpop.Confirmer{}},
		"nil pointer":     {Clients: clientauth.Static{}, DPoP: (*dpop.Confirmer)(nil)},
	} {
		if a, err := clientauth.New(o); err == nil || a != nil || !strings.HasPrefix(err.Error(), "clientauth: Options.") {
			t.Errorf("%s: got %v, %v, want an error", name, a, err)
		}
	}
	// What the caller changes in a list changes nothing.
	d := proofs(dpop.Options{})
	a := newAuth(t, clientauth.Options{Clients: clientauth.Static{}, DPoP: d})
	d.Algorithms()[0] = "none"
	if m, _ := a.Metadata("https://id.example.com", clientauth.EndpointURLs{}); len(m.DPoPAlgorithms) < 2 ||
		slices.Contains(m.DPoPAlgorithms, "none") {
		t.Errorf("got %v", m.DPoPAlgorithms)
	}
}
