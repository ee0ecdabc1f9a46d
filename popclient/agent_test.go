package popclient_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popclient"
)

// Requests for metadata and tokens say who sends them; those of the caller have what the caller sets.
func TestUserAgent(t *testing.T) {
	s := newRealm(t)
	var mu sync.Mutex
	var seen []string
	note := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen = append(seen, r.URL.Path+" "+r.UserAgent())
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	}
	s.issuer.Server.Config.Handler = note(s.issuer.Server.Config.Handler)
	s.api.Config.Handler = note(s.api.Config.Handler)
	client := s.client(t, s.ca.Client("job"))
	for _, own := range []string{"", "orders-job/7"} {
		r, err := http.NewRequest(http.MethodGet, s.api.URL+"/orders", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if own != "" {
			r.Header.Set("User-Agent", own)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := r.Header.Get("User-Agent"); got != own {
			t.Errorf("the caller's request: got %q, want it as it was", got)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	name := popclient.Product(popauth.Version())
	for _, want := range []string{"/mtls/token " + name, "/orders Go-http-client/1.1", "/orders orders-job/7"} {
		if !slices.Contains(seen, want) && !slices.Contains(seen, strings.Replace(want, "/1.1", "/2.0", 1)) {
			t.Errorf("got %q, want %s among them", seen, want)
		}
	}
	if !slices.ContainsFunc(seen, func(s string) bool { return strings.HasPrefix(s, "/.well-known/") && strings.HasSuffix(s, " "+name) }) {
		t.Errorf("got %q, want metadata asked for by %s", seen, name)
	}
	for version, want := range map[string]string{
		"v0.1.0":                               "popauth-popclient/0.1.0",
		"v0.1.1-0.20261127120000-0123456789ab": "popauth-popclient/0.1.1-0.20261127120000-0123456789ab",
		"v0.1.0+dirty":                         "popauth-popclient/0.1.0+dirty",
		"(devel)":                              "popauth-popclient",
		"example.com/fork@v0.1.1":              "popauth-popclient",
		"v0.1.0\r\nX: y":                       "popauth-popclient",
		"":                                     "popauth-popclient",
	} {
		if got := popclient.Product(version); got != want {
			t.Errorf("%q: got %q, want %q", version, got, want)
		}
	}
}
