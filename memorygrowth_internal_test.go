package popauth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	weakly "weak" // stepup.go has a func of that name

	"github.com/seed-171ab058/popauth/internal/keys"
)

// A table grows while other Verifiers need its room: the account of each stays right. With the race detector it fails if a
// table that is still being filled is asked to make room.
func TestGrowthBesideOthers(t *testing.T) {
	b := newBudget(400 << 10)
	var all sync.WaitGroup
	for g := range 3 {
		all.Go(func() {
			for round := range 30 {
				m := growingTokenMemory(&keys.Set{}, 10000, b)
				for i := 0; i < 800 && m != nil; i++ {
					e := entryOf(fmt.Sprint(g, "-", round, "-", i), 300)
					if m.put(e) {
						if larger := m.grown(); larger != nil {
							m = larger
						}
						m.put(e)
					}
				}
				if m == nil {
					continue
				}
				m.mu.Lock()
				entries, bytes := 0, int64(0)
				for i := range m.buckets {
					for j := range m.buckets[i].places {
						if e := m.buckets[i].places[j].Load(); e != nil {
							entries++
							bytes += e.size()
						}
					}
				}
				if entries != m.most-m.entries || bytes != int64(m.most)*tokenSize-m.bytes || bytes+m.table() != m.weight.Load() {
					t.Errorf("got %d entries of %d bytes, and the memory says %d of %d", entries, bytes, m.most-m.entries, int64(m.most)*tokenSize-m.bytes)
				}
				m.mu.Unlock()
				m.drop()
			}
		})
	}
	all.Wait()
	if got := b.used.Load(); got != 0 {
		t.Errorf("with nothing in it the budget says %d bytes", got)
	}
}

// A larger table is nobody's to make room before everything is in it.
func TestGrowingTableIsNoHolderYet(t *testing.T) {
	b := newBudget(1 << 20)
	m := growingTokenMemory(&keys.Set{}, 10000, b)
	for i := range 10 {
		m.put(entryOf(fmt.Sprint(i), 300))
	}
	m.mu.Lock() // grown has to wait before it moves anything
	done := make(chan *tokenMemory)
	go func() { done <- m.grown() }()
	table := newTokenMemory(m.keys, 4*m.most).table()
	for deadline := time.Now().Add(10 * time.Second); b.used.Load() < m.weight.Load()+table && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // until its table is taken out of the budget
	}
	time.Sleep(10 * time.Millisecond)
	b.mu.Lock()
	if got := len(b.holders); got != 1 {
		t.Errorf("holders while the table grows: got %d, want the one that is being left", got)
	}
	b.mu.Unlock()
	m.mu.Unlock()
	larger := <-done
	if _, ok := b.holders[larger]; !ok || len(b.holders) != 1 {
		t.Errorf("holders afterwards: got %d, want the larger one alone", len(b.holders))
	}
}

type weightOf int64

func (w *weightOf) holds() int64       { return int64(*w) }
func (w *weightOf) shed(n int64) int64 { *w -= weightOf(n); return n }

// The memory that makes room is the largest, or was a moment ago.
func TestLargestMakesRoom(t *testing.T) {
	b := newBudget(0)
	all := make([]*weightOf, 1000)
	for i := range all {
		w := weightOf(1000)
		all[i] = &w
		b.add(all[i])
	}
	*all[7] = 100_000
	for n := range 2000 {
		h := b.largest()
		most := int64(0)
		for _, w := range all {
			most = max(most, w.holds())
		}
		if h.holds() < most-most/4 { // an eighth that it has lost, and as much that another has won
			t.Fatalf("after %d: got one of %d bytes, and the largest has %d", n, h.holds(), most)
		}
		h.shed(100)
		*all[n%7] += 100 // what others have grown by
	}
	b.remove(b.largest())
	if h := b.largest(); b.holders[h] != (struct{}{}) || len(b.holders) != 999 {
		t.Error("one that has left makes room")
	}
}

func BenchmarkLargest(b *testing.B) {
	budget := newBudget(0)
	for range 1000 {
		w := weightOf(1000)
		budget.add(&w)
	}
	for b.Loop() {
		_ = budget.largest()
	}
}

// Tenants that share RemoteKeys all count for what these come to need, and none is kept by the keys when it has left.
func TestSharedKeysTellAllTenants(t *testing.T) {
	issuers, err := NewIssuers(IssuersOptions{Resolve: func(context.Context, string) (Verifier, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	var document string
	keys, err := NewRemoteKeys(RemoteKeysOptions{URL: "https://id.example.com/jwks", Client: &http.Client{Transport: serving(func() string { return document })}})
	if err != nil {
		t.Fatal(err)
	}
	n := issuers.tenants
	keyOf := func(i int) [sha256.Size]byte { return sha256.Sum256([]byte{byte(i)}) }
	for i := range 3 {
		v, err := NewJWTVerifier(JWTOptions{Issuer: fmt.Sprint("https://id.example.com/", i), Audience: []string{"a"}, Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		n.keep(keyOf(i), resolution{tenant: &tenant{verifier: v, resolved: true}}, time.Now())
		if i > 0 {
			stranger, _, _ := n.strangers.Last(keyOf(i), time.Now())
			n.prove(keyOf(i), stranger)
		}
	}
	fetch := func(kids int) int64 {
		_, x := testKeyEd25519()
		var all []string
		for i := range kids {
			all = append(all, fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":"%d","x":%q}`, i, x))
		}
		document = `{"keys":[` + strings.Join(all, ",") + `]}`
		if err := keys.Preload(t.Context()); err != nil {
			t.Fatal(err)
		}
		return keys.Size()
	}
	first := fetch(1)
	before := [2]int64{n.proven.Bytes(), n.strangers.Bytes()}
	size := fetch(100) - first
	if proven, strangers := n.proven.Bytes()-before[0], n.strangers.Bytes()-before[1]; size < 10_000 || proven != 2*size || strangers != size {
		t.Errorf("grown by %d and %d, want %d and %d", proven, strangers, 2*size, size)
	}
	var left []weakly.Pointer[tenant]
	for i := range 3 {
		r, _ := n.known(keyOf(i), time.Now())
		left = append(left, weakly.Make(r.tenant))
	}
	for i := range 3 {
		n.forget(keyOf(i))
	}
	runtime.GC()
	for i, gone := range left {
		if gone.Value() != nil {
			t.Errorf("tenant %d: the keys keep it", i)
		}
	}
	runtime.KeepAlive(keys)
}

// serving answers each request with what the function returns then.
type serving func() string

func (f serving) RoundTrip(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	_, _ = w.WriteString(f())
	return w.Result(), nil
}
