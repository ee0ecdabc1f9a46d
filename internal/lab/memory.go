package lab

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"testing"

	"github.com/seed-171ab058/popauth"
)

// Alike holds that a Guard answers a request the same when it may have remembered its token as at first sight.
func Alike(tb testing.TB, g *popauth.Guard, r *http.Request) {
	tb.Helper()
	policy := popauth.Scope("orders.read")
	wantPrincipal, wantErr := g.Check(r, policy)
	want := Send(g.Authorize(policy), r)
	for range 3 {
		p, err := g.Check(r, policy)
		if Text(p) != Text(wantPrincipal) || Text(err) != Text(wantErr) {
			tb.Errorf("Check: got %s, %s, at first sight %s, %s", Text(p), Text(err), Text(wantPrincipal), Text(wantErr))
		}
		o := Send(g.Authorize(policy), r)
		if o.Status != want.Status || o.Ran != want.Ran || !slices.Equal(o.Challenges, want.Challenges) ||
			Text(o.Header) != Text(want.Header) {
			tb.Errorf("got %+v, at first sight %+v", o, want)
		}
	}
}

func Preload(t *testing.T, k *popauth.RemoteKeys) {
	t.Helper()
	if err := k.Preload(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// noted is the key of a request's context under which Note finds where to write.
type noted struct{}

// Note is an Options.Observe that tells Remembers what has been decided.
func Note(ctx context.Context, seen popauth.Observation) {
	if note, ok := ctx.Value(noted{}).(*popauth.Observation); ok && seen.Stage == popauth.StageAuthenticate {
		*note = seen
	}
}

// Remembers holds whether the next request has its token remembered; want says that, or why it is refused. The Guard's
// Observe is Note.
func Remembers(tb testing.TB, g *popauth.Guard, r *http.Request, want any) {
	tb.Helper()
	var note popauth.Observation
	_, err := g.Check(r.WithContext(context.WithValue(r.Context(), noted{}, &note)))
	if note.Stage == "" {
		tb.Fatal("the Guard does not observe with Note")
	}
	if reason, ok := want.(popauth.Reason); ok {
		if !errors.Is(err, reason) {
			tb.Errorf("got %v, want %v", err, reason)
		}
		return
	}
	if err != nil || note.Remembered != want {
		tb.Errorf("remembered: got %t, %v, want %v", note.Remembered, err, want)
	}
}

// HeapAlloc is what is reachable, without the gaps between: bytes that others use again.
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
