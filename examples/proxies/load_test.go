package proxies_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/proxy"
)

// What strangers send costs nobody else an answer: refused requests with bodies of all sizes on connections that are kept,
// clients that go away in the middle of a body, and connections that say nothing, through each file with two upstreams.
func TestGoodRequestsBesideStrangers(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	const lasts = 2 * time.Second
	c := newCast(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			trust := []proxy.Trust{proxy.TrustPeers(loopback), proxy.TrustSecret("X-Proxy-Secret", secret)}
			l, other := newAPI(t, c, k, nil, trust...), newAPI(t, c, k, nil, trust...)
			l.start(t, l.api.Listener.Addr().String(), withSecond(t, k, other.api.Listener.Addr().String()))
			x := &crowd{lane: l, config: &tls.Config{ServerName: "localhost", RootCAs: l.authority.Pool(), MinVersion: tls.VersionTLS12}}
			ctx, end := context.WithTimeout(t.Context(), lasts)
			defer end()
			var all sync.WaitGroup
			for _, size := range []int{0, 64 << 10, 1 << 20} {
				all.Go(func() { x.refused(ctx, size) })
			}
			all.Go(func() { x.leaving(ctx) })
			all.Go(func() { x.idle(ctx, 60) })
			for _, http2 := range []bool{false, true} {
				all.Go(func() { x.good(ctx, http2) })
			}
			all.Wait()
			t.Logf("%d good requests beside %d refused ones, %d clients that left", x.passed.Load(), x.denied.Load(), x.left.Load())
			if x.wrong.Load() > 0 || x.passed.Load() < 20 || x.denied.Load() < 20 || x.left.Load() < 5 {
				t.Errorf("got %d wrong or failed answers to good requests, want none of at least 20 beside as many refused ones",
					x.wrong.Load())
			}
			if l.spy.Ran() == 0 || other.spy.Ran() == 0 || int64(l.spy.Ran()+other.spy.Ran()) < x.passed.Load() {
				t.Errorf("the handlers ran %d and %d times for %d good requests, want both to be in use", l.spy.Ran(), other.spy.Ran(),
					x.passed.Load())
			}
		})
	}
}

// crowd is who calls one proxy at the same time.
type crowd struct {
	*lane
	config                      *tls.Config
	passed, wrong, denied, left atomic.Int64
}

func (x *crowd) url() string {
	return "https://" + strings.Replace(x.front.Address, "127.0.0.1", "localhost", 1) + "/orders"
}

// good is the owner, and counts each answer that isn't his.
func (x *crowd) good(ctx context.Context, http2 bool) {
	config := x.config.Clone()
	config.Certificates = []tls.Certificate{x.owner.Certificate}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: http2}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	token := x.token(x.owner)
	order := make([]byte, 1<<10)
	for n := 0; ctx.Err() == nil; n++ {
		method, body := http.MethodGet, []byte(nil)
		if n%2 == 1 { // net/http doesn't send this one again by itself
			method, body = http.MethodPost, order
		}
		got := send(client, method, x.url(), token, body)
		if got != "200" {
			x.wrong.Add(1)
			x.Logf("%s, HTTP/2 %t: a good request got %s", x.name, http2, got)
			continue
		}
		x.passed.Add(1)
	}
}

// refused has no credentials, and keeps its connection.
func (x *crowd) refused(ctx context.Context, size int) {
	transport := &http.Transport{TLSClientConfig: x.config.Clone()}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	body := bytes.Repeat([]byte("GET /others HTTP/1.1\r\nHost: a\r\n\r\n"), size/33+1)[:size]
	for ctx.Err() == nil {
		switch got := send(client, http.MethodPost, x.url(), "none", body); {
		case got == "401", ended(got): // a client that is still sending may see the end of its connection
			x.denied.Add(1)
		default:
			x.wrong.Add(1)
			x.Logf("%s: a refused request with %d bytes got %s", x.name, size, got)
		}
	}
}

func send(client *http.Client, method, url, token string, body []byte) string {
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return err.Error()
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(r)
	if err != nil {
		return err.Error()
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return fmt.Sprint(answer.StatusCode)
}

// leaving goes away in the middle of a body.
func (x *crowd) leaving(ctx context.Context) {
	half := make([]byte, 100<<10)
	for ctx.Err() == nil {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", x.front.Address, x.config)
		if err != nil {
			x.wrong.Add(1)
			x.Logf("%s: %v", x.name, err)
			return
		}
		const head = "POST /orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer none\r\nContent-Length: %d\r\n\r\n"
		_, _ = fmt.Fprintf(conn, head, 2*len(half))
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write(half)
		_ = conn.NetConn().Close()
		x.left.Add(1)
	}
}

// idle says nothing on its connections.
func (x *crowd) idle(ctx context.Context, connections int) {
	for range connections {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", x.front.Address, x.config)
		if err != nil {
			x.wrong.Add(1)
			x.Logf("%s: %v", x.name, err)
			return
		}
		defer func() { _ = conn.Close() }()
	}
	<-ctx.Done()
}
