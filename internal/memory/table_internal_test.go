package memory

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// text is what is remembered here.
type text string

func sizeOf(t *text) int64 { return 300 + int64(len(*t)) }

// entryOf is an entry with a text of that many bytes.
func entryOf(id string, size int) *Entry[text] {
	return &Entry[text]{text(strings.Repeat("x", size)), sha256.Sum256([]byte(id))}
}

// tableOf is a Table that has all its places from the start.
func tableOf(entries int) *Table[string, text] { return newTable("keys", sizeOf, entries) }

// takes what the memory holds by looking, not by its own account.
func takes(m *Table[string, text]) (entries int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.buckets {
		for j := range m.buckets[i].places {
			if e := m.buckets[i].places[j].Load(); e != nil {
				entries++
				bytes += m.size(&e.Value)
			}
		}
	}
	if entries != m.most-m.entries || bytes != int64(m.most)*EntrySize-m.bytes {
		panic(fmt.Sprintf("held %d entries of %d bytes, free %d and %d of %d", entries, bytes, m.entries, m.bytes, m.most))
	}
	return entries, bytes
}

// Never more than the bound, in entries and in bytes, at any moment, and not much less of what is asked for.
func TestTableBound(t *testing.T) {
	for _, tt := range []struct{ most, size int }{{300, 100}, {50, 5000}, {1, 10}, {3, 600}, {9, 100}} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			m := tableOf(tt.most)
			var wg sync.WaitGroup
			for g := range 2 {
				wg.Go(func() {
					for i := range 10 * tt.most {
						e := entryOf(fmt.Sprint(g, i), tt.size*(1+i%2))
						m.Add(e)
						m.Add(e)
						m.Find(entryOf(fmt.Sprint(g, i/2), 1).Key)
						if i%50 == 0 || tt.most < 10 {
							if n, bytes := takes(m); n > tt.most || bytes > int64(tt.most)*EntrySize {
								t.Errorf("got %d entries of %d bytes, want %d at most", n, bytes, tt.most)
							}
						}
					}
				})
			}
			wg.Wait()
			if n, bytes := takes(m); n < tt.most*9/10 && bytes < int64(tt.most*EntrySize-3*tt.size) && tt.most > 10 {
				t.Errorf("got %d entries of %d bytes, want the room to be used", n, bytes)
			}
		})
	}
	m := tableOf(2)
	small, large := entryOf("small", 1), entryOf("large", 3*EntrySize)
	m.Add(small)
	m.Add(large)
	if m.Find(large.Key) != nil || m.Find(small.Key) == nil {
		t.Error("an entry larger than all the room there is was put in, or has put out another")
	}
}

// A part of the hash of a token is anybody's to try.
func TestTableComparesWholeKeys(t *testing.T) {
	m := tableOf(8)
	known := &Entry[text]{}
	m.Add(known)
	if m.Find(known.Key) != known {
		t.Fatal("got nothing, want what was put in")
	}
	for i := range known.Key {
		other := known.Key
		other[i] ^= 1
		if m.Find(other) != nil {
			t.Errorf("byte %d differs: got another token's entry", i)
		}
	}
}

// Tokens that are asked for stay; those that came once and not again make room.
func TestTableKeepsWhatIsUsed(t *testing.T) {
	const most, used = 1000, 500
	m := tableOf(most)
	missed := 0
	for round := range 20 {
		for i := range used {
			e := entryOf(fmt.Sprint("used ", i), 100)
			if m.Find(e.Key) == nil {
				if m.Add(e); round > 0 {
					missed++
				}
			}
			m.Add(entryOf(fmt.Sprint("once ", round, i), 100))
		}
	}
	if missed > used {
		t.Errorf("missed %d of %d looks", missed, 19*used)
	}
}

// However many tokens are asked for, one that is put in keeps the lock for a few looks only: all who come with a new
// token wait for it.
func TestTableLockIsShort(t *testing.T) {
	const most = 20_000
	for _, taken := range []int{ways / 2, 1} { // places of each bucket; with one, others have too many bytes
		m, resident := tableOf(most), entryOf("resident", 100)
		fill := func() {
			for i := range m.buckets {
				for j := range taken {
					m.buckets[i].places[j].Store(resident)
				}
				m.buckets[i].used.Store(1<<ways - 1)
			}
			if m.entries = 0; taken == 1 {
				m.entries, m.bytes = most, 0
			}
		}
		fill()
		m.Add(entryOf("new", 100))
		looked := 0
		for i := range m.buckets {
			if m.buckets[i].used.Load() != 1<<ways-1 {
				looked++
			}
		}
		if looked > 1000 {
			t.Errorf("%d taken of each bucket: got %d buckets looked at, want a few", taken, looked)
		}
		kept := 0
		for i := range most {
			e := entryOf(fmt.Sprint("new ", i), 100)
			if m.Add(e); m.Find(e.Key) != nil {
				kept++
			}
		}
		if kept < most/2 {
			t.Errorf("%d taken of each bucket: got %d of %d in, want most of them", taken, kept, most)
		}
	}
}
