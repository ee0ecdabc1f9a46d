package lab

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
func Alike(tb testing.TB, g *popauth.Guard, r *http.Request) {
	tb.Helper()
	forgetful := popauth.Forgetful(g)
	policy := popauth.Scope("orders.read")
	wantPrincipal, wantErr := forgetful.Check(r, policy)
	want := Send(forgetful.Authorize(policy), r)
	for range 3 {
		p, err := g.Check(r, policy)
		if Text(p) != Text(wantPrincipal) || Text(err) != Text(wantErr) {
			tb.Errorf("Check: got %s, %s, without memory %s, %s", Text(p), Text(err), Text(wantPrincipal), Text(wantErr))
		}
		o := Send(g.Authorize(policy), r)
		if o.Status != want.Status || o.Ran != want.Ran || !slices.Equal(o.Challenges, want.Challenges) || Text(o.Header) != Text(want.Header) {
			tb.Errorf("got %+v, without memory %+v", o, want)
		}
	}
	if got, err := popauth.Remembered(forgetful, r); got {
		tb.Errorf("remembered by a Guard that shall not, %v", err)
	}
}

func Preload(t *testing.T, k *popauth.RemoteKeys) {
	t.Helper()
	if err := k.Preload(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// remembers holds whether the next request has its token remembered; want says that, or why it is refused.
func Remembers(tb testing.TB, g *popauth.Guard, r *http.Request, want any) {
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
func HeapAlloc() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

func HeapInUse() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapInuse)
}
