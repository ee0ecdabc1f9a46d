package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
)

func Exchange(tb testing.TB, c *http.Client, r *http.Request) (int, http.Header, string) {
	tb.Helper()
	answer, err := c.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var body bytes.Buffer
	if _, err := body.ReadFrom(answer.Body); err != nil {
		tb.Fatal(err)
	}
	return answer.StatusCode, answer.Header, body.String()
}

func Fetch(tb testing.TB, c *http.Client, url, token string) (int, http.Header, string) {
	tb.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return Exchange(tb, c, r)
}

func RawResponse(t *testing.T, server *httptest.Server, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// Retarget makes r a request for another target, as a server reads it.
func Retarget(r *http.Request, target string) {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		panic(err)
	}
	r.URL, r.RequestURI = u, target
}

// ExchangeRaw sends a request as it is written, and returns the answer.
func ExchangeRaw(t *testing.T, server *httptest.Server, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(c)
	server.Close()
	return string(answer)
}

// ByName is a server that verifies against another authority for each server name, as GetConfigForClient is for.
func ByName(t *testing.T, h http.Handler, isHTTP2 bool,
	authorities map[string]*x509.CertPool) (ask func(server, host string, c *popauthtest.Client, token string) int) {
	t.Helper()
	web := popauthtest.NewCA(t)
	base := &tls.Config{Certificates: []tls.Certificate{web.Server("a.example.com", "b.example.com")}, NextProtos: []string{"http/1.1"}}
	if isHTTP2 {
		base.NextProtos = []string{"h2"}
	}
	configs := map[string]*tls.Config{}
	for name, pool := range authorities {
		c := base.Clone()
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, pool
		configs[name] = c
	}
	base.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) { return configs[h.ServerName], nil }
	s := httptest.NewUnstartedServer(h)
	s.TLS, s.EnableHTTP2 = base, isHTTP2
	s.StartTLS()
	t.Cleanup(s.Close)
	return func(server, host string, c *popauthtest.Client, token string) int {
		t.Helper()
		transport := &http.Transport{ForceAttemptHTTP2: isHTTP2, TLSClientConfig: &tls.Config{
			RootCAs: web.Pool(), ServerName: server,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.Certificate, nil },
		}}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", s.Listener.Addr().String())
		}
		defer transport.CloseIdleConnections()
		r, err := http.NewRequest("GET", "https://"+server+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, answer.Body)
		return answer.StatusCode
	}
}

// Held lets a request through a stage and returns it as the handler gets it, which goes on for as long as it likes.
func Held(t *testing.T, wrap func(http.Handler) http.Handler, r *http.Request) *http.Request {
	t.Helper()
	var inside *http.Request
	w := httptest.NewRecorder()
	wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside = r })).ServeHTTP(w, r)
	if inside == nil {
		t.Fatalf("the handler did not run: %d", w.Code)
	}
	return inside
}
