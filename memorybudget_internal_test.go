package popauth

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth/internal/keys"
	"github.com/seed-171ab058/popauth/internal/memory"
)

// weigh holds a budget's account against those of its memories.
func weigh(t *testing.T, b *Budget, most int64, memories ...*tokenMemory) {
	t.Helper()
	held := int64(0)
	for _, m := range memories {
		held += m.Bytes()
	}
	if got := b.Used(); got != held || got > most {
		t.Errorf("the budget says %d bytes of %d, and %d are held", got, most, held)
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
					v.find(e.Key)
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
	weigh(t, b, most, memories...)
	if b.Used() < most/2 {
		t.Errorf("got %d bytes used of %d, want the room to be used", b.Used(), most)
	}
	for _, v := range all {
		v.Retire()
	}
	if b.Used() != 0 {
		t.Errorf("all have left: got %d bytes", b.Used())
	}
}

// A table that can't grow stays in use, and one that another request has put another in place of is not put back.
func TestTableThatCantGrow(t *testing.T) {
	v := &jwtVerifier{known: keys.Static{Set: &keys.Set{}}, entries: 1000}
	m := memory.NewTable(&keys.Set{}, (*Token).Size, maxTokens, NewBudget(100<<10))
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
	weigh(t, b, 256<<10, greedy.memory.Load(), modest.memory.Load())
}

// A table grows to what is allowed, and loses nothing on the way.
func TestTokenMemoryGrows(t *testing.T) {
	v := &jwtVerifier{known: keys.Static{Set: &keys.Set{}}, entries: 1000}
	for i := range 900 {
		v.remember(entryOf(fmt.Sprint(i), 100), v.known.Snapshot())
	}
	m := v.memory.Load()
	if n := m.Len(); n < 870 || m.Places() != memory.PlacesFor(1000) {
		t.Errorf("got %d of 900 tokens, and places of %d bytes, want most of them, and room for 1000", n, m.Places())
	}
}
