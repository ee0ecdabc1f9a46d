package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/lab"
)

// Whatever the request line is, the API gets no path that any reader of its takes for one outside of the route that was asked about.
func TestRandomTargets(t *testing.T) {
	n := 300
	if testing.Short() {
		n = 30
	}
	seed := rand.Uint64()
	t.Logf("%d targets, seed %d", n, seed)
	r := rand.New(rand.NewPCG(seed, 0))
	targets := []string{"/orders", "/orders/a?b=c"}
	for len(targets) < n {
		targets = append(targets, lab.Target(r))
	}
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			w := opened(t, l, nil)
			passed := 0
			for i, target := range targets {
				status := w.line(t, target)
				w.upstream.mu.Lock()
				seen := w.upstream.targets
				w.upstream.targets, w.upstream.seen = nil, nil
				w.upstream.mu.Unlock()
				if len(seen) > 1 || status == http.StatusOK && len(seen) == 0 {
					t.Errorf("%q: got %d, and the API has seen %q", target, status, seen)
				}
				for _, s := range seen {
					for _, reading := range readings(s) {
						if reading != "/orders" && !strings.HasPrefix(reading, "/orders/") {
							t.Errorf("VULNERABLE: %q: the API has seen %q, which can be read as %q", target, s, reading)
						}
					}
					passed++
				}
				if i < 2 && status != http.StatusOK {
					t.Errorf("%q: got %d, want 200", target, status)
				}
			}
			t.Logf("%d of %d passed", passed, len(targets))
		})
	}
}

// A certificate is its bytes, whatever its names are: each owner passes, and the token of another doesn't.
func TestRandomNames(t *testing.T) {
	n := 300
	if testing.Short() {
		n = 30
	}
	seed := rand.Uint64()
	t.Logf("%d certificates, seed %d", n, seed)
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			w := opened(t, l, nil)
			r := rand.New(rand.NewPCG(seed, 0))
			other := w.token
			for range n {
				as := w.authority.Client("x", func(x *x509.Certificate) { lab.Names(r, x) })
				own := w.issuer.Token(claims(as.Bound()))
				got, err := w.outcome(request{as: as, token: own})
				if err != nil || !strings.HasPrefix(got, "200 issuer") {
					t.Errorf("%s: got %s, %v, want 200: %x", as.Certificate.Leaf.Subject, got, err, as.Certificate.Certificate[0])
				}
				if got, err = w.outcome(request{as: as, token: other}); err != nil || !strings.HasPrefix(got, "401") {
					t.Errorf("%s, with another's token: got %s, %v, want 401", as.Certificate.Leaf.Subject, got, err)
				}
				other = own
			}
		})
	}
}

// line sends a request line as it is, with the owner's token and certificate.
func (w *world) line(t *testing.T, target string) int {
	t.Helper()
	conn, err := tls.Dial("tcp", w.proxy.Address, &tls.Config{
		ServerName: "localhost", RootCAs: w.authority.Pool(), Certificates: []tls.Certificate{w.owner.Certificate},
		MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", target, w.host(),
		w.token)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0 // closed
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

// readings are how programs take a path apart: as it is, decoded once and twice, without parameters, with slashes for backslashes, and
// each of these in order.
func readings(target string) []string {
	raw, _, _ := strings.Cut(target, "?")
	raw, _, _ = strings.Cut(raw, "#")
	all := []string{raw}
	for text, n := raw, 0; n < 2; n++ {
		decoded, err := url.PathUnescape(text)
		if err != nil {
			break
		}
		all = append(all, decoded)
		text = decoded
	}
	for _, text := range append([]string{}, all...) {
		segments := strings.Split(strings.ReplaceAll(text, `\`, "/"), "/")
		for i, s := range segments {
			segments[i], _, _ = strings.Cut(s, ";")
		}
		all = append(all, path.Clean(text), path.Clean(strings.Join(segments, "/")))
	}
	for i, text := range all {
		all[i] = strings.ToLower(text)
	}
	return all
}
