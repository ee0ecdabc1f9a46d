package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// long is an origin of which nginx makes no hash by default.
var long = "https://" + strings.Repeat("long-", 12) + "name.example"

// A preflight of a page that may ask is answered by the proxy; all others are refused. The page sees refusals, with what it needs to
// do better, and nobody else does. No preflight reaches the API or the service.
func TestPreflights(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			api := &answering{header: http.Header{
				"Access-Control-Allow-Origin": {"*"}, "Access-Control-Allow-Credentials": {"true"},
			}}
			w := opened(t, l, func(w *world) {
				w.api = api
				w.write = written(l.proxy, func(s *forwardauth.Site) {
					s.CORS = &forwardauth.CORS{
						Origins: []string{"https://app.example", "http://localhost:3000", long, long}, Methods: []string{"GET", "DELETE"},
						Headers: []string{"Content-Type"},
					}
				})
			})
			for _, tt := range []struct {
				name, origin, target string
				allowed              bool
			}{
				{"a page", "https://app.example", "/orders/7", true}, {"another page", "http://localhost:3000", "/orders", true},
				{"a stranger", "https://evil.example", "/orders", false}, {"a longer name", "https://app.example.evil", "/orders", false},
				{"a shorter one", "https://app.exampl", "/orders", false}, {"nothing", "", "/orders", false},
				{"null", "null", "/orders", false}, {"a long name", long, "/orders", true},
				{"another character for the dot", "https://app-example", "/orders", false},
				{"a name behind another", "https://evil.example/https://app.example", "/orders", false},
			} {
				before := w.questions.Load()
				header := http.Header{"Access-Control-Request-Method": {"DELETE"}, "Access-Control-Request-Headers": {"authorization,dpop"}}
				if tt.origin != "" {
					header.Set("Origin", tt.origin)
				}
				answer, _ := w.get(t, request{
					method: "OPTIONS", target: tt.target, header: header, as: &popauthtest.Client{}, token: "none",
				})
				got := answer.Header.Get("Access-Control-Allow-Origin")
				allows := strings.ToLower(answer.Header.Get("Access-Control-Allow-Headers"))
				if want := map[bool]string{true: tt.origin}[tt.allowed]; got != want || tt.allowed && (answer.StatusCode >= 300 ||
					!strings.Contains(answer.Header.Get("Access-Control-Allow-Methods"), "DELETE") ||
					!strings.Contains(allows, "dpop") || !strings.Contains(allows, "authorization") ||
					!strings.Contains(allows, "content-type")) {
					t.Errorf("%s: got %d %v, want the origin %q", tt.name, answer.StatusCode, answer.Header, want)
				}
				if tt.allowed && w.questions.Load() != before || api.count() > 0 {
					t.Errorf("%s: the service was asked, or the API ran", tt.name)
				}
				w.readBy(t, tt.name, tt.origin, tt.target, tt.allowed)
				api.mu.Lock()
				api.ran = 0
				api.mu.Unlock()
			}
			if answer, _ := w.get(t, request{method: "OPTIONS", target: "/elsewhere", token: "none", header: http.Header{
				"Origin": {"https://app.example"}, "Access-Control-Request-Method": {"DELETE"},
			}}); answer.StatusCode != 404 {
				t.Errorf("a path without a route: got %d, want 404", answer.StatusCode)
			}
		})
	}
}

// readBy sends what follows a preflight, with a token's key and without: the page that may reads the answer, and no other.
func (w *world) readBy(t *testing.T, name, origin, target string, allowed bool) {
	t.Helper()
	for _, r := range []request{{target: target}, {target: target, as: &popauthtest.Client{}}} {
		if origin != "" {
			r.header = http.Header{"Origin": {origin}}
		}
		answer, _ := w.get(t, r)
		want := map[bool][]string{true: {origin}}[allowed]
		exposed := strings.Join(answer.Header.Values("Access-Control-Expose-Headers"), ",")
		if status := map[bool]int{true: 401, false: 200}[r.as != nil]; answer.StatusCode != status ||
			!slices.Equal(answer.Header.Values("Access-Control-Allow-Origin"), want) ||
			answer.Header.Get("Access-Control-Allow-Credentials") != "" ||
			allowed && (!strings.Contains(exposed, "WWW-Authenticate") || !strings.Contains(exposed, "DPoP-Nonce")) {
			t.Errorf("%s: got %d %v, want %d for the origin %q", name, answer.StatusCode, answer.Header, status, want)
		}
	}
}
