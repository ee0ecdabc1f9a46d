package popclient_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// spy is a base that records what it is given.
type spy struct {
	next http.RoundTripper

	mu   sync.Mutex
	sent []*http.Request
}

func (s *spy) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.sent = append(s.sent, r)
	s.mu.Unlock()
	return s.next.RoundTrip(r)
}

// check fails the test if any of what was sent is without proof, under another scheme, or has a jti twice.
func (s *spy) check(t testing.TB, want int) {
	t.Helper()
	if len(s.sent) != want {
		t.Errorf("got %d requests, want %d", len(s.sent), want)
	}
	seen := map[any]bool{}
	for _, r := range s.sent {
		authorization, proofs := r.Header.Values("Authorization"), r.Header.Values("DPoP")
		if len(authorization) != 1 || !strings.HasPrefix(authorization[0], "DPoP ") || len(proofs) != 1 {
			t.Fatalf("got Authorization %q and %d proofs, want DPoP and one", authorization, len(proofs))
		}
		jti := part(t, proofs[0], 1)["jti"]
		if seen[jti] {
			t.Errorf("jti %v was sent twice", jti)
		}
		seen[jti] = true
	}
}

type source func() (*oauth2.Token, error)

func (s source) Token() (*oauth2.Token, error) { return s() }

func static(token, typ string) source {
	return func() (*oauth2.Token, error) { return &oauth2.Token{AccessToken: token, TokenType: typ}, nil }
}

// lab is a Guard on a TLS listener that asks for nonces, and a client for it.
type lab struct {
	clock  *popauthtest.Clock
	server *httptest.Server
	base   *spy
	d      *popclient.DPoP
	client *http.Client
}

func newLab(t testing.TB, key *popclient.Key) *lab {
	t.Helper()
	l := &lab{clock: popauthtest.NewClock(time.Now())}
	issuer := popauthtest.NewIssuer(t)
	issuer.Now = l.clock.Now
	options := issuer.Options()
	proofs, err := dpop.New(dpop.Options{
		URL: dpop.RequestURL, Nonces: dpop.StatelessNonces{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	options.Confirmers = []popauth.Confirmer{proofs}
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	l.server = popauthtest.NewServer(t, guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})))
	key.Now = l.clock.Now
	l.base = &spy{next: l.server.Client().Transport}
	l.d = &popclient.DPoP{Key: key, Base: l.base, Source: source(func() (*oauth2.Token, error) {
		bound := popauthtest.Claims{"cnf": popauthtest.Claims{"jkt": key.Thumbprint()}}
		return &oauth2.Token{AccessToken: issuer.Token(bound), TokenType: "dpop"}, nil
	})}
	l.client = &http.Client{Transport: l.d}
	return l
}

func newKey(t testing.TB, alg string) *popclient.Key {
	t.Helper()
	key, err := popclient.NewKey(generate(t, alg), alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// do sends a request and returns status and body.
func do(t testing.TB, client *http.Client, r *http.Request) (int, string) {
	t.Helper()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each algorithm, with a key of its own and behind a signer that hides it: the first request needs a second one for
// the nonce, the next doesn't, nor does one that renews a nonce which is getting old.
func TestGuardAccepts(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384", "EdDSA", "Ed25519", "RS256", "PS256"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			kms, err := popclient.NewKey(hidden{Signer: generate(t, alg)}, alg)
			if err != nil {
				t.Fatal(err)
			}
			for i, key := range []*popclient.Key{newKey(t, alg), kms} {
				l := newLab(t, key)
				for step, want := range []int{2, 3, 4, 5} {
					if status, _ := do(t, l.client, request(t, "GET", l.server.URL+"/a%20b/c?d=e", nil)); status != 200 {
						t.Errorf("key %d, request %d: got %d, want 200", i, step, status)
					}
					l.base.check(t, want)
					if step > 0 {
						l.clock.Advance(3 * time.Minute)
					}
				}
			}
		})
	}
}

func TestGuardAcceptsHost(t *testing.T) {
	l := newLab(t, newKey(t, "ES256"))
	r := request(t, "GET", l.server.URL, nil)
	r.Host, r.Method = "api.example.com", ""
	if status, _ := do(t, l.client, r); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
}

// The request's own credentials, however their names are written, are not sent beside ours, and it stays as it was.
func TestRequestUnchanged(t *testing.T) {
	l := newLab(t, newKey(t, "ES256"))
	r := request(t, "POST", l.server.URL, strings.NewReader("order"))
	r.Header = http.Header{"Authorization": {"Bearer x"}, "authorization": {"Bearer y"}, "DPoP": {"z"}, "Accept": {"a"}}
	resp, err := l.d.RoundTrip(r)
	if err != nil || resp.StatusCode != 200 || resp.Request != r {
		t.Fatalf("got %v, %v, want 200 to the request itself", resp, err)
	}
	resp.Body.Close()
	l.base.check(t, 2)
	if got := fmt.Sprint(r.Header); got != "map[Accept:[a] Authorization:[Bearer x] DPoP:[z] authorization:[Bearer y]]" {
		t.Errorf("got header %s", got)
	}
	for _, sent := range l.base.sent {
		if len(sent.Header) != 3 || sent.Header.Get("Accept") != "a" {
			t.Errorf("sent %v, want Accept, Authorization and DPoP", sent.Header)
		}
	}
}

func TestBody(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*http.Request)
		status int
		body   string
		sent   int
	}{
		"GetBody":       {func(*http.Request) {}, 200, "order", 2},
		"none":          {func(r *http.Request) { r.Body, r.GetBody = nil, nil }, 200, "", 2},
		"NoBody":        {func(r *http.Request) { r.Body, r.GetBody = http.NoBody, nil }, 200, "", 2},
		"no GetBody":    {func(r *http.Request) { r.GetBody = nil }, 401, "", 1},
		"GetBody fails": {func(r *http.Request) { r.GetBody = func() (io.ReadCloser, error) { return nil, io.EOF } }, 401, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, newKey(t, "ES256"))
			r := request(t, "POST", l.server.URL, strings.NewReader("order"))
			test.change(r)
			if r.Body == nil || r.Body == http.NoBody {
				r.ContentLength = 0
			}
			status, body := do(t, l.client, r)
			if status != test.status || body != test.body {
				t.Errorf("got %d %q, want %d %q", status, body, test.status, test.body)
			}
			l.base.check(t, test.sent)
			// It has learnt the nonce all the same.
			r = request(t, "POST", l.server.URL, io.MultiReader(strings.NewReader("order")))
			if status, body := do(t, l.client, r); status != 200 || body != "order" {
				t.Errorf("next: got %d %q, want 200", status, body)
			}
		})
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	l := newLab(t, newKey(t, "ES256"))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if status, body := do(t, l.client, request(t, "PUT", l.server.URL, strings.NewReader("x"))); status != 200 || body != "x" {
				t.Errorf("got %d %q, want 200", status, body)
			}
		})
	}
	all.Wait()
	l.base.check(t, len(l.base.sent))
	if n := len(l.base.sent); n < 21 || n > 40 {
		t.Errorf("got %d requests, want one or two for each of 20", n)
	}
}
