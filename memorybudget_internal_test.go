package popauth

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth/internal/keys"
)

// weigh holds a budget's account against what its memories hold, by looking.
func weigh(t *testing.T, b *Budget, memories ...*tokenMemory) {
	t.Helper()
	held := int64(0)
	for _, m := range memories {
		m.mu.Lock()
		own := m.table()
		for i := range m.buckets {
			for j := range m.buckets[i].places {
				if e := m.buckets[i].places[j].Load(); e != nil {
					own += e.size()
				}
			}
		}
		if own != m.weight.Load() {
			t.Errorf("a memory says %d bytes, and has %d", m.weight.Load(), own)
		}
		held += own
		m.mu.Unlock()
	}
	if got := b.used.Load(); got != held || got > b.most {
		t.Errorf("the budget says %d bytes of %d, and %d are held", got, b.most, held)
	}
}

// However many Verifiers fill their memories at once, and grow, retire and come back, the account is right.
func TestBudgetAccount(t *testing.T) {
	const most, verifiers = 512 << 10, 8
	b := NewBudget(most)
	all := make([]*jwtVerifier, verifiers)
	for n := range all {
		all[n] = &jwtVerifier{known: keys.Static{Set: &keys.Set{}}, entries: 1000}
		all[n].Share(b)
	}
	var wg sync.WaitGroup
	for n, v := range all {
		for g := range 2 {
			wg.Go(func() {
				for i := range 400 {
					e := entryOf(fmt.Sprint(n, g, i), 100+i%7*300)
					v.remember(e, v.known.Snapshot())
					v.find(e.key)
					if i == 200 && n%4 == 0 {
						v.Retire()
						v.Share(b)
					}
				}
			})
		}
	}
	wg.Wait()
	var memories []*tokenMemory
	for _, v := range all {
		if m := v.memory.Load(); m != nil {
			memories = append(memories, m)
		}
	}
	weigh(t, b, memories...)
	if b.used.Load() < most/2 {
		t.Errorf("got %d bytes used of %d, want the room to be used", b.used.Load(), most)
	}
	for _, v := range all {
		v.Retire()
	}
	if b.used.Load() != 0 || len(b.holders) != 0 {
		t.Errorf("all have left: got %d bytes, %d holders", b.used.Load(), len(b.holders))
	}
}

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

func (c *counted) holds() int64 {
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

// A table that can't grow stays in use, and one that another request has put another in place of is not put back.
func TestTableThatCantGrow(t *testing.T) {
	v := &jwtVerifier{known: keys.Static{Set: &keys.Set{}}, entries: 1000}
	m := growingTokenMemory(&keys.Set{}, maxTokens, NewBudget(100<<10))
	v.memory.Store(m)
	if got := v.growing(&tokenMemory{}); got != nil || v.memory.Load() != m {
		t.Errorf("another table: got %p, in use %p, want none, and %p", got, v.memory.Load(), m)
	}
	for range 5 {
		if larger := v.growing(m); larger == nil || v.memory.Load() != larger {
			t.Fatalf("got %p, in use %p, want the same", larger, v.memory.Load())
		} else if larger == m {
			return
		} else {
			m = larger
		}
	}
	t.Error("no end to the growth")
}

// One tenant that fills the memory makes room for others.
func TestBudgetIsSharedFairly(t *testing.T) {
	b := NewBudget(256 << 10)
	greedy := &jwtVerifier{known: keys.Static{Set: &keys.Set{}}, entries: 10_000}
	modest := &jwtVerifier{known: keys.Static{Set: &keys.Set{}}, entries: 10_000}
	fill := func(v *jwtVerifier, name string, n int) (kept int) {
		v.Share(b)
		for i := range n {
			v.remember(entryOf(fmt.Sprint(name, i), 500), v.known.Snapshot())
		}
		for i := range n {
			if v.find(sha256.Sum256(fmt.Append(nil, name, i))) != nil {
				kept++
			}
		}
		return kept
	}
	fill(greedy, "greedy", 2000)
	if kept := fill(modest, "modest", 50); kept < 45 {
		t.Errorf("got %d of 50 tokens of a tenant that came late, want most of them", kept)
	}
	weigh(t, b, greedy.memory.Load(), modest.memory.Load())
}

// A table grows to what is allowed, and loses nothing on the way.
func TestTokenMemoryGrows(t *testing.T) {
	v := &jwtVerifier{known: keys.Static{Set: &keys.Set{}}, entries: 1000}
	for i := range 900 {
		v.remember(entryOf(fmt.Sprint(i), 100), v.known.Snapshot())
	}
	m := v.memory.Load()
	if n := m.held(); n < 870 || m.most != 1000 {
		t.Errorf("got %d of 900 tokens, and room for %d, want most of them, and 1000", n, m.most)
	}
}
