package remember_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// greedy are tenants that make an API remember as much as they can: each shows a small JWK Set until a genuine token has
// come, and a large one after that.
type greedy struct {
	*popauthtest.Issuer
	large  []byte
	grown  atomic.Bool
	ahead  atomic.Int64 // of the clock
	source map[string]*popauth.RemoteKeys
}

func newGreedy(t *testing.T) *greedy {
	t.Helper()
	g := &greedy{Issuer: popauthtest.NewIssuer(t, "EdDSA"), source: map[string]*popauth.RemoteKeys{}}
	var set struct {
		Keys []any `json:"keys"`
	}
	if err := json.Unmarshal(g.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	n := base64.RawURLEncoding.EncodeToString(slices.Repeat([]byte{0xff}, 1024))
	for i := range 190 {
		set.Keys = append(set.Keys, map[string]any{"kty": "RSA", "n": n, "e": "AQAB", "kid": fmt.Sprintf("%0250d", i)})
	}
	g.large, _ = json.Marshal(set)
	return g
}

func (g *greedy) now() time.Time { return time.Now().Add(time.Duration(g.ahead.Load())) }

func (g *greedy) RoundTrip(*http.Request) (*http.Response, error) {
	if g.grown.Load() {
		return lab.Answer(200, g.large), nil
	}
	return lab.Answer(200, g.JWKS()), nil
}

func (g *greedy) resolve(_ context.Context, iss string) (popauth.Verifier, error) {
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{URL: iss + "/jwks", Client: &http.Client{Transport: g}, Now: g.now})
	if err != nil {
		return nil, err
	}
	g.source[iss] = keys
	return popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: iss, Audience: []string{popauthtest.Audience}, Keys: keys, Now: g.now})
}

func (g *greedy) token(iss string, size int) string {
	return g.Token(popauthtest.Claims{"iss": iss, "exp": time.Now().Add(1000 * time.Hour).Unix(), "more": strings.Repeat("x", size)})
}

// grow waits until every tenant has been asked for its keys again, with no request after that.
func (g *greedy) grow(t *testing.T, v popauth.Verifier) {
	t.Helper()
	g.grown.Store(true)
	g.ahead.Store(int64(2 * time.Hour))
	for iss, keys := range g.source { // another one by then, if the tenant had to make room
		before := keys.LastRefresh()
		if _, err := v.Verify(t.Context(), g.token(iss, 0)); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); !g.source[iss].LastRefresh().After(before); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the keys are not fetched again")
			}
		}
	}
}

// Tokens, introspection answers and issuers, all of them as large as they can be made: together they keep to the bound.
func TestHostileFillOfAllMemories(t *testing.T) {
	const bound = 64 << 20 // docs/scale.md
	g := newGreedy(t)
	long := strings.Repeat("x", 60<<10)
	client := &http.Client{Transport: lab.RoundTrip(func(r *http.Request) (*http.Response, error) {
		_ = r.ParseForm()
		more := `"more":"` + long + `","active"`
		if strings.HasPrefix(r.PostForm.Get("token"), "over") {
			more = `"exp":1,` + more
		}
		return &http.Response{StatusCode: 200, Body: lab.Body(strings.Replace(lab.Active, `"active"`, more, 1))}, nil
	})}
	introspection, err := introspection.New(introspection.Options{
		Issuer: "id", Endpoint: "https://id.example.com/", Audience: []string{popauthtest.Audience}, Client: client,
		Authentication: introspection.ClientSecretBasic{ID: "a", Secret: "s"}, Remember: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	issuers := lab.NewIssuers(t, issuers.Options{Resolve: g.resolve, Remember: 100 * time.Hour, MaxAge: 1000 * time.Hour, Now: g.now})
	own, err := g.resolve(t.Context(), "https://own.example.com")
	if err != nil {
		t.Fatal(err)
	}
	delete(g.source, "https://own.example.com")
	verify := func(v popauth.Verifier, token string, want error) {
		t.Helper()
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
	before := lab.HeapAlloc()
	for n := range 60 {
		iss := fmt.Sprintf("https://tenant-%d.example.com", n)
		for range 60 {
			verify(issuers, g.token(iss, 10<<10), nil)
		}
	}
	g.grow(t, issuers)
	for range 1500 {
		verify(own, g.token("https://own.example.com", 10<<10), nil)
	}
	for n := range 1000 {
		verify(introspection, fmt.Sprint("good", n), nil)
		verify(introspection, fmt.Sprint("over", n), popauth.ErrTokenExpired)
	}
	grown := lab.HeapAlloc() - before
	t.Logf("%.1f MiB of %d", grown/(1<<20), bound>>20)
	if grown > bound {
		t.Errorf("got %.1f MiB, want %d at most", grown/(1<<20), bound>>20)
	}
	runtime.KeepAlive(own)
	runtime.KeepAlive(issuers)
	runtime.KeepAlive(introspection)
}
