package popclient_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// gateway is an API behind a proxy that writes a Date of its own, as nginx does, and a client with a clock.
type gateway struct {
	date    atomic.Int64 // how far the Date is off
	refuses atomic.Bool  // whatever the proof says
	base    *spy
	client  *http.Client
	url     string
}

func newGateway(t *testing.T, dpop dpop.Options, off func() time.Duration) *gateway {
	t.Helper()
	key := newKey(t, "ES256")
	key.Now = func() time.Time { return time.Now().Add(off()) }
	issuer := popauthtest.NewIssuer(t)
	options := issuer.Options()
	options.Confirmers = []popauth.Confirmer{proofs(t, dpop)}
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{}
	api := guard.Confirm(&popauthtest.Spy{})
	server := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Duration(g.date.Load())).UTC().Format(http.TimeFormat))
		if g.refuses.Load() || r.URL.Path == "/refused" {
			w.Header().Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		api.ServeHTTP(w, r)
	}))
	g.url, g.base = server.URL, &spy{next: server.Client().Transport}
	token := issuer.Token(popauthtest.Claims{"cnf": popauthtest.Claims{"jkt": key.Thumbprint()}})
	g.client = &http.Client{Transport: &popclient.DPoP{Key: key, Base: g.base, Source: static(token, "DPoP")}}
	return g
}

// want wants a status by so many requests.
func (g *gateway) want(t *testing.T, path string, status, requests int) {
	t.Helper()
	before := len(g.base.sent)
	got, _ := do(t, g.client, request(t, "GET", g.url+path, nil))
	if sent := len(g.base.sent) - before; got != status || sent != requests {
		t.Errorf("%s: got %d by %d requests, want %d by %d", path, got, sent, status, requests)
	}
}

func none() time.Duration { return 0 }

// A client whose clock is right is not locked out by a proxy's Date that isn't, whatever it is refused for at first.
func TestClockOfAProxy(t *testing.T) {
	nonces := dpop.Options{Nonces: dpop.StatelessNonces{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32)}}}
	for _, off := range []time.Duration{20 * time.Second, -90 * time.Second, 5 * time.Hour} {
		g := newGateway(t, nonces, none)
		g.date.Store(int64(off))
		g.want(t, "", 200, 2) // for the nonce
		for range 3 {
			g.want(t, "", 200, 1)
		}

		g = newGateway(t, dpop.Options{}, none)
		g.date.Store(int64(off))
		g.want(t, "/refused", 401, 2)
		for range 3 {
			g.want(t, "/refused", 401, 1) // no try each time
			g.want(t, "", 200, 1)
		}

		g = newGateway(t, dpop.Options{}, none)
		g.date.Store(int64(off))
		once, next := false, g.base.next
		g.base.next = funcBase(func(r *http.Request) (*http.Response, error) {
			if !once { // the proof is sent twice, as transports do
				once = true
				if resp, err := next.RoundTrip(r.Clone(r.Context())); err == nil {
					resp.Body.Close()
				}
			}
			return next.RoundTrip(r)
		})
		g.want(t, "", 200, 2)
		g.want(t, "", 200, 1)
	}
}

// As TestClockOfAProxy, at a token endpoint.
func TestClockOfAProxyOfTokens(t *testing.T) {
	server := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat))
		claims := part(t, r.Header.Get("DPoP"), 1)
		w.Header().Set("DPoP-Nonce", "n1")
		code := ""
		switch {
		case claims["nonce"] != "n1":
			code = "use_dpop_nonce"
		case iat(t, r) != 0:
			code = "invalid_dpop_proof"
		default:
			_, _ = io.WriteString(w, `{"access_token":"bound","token_type":"DPoP"}`)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"`+code+`"}`)
	}))
	client := &http.Client{Transport: &popclient.Proofs{Key: newKey(t, "ES256"), Base: server.Client().Transport}}
	for range 3 {
		status, body := do(t, client, request(t, "POST", server.URL, strings.NewReader("grant_type=client_credentials")))
		if status != 200 {
			t.Errorf("got %d %s, want 200", status, body)
		}
	}
}

// A clock that has been accepted stays, though a request is refused for another reason.
func TestClockThatWasAcceptedStays(t *testing.T) {
	g := newGateway(t, dpop.Options{}, func() time.Duration { return 15 * time.Minute })
	g.want(t, "", 200, 2)
	g.want(t, "/refused", 401, 2) // its own clock is tried once
	for range 3 {
		g.want(t, "/refused", 401, 1)
		g.want(t, "", 200, 1)
	}
}

// A clock that has been accepted gives way to the client's own where that is the right one by now.
func TestClockThatWasAcceptedGoes(t *testing.T) {
	g := newGateway(t, dpop.Options{}, none)
	g.date.Store(int64(5 * time.Second)) // which the API allows for
	g.refuses.Store(true)
	resp, err := g.client.Do(request(t, "POST", g.url, io.MultiReader(strings.NewReader("order"))))
	if err != nil || resp.StatusCode != 401 {
		t.Fatalf("got %v, %v, want 401", resp, err)
	}
	resp.Body.Close()
	g.refuses.Store(false)
	g.want(t, "", 200, 1)
	if off := iat(t, g.base.sent[1]); off != 10*time.Second && off != 0 {
		t.Errorf("got an iat off by %v, want the Date's", off)
	}
	g.date.Store(int64(-time.Hour))
	g.want(t, "/refused", 401, 2) // by the new Date
	g.want(t, "", 200, 1)
	if off := iat(t, g.base.sent[len(g.base.sent)-1]); off != 0 {
		t.Errorf("got an iat off by %v, want the client's own time", off)
	}
}

// A refused clock is tried again after a while, since the Date may be right by then.
func TestClockIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, "ES256")
		key.Now = offBy(15 * time.Minute)
		ca := popauthtest.NewCA(t)
		verified := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{ca.Certificate}}}
		var date time.Duration
		sent := 0
		base := funcBase(func(r *http.Request) (*http.Response, error) {
			sent++
			resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, TLS: verified, Request: r}
			if off := iat(t, r); off < -10*time.Second || off > 10*time.Second {
				resp.StatusCode = 401
				resp.Header.Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof"`)
				resp.Header.Set("Date", time.Now().Add(date).UTC().Format(http.TimeFormat))
			}
			return resp, nil
		})
		client := &http.Client{Transport: &popclient.DPoP{Key: key, Base: base, Source: static("token", "DPoP")}}
		get := func(status, requests int) {
			t.Helper()
			before := sent
			if got, _ := do(t, client, request(t, "GET", "https://api.example.com/", nil)); got != status || sent-before != requests {
				t.Errorf("got %d by %d requests, want %d by %d", got, sent-before, status, requests)
			}
		}
		date = -time.Hour
		get(401, 2)
		date = 0
		get(401, 1)
		time.Sleep(time.Minute)
		get(200, 2)
		get(200, 1)
	})
}

// An answer from before the proof was looked at doesn't make a clock the right one.
func TestClockIsKeptByAnAcceptedProofAlone(t *testing.T) {
	for _, status := range []int{401, 429, 503} {
		n := 0
		server := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n++; n == 2 {
				w.WriteHeader(status)
				return
			}
			refusing(time.Hour).ServeHTTP(w, r)
		}))
		base := &spy{next: server.Client().Transport}
		client := &http.Client{Transport: &popclient.DPoP{Key: newKey(t, "ES256"), Base: base, Source: static("token", "DPoP")}}
		do(t, client, request(t, "GET", server.URL, nil))
		do(t, client, request(t, "GET", server.URL, nil))
		if got := iat(t, base.sent[2]); got != 0 {
			t.Errorf("after %d: got an iat off by %v, want the client's own time", status, got)
		}
	}
}

// By plain http through a proxy that is reached over TLS, the answer is anybody's.
func TestClockByPlainHTTPThroughTLS(t *testing.T) {
	api := httptest.NewServer(refusing(time.Hour))
	t.Cleanup(api.Close)
	at, err := url.Parse(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := popauthtest.NewServer(t, httputil.NewSingleHostReverseProxy(at), func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} })
	by, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport, _ := proxy.Client().Transport.(*http.Transport)
	transport = transport.Clone()
	t.Cleanup(transport.CloseIdleConnections)
	transport.Proxy = func(*http.Request) (*url.URL, error) { return by, nil }
	base := &spy{next: transport}
	client := &http.Client{Transport: &popclient.DPoP{Key: newKey(t, "ES256"), Base: base, Source: static("token", "DPoP")}}
	if status, _ := do(t, client, request(t, "GET", "http://127.0.0.1:1/", nil)); status != 401 {
		t.Errorf("got %d, want the API's 401", status)
	}
	base.check(t, 1)
}
