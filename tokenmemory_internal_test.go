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
		Value: Token{audience: []string{"a"}, scopes: []string{"a", "b"}, bindings: []Binding{{Member: "jkt", Value: "k"}},
			payload: payload},
		Key: sha256.Sum256([]byte(id)),
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
		if m := v.memory.Load(); m != nil && m.Keys == without && m.Len() > 0 {
			t.Errorf("keys changed at look %d: remembered among the new ones", after)
		}
	}
}

func testKeyEd25519() (private ed25519.PrivateKey, x string) {
	private = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return private, jose.Base64.EncodeToString(private[ed25519.SeedSize:])
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
	if got := v.memory.Load().Places(); n != 1 || got > 4<<10 {
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
		if v.memory.Load().Keys != fresh {
			t.Errorf("had one %t: a memory for keys that no longer count", had)
		}
	}
}
