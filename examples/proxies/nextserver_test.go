package proxies_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// pair are two instances of an API for DPoP tokens that share used proofs. The first dies once it has run a handler.
type pair struct {
	first, second *httptest.Server
	front         atomic.Value // the URL that callers know
	dying, dead   atomic.Bool

	mu       sync.Mutex
	runs     map[string]int // by the request's number
	replayed int
}

func newPair(t *testing.T, c *cast) *pair {
	p := &pair{runs: map[string]int{}}
	memory, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.front.Store("https://unknown.example")
	p.first, p.second = p.instance(t, c, memory, true), p.instance(t, c, memory, false)
	return p
}

func (p *pair) instance(t *testing.T, c *cast, memory dpop.ReplayStore, first bool) *httptest.Server {
	options := c.issuer.Options()
	proofs, err := dpop.New(dpop.Options{Replay: memory, URL: func(r *http.Request) *url.URL {
		u, _ := url.Parse(p.front.Load().(string) + r.URL.Path)
		return u
	}})
	if err != nil {
		t.Fatal(err)
	}
	options.Confirmers = []popauth.Confirmer{proofs}
	options.Observe = func(_ context.Context, o popauth.Observation) {
		if o.Reason == popauth.ErrProofReplayed {
			p.mu.Lock()
			p.replayed++
			p.mu.Unlock()
		}
	}
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	var server *httptest.Server
	handler := guard.Confirm(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.runs[r.Header.Get("Number")]++
		p.mu.Unlock()
		if first && p.dying.Load() {
			p.dead.Store(true)
			_ = server.Listener.Close()
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
	}))
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if first && p.dead.Load() {
			panic(http.ErrAbortHandler) // on a connection that the proxy has kept
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// An instance dies when it has run the handler. Nobody runs it again for the same request, and its owner, whose proof has
// been used, isn't told that it was used before: that is what a thief's request comes to.
func TestNextServer(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, c)
			text := withSecond(t, k, p.second.Listener.Addr().String())
			l := &lane{cast: c, kind: k}
			l.start(t, p.first.Listener.Addr().String(), text)
			site := "https://" + strings.Replace(l.front.Address, "127.0.0.1", "localhost", 1)
			p.front.Store(site)
			key := popauthtest.NewProofKey(t, "ES256")
			token := c.issuer.Token(key.Bound())
			caller := &once{address: l.front.Address, config: &tls.Config{
				ServerName: "localhost", RootCAs: c.authority.Pool(), MinVersion: tls.VersionTLS12,
			}}
			outcomes := map[string]int{}
			for n := range 24 {
				p.dying.Store(n >= 20)
				r, err := http.NewRequest(http.MethodGet, site+"/orders", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Number", fmt.Sprint(n))
				r.Header.Set("Authorization", "DPoP "+token)
				r.Header.Set("DPoP", key.Proof("GET", site+"/orders", token))
				got := caller.send(r)
				outcomes[got]++
				if got != "200" && (n < 20 || !strings.HasPrefix(got, "50") && got != "closed") {
					t.Errorf("request %d: got %s", n, got)
				}
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("outcomes %v, proofs used before: %d", outcomes, p.replayed)
			for n, runs := range p.runs {
				if runs > 1 {
					t.Errorf("the handler ran %d times for request %s", runs, n)
				}
			}
			if p.replayed > 0 || !p.dead.Load() {
				t.Errorf("got %d proofs used before, died %t, want none and true", p.replayed, p.dead.Load())
			}
		})
	}
}

// withSecond is a kind's file with a second instance of the API.
func withSecond(t *testing.T, k kind, address string) string {
	t.Helper()
	text := file(k)
	_, port, _ := strings.Cut(address, ":")
	for _, change := range twoUpstreams(k.proxy, address, port) {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("no %q", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	return text
}

// once is a client over HTTP/1.1 that keeps its connection, and sends no request a second time: net/http does that by itself
// where a connection that it has used before ends without an answer.
type once struct {
	address string
	config  *tls.Config
	conn    *tls.Conn
	reader  *bufio.Reader
}

func (o *once) send(r *http.Request) (outcome string) {
	if o.conn == nil {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", o.address, o.config)
		if err != nil {
			return err.Error()
		}
		o.conn, o.reader = conn, bufio.NewReader(conn)
	}
	_ = o.conn.SetDeadline(time.Now().Add(20 * time.Second))
	var answer *http.Response
	err := r.Write(o.conn)
	if err == nil {
		answer, err = http.ReadResponse(o.reader, r)
	}
	if err != nil {
		_ = o.conn.Close()
		o.conn = nil
		return "closed"
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if answer.Close {
		_ = o.conn.Close()
		o.conn = nil
	}
	return fmt.Sprint(answer.StatusCode)
}
