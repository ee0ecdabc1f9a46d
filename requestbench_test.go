package popauth_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// side is one of two things that are measured against each other: each call is n requests, or n verifications.
type side func(n int)

// BenchmarkRequest is the whole chain, Authenticate, Confirm and Authorize, beside the signature verification of the
// same token with the same key. The two take turns in batches of half a millisecond, in random order, so that both meet
// the same moods of the machine: x/verify is the median of what they differ by.
func BenchmarkRequest(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		for _, remember := range []int{-1, 0} {
			b.Run(fmt.Sprintf("%s/%s", alg, sight(remember)), func(b *testing.B) {
				l := newRequestLab(b, alg, func(o *popauth.Options) { o.Remember = remember })
				paired(b, l.requests(l.token), l.verifications())
			})
		}
	}
	b.Run("garbage", func(b *testing.B) {
		l := newRequestLab(b, "RS256")
		paired(b, l.requests("garbage"), l.verifications())
	})
	for _, remember := range []int{-1, 0} {
		b.Run("DPoP/"+sight(remember), func(b *testing.B) {
			l, key := newRequestLab(b, "ES256", func(o *popauth.Options) { o.Remember = remember }), popauthtest.NewProofKey(b, "")
			token := l.Issuer.Token(lab.RequestClaims, key.Bound())
			proof := key.Request("GET", "/", token).Header.Get("DPoP")
			paired(b, l.proofs(key, token), lab.Verifier(b, l.Issuer, key, token, proof, remember < 0))
		})
	}
}

func sight(remember int) string {
	if remember < 0 {
		return "first"
	}
	return "repeated"
}

type requestLab struct {
	*lab.Lab
	token string
	guard http.Handler
	store *renewed
}

func newRequestLab(tb testing.TB, alg string, change ...func(*popauth.Options)) *requestLab {
	tb.Helper()
	l := &requestLab{Lab: lab.New(tb, alg), store: &renewed{}}
	l.Issuer.Now = nil
	l.token = l.Issuer.Token(lab.RequestClaims, l.Owner.Bound())
	o := l.Issuer.Options()
	o.Now = nil
	o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{Replay: l.store, MaxAge: 10 * time.Minute})}
	for _, c := range change {
		c(&o)
	}
	g, err := popauth.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	l.guard = lab.Chain(g.Authenticate, g.Confirm, g.Authorize(popauth.Scope("orders.read")))(next)
	return l
}

func (l *requestLab) requests(token string) side {
	r := l.Owner.Request("GET", "/orders", token)
	w := &lab.Stub{Fields: http.Header{}}
	serve := func(n int) {
		for range n {
			clear(w.Fields)
			l.guard.ServeHTTP(w, r)
		}
	}
	serve(1)
	if want := map[bool]int{true: 204, false: 401}[token == l.token]; w.Status != want {
		l.Fatalf("got %d, want %d", w.Status, want)
	}
	return serve
}

func (l *requestLab) verifications() func() {
	keys, err := popauth.StaticKeys(l.Issuer.JWKS())
	if err != nil {
		l.Fatal(err)
	}
	t := lab.Parsed(l, l.token)
	public, err := keys.KeyfuncCtx(context.Background())(t)
	if err != nil {
		l.Fatal(err)
	}
	end := strings.LastIndexByte(l.token, '.')
	signature, err := jwt.NewParser().DecodeSegment(l.token[end+1:])
	if err != nil {
		l.Fatal(err)
	}
	return func() {
		if err := t.Method.Verify(l.token[:end], signature, public); err != nil {
			l.Fatal(err)
		}
	}
}

// renewed is a replay memory that can be emptied.
type renewed struct{ dpop.ReplayStore }

func (l *requestLab) proofs(key *popauthtest.ProofKey, token string) side {
	requests := make([]*http.Request, 512)
	for i := range requests {
		requests[i] = key.Request("GET", "https://api.example.com/orders", token)
	}
	w, i := &lab.Stub{Fields: http.Header{}}, 0
	return func(n int) {
		for range n {
			if i%len(requests) == 0 {
				l.store.ReplayStore, _ = dpop.NewReplayMemory(dpop.ReplayMemoryOptions{})
			}
			clear(w.Fields)
			l.guard.ServeHTTP(w, requests[i%len(requests)])
			i++
			if w.Status != http.StatusNoContent {
				l.Fatal(w.Status)
			}
		}
	}
}

func paired(b *testing.B, whole side, verify func()) {
	sides := []side{whole, func(n int) {
		for range n {
			verify()
		}
	}}
	const batch = 500 * time.Microsecond
	var counts [2]int
	for i, f := range sides {
		f(500)
		start := time.Now()
		f(500)
		counts[i] = max(1, int(500*batch/max(1, time.Since(start))))
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var ratios, wholes []float64
	for b.Loop() {
		var took [2]float64
		for _, i := range rand.Perm(2) {
			start := time.Now()
			sides[i](counts[i])
			took[i] = float64(time.Since(start).Nanoseconds()) / float64(counts[i])
		}
		ratios, wholes = append(ratios, took[0]/took[1]), append(wholes, took[0])
		if len(ratios)%64 == 0 {
			runtime.GC()
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(lab.Median(ratios), "x/verify")
	b.ReportMetric(lab.Median(wholes), "whole-ns")
	b.ReportMetric(testing.AllocsPerRun(200, func() { whole(1) }), "whole-allocs")
}
