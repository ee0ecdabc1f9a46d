package popauthtest

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
)

// NewServer starts a TLS server on loopback, for HTTP/1.1 and HTTP/2, that asks its clients for a certificate, takes
// any, and doesn't insist (tls.RequestClientCert). Its own certificate is of an authority of its own. Each configure
// may change that: demand certificates, verify them, present one from CA.Server, set NextProtos to "http/1.1" alone.
// The server is closed when the test ends.
func NewServer(tb TB, h http.Handler, configure ...func(*tls.Config)) *httptest.Server {
	tb.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{NewCA(tb).Server()},
		ClientAuth:   tls.RequestClientCert,
		MinVersion:   tls.VersionTLS12,
		// httptest would offer h2 alone, and turn away a client of HTTP/1.1.
		NextProtos: []string{"h2", "http/1.1"},
	}
	for _, f := range configure {
		f(server.TLS)
	}
	server.StartTLS()
	tb.Cleanup(server.Close)
	return server
}
