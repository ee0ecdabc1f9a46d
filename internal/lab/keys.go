package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// MemoryIssuer answers without a network, so that a test can run in a bubble of synctest.
type MemoryIssuer struct {
	*popauthtest.Issuer
	latency atomic.Int64
	fail    atomic.Pointer[func(*http.Request) (*http.Response, error)] // answers instead of the issuer
	Calls   atomic.Int64
	Last    atomic.Pointer[http.Request]
}

func (i *MemoryIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	i.Calls.Add(1)
	i.Last.Store(r)
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

// Takes makes every answer take that long.
func (i *MemoryIssuer) Takes(d time.Duration) { i.latency.Store(int64(d)) }

// Fails answers everything with f; nil ends that.
func (i *MemoryIssuer) Fails(f func(*http.Request) (*http.Response, error)) {
	if f == nil {
		i.fail.Store(nil)
		return
	}
	i.fail.Store(&f)
}

// KeySet returns RemoteKeys that ask the issuer through memory.
func (i *MemoryIssuer) KeySet(t testing.TB, o popauth.RemoteKeysOptions) *popauth.RemoteKeys {
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

// KeyedAPI is a Guard before a handler that counts.
type KeyedAPI struct {
	Handler http.Handler
	Spy     *popauthtest.Spy
}

func (a *KeyedAPI) Ask(ctx context.Context, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	a.Handler.ServeHTTP(w, r)
	return w
}

// Want asks once.
func (a *KeyedAPI) Want(t *testing.T, token string, status int) {
	t.Helper()
	before := a.Spy.Ran()
	w := a.Ask(t.Context(), token)
	if w.Code != status {
		t.Errorf("status: got %d, want %d", w.Code, status)
	}
	if got, want := a.Spy.Ran()-before, Btoi(w.Code == http.StatusOK); got != want {
		t.Errorf("handler ran: got %d, want %d", got, want)
	}
	if w.Body.Len() > 0 {
		t.Errorf("body: got %q, want none", w.Body)
	}
}

// Crowd asks with all tokens at once and counts the answers.
func (a *KeyedAPI) Crowd(t *testing.T, tokens []string) Tally {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	before, answers, begin := a.Spy.Ran(), Tally{}, make(chan struct{})
	for _, token := range tokens {
		all.Go(func() {
			<-begin
			w := a.Ask(t.Context(), token)
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
	if got, want := a.Spy.Ran()-before, answers[http.StatusOK]; got != want {
		t.Errorf("handler ran: got %d, want %d", got, want)
	}
	return answers
}

// Tally counts answers by status.
type Tally map[int]int

func (c Tally) String() string {
	return fmt.Sprintf("%5d %5d %5d", c[200], c[401], c[503])
}

// ReadsFirst answers with what the issuer says at the beginning of each call, a while later: as any server does whose
// answer is on its way when the keys change.
func (i *MemoryIssuer) ReadsFirst(d time.Duration) {
	i.Fails(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		i.Server.Config.Handler.ServeHTTP(w, r)
		time.Sleep(d)
		return w.Result(), nil
	})
}

// Named publishes the issuer's keys under one kid, or under none.
func (i *MemoryIssuer) Named(kid string) {
	i.Handle("/jwks", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var set struct {
			Keys []map[string]any `json:"keys"`
		}
		_ = json.Unmarshal(i.JWKS(), &set)
		for _, k := range set.Keys {
			if k["kid"] = kid; kid == "" {
				delete(k, "kid")
			}
		}
		_ = json.NewEncoder(w).Encode(set)
	}))
}

// Lasting is a token that no test outlives.
func (i *MemoryIssuer) Lasting() string {
	return i.Token(popauthtest.Claims{"exp": time.Now().Add(1000 * time.Hour).Unix()})
}

// Busy answers with status and Retry-After where path says, and as the issuer does elsewhere.
func (i *MemoryIssuer) Busy(path string, status int, after string) {
	i.Fails(func(r *http.Request) (*http.Response, error) {
		if !strings.Contains(r.URL.Path, path) {
			w := Answer(http.StatusNotFound, nil)
			if r.URL.Path == "/.well-known/openid-configuration" && !strings.Contains(path, "oauth") {
				w = Answer(http.StatusOK, []byte(Metadata(i.URL, i.URL+"/jwks")))
			}
			return w, nil
		}
		w := Answer(status, nil)
		w.Header.Set("Retry-After", after)
		return w, nil
	})
}

// Leaving is a crowd of which every second one leaves after a millisecond.
func (a *KeyedAPI) Leaving(t *testing.T, token string) Tally {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	before, answers := a.Spy.Ran(), Tally{}
	for n := range Crowd {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if n%2 == 0 {
				ctx = t.Context()
			}
			w := a.Ask(ctx, token)
			mu.Lock()
			defer mu.Unlock()
			answers[w.Code]++
		})
	}
	all.Wait()
	if got, want := a.Spy.Ran()-before, answers[http.StatusOK]; got != want {
		t.Errorf("handler ran: got %d, want %d", got, want)
	}
	return answers
}

// Waited asks once, and returns how long the answer took.
func (a *KeyedAPI) Waited(t *testing.T, token string, status int) time.Duration {
	t.Helper()
	began := time.Now()
	a.Want(t, token, status)
	return time.Since(began)
}

func Answer(status int, body []byte) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}
}

type RoundTrip func(*http.Request) (*http.Response, error)

func (f RoundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func Metadata(issuer, jwks string) string {
	return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, issuer, jwks)
}
