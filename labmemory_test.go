package popauth_test

import (
	"errors"
	"net/http"
	"runtime"
	"slices"
	"testing"

	"github.com/seed-171ab058/popauth"
)

// alike holds that a Guard answers a request as one that remembers no token, the first time and when it may have
// remembered it.
func alike(tb testing.TB, g *popauth.Guard, r *http.Request) {
	tb.Helper()
	forgetful := popauth.Forgetful(g)
	policy := popauth.Scope("orders.read")
	wantPrincipal, wantErr := forgetful.Check(r, policy)
	want := send(forgetful.Authorize(policy), r)
	for range 3 {
		p, err := g.Check(r, policy)
		if text(p) != text(wantPrincipal) || text(err) != text(wantErr) {
			tb.Errorf("Check: got %s, %s, without memory %s, %s", text(p), text(err), text(wantPrincipal), text(wantErr))
		}
		o := send(g.Authorize(policy), r)
		if o.status != want.status || o.ran != want.ran || !slices.Equal(o.challenges, want.challenges) || text(o.header) != text(want.header) {
			tb.Errorf("got %+v, without memory %+v", o, want)
		}
	}
	if got, err := popauth.Remembered(forgetful, r); got {
		tb.Errorf("remembered by a Guard that shall not, %v", err)
	}
}

func preload(t *testing.T, k *popauth.RemoteKeys) {
	t.Helper()
	if err := k.Preload(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// remembers holds whether the next request has its token remembered; want says that, or why it is refused.
func remembers(tb testing.TB, g *popauth.Guard, r *http.Request, want any) {
	tb.Helper()
	got, err := popauth.Remembered(g, r)
	if reason, ok := want.(popauth.Reason); ok {
		if !errors.Is(err, reason) {
			tb.Errorf("got %v, want %v", err, reason)
		}
		return
	}
	if e := (*popauth.Error)(nil); errors.As(err, &e) && e != nil || got != want {
		tb.Errorf("remembered: got %t, %v, want %v", got, err, want)
	}
}

// heapAlloc is what is reachable, without the gaps between: bytes that others use again.
func heapAlloc() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

func heapInUse() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapInuse)
}
