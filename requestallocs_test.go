//go:build !race

// The race detector changes what is allocated.

package popauth_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// What a request through Authenticate, Confirm and Authorize allocates.
func TestRequestAllocations(t *testing.T) {
	for _, tt := range []struct {
		alg             string
		first, repeated float64
	}{
		{"RS256", 12, 3}, {"ES256", 12, 3}, {"EdDSA", 12, 3},
	} {
		t.Run(tt.alg, func(t *testing.T) {
			for _, remember := range []int{-1, 0} {
				l := newRequestLab(t, tt.alg, func(o *popauth.Options) { o.Remember = remember })
				serve, verify := l.requests(l.token), l.verifications()
				serve(10)
				got := testing.AllocsPerRun(200, func() { serve(1) })
				want := tt.repeated
				if remember < 0 { // beside those of the signature's verification
					got, want = got-testing.AllocsPerRun(200, verify), tt.first
				}
				if got > want {
					t.Errorf("%s: got %v allocations, want %v at most", sight(remember), got, want)
				}
			}
			l := newRequestLab(t, tt.alg)
			serve := l.requests(l.token)
			serve(10)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			serve(1000)
			runtime.ReadMemStats(&after)
			if got := (after.TotalAlloc - before.TotalAlloc) / 1000; got > 500 {
				t.Errorf("repeated: got %d bytes, want 500 at most", got)
			}
		})
	}
}

// Each new proof costs what its verification does, and the token's hash nothing more.
func TestProofAllocations(t *testing.T) {
	l, key := newRequestLab(t, "ES256"), popauthtest.NewProofKey(t, "")
	serve := l.proofs(key, l.Issuer.Token(lab.RequestClaims, key.Bound()))
	serve(10)
	if got := testing.AllocsPerRun(200, func() { serve(1) }); got > 42 {
		t.Errorf("got %v allocations, want 42 at most", got)
	}
}

// What is no token costs next to nothing, however many there are.
func TestGarbageAllocations(t *testing.T) {
	l := newRequestLab(t, "RS256")
	for _, garbage := range []string{"garbage", strings.Repeat("g", 1000), strings.Repeat("g", 100) + "." + strings.Repeat("g", 500) +
		"." + strings.Repeat("g", 342)} {
		serve := l.requests(garbage)
		serve(10)
		if got := testing.AllocsPerRun(200, func() { serve(1) }); got > 4 {
			t.Errorf("%.10s: got %v allocations, want 4 at most", garbage, got)
		}
	}
}

// A remembered token needs what the documentation says.
func TestRememberedTokenSize(t *testing.T) {
	const tokens, limit = 5000, 700
	l := lab.New(t, "EdDSA")
	g := l.Guard(func(o *popauth.Options) { o.Remember = tokens })
	requests := make([]*http.Request, tokens)
	connection := l.Owner.Request("GET", "/", "")
	for i := range requests {
		requests[i] = connection.Clone(t.Context())
		requests[i].Header.Set("Authorization", "Bearer "+
			l.Bound(lab.RequestClaims, lab.Claims{"jti": fmt.Sprintf("JG3KQ7XW2NVYB5RLT4HD%06d", i)}))
	}
	if _, err := g.Check(requests[0]); err != nil {
		t.Fatal(err)
	}
	before := lab.HeapInUse()
	for _, r := range requests {
		if _, err := g.Check(r); err != nil {
			t.Fatal(err)
		}
	}
	size := (lab.HeapInUse() - before) / tokens
	t.Logf("%.0f bytes a token", size)
	if n := popauth.RememberedTokens(g); n < tokens*98/100 || size > limit {
		t.Errorf("got %d tokens of %.0f bytes, want %d of %d at most", n, size, tokens, limit)
	}
	runtime.KeepAlive(requests)
	runtime.KeepAlive(g)
}
