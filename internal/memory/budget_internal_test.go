package memory

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// Where nothing is held, nothing can make room.
func TestBudgetTooSmallForOne(t *testing.T) {
	b := NewBudget(10)
	if b.reserve(11) || b.used.Load() != 0 || !b.reserve(10) {
		t.Errorf("got %d bytes used, want 11 refused and 10 taken", b.used.Load())
	}
}

// counted is a memory that counts how often it is looked at, and asked to make room.
type counted struct {
	held, frees  int64
	looks, sheds int
}

func (c *counted) Bytes() int64 {
	c.looks++
	return c.held
}

func (c *counted) shed(int64) int64 {
	c.sheds++
	return c.frees
}

// One that holds most for long is found once in maxUses, not by a look at all for each entry.
func TestBudgetLooksSeldom(t *testing.T) {
	b, small := NewBudget(10), &counted{held: 1}
	b.add(small)
	b.add(&counted{held: 9})
	for range 10 * (maxUses + 1) {
		if h, _ := b.largest().(*counted); h == nil || h.held != 9 {
			t.Fatalf("got %v, want the one that holds 9 bytes", h)
		}
	}
	if small.looks != 10 {
		t.Errorf("looked at the small one %d times, want 10", small.looks)
	}
}

// A memory that can free nothing is not asked again for the same entry; one that frees a little is, maxShed times.
func TestBudgetGivesUp(t *testing.T) {
	for frees, want := range map[int64]int{0: 1, 1: maxShed} {
		b, h := NewBudget(10), &counted{held: 10, frees: frees}
		b.add(h)
		if !b.reserve(10) || b.reserve(5) || h.sheds != want || b.used.Load() != 10 {
			t.Errorf("frees %d: got %d bytes used, asked %d times, want 10, and %d", frees, b.used.Load(), h.sheds, want)
		}
	}
}

// A table grows while other Verifiers need its room: the account of each stays right. With the race detector it fails if a
// table that is still being filled is asked to make room.
func TestGrowthBesideOthers(t *testing.T) {
	b := NewBudget(400 << 10)
	var all sync.WaitGroup
	for g := range 3 {
		all.Go(func() {
			for round := range 30 {
				m := NewTable("keys", sizeOf, 10000, b)
				for i := 0; i < 800 && m != nil; i++ {
					e := entryOf(fmt.Sprint(g, "-", round, "-", i), 300)
					if m.Add(e) {
						if larger := m.Grown(); larger != nil {
							m = larger
						}
						m.Add(e)
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
							bytes += m.size(&e.Value)
						}
					}
				}
				if entries != m.most-m.entries || bytes != int64(m.most)*EntrySize-m.bytes || bytes+m.Places() != m.weight.Load() {
					t.Errorf("got %d entries of %d bytes, and the memory says %d of %d", entries, bytes, m.most-m.entries,
						int64(m.most)*EntrySize-m.bytes)
				}
				m.mu.Unlock()
				m.Drop()
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
	m := NewTable("keys", sizeOf, 10000, b)
	for i := range 10 {
		m.Add(entryOf(fmt.Sprint(i), 300))
	}
	m.mu.Lock() // grown has to wait before it moves anything
	done := make(chan *Table[string, text])
	go func() { done <- m.Grown() }()
	places := PlacesFor(4 * m.most)
	for deadline := time.Now().Add(10 * time.Second); b.used.Load() < m.weight.Load()+places && time.Now().Before(deadline); {
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

func (w *weightOf) Bytes() int64       { return int64(*w) }
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
			most = max(most, w.Bytes())
		}
		if h.Bytes() < most-most/4 { // an eighth that it has lost, and as much that another has won
			t.Fatalf("after %d: got one of %d bytes, and the largest has %d", n, h.Bytes(), most)
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
