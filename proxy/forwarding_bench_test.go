package proxy_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// directAndProxied make the same request as often as asked: to an API that ends TLS itself, and to one behind a
// trusted nginx that has sent this certificate before.
func directAndProxied(tb testing.TB) (direct, proxied func(n int)) {
	tb.Helper()
	owner := popauthtest.NewCA(tb).Client("owner")
	token, err := popauth.NewToken([]byte(`{"iss":"i","sub":"s","exp":4102444800,"cnf":{"x5t#S256":"` + owner.Thumbprint() + `"}}`))
	if err != nil {
		tb.Fatal(err)
	}
	source := lab.ByProxy(proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"),
		proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")), proxy.TrustSecret("X-Proxy-Secret", "0123456789abcdef"))
	// The headers of a browser's request, which have to be looked through.
	usual := []string{"Accept", "Accept-Encoding", "Accept-Language", "Origin", "Referer", "User-Agent", "X-Forwarded-For", "X-Request-Id"}
	make1 := func(source popauth.CertificateSource, change func(*http.Request)) func(int) {
		guard, err := popauth.New(popauth.Options{Verifier: lab.Known{Is: token}, Certificate: source})
		if err != nil {
			tb.Fatal(err)
		}
		spy := &popauthtest.Spy{}
		h := guard.Confirm(spy)
		r := owner.Request("GET", "/orders", "e30.e30.e30")
		for _, name := range usual {
			r.Header.Set(name, "a value of the usual length for it")
		}
		change(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r) // from now on the certificate is one seen before
		if spy.Ran() != 1 {
			tb.Fatalf("got status %d, want a pass", w.Code)
		}
		return func(n int) {
			for range n {
				h.ServeHTTP(w, r)
			}
		}
	}
	direct = make1(nil, func(*http.Request) {})
	proxied = make1(source, func(r *http.Request) {
		r.TLS = nil
		r.RemoteAddr = "127.0.0.1:41234"
		pem := strings.ReplaceAll(url.QueryEscape(certPEM(owner)), "+", "%20")
		r.Header.Set("X-SSL-Client-Cert", pem)
		r.Header.Set("X-SSL-Client-Verify", "SUCCESS")
		r.Header.Set("X-Proxy-Secret", "0123456789abcdef")
	})
	return direct, proxied
}

// What a request through a proxy costs more than a direct one. The two take turns in batches of half a millisecond,
// in random order, so that both meet the same moods of the machine.
func BenchmarkForwardedAndDirect(b *testing.B) {
	direct, proxied := directAndProxied(b)
	sides := []func(int){direct, proxied}
	const batch = 500 * time.Microsecond
	var counts [2]int
	for i, f := range sides {
		f(1000)
		start := time.Now()
		f(1000)
		counts[i] = max(1, int(1000*batch/max(1, time.Since(start))))
	}
	var samples [2][]float64
	for b.Loop() {
		for _, i := range rand.Perm(2) {
			start := time.Now()
			sides[i](counts[i])
			samples[i] = append(samples[i], float64(time.Since(start).Nanoseconds())/float64(counts[i]))
		}
	}
	d, p := lab.Median(samples[0]), lab.Median(samples[1])
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(d, "direct-ns")
	b.ReportMetric(p, "proxied-ns")
	b.ReportMetric(p-d, "extra-ns")
	b.ReportMetric(p/d, "ratio")
}

func BenchmarkForwarded(b *testing.B) {
	direct, proxied := directAndProxied(b)
	for name, f := range map[string]func(int){"direct": direct, "proxied": proxied} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f(1)
			}
		})
	}
}

// A certificate that was seen before is neither decoded nor parsed again; the copy of the headers is what is left.
func TestForwardedAllocations(t *testing.T) {
	direct, proxied := directAndProxied(t)
	d := testing.AllocsPerRun(100, func() { direct(1) })
	p := testing.AllocsPerRun(100, func() { proxied(1) })
	if extra := p - d; extra > 5 {
		t.Errorf("allocations: got %v more than the %v of a direct request, want 5 more at most", extra, d)
	}
}
