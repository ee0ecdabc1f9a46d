package keys

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"

	"github.com/seed-171ab058/popauth/internal/jose"
)

// heedless shows one key to whoever asks, as a view does that looks at nothing.
type heedless struct {
	jwkset.Storage
	jwk jwkset.JWK
}

func (h heedless) KeyRead(context.Context, string) (jwkset.JWK, error) { return h.jwk, nil }

func namedSet(t *testing.T, keys ...string) *Set {
	t.Helper()
	for i, members := range keys {
		seed := make([]byte, ed25519.SeedSize)
		seed[0] = byte(i)
		x := jose.Base64.EncodeToString(ed25519.NewKeyFromSeed(seed)[ed25519.SeedSize:])
		keys[i] = fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":%q,%s}`, x, members)
	}
	set, err := Read([]byte(`{"keys":[` + strings.Join(keys, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// keyfunc has the last word on a key under a name: it holds the JWK's alg against the token's.
func TestKeyfuncChooses(t *testing.T) {
	jwk, err := namedSet(t, `"kid":"k","alg":"EdDSA"`).all[0].jwk()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := chosenBy(heedless{jwk: jwk}, Wanted{Hint: Hint{ID{jose.ByKeyID, "k"}, "RS256"}})
	if !errors.Is(err, keyfunc.ErrKeyfunc) || !isNotFound(err) || len(keys) > 0 {
		t.Errorf("alg of another: got %v, %v, want keyfunc's error, as one of a key that is not found", keys, err)
	}
	if keys, err = chosenBy(heedless{jwk: jwk}, Wanted{Hint: Hint{ID{jose.ByKeyID, "k"}, "EdDSA"}}); err != nil || len(keys) != 1 {
		t.Errorf("the JWK's alg: got %v, %v, want one key", keys, err)
	}
}

// In each view a name is one key, and a name of one kind is none of another.
func TestKeyViews(t *testing.T) {
	set := namedSet(t, `"kid":"k","issuer":"a"`, `"kid":"k","issuer":"b"`,
		`"kid":"k","x5t":"t"`, `"kid":"k","x5t":"t"`, `"kid":"t"`, `"kid":"k","alg":"EdDSA"`)
	name := func(by, name string) ID { return ID{by, name} }
	for _, tt := range []struct {
		name   string
		id     ID
		alg    string
		issuer string
		nth    []int // of the set
	}{
		{name: "a kid that a few have", id: name(jose.ByKeyID, "k"), alg: "EdDSA", issuer: "a", nth: []int{0, 2, 3}},
		{name: "of the other issuer", id: name(jose.ByKeyID, "k"), alg: "EdDSA", issuer: "b", nth: []int{1, 2, 3}},
		{name: "of no issuer", id: name(jose.ByKeyID, "k"), alg: "EdDSA", nth: []int{2, 3, 5}},
		{name: "a thumbprint", id: name(jose.BySHA1, "t"), alg: "EdDSA", nth: []int{2, 3}},
		{name: "a thumbprint as kid", id: name(jose.ByKeyID, "t"), alg: "EdDSA", nth: []int{4}},
		{name: "a kid as thumbprint", id: name(jose.BySHA1, "k"), alg: "EdDSA"},
		{name: "the other thumbprint", id: name(jose.BySHA256, "t"), alg: "EdDSA"},
		{name: "another algorithm", id: name(jose.ByKeyID, "k"), alg: "RS256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := Wanted{Hint{tt.id, tt.alg}, tt.issuer}
			keys, err := set.Find(w)
			if len(keys) != len(tt.nth) || (err == nil) != (len(tt.nth) > 0) || err != nil && !isNotFound(err) {
				t.Fatalf("got %d keys, %v, want %d", len(keys), err, len(tt.nth))
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("got an error of several lines: %q", err)
			}
			for nth, of := range tt.nth {
				k, err := (keyView{set: set, token: w, nth: nth}).KeyRead(t.Context(), tt.id.Name)
				if err != nil || !reflect.DeepEqual(k.Key(), set.all[of].key) || !reflect.DeepEqual(keys[nth], k.Key()) {
					t.Errorf("view %d: got %v, %v, want key %d", nth, k.Key(), err, of)
				}
			}
		})
	}
}

func isNotFound(err error) bool {
	_, ok := errors.AsType[*NotFoundError](err)
	return ok
}
