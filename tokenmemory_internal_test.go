package popauth

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/keys"
)

// entryOf is a verified token with a payload of that many bytes or a few more.
func entryOf(id string, size int) *verifiedToken {
	payload := `{"jti":"` + id + `","more":"` + strings.Repeat("x", size) + `"}`
	return &verifiedToken{
		Token{audience: []string{"a"}, scopes: []string{"a", "b"}, bindings: []Binding{{Member: "jkt", Value: "k"}}, payload: payload},
		sha256.Sum256([]byte(id)),
	}
}

// takes what the memory holds by looking, not by its own account.
func (m *tokenMemory) takes() (entries int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.buckets {
		for j := range m.buckets[i].places {
			if e := m.buckets[i].places[j].Load(); e != nil {
				entries++
				bytes += e.size()
			}
		}
	}
	if entries != m.most-m.entries || bytes != int64(m.most)*tokenSize-m.bytes {
		panic(fmt.Sprintf("held %d entries of %d bytes, free %d and %d of %d", entries, bytes, m.entries, m.bytes, m.most))
	}
	return entries, bytes
}

// Never more than the bound, in entries and in bytes, at any moment, and not much less of what is asked for.
func TestTokenMemoryBound(t *testing.T) {
	for _, tt := range []struct{ most, size int }{{300, 100}, {50, 5000}, {1, 10}, {3, 600}, {9, 100}} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			m := newTokenMemory(&keys.Set{}, tt.most)
			var wg sync.WaitGroup
			for g := range 2 {
				wg.Go(func() {
					for i := range 10 * tt.most {
						e := entryOf(fmt.Sprint(g, i), tt.size*(1+i%2))
						m.put(e)
						m.put(e)
						m.find(entryOf(fmt.Sprint(g, i/2), 1).key)
						if i%50 == 0 || tt.most < 10 {
							if n, bytes := m.takes(); n > tt.most || bytes > int64(tt.most)*tokenSize {
								t.Errorf("got %d entries of %d bytes, want %d at most", n, bytes, tt.most)
							}
						}
					}
				})
			}
			wg.Wait()
			if n, bytes := m.takes(); n < tt.most*9/10 && bytes < int64(tt.most*tokenSize-3*tt.size) && tt.most > 10 {
				t.Errorf("got %d entries of %d bytes, want the room to be used", n, bytes)
			}
		})
	}
	m := newTokenMemory(&keys.Set{}, 2)
	small, large := entryOf("small", 1), entryOf("large", 3*tokenSize)
	m.put(small)
	m.put(large)
	if m.find(large.key) != nil || m.find(small.key) == nil {
		t.Error("an entry larger than all the room there is was put in, or has put out another")
	}
}

// A part of the hash of a token is anybody's to try.
func TestTokenMemoryComparesWholeKeys(t *testing.T) {
	m := newTokenMemory(nil, 8)
	known := &verifiedToken{}
	m.put(known)
	if m.find(known.key) != known {
		t.Fatal("got nothing, want what was put in")
	}
	for i := range known.key {
		other := known.key
		other[i] ^= 1
		if m.find(other) != nil {
			t.Errorf("byte %d differs: got another token's entry", i)
		}
	}
}

// Tokens that are asked for stay; those that came once and not again make room.
func TestTokenMemoryKeepsWhatIsUsed(t *testing.T) {
	const most, used = 1000, 500
	m := newTokenMemory(&keys.Set{}, most)
	missed := 0
	for round := range 20 {
		for i := range used {
			e := entryOf(fmt.Sprint("used ", i), 100)
			if m.find(e.key) == nil {
				if m.put(e); round > 0 {
					missed++
				}
			}
			m.put(entryOf(fmt.Sprint("once ", round, i), 100))
		}
	}
	if missed > used {
		t.Errorf("missed %d of %d looks", missed, 19*used)
	}
}

// changing are keys that change when they are asked for the third time: while a token is being verified.
type changing struct {
	keys.Static
	next  *keys.Set
	asked int
	after int
}

func (c *changing) Snapshot() *keys.Set {
	if c.asked++; c.asked > c.after {
		return c.next
	}
	return c.Set
}

func (c *changing) Find(_ context.Context, w keys.Wanted) ([]any, *keys.Set, error) {
	set := c.Snapshot()
	keys, err := set.Find(w)
	return keys, set, err
}

// A token that was verified with the old keys is not put among those of the new ones, whenever they change.
func TestKeysChangeDuringVerification(t *testing.T) {
	const header = `{"alg":"EdDSA","kid":"1","typ":"at+jwt"}`
	key, public := testKeyEd25519()
	set := func(kid string) *keys.Set {
		s, err := keys.Read([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"` + kid + `","x":"` + public + `"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	payload := fmt.Sprintf(`{"iss":"i","aud":"a","exp":%d}`, time.Now().Add(time.Hour).Unix())
	input := jose.Base64.EncodeToString([]byte(header)) + "." + jose.Base64.EncodeToString([]byte(payload))
	signature, err := jwt.SigningMethodEdDSA.Sign(input, key)
	if err != nil {
		t.Fatal(err)
	}
	token := input + "." + jose.Base64.EncodeToString(signature)
	old, without := set("1"), set("2")
	for after := range 5 {
		o, err := Options{Issuer: "i", Audience: []string{"a"}, Keys: staticKeys{keys.Static{Set: old}}}.complete()
		if err != nil {
			t.Fatal(err)
		}
		v, _ := o.Verifier.(*jwtVerifier)
		changed := &changing{Static: keys.Static{Set: old}, next: without, after: after}
		v.known = changed
		_, _ = v.Verify(context.Background(), token) // either is right while the keys change
		changed.asked = after
		v.keys = staticKeys{keys.Static{Set: without}}
		for range 2 {
			if _, err := v.Verify(context.Background(), token); !errors.Is(err, ErrTokenKey) {
				t.Errorf("keys changed at look %d: got %v, want %v", after, err, ErrTokenKey)
			}
		}
		if m := v.memory.Load(); m != nil && m.keys == without && m.held() > 0 {
			t.Errorf("keys changed at look %d: remembered among the new ones", after)
		}
	}
}

func testKeyEd25519() (private ed25519.PrivateKey, x string) {
	private = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return private, jose.Base64.EncodeToString(private[ed25519.SeedSize:])
}

// However many tokens are asked for, one that is put in keeps the lock for a few looks only: all who come with a new
// token wait for it.
func TestTokenMemoryLockIsShort(t *testing.T) {
	const most = 20_000
	for _, taken := range []int{tokenWays / 2, 1} { // places of each bucket; with one, others have too many bytes
		m, resident := newTokenMemory(&keys.Set{}, most), entryOf("resident", 100)
		fill := func() {
			for i := range m.buckets {
				for j := range taken {
					m.buckets[i].places[j].Store(resident)
				}
				m.buckets[i].used.Store(1<<tokenWays - 1)
			}
			if m.entries = 0; taken == 1 {
				m.entries, m.bytes = most, 0
			}
		}
		fill()
		m.put(entryOf("new", 100))
		looked := 0
		for i := range m.buckets {
			if m.buckets[i].used.Load() != 1<<tokenWays-1 {
				looked++
			}
		}
		if looked > 1000 {
			t.Errorf("%d taken of each bucket: got %d buckets looked at, want a few", taken, looked)
		}
		kept := 0
		for i := range most {
			e := entryOf(fmt.Sprint("new ", i), 100)
			if m.put(e); m.find(e.key) != nil {
				kept++
			}
		}
		if kept < most/2 {
			t.Errorf("%d taken of each bucket: got %d of %d in, want most of them", taken, kept, most)
		}
	}
}

// gathering are keys whose Snapshot waits for all who ask, as many requests do at once when the keys change.
type gathering struct {
	keys.Static
	all sync.WaitGroup
}

func (k *gathering) Snapshot() *keys.Set {
	k.all.Done()
	k.all.Wait()
	return k.Set
}

// overtaken are keys that change while one request asks for them, and another has made a memory for the new ones by then.
type overtaken struct {
	keys.Static
	meanwhile func()
}

func (k *overtaken) Snapshot() *keys.Set {
	old := k.Set
	if f := k.meanwhile; f != nil {
		k.meanwhile = nil
		f()
	}
	return old
}

// New keys cost one new memory, not one for each request that sees them first, and no request that still has the old
// ones drops it. Its table is small at first.
func TestOneTokenMemoryForNewKeys(t *testing.T) {
	const requests, entries = 32, 1 << 18
	gathered := &gathering{Static: keys.Static{Set: &keys.Set{}}}
	gathered.all.Add(requests)
	v := &jwtVerifier{known: gathered, entries: entries}
	var made sync.Map
	var wg sync.WaitGroup
	for range requests {
		wg.Go(func() {
			if m := v.remembering(); m != nil {
				made.Store(m, true)
			}
		})
	}
	wg.Wait()
	n := 0
	made.Range(func(m, _ any) bool { n++; return m == v.memory.Load() })
	if got := v.memory.Load().table(); n != 1 || got > 4<<10 {
		t.Errorf("got %d memories for %d requests, and a table of %d bytes, want one of 4 KiB at most", n, requests, got)
	}

	for _, had := range []bool{false, true} { // a memory for the old ones
		late, fresh := &overtaken{Static: keys.Static{Set: &keys.Set{}}}, &keys.Set{}
		v := &jwtVerifier{known: late, entries: 1}
		if had {
			v.remembering()
		}
		late.meanwhile = func() {
			late.Set = fresh
			v.remembering()
		}
		v.remembering()
		if v.memory.Load().keys != fresh {
			t.Errorf("had one %t: a memory for keys that no longer count", had)
		}
	}
}
