package popauth_test

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
	"github.com/seed-171ab058/popauth/tests/lab"
)

func ath(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// tokenRequests verifies the proofs of requests to tokenURL.
type tokenRequests struct {
	dpop  *dpop.Confirmer
	key   *popauthtest.ProofKey
	clock *popauthtest.Clock
	store *lab.UsedProofs
}

// prove sends these DPoP headers to tokenURL.
func (x *tokenRequests) prove(proofs ...string) (jkt string, answer http.Header, err error) {
	r := httptest.NewRequest("POST", tokenURL, nil)
	r.Header["Dpop"] = proofs
	answer = http.Header{}
	jkt, err = x.dpop.ProveKey(answer, r, x.clock.Now())
	return jkt, answer, err
}

func (x *tokenRequests) proof(claims ...popauthtest.Claims) string {
	return x.key.Proof("POST", tokenURL, "", claims...)
}

func newTokenRequests(t testing.TB, d dpop.Options) *tokenRequests {
	t.Helper()
	x := &tokenRequests{
		key:   popauthtest.NewProofKey(t, ""),
		clock: popauthtest.NewClock(time.Unix(1_800_000_000, 0)),
		store: &lab.UsedProofs{Until: map[string]time.Time{}},
	}
	x.key.Now = x.clock.Now
	d.Replay = x.store
	x.dpop = lab.Proofs(d)
	return x
}

// known is a Verifier that has verified its only token before, so that what is left to measure is the certificate.
type known struct{ token *popauth.Token }

func (k known) Verify(context.Context, string) (*popauth.Token, error) { return k.token, nil }

const tokenURL = "https://id.example.com/token"
