package issuers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func hanging(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// kept is a Verifier of somebody else's that tells when it is ready.
type kept struct {
	popauth.Verifier
	keys *popauth.RemoteKeys
}

func (k kept) Ready() bool                    { return k.keys.Ready() }
func (k kept) Load(ctx context.Context) error { return k.keys.Preload(ctx) }

// A Verifier whose keys or endpoint can't be had takes no one's place, in whatever it is wrapped.
func TestNothingBrokenSucceeds(t *testing.T) {
	for name, fault := range map[string]lab.RoundTrip{"unreachable": lab.Unreachable, "hanging": hanging} {
		for _, kind := range []string{"JWT", "JWTOr", "JWTOr, the opaque side", "introspection", "of one's own"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				issuer := lab.NewMemoryIssuer(t, "EdDSA")
				good := lab.RoundTrip(func(r *http.Request) (*http.Response, error) {
					switch {
					case strings.HasSuffix(r.URL.Path, "openid-configuration"):
						return lab.Answer(200, []byte(`{"issuer":"`+issuer.URL+`","jwks_uri":"`+issuer.URL+
							`/jwks","introspection_endpoint":"`+issuer.URL+`/introspect"}`)), nil
					case r.URL.Path == "/introspect":
						return lab.Answer(200, []byte(lab.Active)), nil
					}
					return issuer.RoundTrip(r)
				})
				synctest.Test(t, func(t *testing.T) {
					var broken atomic.Bool
					v := lab.NewIssuers(t, issuers.Options{Resolve: func(_ context.Context, iss string) (popauth.Verifier, error) {
						signed, asked := http.RoundTripper(good), http.RoundTripper(good)
						if broken.Load() {
							signed, asked = fault, fault
							if kind == "JWTOr, the opaque side" {
								signed = good
							}
						}
						keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: iss, Client: &http.Client{Transport: signed}})
						if err != nil {
							return nil, err
						}
						own, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: iss, Audience: []string{popauthtest.Audience},
							Keys: keys})
						opaque := lab.IntrospectionBy(t, &http.Client{Transport: asked}, func(o *introspection.Options) { o.Issuer = iss })
						switch kind {
						case "JWT":
							return own, err
						case "introspection":
							return opaque, err
						case "of one's own":
							return kept{struct{ popauth.Verifier }{own}, keys}, err
						}
						return popauth.JWTOr(own, opaque), err
					}})
					token := issuer.Lasting()
					if _, err := v.Verify(t.Context(), token); err != nil {
						t.Fatal(err)
					}
					broken.Store(true)
					time.Sleep(time.Hour + time.Second)
					for range 100 {
						began := time.Now()
						if _, err := v.Verify(t.Context(), token); err != nil || time.Since(began) != 0 {
							t.Fatalf("got %v after %v, want the Verifier from before", err, time.Since(began))
						}
						time.Sleep(time.Second)
					}
					broken.Store(false)
					time.Sleep(time.Minute)
				})
			})
		}
	}
}

// Tenants whose keys hang keep no other tenant from being resolved, and none from being removed.
func TestHangingTenantsStopNobody(t *testing.T) {
	e := &lab.Estate{MemoryIssuer: lab.NewMemoryIssuer(t, "EdDSA")}
	synctest.Test(t, func(t *testing.T) {
		var hang, withdrawn atomic.Bool
		v := lab.NewIssuers(t, issuers.Options{Resolve: func(ctx context.Context, iss string) (popauth.Verifier, error) {
			if withdrawn.Load() && iss == e.Tenant(1000) {
				return nil, popauth.ErrTokenIssuer
			}
			n := 0
			if _, err := fmt.Sscanf(iss, "https://tenant-%d.example.com", &n); err != nil || n >= 70 || !hang.Load() {
				return e.Resolve(ctx, iss)
			}
			keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: iss,
				Client: &http.Client{Transport: lab.RoundTrip(hanging)}})
			if err != nil {
				return nil, err
			}
			return popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: iss, Audience: []string{popauthtest.Audience}, Keys: keys})
		}})
		want := func(what, token string) {
			t.Helper()
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("%s: got %v", what, err)
			}
		}
		for n := range 70 {
			want("at first", e.TokenOf(n))
		}
		gone := e.TokenOf(1000)
		want("at first", gone)
		hang.Store(true)
		withdrawn.Store(true)
		time.Sleep(time.Hour + time.Minute)
		passed := 0
		for round := range 60 {
			for n := range 70 {
				_, _ = v.Verify(t.Context(), e.Unsigned(n))
			}
			synctest.Wait()
			want("a new tenant", e.TokenOf(2000+round))
			if _, err := v.Verify(t.Context(), gone); err == nil {
				passed++
			}
			synctest.Wait()
			time.Sleep(time.Second)
		}
		if passed > 1 { // the request that begins to ask
			t.Errorf("VULNERABLE: the tenant that is gone passed %d times after Remember", passed)
		}
		for n := range 70 {
			want("whose keys hang", e.TokenOf(n))
		}
		time.Sleep(time.Minute)
	})
}

// What errors of Resolve, and of tenants' issuers, quote is bounded.
func TestErrorsOfStrangersBytes(t *testing.T) {
	other := lab.NewMemoryIssuer(t, "EdDSA")
	fixed, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: other.URL, Audience: []string{popauthtest.Audience},
		Keys: other.KeySet(t, popauth.RemoteKeysOptions{})})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 15<<10)
	hostile := lab.RoundTrip(func(*http.Request) (*http.Response, error) {
		a := lab.Answer(503, nil)
		a.Header = http.Header{"Retry-After": {strings.Clone(long)}, "Location": {"https://elsewhere.example.com/" + long}}
		return a, nil
	})
	reset := lab.RoundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New(strings.Clone(long)) })
	for name, resolve := range map[string]func(context.Context, string) (popauth.Verifier, error){
		"an error with the iss": func(_ context.Context, iss string) (popauth.Verifier, error) {
			return nil, fmt.Errorf("no row for %q", iss)
		},
		"a panic with the iss": func(_ context.Context, iss string) (popauth.Verifier, error) { panic(iss) },
		"a Verifier of others": func(context.Context, string) (popauth.Verifier, error) { return fixed, nil },
		"long headers":         func(_ context.Context, iss string) (popauth.Verifier, error) { return verifierBy(iss[:30], hostile) },
		"a long error":         func(_ context.Context, iss string) (popauth.Verifier, error) { return verifierBy(iss[:30], reset) },
	} {
		t.Run(name, func(t *testing.T) {
			v := lab.NewIssuers(t, issuers.Options{Resolve: resolve})
			before := lab.HeapAlloc()
			for n := range 300 {
				iss := fmt.Sprintf("https://tenant.example.com/%03d", n)
				if !strings.HasPrefix(name, "long") && !strings.HasPrefix(name, "a long") {
					iss += strings.Repeat("\ufeff", 3000)
				}
				if _, err := v.Verify(t.Context(), other.Token(popauthtest.Claims{"iss": iss})); err == nil {
					t.Fatal("VULNERABLE: a token of a made-up issuer")
				}
			}
			grown := lab.HeapAlloc() - before
			t.Logf("300 made-up issuers: grown by %.2f MB", grown/1e6)
			if grown > 5e6 {
				t.Errorf("got %.2f MB, want 16 KB for each issuer at most", grown/1e6)
			}
			runtime.KeepAlive(v)
		})
	}
}

func verifierBy(iss string, transport http.RoundTripper) (popauth.Verifier, error) {
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: iss, Client: &http.Client{Transport: transport}})
	if err != nil {
		return nil, err
	}
	return popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: iss, Audience: []string{popauthtest.Audience}, Keys: keys})
}
