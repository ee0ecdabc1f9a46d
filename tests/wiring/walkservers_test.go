package wiring_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// walkServer is a server with the handler that is walked now as its outermost, and who connects to it.
type walkServer struct {
	name    string
	overTLS bool
	base    string
	connect func(certificate string, dialled *atomic.Int64) http.RoundTripper // "" for a client without
	proxy   http.RoundTripper
	clients map[string]http.RoundTripper // direct ones
	dialled atomic.Int64                 // by the proxy
}

// current serves by the handler that is walked now.
func (w *walk) current(rw http.ResponseWriter, r *http.Request) { (*w.now.Load()).ServeHTTP(rw, r) }

func (w *walk) servers() []*walkServer {
	var http1, http2, unencrypted http.Protocols
	http1.SetHTTP1(true)
	http2.SetHTTP2(true)
	unencrypted.SetUnencryptedHTTP2(true)
	handler := http.HandlerFunc(w.current)
	all := []*walkServer{
		w.server("HTTP/1.1", false, http1, http1, handler),
		w.server("HTTP/1.1 over TLS", true, http1, http1, handler),
		w.server("HTTP/2 over TLS", true, http2, http2, handler),
		w.server("net/http's HTTP/2 without TLS", false, unencrypted, unencrypted, handler),
		w.server("h2c of x/net outside", false, http1, unencrypted, xNet(handler)),
		w.quic(handler),
	}
	for _, s := range all {
		name := ""
		if s.overTLS {
			name = "gateway"
		}
		s.proxy, s.clients = s.connect(name, &s.dialled), map[string]http.RoundTripper{}
		for _, c := range direct {
			if s.clients[c.certificate] == nil {
				s.clients[c.certificate] = s.connect(c.connection(s.overTLS), new(atomic.Int64))
			}
		}
	}
	return all
}

func (w *walk) server(name string, overTLS bool, served, spoken http.Protocols, h http.Handler) *walkServer {
	server := httptest.NewUnstartedServer(h)
	server.Config.Protocols = &served
	s := &walkServer{name: name, overTLS: overTLS}
	if overTLS {
		server.TLS = &tls.Config{Certificates: []tls.Certificate{w.ca.Server()}, ClientAuth: tls.RequestClientCert}
		server.EnableHTTP2 = served.HTTP2()
		server.StartTLS()
	} else {
		server.Start()
	}
	w.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	s.base = "http://localhost:" + port
	if overTLS {
		s.base = "https://localhost:" + port
	}
	s.connect = func(certificate string, dialled *atomic.Int64) http.RoundTripper {
		tr := &http.Transport{TLSClientConfig: w.client(certificate), Protocols: &spoken, MaxConnsPerHost: 1}
		tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			dialled.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		w.Cleanup(tr.CloseIdleConnections)
		return tr
	}
	return s
}

func (w *walk) client(certificate string) *tls.Config {
	c := &tls.Config{RootCAs: w.ca.Pool(), ServerName: "localhost"}
	if certificate != "" {
		c.Certificates = []tls.Certificate{w.clients[certificate].Certificate}
	}
	return c
}

// quic is HTTP/3. A connection is one of the rows when its handshake is complete for the server, too.
func (w *walk) quic(h http.Handler) *walkServer {
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		w.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/complete", func(rw http.ResponseWriter, r *http.Request) {
		if !r.TLS.HandshakeComplete {
			rw.WriteHeader(http.StatusTooEarly)
		}
	})
	mux.Handle("/", h)
	server := &http3.Server{Handler: mux, TLSConfig: http3.ConfigureTLSConfig(&tls.Config{
		Certificates: []tls.Certificate{w.ca.Server()}, ClientAuth: tls.RequestClientCert,
	})}
	go func() { _ = server.Serve(udp) }()
	w.Cleanup(func() { _ = server.Close(); _ = udp.Close() })
	_, port, _ := net.SplitHostPort(udp.LocalAddr().String())
	s := &walkServer{name: "HTTP/3", overTLS: true, base: "https://localhost:" + port}
	s.connect = func(certificate string, dialled *atomic.Int64) http.RoundTripper {
		tr := &http3.Transport{TLSClientConfig: w.client(certificate)}
		tr.Dial = func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
			dialled.Add(1)
			return quic.DialAddr(ctx, udp.LocalAddr().String(), t, q)
		}
		w.Cleanup(func() { _ = tr.Close() })
		for range 100 {
			if status, _ := w.ask(tr, s.base+"/complete", http.Header{}); status == http.StatusOK {
				return tr
			}
			time.Sleep(10 * time.Millisecond)
		}
		w.Fatal("HTTP/3: the handshake doesn't end")
		return nil
	}
	return s
}

// ask makes a request.
func (w *walk) ask(tr http.RoundTripper, target string, h http.Header) (status int, header http.Header) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		w.Fatal(err)
	}
	r.Header = h
	answer, err := tr.RoundTrip(r)
	if err != nil {
		w.Fatalf("%s: %v", target, err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer.StatusCode, answer.Header
}

// serve has all callers come to a server.
func (w *walk) serve(y way, s *walkServer) {
	w.Helper()
	one := func(tr http.RoundTripper, c caller) {
		status, header := w.ask(tr, s.base+y.path(0), w.header(c))
		want, _ := y.expect(0, &walker{caller: c, connection: c.connection(s.overTLS)})
		w.row(y, s.name, c, outcome(status, header), want)
	}
	for _, c := range viaProxy {
		one(s.proxy, c)
	}
	for _, c := range direct {
		if s.overTLS || c.certificate == "" { // without TLS there is no certificate of one's own
			one(s.clients[c.certificate], c)
		}
	}
}
