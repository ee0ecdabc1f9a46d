package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// What callers see of each status that a service could answer with: the API is reached by 2xx only.
func TestStatuses(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			answer := 0
			w := opened(t, l, func(w *world) {
				w.handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					rw.Header().Set("X-Auth-Issuer", w.issuer.URL)
					if answer == 0 { // more than nginx has room for
						rw.Header().Set("X-Auth-Subject", strings.Repeat("a", 10<<10))
						answer = 200
					}
					rw.WriteHeader(answer)
				})
			})
			for _, tt := range []struct {
				answer               int
				nginx, others, envoy string
			}{
				{200, "200 issuer", "200 issuer", "200 issuer"}, {204, "200 issuer", "200 issuer", "204"}, {302, "503", "302", "302"},
				{304, "503", "304", "304"}, {400, "400", "400", "400"}, {401, "401", "401", "401"}, {403, "403", "403", "403"},
				{404, "503", "404", "404"}, {425, "425", "425", "425"}, {429, "429", "429", "429"}, {431, "431", "431", "431"},
				{500, "503", "500", "503"},
				{502, "503", "502", "503"}, {503, "503", "503", "503"}, {0, "503", "200 issuer", "200 issuer"},
			} {
				answer = tt.answer
				want := tt.others
				switch l.proxy {
				case "nginx":
					want = tt.nginx
				case "envoy":
					want = tt.envoy
				}
				got, err := w.outcome(request{})
				if got, _, _ = strings.Cut(got, ","); err != nil || got != want {
					t.Errorf("%d: got %s, %v, want %s", tt.answer, got, err, want)
				}
			}
		})
	}
}

// A nonce that comes with a 200 reaches the client through nginx and Envoy; with a 401 it does through all.
func TestNonces(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			status := http.StatusOK
			w := opened(t, l, func(w *world) {
				w.handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					rw.Header().Set("DPoP-Nonce", "next")
					rw.WriteHeader(status)
				})
			})
			for s, want := range map[int]bool{http.StatusOK: l.proxy == "nginx" || l.proxy == "envoy", http.StatusUnauthorized: true} {
				status, w.nonce = s, ""
				if _, err := w.outcome(request{}); err != nil || (w.nonce == "next") != want {
					t.Errorf("%d: got nonce %q, %v, want one: %t", s, w.nonce, err, want)
				}
			}
		})
	}
}

// A claim that is handed on in Go, and that the proxy's file doesn't name: the API must not see the client's own.
func TestForgottenClaim(t *testing.T) {
	for _, l := range lanes {
		for _, header := range []string{"X-Auth-Tenant", "X-Tenant"} {
			t.Run(l.name+" "+header, func(t *testing.T) {
				t.Parallel()
				w := opened(t, l, func(w *world) { w.setup.claims = map[string]string{header: "tenant"} })
				// Where a wildcard removes and hands on what begins with X-Auth-, the API sees the token's.
				wild := header == "X-Auth-Tenant" && (l.proxy == "traefik" || l.proxy == "envoy")
				removed := header == "X-Auth-Tenant" && (l.proxy == "caddy" || l.proxy == "envoy")
				for _, tt := range []struct {
					name, token string
					header      http.Header
				}{
					{"nothing forged", w.issuer.Token(claims(w.owner.Bound(), popauthtest.Claims{"tenant": "acme"})), nil},
					{"forged", w.issuer.Token(claims(w.owner.Bound(), popauthtest.Claims{"tenant": "acme"})),
						http.Header{header: {"evil"}}},
					{"forged, the token has none", w.token, http.Header{header: {"evil"}}},
				} {
					before := len(w.upstream.seen)
					got, err := w.outcome(request{token: tt.token, header: tt.header})
					if err != nil {
						t.Fatal(err)
					}
					if passes := tt.header == nil || removed; strings.HasPrefix(got, "200") != passes || !passes && got != "400" {
						t.Errorf("%s: got %s, want 200: %t, or 400", tt.name, got, passes)
					}
					for _, h := range w.upstream.seen[before:] {
						values := h[http.CanonicalHeaderKey(header)]
						want := []string{"acme"}
						if !wild {
							want = nil
						} else if tt.token == w.token {
							want = []string{""}
						}
						if !slices.Equal(values, want) && (len(values) > 0 || tt.token != w.token) {
							t.Errorf("%s: the API sees %q, want %q", tt.name, values, want)
						}
					}
				}
			})
		}
	}
}

// What a Site writes for a claim has the API see the token's, and nothing else.
func TestClaim(t *testing.T) {
	for _, l := range lanes {
		for _, header := range []string{"X-Auth-Tenant", "Tenant"} {
			t.Run(l.name+" "+header, func(t *testing.T) {
				t.Parallel()
				w := opened(t, l, func(w *world) {
					w.setup.claims, w.write = map[string]string{header: "tenant"}, written(l.proxy)
				})
				for _, tt := range []struct{ tenant, forged, want string }{
					{tenant: "acme", want: "acme"}, {tenant: ""},
					{tenant: "acme", forged: "evil", want: "acme"}, {tenant: "", forged: "evil"},
				} {
					r := request{token: w.issuer.Token(claims(w.owner.Bound(), popauthtest.Claims{"tenant": tt.tenant}))}
					if tt.forged != "" {
						r.header = http.Header{header: {tt.forged}}
					}
					before := len(w.upstream.seen)
					got, err := w.outcome(r)
					if err != nil || !strings.HasPrefix(got, "200") || len(w.upstream.seen) != before+1 {
						t.Fatalf("%+v: got %s, %v", tt, got, err)
					}
					if got := strings.Join(w.upstream.seen[before][header], "|"); got != tt.want {
						t.Errorf("%+v: the API sees %q", tt, got)
					}
				}
			})
		}
	}
}

// A WebSocket passes, and the API sees who it is from, whatever the client lists in Connection.
func TestWebSocket(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			w := opened(t, l, func(w *world) { w.write = written(l.proxy) })
			for _, connection := range []string{"Upgrade", "Upgrade, X-Auth-Subject, X-Auth-Issuer, X-Proxy-Secret"} {
				before := len(w.upstream.seen)
				r := request{header: http.Header{
					"Connection": {connection}, "Upgrade": {"websocket"},
					"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
				}}
				answer, err := w.send(r)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				if answer.StatusCode != http.StatusSwitchingProtocols || len(w.upstream.seen) != before+1 {
					t.Fatalf("Connection: %s: got %d, want 101", connection, answer.StatusCode)
				}
				const want = `issuer, "alice", "orders-batch", "orders.read", "x5t#S256"`
				if got := w.shown(w.upstream.seen[before]); got != want {
					t.Errorf("Connection: %s: the API sees %s, want %s", connection, got, want)
				}
				r.token = "none"
				if answer, err = w.send(r); err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				if answer.StatusCode != http.StatusUnauthorized || len(w.upstream.seen) != before+1 {
					t.Errorf("Connection: %s, no token: got %d, want 401", connection, answer.StatusCode)
				}
			}
		})
	}
}

// A proof for the https URL is good for a WebSocket, which Traefik reports as wss.
func TestWebSocketByProof(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			w := opened(t, l, func(w *world) { w.nonceless = true })
			proof := func(base string) string { return w.key.Proof("GET", base+"/orders", w.dpop) }
			const want = `issuer, "alice", "orders-batch", "orders.read", "jkt"`
			webSocket(t, w, request{as: &popauthtest.Client{}, proof: proof}, "Upgrade", want)
		})
	}
}

// A service that accepts and says nothing: the configurations wait ten seconds, cut short here. Traefik has no setting for it, and waits
// 30 s.
func TestSilentService(t *testing.T) {
	for _, l := range lanes {
		if l.proxy == "traefik" {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			w := opened(t, l, func(w *world) {
				w.setup.configuration = strings.Replace(w.setup.configuration, " 10s", " 1s", 1)
				w.handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			})
			start := time.Now()
			got, err := w.outcome(request{})
			if want := map[string]string{"nginx": "503", "caddy": "504", "envoy": "503"}[l.proxy]; err != nil || got != want ||
				time.Since(start) > 9*time.Second {
				t.Errorf("got %s, %v after %v, want %s after 1 s", got, err, time.Since(start), want)
			}
		})
	}
}

// Behind handle_path Caddy asks about the path that the client has asked for, and the proof is for that one.
func TestCaddyPrefix(t *testing.T) {
	for _, l := range lanes[1:3] {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			w := opened(t, l, func(w *world) {
				w.setup.configuration = strings.Replace(w.setup.configuration, "handle @orders {",
					"handle @orders {\n			uri strip_prefix /orders", 1)
			})
			ask := func() string {
				proof := func(base string) string {
					return w.key.Proof("GET", base+"/orders/1", w.dpop, popauthtest.Claims{"nonce": w.nonce})
				}
				got, err := w.outcome(request{target: "/orders/1", as: &popauthtest.Client{}, proof: proof})
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			ask() // for the nonce
			if got := ask(); !strings.HasPrefix(got, "200") {
				t.Errorf("got %s, want 200", got)
			}
		})
	}
}
