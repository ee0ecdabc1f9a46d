package wiring_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// A request in early data is refused until the handshake has proven who sends it; then the same passes.
func TestHTTP3(t *testing.T) {
	issuer, ca, key := popauthtest.NewIssuer(t), popauthtest.NewCA(t), popauthtest.NewProofKey(t, "")
	owner, thief := ca.Client("owner"), ca.Client("thief")
	o := issuer.Options()
	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
	if err != nil {
		t.Fatal(err)
	}
	o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := proxy.Trusted(proxy.TrustPeers(netip.MustParsePrefix("127.0.0.0/8")))
	if err != nil {
		t.Fatal(err)
	}
	var runs, strangers atomic.Int64
	var arrivedEarly atomic.Bool
	ran := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		runs.Add(1)
		if trusted.Check(r) != nil {
			strangers.Add(1)
		}
	})
	copied := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := *r.TLS
			r.TLS = &c
			next.ServeHTTP(w, r.Clone(r.Context()))
		})
	}
	mux := http.NewServeMux()
	mux.Handle("/bound", guard.Authenticate(copied(guard.Confirm(ran))))
	mux.Handle("/bearer", guard.Authenticate(ran))
	mux.Handle("/certificate", clientcert.Require(nil,
		clientcert.Thumbprint(owner.Thumbprint()))(copied(clientcert.Require(nil, clientcert.Thumbprint(owner.Thumbprint()))(ran))))
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	server := &http3.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			arrivedEarly.Store(!r.TLS.HandshakeComplete)
			mux.ServeHTTP(w, r)
		}),
		TLSConfig:   http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{ca.Server()}, ClientAuth: tls.RequestClientCert}),
		QUICConfig:  &quic.Config{Allow0RTT: true},
		ConnContext: func(ctx context.Context, c *quic.Conn) context.Context { return proxy.WithPeer(ctx, c) },
	}
	go func() { _ = server.Serve(udp) }()
	t.Cleanup(func() { _ = server.Close(); _ = udp.Close() })
	_, port, _ := net.SplitHostPort(udp.LocalAddr().String())
	base := "https://localhost:" + port
	sessions := map[*popauthtest.Client]tls.ClientSessionCache{owner: tls.NewLRUClientSessionCache(8),
		thief: tls.NewLRUClientSessionCache(8)}
	connect := func(c *popauthtest.Client) *http3.Transport {
		tr := &http3.Transport{
			TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{c.Certificate},
				ClientSessionCache: sessions[c]},
			Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
				if !earlyData {
					return quic.DialAddr(ctx, udp.LocalAddr().String(), t, q)
				}
				return quic.DialAddrEarly(ctx, udp.LocalAddr().String(), t, q)
			},
		}
		t.Cleanup(func() { _ = tr.Close() })
		return tr
	}
	ask := func(tr *http3.Transport, method, path string, header http.Header) (int, string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, method, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		answer, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		_, _ = io.ReadAll(answer.Body)
		return answer.StatusCode, strings.Join(answer.Header["Www-Authenticate"], ",")
	}
	token, bearer := issuer.Token(owner.Bound()), issuer.Token()
	bind := issuer.Token(key.Bound())
	for _, tt := range []struct {
		name, path string
		header     func() http.Header
		thiefs     int
	}{
		{"certificate", "/bound", func() http.Header { return http.Header{"Authorization": {"Bearer " + token}} }, 401},
		{"DPoP", "/bound", func() http.Header {
			return http.Header{"Authorization": {"DPoP " + bind}, "Dpop": {key.Proof("GET", base+"/bound", bind)}}
		}, 200},
		{"bearer", "/bearer", func() http.Header { return http.Header{"Authorization": {"Bearer " + bearer}} }, 200},
		{"no token", "/certificate", func() http.Header { return http.Header{} }, 403},
	} {
		before, early := runs.Load(), tt.header()
		second := connect(owner)
		for try := 0; earlyData; try++ { // on a slow machine the handshake may be over before the handler begins
			first := connect(owner)
			ask(first, http.MethodGet, "/nothing", http.Header{})
			time.Sleep(100 * time.Millisecond) // the ticket comes
			if err := first.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
			second, early, before = connect(owner), tt.header(), runs.Load()
			status, challenge := ask(second, http3.MethodGet0RTT, tt.path, early)
			if !arrivedEarly.Load() && try < 20 {
				continue
			}
			if status != http.StatusTooEarly || challenge != "" || runs.Load() != before {
				t.Errorf("%s, early: got %d, challenge %q, %d runs, want 425 and none", tt.name, status, challenge, runs.Load()-before)
			}
			break
		}
		if status, _ := ask(second, http.MethodGet, tt.path, early); status != 200 || runs.Load() != before+1 {
			t.Errorf("%s, the same when the handshake is complete: got %d, %d runs", tt.name, status, runs.Load()-before)
		}
		if status, _ := ask(connect(thief), http.MethodGet, tt.path, tt.header()); status != tt.thiefs {
			t.Errorf("%s, thief: got %d, want %d", tt.name, status, tt.thiefs)
		}
	}
	if strangers.Load() > 0 || runs.Load() == 0 {
		t.Errorf("%d of %d requests came from no known peer", strangers.Load(), runs.Load())
	}
}
