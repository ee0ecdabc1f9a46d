package main

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/forwardauth"
)

// What answers in the service's place may say anything: a request passes with 2xx and an issuer alone.
func TestMadService(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			status, header := 200, http.Header{}
			w := opened(t, l, func(w *world) {
				w.write = written(l.proxy)
				w.handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					for name, values := range header {
						rw.Header()[name] = values
					}
					rw.WriteHeader(status)
				})
			})
			draw := rand.New(rand.NewPCG(18, 1))
			for range 60 {
				status, header = []int{200, 201, 204, 206, 299}[draw.IntN(5)], http.Header{"X-Auth-Subject": {"alice"}}
				if draw.IntN(2) == 0 {
					status, header["X-Auth-Issuer"] = 300+draw.IntN(300), []string{"https://id.example"}
				}
				switch draw.IntN(4) {
				case 0:
					header["Location"] = []string{"https://evil.example/"}
				case 1:
					header["X-Auth-Issuer"] = []string{""}
				case 2:
					header["X-Accel-Redirect"] = []string{"/orders"}
				}
				before := len(w.upstream.seen)
				got, err := w.outcome(request{header: http.Header{"X-Auth-Issuer": {"https://evil.example"}}})
				if err != nil {
					t.Fatal(err)
				}
				if l.proxy == "traefik" && status < 300 { // which can't tell: docs/forwardauth.md has the API refuse
					if seen := w.upstream.seen[before:]; len(seen) != 1 || strings.Join(seen[0]["X-Auth-Issuer"], "") != "" {
						t.Errorf("%d %v: the API sees an issuer: %v", status, header, seen)
					}
					continue
				}
				if len(w.upstream.seen) > before || strings.HasPrefix(got, "200") {
					t.Errorf("VULNERABLE: %d %v: got %s", status, header, got)
				}
			}
			status, header = 200, http.Header{"X-Auth-Issuer": {w.issuer.URL}}
			if got, err := w.outcome(request{}); err != nil || !strings.HasPrefix(got, "200 issuer") {
				t.Errorf("with an issuer: got %s, %v", got, err)
			}
			w.auth.CloseClientConnections()
			w.auth.Listener.Close()
			for range 3 {
				if got, err := w.outcome(request{}); err != nil || !strings.HasPrefix(got, "5") || strings.Contains(got, "API") {
					t.Errorf("VULNERABLE: nobody listens: got %s, %v", got, err)
				}
			}
		})
	}
}

// A service that takes a question and ends the connection has used the proof: the next one isn't asked.
func TestAskedOnce(t *testing.T) {
	for _, l := range lanes {
		if l.proxy == "traefik" { // takes one address
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			var second atomic.Int32
			silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				second.Add(1)
				panic(http.ErrAbortHandler)
			}))
			t.Cleanup(silent.Close)
			w := opened(t, l, func(w *world) {
				w.handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
				w.write = written(l.proxy, func(s *forwardauth.Site) {
					s.Service = append(s.Service, silent.Listener.Addr().String())
				})
			})
			for n := range int32(4) {
				if got, err := w.outcome(request{}); err != nil || !strings.HasPrefix(got, "5") || len(w.upstream.seen) > 0 {
					t.Errorf("got %s, %v, want 5xx", got, err)
				}
				if asked := w.questions.Load() + second.Load(); asked > n+1 {
					t.Fatalf("asked %d times for %d requests", asked, n+1)
				}
			}
		})
	}
}

// A service that ends the connection in the middle of its answer, or begins one of something else.
func TestBrokenService(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			say := ""
			w := opened(t, l, func(w *world) {
				w.write = written(l.proxy)
				w.handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					conn, _, err := http.NewResponseController(rw).Hijack()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte(say))
					_ = conn.Close()
				})
			})
			for _, say = range []string{
				"", "HTTP/1.1 200 OK\r\nX-Auth-Issuer: a\r\n", "HTTP/1.1 ", "SSH-2.0-OpenSSH_9.2\r\n", "200\r\n\r\n",
				"\x15\x03\x01\x00\x02\x02\x46",
				"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 000 OK\r\nX-Auth-Issuer: a\r\nContent-Length: 0\r\n\r\n",
				"HTTP/1.1 2000 OK\r\nX-Auth-Issuer: a\r\nContent-Length: 0\r\n\r\n",
				"HTTP/1.1 101 Switching Protocols\r\nX-Auth-Issuer: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
			} {
				start := time.Now()
				got, err := w.outcome(request{})
				if len(w.upstream.seen) > 0 {
					t.Errorf("VULNERABLE: %q: got %s", say, got)
				}
				if err != nil || time.Since(start) > 15*time.Second {
					t.Logf("%q: %v after %v", say, err, time.Since(start))
				}
			}
		})
	}
}
