package dpop_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// opaque stands in for the introspection of a token that is bound to jkt.
type opaque struct{ token, jkt string }

func (o *opaque) Verify(_ context.Context, token string) (*popauth.Token, error) {
	if token != o.token {
		return nil, popauth.ErrTokenInvalid
	}
	return popauth.NewToken([]byte(`{"sub":"someone@example.com","cnf":{"jkt":"` + o.jkt + `"}}`))
}

func newOpaqueAPI(t testing.TB, o *opaque) *lab.DPoPAPI {
	return lab.NewDPoPAPI(t, dpop.Options{}, func(options *popauth.Options) {
		options.Issuer, options.Audience, options.Keys, options.Verifier = "", nil, nil, o
	})
}

// rfc9449 is what the RFC publishes.
type rfc9449 struct {
	JKT, Ath string
	Token    string `json:"access_token"`
	Nonces   []string
	Proofs   []rfcProof
}

type rfcProof struct {
	Source, Proof, HTM, HTU, JTI string
	IAT                          int64
}

func readRFC9449(t testing.TB) rfc9449 {
	t.Helper()
	data, err := os.ReadFile("testdata/rfc9449.json")
	if err != nil {
		t.Fatal(err)
	}
	var rfc rfc9449
	if err := json.Unmarshal(data, &rfc); err != nil || len(rfc.Proofs) != 3 || rfc.Token == "" {
		t.Fatal(len(rfc.Proofs), err)
	}
	return rfc
}

// request is the one that the proof was made for.
func (p rfcProof) request(token string) *http.Request {
	r := httptest.NewRequest(p.HTM, p.HTU, nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", p.Proof)
	return r
}

// TestRFC9449Proofs is the RFC's own proofs at the time they were made at, with its token and key.
func TestRFC9449Proofs(t *testing.T) {
	rfc := readRFC9449(t)
	a := newOpaqueAPI(t, &opaque{rfc.Token, rfc.JKT})
	for _, p := range rfc.Proofs {
		t.Run(p.Source, func(t *testing.T) {
			a.Clock.Advance(time.Unix(p.IAT, 0).Sub(a.Clock.Now()))
			if p.HTM == "POST" {
				// Proofs for a token endpoint have no ath: good for no resource.
				a.RefuseProof(t, p.request(rfc.Token), popauth.ErrProofMalformed)
				return
			}
			r := p.request(rfc.Token)
			r.Method = "POST"
			a.RefuseProof(t, r, popauth.ErrProofTarget)
			r = p.request(rfc.Token)
			lab.Retarget(r, r.RequestURI+"/1")
			a.RefuseProof(t, r, popauth.ErrProofTarget)
			for _, offset := range []time.Duration{71 * time.Second, -11 * time.Second} {
				a.Clock.Advance(offset)
				a.RefuseProof(t, p.request(rfc.Token), popauth.ErrProofTime)
				a.Clock.Advance(-offset)
			}
			r = p.request(rfc.Token)
			r.RequestURI += "?q=1"
			a.Accept(t, r)
			a.RefuseProof(t, r, popauth.ErrProofReplayed)
		})
	}
	// With another key in the token, the same proof is somebody else's.
	a = newOpaqueAPI(t, &opaque{rfc.Token, a.Key.Thumbprint()})
	a.Clock.Advance(time.Unix(rfc.Proofs[2].IAT, 0).Sub(a.Clock.Now()))
	a.RefuseProof(t, rfc.Proofs[2].request(rfc.Token), popauth.ErrProofKey)
}

// The RFC's nonces are opaque to whoever has not made them.
func TestRFC9449Nonces(t *testing.T) {
	for _, nonce := range readRFC9449(t).Nonces {
		a := lab.NewDPoPAPI(t, dpop.Options{Nonces: nonceFunc(func(s string) (bool, string, error) { return s == nonce, nonce, nil })})
		if got := lab.Given(t, a.RefuseProof(t, a.Request(), popauth.ErrNonceRequired).Header()); got != nonce {
			t.Errorf("got %q, want %q", got, nonce)
		}
		a.Accept(t, a.Request(lab.Fields{"nonce": nonce}))
	}
}

// RFC 9449, section 11.1: the RFC's two proofs with one jti are 2680 s apart. The second passes when the first can't.
func TestSameIDAfterTheWindow(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{})} })
	first := a.Request(lab.Fields{"jti": "-BwC3ESc6acc2lTc"})
	a.Accept(t, first)
	a.RefuseProof(t, a.Request(lab.Fields{"jti": "-BwC3ESc6acc2lTc"}), popauth.ErrProofReplayed)
	a.Clock.Advance(2680 * time.Second)
	a.Token = a.Issuer.Token(a.Key.Bound())
	a.Accept(t, a.Request(lab.Fields{"jti": "-BwC3ESc6acc2lTc"}))
	a.RefuseProof(t, a.With(first.Header.Get("DPoP")), popauth.ErrProofTime)
}

func TestPublishedTokenHashes(t *testing.T) {
	data, err := os.ReadFile("testdata/ath.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Pairs []map[string]string
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors.Pairs) != 2 {
		t.Fatal(err)
	}
	for i, pair := range vectors.Pairs {
		o := &opaque{token: pair["access_token"]}
		a := newOpaqueAPI(t, o)
		o.jkt, a.Token = a.Key.Thumbprint(), o.token
		a.Accept(t, a.Request(lab.Fields{"ath": pair["ath"]}))
		a.RefuseProof(t, a.Request(lab.Fields{"ath": vectors.Pairs[1-i]["ath"]}), popauth.ErrProofToken)
	}
}

// A DPoP inside somebody's own Confirmer, or without a Guard, is as good as in one.
func TestDPoPOutsideAGuard(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	p := popauth.Presentation{Binding: popauth.Binding{Member: "jkt", Value: a.Key.Thumbprint()}, Token: a.Token}.WithNow(a.Clock.Now)
	if err := lab.Proofs(dpop.Options{Replay: a.Store}).Confirm(a.Request(), p); err != nil {
		t.Error(err)
	}
	r := &http.Request{Method: "GET", Host: "api.example.com", URL: &url.URL{Path: "/orders"}, TLS: &tls.ConnectionState{},
		Header: a.Request().Header}
	if err := lab.Proofs(dpop.Options{Replay: a.Store}).Confirm(r, p); err != nil {
		t.Error(err)
	}
	type wrapper struct{ *dpop.Confirmer }
	a.Handler = nil
	guarded := lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{wrapper{}} })
	guarded.Refuse(t, guarded.Request(), popauth.ErrUnconfigured, http.StatusInternalServerError)
	guarded = lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{wrapper{&dpop.Confirmer{}}}
	})
	guarded.Refuse(t, guarded.Request(), popauth.ErrUnconfigured, http.StatusInternalServerError)
	guarded = lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{wrapper{lab.Proofs(dpop.Options{Replay: &onceStore{}})}}
	})
	r = guarded.Request()
	guarded.Accept(t, r)
	guarded.RefuseOnly(t, r)
}

var _ popauth.SchemeConfirmer = (*dpop.Confirmer)(nil)

// The client's key, in an access token's place: neither is taken for the other.
func TestProofIsNoTokenAndTokenIsNoProof(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	proof := a.Request().Header.Get("DPoP")
	r := a.With(a.Token)
	a.RefuseProof(t, r, popauth.ErrProofMalformed)
	r = a.Request()
	r.Header.Set("Authorization", "DPoP "+proof)
	a.RefuseOnly(t, r)
	header, _ := decodeProof(t, proof)
	r.Header.Set("Authorization", "DPoP "+a.Issuer.TokenWith(popauthtest.Claims{"typ": header["typ"]}, a.Key.Bound()))
	a.RefuseOnly(t, r)
}
