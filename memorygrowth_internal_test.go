package popauth

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/keys"
)

// A table grows while other Verifiers need its room: the account of each stays right. With the race detector it fails if a
// table that is still being filled is asked to make room.
func TestGrowthBesideOthers(t *testing.T) {
	b := NewBudget(400 << 10)
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
					t.Errorf("got %d entries of %d bytes, and the memory says %d of %d", entries, bytes, m.most-m.entries,
						int64(m.most)*tokenSize-m.bytes)
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
	b := NewBudget(1 << 20)
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
	b := NewBudget(0)
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
	budget := NewBudget(0)
	for range 1000 {
		w := weightOf(1000)
		budget.add(&w)
	}
	for b.Loop() {
		_ = budget.largest()
	}
}
