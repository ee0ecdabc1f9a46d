package introspection_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A flood of made-up tokens starves none that was active a moment ago.
func TestIntrospectionKeepsRoomForTheActive(t *testing.T) {
	for _, remember := range []time.Duration{time.Second, -1} {
		issuer := lab.NewMemoryIssuer(t)
		synctest.Test(t, func(t *testing.T) {
			v := issuer.Introspect(t, func(o *introspection.Options) {
				o.Calls, o.Wait, o.Remember = 8, time.Second, remember
			})
			good := issuer.Opaque(popauthtest.Claims{"exp": popauthtest.Omit})
			if _, err := v.Verify(t.Context(), good); err != nil {
				t.Fatal(err)
			}
			issuer.Takes(50 * time.Millisecond)
			flood, end := context.WithCancel(t.Context())
			var all sync.WaitGroup
			for w := range 400 {
				all.Go(func() {
					for n := 0; flood.Err() == nil; n++ {
						_, _ = v.Verify(flood, fmt.Sprintf("made-up-%d-%d", w, n))
						time.Sleep(time.Millisecond)
					}
				})
			}
			time.Sleep(500 * time.Millisecond)
			refused, longest := 0, time.Duration(0)
			for range 200 {
				began := time.Now()
				if _, err := v.Verify(t.Context(), good); err != nil {
					refused++
				}
				longest = max(longest, time.Since(began))
				time.Sleep(20 * time.Millisecond)
			}
			end()
			all.Wait()
			time.Sleep(time.Second) // for the calls that nobody waits for
			if refused > 0 || longest > 100*time.Millisecond {
				t.Errorf("Remember %v: a good token was refused %d times of 200, and waited %v", remember, refused, longest)
			}
		})
	}
}

// A clock that is set back brings no older verdict back, and a machine's sleep is time.
func TestIntrospectionClockBack(t *testing.T) {
	l := lab.New(t)
	v := l.Introspection(func(o *introspection.Options) { o.Remember = time.Minute })
	token := l.Issuer.Opaque()
	want := func(what string, reason error) {
		t.Helper()
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, reason) {
			t.Errorf("%s: got %v, want %v", what, err, reason)
		}
	}
	want("at first", nil)
	l.Clock.Advance(2 * time.Minute)
	l.Issuer.Revoke(token)
	want("revoked", popauth.ErrTokenInvalid)
	l.Issuer.Handle("/introspect", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	l.Clock.Advance(-90 * time.Second)
	want("VULNERABLE: the clock was set back to when the token was active", popauth.ErrUnavailable)
}

// However large the answers, and whatever the tokens are, the memory keeps to its bound in bytes.
func TestIntrospectionMemoryBytes(t *testing.T) {
	long := strings.Repeat("x", 60<<10)
	client := &http.Client{Transport: lab.RoundTrip(func(r *http.Request) (*http.Response, error) {
		_ = r.ParseForm()
		answer := lab.Active
		if strings.HasPrefix(r.PostForm.Get("token"), "over") {
			answer = strings.Replace(lab.Active, `"active"`, `"exp":1,"active"`, 1)
		}
		return &http.Response{StatusCode: 200, Body: lab.Body(strings.Replace(answer, `"active"`, `"more":"`+long+`","active"`, 1))}, nil
	})}
	v, err := introspection.New(introspection.Options{
		Issuer: "id", Endpoint: "https://id.example.com/", Audience: []string{popauthtest.Audience}, Client: client,
		Authentication: introspection.ClientSecretBasic{ID: "a", Secret: "s"}, Remember: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	before := lab.HeapAlloc()
	for n := range 2000 { // 240 MB, if all were kept
		if _, err := v.Verify(t.Context(), fmt.Sprint("good", n)); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), fmt.Sprint("over", n)); !errors.Is(err, popauth.ErrTokenExpired) {
			t.Fatal(err)
		}
	}
	grown := lab.HeapAlloc() - before
	t.Logf("%.1f MB after 4000 answers of 60 KiB", grown/1e6)
	if grown > 20e6 {
		t.Errorf("got %.1f MB, want 18 at most", grown/1e6)
	}
	runtime.KeepAlive(v)
}

// What is too large is called that.
func TestTooLargeIsSaid(t *testing.T) {
	l := lab.New(t)
	large := strings.Repeat("x", 17<<10)
	for name, v := range map[string]popauth.Verifier{"introspection": l.Introspection(), "issuers": lab.NewIssuers(t, issuers.Options{
		Verifiers: map[string]popauth.Verifier{l.Issuer.URL: lab.VerifierOf(t, l.Issuer)},
	})} {
		if _, err := v.Verify(t.Context(), large); !lab.ReasonIs(err, popauth.ErrTokenMalformed) ||
			!strings.Contains(err.Error(), "too large: 17408 bytes, and 16384") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, err := l.Guard().Check(l.Owner.Request("GET", "/", large))
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("Guard: got %v", err)
	}
}
