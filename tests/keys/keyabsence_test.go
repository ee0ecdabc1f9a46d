package keys_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/issuers"
)

// unknownKid is an unsigned token under a kid that does not exist, with a header as large as fits.
func unknownKid(token string, n int) string {
	_, rest, _ := strings.Cut(token, ".")
	header := fmt.Sprintf(`{"alg":"EdDSA","typ":"at+jwt","kid":"%0200d","more":%q}`, n, strings.Repeat("x", 11<<10))
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}

// The memory of keys that do not exist keeps nothing of the tokens that name them.
func TestUnknownKidsKeepNoHeaders(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t, "EdDSA")
	synctest.Test(t, func(t *testing.T) {
		api := lab.NewKeyedAPI(t, issuer.URL, issuer.KeySet(t, popauth.RemoteKeysOptions{}), nil)
		token := issuer.Lasting()
		api.Want(t, token, 200)
		before := lab.HeapAlloc()
		for n := range 300 {
			api.Want(t, unknownKid(token, n), 401)
			time.Sleep(10 * time.Second)
		}
		if grown := lab.HeapAlloc() - before; grown > 256<<10 {
			t.Errorf("after 300 made-up kids: grown by %.2f MB, want a few KB", grown/1e6)
		}
		runtime.KeepAlive(api)
	})
}

// Nor does it behind Issuers, for each of many tenants.
func TestUnknownKidsOfManyTenants(t *testing.T) {
	e := &lab.Estate{MemoryIssuer: lab.NewMemoryIssuer(t, "EdDSA")}
	synctest.Test(t, func(t *testing.T) {
		v := lab.NewIssuers(t, issuers.Options{Resolve: e.Resolve})
		const tenants, kids = 40, 40
		good := make([]string, tenants)
		for n := range good {
			good[n] = e.TokenOf(n)
			if _, err := v.Verify(t.Context(), good[n]); err != nil {
				t.Fatal(err)
			}
		}
		before := lab.HeapAlloc()
		for k := range kids {
			for n := range good {
				if _, err := v.Verify(t.Context(), unknownKid(good[n], k)); !errors.Is(err, popauth.ErrTokenKey) {
					t.Fatalf("got %v, want %v", err, popauth.ErrTokenKey)
				}
			}
			time.Sleep(10 * time.Second)
		}
		if grown := lab.HeapAlloc() - before; grown > 2e6 {
			t.Errorf("after %d made-up kids of each of %d tenants: grown by %.1f MB, want 2 KB for each tenant", kids, tenants, grown/1e6)
		}
		runtime.KeepAlive(v)
	})
}
