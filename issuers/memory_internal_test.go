package issuers

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
	weakly "weak"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/memory"
)

// What docs/scale.md says of the memories of one Verifier with the defaults, of which the root package has the sum.
func TestMemory(t *testing.T) {
	i, err := New(Options{Resolve: func(context.Context, string) (popauth.Verifier, error) { return nil, popauth.ErrTokenIssuer }})
	if err != nil {
		t.Fatal(err)
	}
	n := i.tenants
	resolved := n.proven.Most() + n.strangers.Most()
	unknown := min(n.nobody.Most(), unknownIssuers*memory.KeptSize) + n.failing.Most()
	if got, want := i.options.Bytes+resolved+unknown, int64(30_736_384); got != want {
		t.Errorf("tokens, resolved issuers and others: got %d bytes at most, want %d", got, want)
	}
}

// Tenants that share RemoteKeys all count for what these come to need, and none is kept by the keys when it has left.
func TestSharedKeysTellAllTenants(t *testing.T) {
	issuers, err := New(Options{Resolve: func(context.Context, string) (popauth.Verifier, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	var document string
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{URL: "https://id.example.com/jwks",
		Client: &http.Client{Transport: serving(func() string { return document })}})
	if err != nil {
		t.Fatal(err)
	}
	n := issuers.tenants
	keyOf := func(i int) [sha256.Size]byte { return sha256.Sum256([]byte{byte(i)}) }
	for i := range 3 {
		v, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: fmt.Sprint("https://id.example.com/", i), Audience: []string{"a"},
			Keys: keys})
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
		public, _, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		x := base64.RawURLEncoding.EncodeToString(public)
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
	if proven, strangers := n.proven.Bytes()-before[0], n.strangers.Bytes()-before[1]; size < 10_000 || proven != 2*size ||
		strangers != size {
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
