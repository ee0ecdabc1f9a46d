package lab

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func Ath(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// tokenRequests verifies the proofs of requests to tokenURL.
type tokenRequests struct {
	Dpop  *dpop.Confirmer
	Key   *popauthtest.ProofKey
	Clock *popauthtest.Clock
	Store *UsedProofs
}

// prove sends these DPoP headers to tokenURL.
func (x *tokenRequests) Prove(proofs ...string) (jkt string, answer http.Header, err error) {
	r := httptest.NewRequest("POST", TokenURL, nil)
	r.Header["Dpop"] = proofs
	answer = http.Header{}
	jkt, err = x.Dpop.ProveKey(answer, r, x.Clock.Now())
	return jkt, answer, err
}

func (x *tokenRequests) Proof(claims ...popauthtest.Claims) string {
	return x.Key.Proof("POST", TokenURL, "", claims...)
}

func NewTokenRequests(t testing.TB, d dpop.Options) *tokenRequests {
	t.Helper()
	x := &tokenRequests{
		Key:   popauthtest.NewProofKey(t, ""),
		Clock: popauthtest.NewClock(time.Unix(1_800_000_000, 0)),
		Store: &UsedProofs{Until: map[string]time.Time{}},
	}
	x.Key.Now = x.Clock.Now
	d.Replay = x.Store
	x.Dpop = Proofs(d)
	return x
}

// Known is a Verifier that has verified its only token before, so that what is left to measure is the certificate.
type Known struct{ Is *popauth.Token }

func (k Known) Verify(context.Context, string) (*popauth.Token, error) { return k.Is, nil }

const TokenURL = "https://id.example.com/token"
