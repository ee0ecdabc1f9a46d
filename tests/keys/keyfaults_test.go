package keys_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// fault is what an issuer does instead of answering well.
type fault struct {
	name  string
	serve func(i *popauthtest.Issuer) http.Handler // nil: the connection is refused
	heals bool                                     // it only looks like one
}

var faults = []fault{
	{"refuses the connection", nil, false},
	{"hangs", func(*popauthtest.Issuer) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	}, false},
	{"drips a byte a second", onlyKeys(func(i *popauthtest.Issuer, w http.ResponseWriter) {
		for _, b := range i.JWKS() {
			if _, err := w.Write([]byte{b}); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}), false},
	{"sends 64 MiB", onlyKeys(func(_ *popauthtest.Issuer, w http.ResponseWriter) {
		_, _ = io.WriteString(w, `{"keys":[`)
		blank := []byte(strings.Repeat(" ", 1<<16))
		for range 1 << 10 {
			n, err := w.Write(blank)
			taken.Add(int64(n))
			if err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, "]}")
	}), false},
	{"answers {}", onlyKeys(says(200, "{}")), false},
	{"answers HTML everywhere", everywhere(says(200, "<!DOCTYPE html><title>Maintenance</title>")), false},
	{"answers half a document", onlyKeys(func(i *popauthtest.Issuer, w http.ResponseWriter) {
		_, _ = w.Write(i.JWKS()[:100])
	}), false},
	{"breaks the connection off", onlyKeys(func(i *popauthtest.Issuer, w http.ResponseWriter) {
		b := i.JWKS()
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		_, _ = w.Write(b[:len(b)-1])
	}), false},
	{"answers 500 everywhere", everywhere(says(500, "")), false},
	{"redirects to another origin", everywhere(func(_ *popauthtest.Issuer, w http.ResponseWriter) {
		w.Header().Set("Location", "https://"+elsewhere+"/jwks")
		w.WriteHeader(http.StatusFound)
	}), false},
	{"redirects within its origin", onlyKeys(func(_ *popauthtest.Issuer, w http.ResponseWriter) {
		w.Header().Set("Location", "/moved")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}), true},
	{"has a bad key before a good one", onlyKeys(func(i *popauthtest.Issuer, w http.ResponseWriter) {
		bad := `{"keys":[{"kty":"EC","crv":"P-256","kid":"bad","x":"AA","y":"AA"},`
		_, _ = io.WriteString(w, bad+strings.TrimPrefix(string(i.JWKS()), `{"keys":[`))
	}), true},
}

const elsewhere = "127.0.0.2:443"

// taken counts the bytes of 64 MiB that somebody read.
var taken atomic.Int64

func says(status int, body string) func(*popauthtest.Issuer, http.ResponseWriter) {
	return func(_ *popauthtest.Issuer, w http.ResponseWriter) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func everywhere(f func(*popauthtest.Issuer, http.ResponseWriter)) func(*popauthtest.Issuer) http.Handler {
	return func(i *popauthtest.Issuer) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { f(i, w) })
	}
}

func onlyKeys(f func(*popauthtest.Issuer, http.ResponseWriter)) func(*popauthtest.Issuer) http.Handler {
	return func(i *popauthtest.Issuer) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/jwks" {
				f(i, w)
				return
			}
			i.Server.Config.Handler.ServeHTTP(w, r)
		})
	}
}

// faultyIssuer is an issuer behind a listener that may fail.
type faultyIssuer struct {
	*popauthtest.Issuer
	broken atomic.Pointer[http.Handler]
	refuse atomic.Bool
	calls  atomic.Int64 // requests, and connections that were refused
}

func newFaultyIssuer(t *testing.T) *faultyIssuer {
	i := &faultyIssuer{Issuer: popauthtest.NewIssuer(t, "RS256")} // the cheapest to verify, 2,000 times
	i.Handle("/moved", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(i.JWKS()) }))
	return i
}

func (i *faultyIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.calls.Add(1)
	if h := i.broken.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	i.Server.Config.Handler.ServeHTTP(w, r)
}

func (i *faultyIssuer) breaks(f fault) {
	if i.refuse.Store(f.serve == nil); f.serve != nil {
		h := f.serve(i.Issuer)
		i.broken.Store(&h)
	}
	i.calls.Store(0)
}

func (i *faultyIssuer) recovers() {
	i.refuse.Store(false)
	i.broken.Store(nil)
	i.calls.Store(0)
}

// pipes is a listener: its connections are real ones, as far as net/http and crypto/tls can tell, in a
// bubble of synctest, where a hang takes no time.
type pipes struct {
	connections chan net.Conn
	once        sync.Once
	closed      chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// serve starts the issuer's server within a bubble and returns a client for it, and what ends both.
func (i *faultyIssuer) serve() (*http.Client, func()) {
	certificates := i.Server.TLS.Certificates
	p := &pipes{connections: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: i, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Hour}
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(tls.NewListener(p, &tls.Config{Certificates: certificates})) })
	transport := i.Client().Transport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	transport.TLSClientConfig.InsecureSkipVerify = true // a bubble is in the year 2000
	transport.DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
		if "https://"+address != i.URL {
			return nil, fmt.Errorf("dialled %s", address)
		}
		if i.refuse.Load() {
			i.calls.Add(1)
			return nil, errors.New("connection refused")
		}
		ours, theirs := net.Pipe()
		p.connections <- theirs
		return ours, nil
	}
	return &http.Client{Transport: transport}, func() {
		_ = server.Close()
		served.Wait()
		time.Sleep(time.Hour) // for whoever still drips
	}
}

// crowdOf returns what a crowd asks with: a tenth of it under made-up kids.
func crowdOf(token string) []string {
	tokens := make([]string, lab.Crowd)
	for n := range tokens {
		tokens[n] = token
		if n%10 == 0 {
			tokens[n] = lab.MadeUp(token, n)
		}
	}
	return tokens
}

// Every fault, to an API that has no keys yet, and to one that has keys which are due to be fetched anew.
func TestKeyFaults(t *testing.T) {
	issuer := newFaultyIssuer(t)
	var table strings.Builder
	taken.Store(0)
	for _, f := range faults {
		for _, state := range []string{"cold", "warm"} {
			t.Run(f.name+"/"+state, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					row := issuer.drive(t, f, state == "warm")
					fmt.Fprintf(&table, "%-32s %s  %s\n", f.name, state, row)
				})
			})
		}
	}
	if got := taken.Load(); got > 4<<20 {
		t.Errorf("bytes taken of 64 MiB: got %d", got)
	}
	t.Logf("%d requests at once, a tenth of them under made-up kids; then the issuer recovers, and a second passes\n"+
		"%-32s keys    200   401   503  calls   wait | then: good, made up, calls\n%s", lab.Crowd, "the issuer", &table)
}

// drive lets one fault happen to a crowd, ends it and reports.
func (i *faultyIssuer) drive(t *testing.T, f fault, warm bool) string {
	i.recovers()
	client, end := i.serve()
	defer end()
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: i.URL, Client: client})
	if err != nil {
		t.Fatal(err)
	}
	api := lab.NewKeyedAPI(t, i.URL, keys, nil)
	token := i.Token(popauthtest.Claims{"exp": time.Now().Add(1000 * time.Hour).Unix()})
	if warm {
		api.Want(t, token, 200)
		time.Sleep(time.Hour)
	}
	want, calls := lab.Tally{503: lab.Crowd}, int64(2)
	switch {
	case warm && f.heals:
		want = lab.Tally{200: lab.Crowd * 9 / 10, 401: lab.Crowd / 10}
	case warm:
		want, calls = lab.Tally{200: lab.Crowd * 9 / 10, 503: lab.Crowd / 10}, 2 // metadata, too
	case f.heals:
		want = lab.Tally{200: lab.Crowd * 9 / 10, 401: lab.Crowd / 10}
	}
	if f.heals {
		calls = 6 // the fetch that was due or needed, and one for the made-up kids: metadata, a redirect, keys
	}
	i.breaks(f)
	began := time.Now()
	got := api.Crowd(t, crowdOf(token))
	waited := time.Since(began)
	if got[200] != want[200] || got[401] != want[401] || got[503] != want[503] {
		t.Errorf("answers: got %v, want %v", got, want)
	}
	if waited > 5*time.Second {
		t.Errorf("waited %v, want 5s at most", waited)
	}
	time.Sleep(time.Until(began.Add(11 * time.Second)))
	row := fmt.Sprintf("%v %6d %6v", got, i.calls.Load(), waited)
	if n := i.calls.Load(); n == 0 || n > calls {
		t.Errorf("calls: got %d, want at most %d", n, calls)
	}
	if failed := keys.LastError() != nil; failed == f.heals {
		t.Errorf("last error: got %v", keys.LastError())
	}

	i.recovers()
	good := api.Ask(t.Context(), token)
	synctest.Wait()
	if good.Code != 200 || keys.LastError() != nil || time.Since(keys.LastRefresh()) > 11*time.Second {
		t.Errorf("after recovery: got %d, %v, %v", good.Code, keys.LastError(), keys.LastRefresh())
	}
	bad := api.Ask(t.Context(), lab.MadeUp(token, 0))
	if bad.Code != 401 {
		t.Errorf("made-up kid after recovery: got %d, want 401", bad.Code)
	}
	synctest.Wait()
	return fmt.Sprintf("%s | %10d %8d %6d", row, good.Code, bad.Code, i.calls.Load())
}
