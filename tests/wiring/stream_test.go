package wiring_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// stream is a connection inside of an HTTP/2 stream.
type stream struct {
	io.Reader
	io.Writer
	flush, end func() error
}

// Write writes at once.
func (s *stream) Write(b []byte) (int, error) {
	n, err := s.Writer.Write(b)
	if s.flush != nil && err == nil {
		err = s.flush()
	}
	return n, err
}

func (s *stream) Close() error {
	if s.end == nil {
		return nil
	}
	return s.end()
}

func (*stream) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*stream) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*stream) SetDeadline(time.Time) error      { return nil }
func (*stream) SetReadDeadline(time.Time) error  { return nil }
func (*stream) SetWriteDeadline(time.Time) error { return nil }

// HTTP/2 inside of an HTTP/2 stream, with the context of that: what comes inside is nobody's, be it for the same path.
func TestHTTP2InsideOfAStream(t *testing.T) {
	l := newLab(t)
	spy := &popauthtest.Spy{}
	route := clientcert.Require(nil, clientcert.Thumbprint(l.alice.Thumbprint()))(spy)
	guard := l.plain.Confirm(spy)
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			guard.ServeHTTP(w, r)
			return
		}
		route.ServeHTTP(w, r)
	})
	tunnel := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		flush := http.NewResponseController(w).Flush
		if err := flush(); err != nil {
			t.Error(err)
		}
		//nolint:staticcheck // what programs still run
		(&http2.Server{}).ServeConn(&stream{Reader: r.Body, Writer: w, flush: flush},
			&http2.ServeConnOpts{Context: r.Context(), Handler: inner})
	})
	s := httptest.NewUnstartedServer(popauth.ClientCertificate(l.source)(tunnel))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	defer s.Close()
	defer s.CloseClientConnections()
	//nolint:staticcheck // what programs still run
	transport := &http2.Transport{AllowHTTP: true,
		DialTLSContext: func(_ context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, address)
		}}
	defer transport.CloseIdleConnections() //nolint:staticcheck // what programs still run
	for _, path := range []string{"/", "/orders"} {
		in, out := io.Pipe()
		r, err := http.NewRequest(http.MethodPost, s.URL+path, in)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Client-Cert", clientCert(l.alice))
		answer, err := transport.RoundTrip(r) //nolint:staticcheck // what programs still run
		if err != nil {
			t.Fatal(err)
		}
		//nolint:staticcheck // what programs still run
		client, err := (&http2.Transport{AllowHTTP: true}).NewClientConn(&stream{Reader: answer.Body, Writer: out, end: out.Close})
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range []string{"", l.alices} {
			r, err := http.NewRequest(http.MethodGet, s.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			answer, err := client.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != 500 || spy.Ran() > 0 {
				t.Errorf("VULNERABLE: %s, token %t: got %d, ran %d, want 500", path, token != "", answer.StatusCode, spy.Ran())
			}
		}
		_ = client.Close()
		_ = answer.Body.Close()
	}
}
