package popauth_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// memoryIssuer answers without a network, so that a test can run in a bubble of synctest.
type memoryIssuer struct {
	*popauthtest.Issuer
	latency atomic.Int64
	fail    atomic.Pointer[func(*http.Request) (*http.Response, error)] // answers instead of the issuer
	calls   atomic.Int64
	last    atomic.Pointer[http.Request]
}

func newMemoryIssuer(t testing.TB, algorithms ...string) *memoryIssuer {
	return &memoryIssuer{Issuer: popauthtest.NewIssuer(t, algorithms...)}
}

func (i *memoryIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	i.calls.Add(1)
	i.last.Store(r)
	select {
	case <-time.After(time.Duration(i.latency.Load())):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if f := i.fail.Load(); f != nil {
		return (*f)(r)
	}
	w := httptest.NewRecorder()
	i.Server.Config.Handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// takes makes every answer take that long.
func (i *memoryIssuer) takes(d time.Duration) { i.latency.Store(int64(d)) }

// fails answers everything with f; nil ends that.
func (i *memoryIssuer) fails(f func(*http.Request) (*http.Response, error)) {
	if f == nil {
		i.fail.Store(nil)
		return
	}
	i.fail.Store(&f)
}

func unreachable(*http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("connection refused")
}

// keys returns RemoteKeys that ask the issuer through memory.
func (i *memoryIssuer) keys(t testing.TB, o popauth.RemoteKeysOptions) *popauth.RemoteKeys {
	t.Helper()
	o.Client = &http.Client{Transport: i}
	if o.URL == "" {
		o.Issuer = i.URL
	}
	keys, err := popauth.NewRemoteKeys(o)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// parsed is the token as keyfunc sees it.
func parsed(t testing.TB, token string) *jwt.Token {
	t.Helper()
	p, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// madeUp returns the token under a kid that does not exist.
func madeUp(token string, n int) string {
	_, rest, _ := strings.Cut(token, ".")
	header := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":"made-up-%d"}`, n)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}

// keyedAPI is a Guard before a handler that counts.
type keyedAPI struct {
	handler http.Handler
	spy     *popauthtest.Spy
}

func newKeyedAPI(t *testing.T, issuer string, keys popauth.KeySource, now func() time.Time) *keyedAPI {
	t.Helper()
	guard, err := popauth.New(popauth.Options{
		Issuer: issuer, Audience: []string{popauthtest.Audience}, Keys: keys, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	spy := &popauthtest.Spy{}
	return &keyedAPI{guard.Authenticate(spy), spy}
}

func (a *keyedAPI) ask(ctx context.Context, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	return w
}

// want asks once.
func (a *keyedAPI) want(t *testing.T, token string, status int) {
	t.Helper()
	before := a.spy.Ran()
	w := a.ask(t.Context(), token)
	if w.Code != status {
		t.Errorf("status: got %d, want %d", w.Code, status)
	}
	if got, want := a.spy.Ran()-before, btoi(w.Code == http.StatusOK); got != want {
		t.Errorf("handler ran: got %d, want %d", got, want)
	}
	if w.Body.Len() > 0 {
		t.Errorf("body: got %q, want none", w.Body)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// tally counts answers by status.
type tally map[int]int

func (c tally) String() string {
	return fmt.Sprintf("%5d %5d %5d", c[200], c[401], c[503])
}

// crowd asks with all tokens at once and counts the answers.
func (a *keyedAPI) crowd(t *testing.T, tokens []string) tally {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	before, answers, begin := a.spy.Ran(), tally{}, make(chan struct{})
	for _, token := range tokens {
		all.Go(func() {
			<-begin
			w := a.ask(t.Context(), token)
			mu.Lock()
			defer mu.Unlock()
			answers[w.Code]++
			if w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
		})
	}
	close(begin)
	all.Wait()
	if got, want := a.spy.Ran()-before, answers[http.StatusOK]; got != want {
		t.Errorf("handler ran: got %d, want %d", got, want)
	}
	return answers
}

// noFetchLeft fails if a fetch is still in flight after longer than any may take, one of an earlier test too.
func noFetchLeft(t *testing.T) {
	t.Helper()
	var stacks string
	for range 4000 {
		buffer := make([]byte, 1<<22)
		stacks = string(buffer[:runtime.Stack(buffer, true)])
		if !strings.Contains(stacks, "popauth.(*RemoteKeys)") && !strings.Contains(stacks, "internal/calls.") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("goroutines left behind:\n%s", stacks)
}
