package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// start starts the three origins, and stops them when the test ends.
func start(t *testing.T, logs io.Writer) *world {
	t.Helper()
	w := &world{}
	t.Cleanup(w.close)
	if err := w.start(logs); err != nil {
		t.Fatal(err)
	}
	return w
}

// journal is a log that is written and read at once.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func do(t *testing.T, method, url string, header map[string]string, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// list splits a header whose members are separated by commas; their case is of no interest.
func list(h http.Header, name string) string {
	return "," + strings.ToLower(strings.ReplaceAll(strings.Join(h.Values(name), ","), " ", "")) + ","
}

func preflight(page, method string) map[string]string {
	return map[string]string{
		"Origin": page, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization,dpop",
	}
}

func TestPreflight(t *testing.T) {
	var refusals journal
	w := start(t, &refusals)
	for _, c := range []struct{ name, url, method, origin, allow string }{
		{"api", w.api + "/orders", "GET", w.page, w.page},
		{"token endpoint", w.login + "/token", "POST", w.page, w.page},
		{"another method", w.api + "/orders", "PUT", w.page, ""},
		{"another origin", w.api + "/orders", "GET", "http://localhost:1", ""},
		{"another origin, token endpoint", w.login + "/token", "POST", "http://localhost:1", ""},
		{"no origin at all", w.api + "/orders", "GET", "null", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := do(t, "OPTIONS", c.url, preflight(c.origin, c.method), "")
			if got := answer.Header.Get("Access-Control-Allow-Origin"); got != c.allow || answer.StatusCode != http.StatusNoContent {
				t.Errorf("got %d and %q, want 204 and %q", answer.StatusCode, got, c.allow)
			}
			if c.allow == "" {
				return
			}
			for _, name := range []string{"authorization", "dpop"} {
				if !strings.Contains(list(answer.Header, "Access-Control-Allow-Headers"), ","+name+",") {
					t.Errorf("%s is not allowed: %v", name, answer.Header)
				}
			}
			if answer.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("cookies are allowed")
			}
		})
	}
	if refusals.String() != "" {
		t.Errorf("preflights have reached the Guard:\n%s", &refusals)
	}
}

func TestRefusalIsReadable(t *testing.T) {
	var refusals journal
	w := start(t, &refusals)
	key := popauthtest.NewProofKey(t, "")
	token := w.issuer.Token(key.Bound(), popauthtest.Claims{"aud": w.api, "scope": "orders.read"})
	answer := do(t, "GET", w.api+"/orders", map[string]string{
		"Origin": w.page, "Authorization": "DPoP " + token, "DPoP": key.Proof("GET", w.api+"/orders", token),
	}, "")
	if answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("DPoP-Nonce") == "" ||
		!strings.Contains(answer.Header.Get("WWW-Authenticate"), `error="use_dpop_nonce"`) {
		t.Errorf("got %d %v", answer.StatusCode, answer.Header)
	}
	if got := answer.Header.Get("Access-Control-Allow-Origin"); got != w.page {
		t.Errorf("got Access-Control-Allow-Origin %q, want %q", got, w.page)
	}
	for _, name := range []string{"www-authenticate", "dpop-nonce"} {
		if !strings.Contains(list(answer.Header, "Access-Control-Expose-Headers"), ","+name+",") {
			t.Errorf("%s is not exposed: %v", name, answer.Header)
		}
	}
	if !strings.Contains(refusals.String(), string(popauth.ErrNonceRequired)) {
		t.Errorf("not logged:\n%s", &refusals)
	}
}

// The usual mistake: CORS after the Guard.
func TestCORSInsideOfGuard(t *testing.T) {
	w := start(t, t.Output())
	options, err := w.options(t.Output())
	if err != nil {
		t.Fatal(err)
	}
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	r := chi.NewRouter()
	r.Use(guard.Confirm, crossOrigin(w.page, http.MethodGet))
	r.Get("/orders", func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
	answer := httptest.NewRecorder()
	request := httptest.NewRequest("OPTIONS", w.api+"/orders", http.NoBody)
	for name, value := range preflight(w.page, "GET") {
		request.Header.Set(name, value)
	}
	r.ServeHTTP(answer, request)
	if answer.Code != http.StatusUnauthorized || answer.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("got %d %v: the package's documentation says that this fails", answer.Code, answer.Header())
	}
}

func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, write) }()
	printed := make([]byte, 4096)
	n, err := read.Read(printed)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(printed[:n]), "Open ")
	page, _, _ := strings.Cut(rest, " ")
	answer := do(t, "GET", page, nil, "")
	policy := answer.Header.Get("Content-Security-Policy")
	if answer.StatusCode != http.StatusOK || !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") ||
		strings.Contains(policy, "unsafe") {
		t.Errorf("%s: got %d with the policy %q", page, answer.StatusCode, policy)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
