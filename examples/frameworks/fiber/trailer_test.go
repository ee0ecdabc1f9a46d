package fiber

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/frameworks/internal/crowd"
	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// talk writes a request as it stands, and reads the answer.
func talk(t *testing.T, c net.Conn, request string) (int, string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// tell is talk over a connection of its own.
func tell(t *testing.T, app *fiber.App, request string) (int, string) {
	t.Helper()
	l := crowd.Listen(t)
	serve(t, l, nil, app)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return talk(t, c, request)
}

// fasthttp takes a trailer for a header. One that a proxy replaces in the head, and hands on in the trailer, makes nobody the owner.
func TestTrailers(t *testing.T) {
	guard, owner, token := world(t)
	certificate := "X-SSL-Client-Cert: " + base64.StdEncoding.EncodeToString(owner.Certificate.Certificate[0]) + "\r\n"
	ingress := "Authorization: Bearer " + token + "\r\nX-Proxy-Secret: " + crowd.Secret + "\r\n"
	asSent := fiber.Config{DisableHeaderNormalizing: true}
	public := func(next http.Handler) http.Handler { return next }
	read := func(c fiber.Ctx) error { _ = c.Body(); return c.Next() }
	add := func(c fiber.Ctx) error { c.Request().Header.Add("X-Added", "1"); return c.Next() }
	for _, tt := range []struct {
		name          string
		config        fiber.Config
		outside       fiber.Handler
		stage         func(http.Handler) http.Handler
		head          string
		body, trailer string
		want          int
	}{
		{name: "the owner", head: ingress + certificate, body: "1\r\na\r\n", want: 200},
		{name: "the owner, cookies and names of its own", head: ingress + certificate +
			"cookie: a=1; b=2\r\nX-a: 1\r\nX-A: 1\r\nUser-Agent: c\r\n",
			body: "1\r\na\r\n", want: 200},
		{name: "the owner, names as sent", config: asSent, head: ingress + certificate + "x-a: 1\r\n",
			body: "1\r\na\r\n", want: 200},
		{name: "the owner, no body", head: ingress + certificate, want: 200},
		{name: "the owner, body read outside", outside: read, head: ingress + certificate, body: "1\r\na\r\n", want: 200},
		{name: "a thief", head: ingress, body: "1\r\na\r\n", want: 401},
		{name: "a thief with a trailer", head: ingress, body: "1\r\na\r\n", trailer: certificate, want: 400},
		{name: "a thief with a trailer, no body", head: ingress, trailer: certificate, want: 400},
		{name: "a thief with a declared trailer", head: ingress + "Trailer: X-SSL-Client-Cert\r\n",
			body: "1\r\na\r\n", trailer: certificate, want: 400},
		{name: "a thief with a trailer, names as sent", config: asSent, head: ingress,
			body: "1\r\na\r\n", trailer: strings.ToLower(certificate[:18]) + certificate[18:], want: 400},
		{name: "a thief with a trailer, body read outside", outside: read, head: ingress, body: "1\r\na\r\n", trailer: certificate,
			want: 400},
		{name: "a trailer behind an empty header", head: ingress + "X-SSL-Client-Cert: \r\n", body: "1\r\na\r\n", trailer: certificate,
			want: 400},
		{name: "a trailer that is in the head, too", head: ingress + certificate, body: "1\r\na\r\n", trailer: certificate, want: 400},
		{name: "a trailer of another name", head: ingress + certificate, body: "1\r\na\r\n", trailer: "X-Tenant: 1\r\n", want: 400},
		{name: "public route", stage: public, body: "1\r\na\r\n", want: 200},
		{name: "a trailer for a public route", stage: public, body: "1\r\na\r\n", trailer: certificate, want: 400},
		{name: "a header added outside", outside: add, head: ingress + certificate, body: "1\r\na\r\n", want: 400},
	} {
		ran := 0
		app := New(tt.config, silent)
		if tt.outside != nil {
			app.Use(tt.outside)
		}
		if tt.stage == nil {
			tt.stage = guard.Confirm
		}
		app.Post("/orders", Stage(tt.stage), func(c fiber.Ctx) error { ran++; return c.SendStatus(200) })
		status, body := tell(t, app, "POST /orders HTTP/1.1\r\nHost: api.example.com\r\n"+tt.head+
			"Transfer-Encoding: chunked\r\n\r\n"+tt.body+"0\r\n"+tt.trailer+"\r\n")
		if want := map[int]int{200: 1}[tt.want]; status != tt.want || ran != want {
			t.Errorf("%s: got %d %q, handler ran %d times, want %d and %d", tt.name, status, body, ran, tt.want, want)
		}
	}
}

// HAProxy replaces Client-Cert in the head, and hands trailers on.
func TestTrailerThroughHAProxy(t *testing.T) {
	if _, err := proxies.Find("haproxy-rfc9440"); err != nil {
		counterpart.Missing(t, err)
	}
	issuer, authority := popauthtest.NewIssuer(t), popauthtest.NewCA(t)
	owner := authority.Client("owner")
	options := issuer.Options()
	options.Certificate = byProxy(proxy.RFC9440(),
		proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")), proxy.TrustSecret("X-Proxy-Secret", crowd.Secret))
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	app := New(fiber.Config{}, silent)
	app.Use(Stage(popauth.RequestLine{}.Handler))
	app.Post("/orders", Stage(guard.Confirm), func(c fiber.Ctx) error { ran++; return c.SendStatus(200) })
	dial := behind(t, "haproxy-rfc9440", app, authority)
	trailer := "Client-Cert: :" + base64.StdEncoding.EncodeToString(owner.Certificate.Certificate[0]) + ":\r\n"
	for _, tt := range []struct {
		name    string
		client  *popauthtest.Client
		trailer string
		want    int
	}{
		{"the owner", owner, "", 200},
		{"a thief", nil, "", 401},
		{"a thief with the owner's certificate in the trailer", nil, trailer, 400},
		{"a thief with a certificate of his own, too", authority.Client("thief"), trailer, 400},
	} {
		ran = 0
		status, body := talk(t, dial(tt.client), "POST /orders HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer "+
			issuer.Token(owner.Bound())+"\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"+tt.trailer+"\r\n")
		if want := map[int]int{200: 1}[tt.want]; status != tt.want || ran != want {
			t.Errorf("%s: got %d %q, handler ran %d times, want %d and %d", tt.name, status, body, ran, tt.want, want)
		}
	}
}

// behind starts a proxy in front of app, and returns a function that connects to it.
func behind(t *testing.T, ingress string, app *fiber.App, authority *popauthtest.CA) func(*popauthtest.Client) net.Conn {
	l := crowd.Listen(t)
	serve(t, l, nil, app)
	front, err := proxies.Start(ingress, proxies.Settings{
		API: l.Addr().String(), Secret: crowd.Secret, Server: authority.Server(), Clients: authority.PEM(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(front.Stop)
	return func(client *popauthtest.Client) net.Conn {
		config := &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost", NextProtos: []string{"http/1.1"},
			MinVersion: tls.VersionTLS12}
		if client != nil {
			config.Certificates = []tls.Certificate{client.Certificate}
		}
		c, err := tls.Dial("tcp", front.Address, config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

// With StreamRequestBody trailers come behind a Stage, and what no handler has read is the next request: refused, and closed.
func TestStreams(t *testing.T) {
	guard, owner, token := world(t)
	header := "Host: api.example.com\r\nAuthorization: Bearer " + token + "\r\nX-Proxy-Secret: " + crowd.Secret + "\r\n"
	certificate := "X-SSL-Client-Cert: " + base64.StdEncoding.EncodeToString(owner.Certificate.Certificate[0]) + "\r\n"
	smuggled := "GET /health HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
	for name, request := range map[string]string{
		"no body":   "POST /orders HTTP/1.1\r\n" + header + certificate + "Content-Length: 0\r\n\r\n",
		"a trailer": "POST /orders HTTP/1.1\r\n" + header + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + certificate + "\r\n",
		"chunked":   "POST /orders HTTP/1.1\r\n" + header + certificate + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a body":    "POST /orders HTTP/1.1\r\n" + header + certificate + "Content-Length: 47\r\n\r\n" + smuggled[:47],
	} {
		ran, healthy := 0, 0
		app := New(fiber.Config{StreamRequestBody: true}, silent)
		app.Get("/health", func(c fiber.Ctx) error { healthy++; return c.SendStatus(200) })
		app.Post("/orders", Stage(guard.Confirm), func(c fiber.Ctx) error { ran++; return c.SendStatus(200) })
		l := crowd.Listen(t)
		serve(t, l, nil, app)
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		all, err := io.ReadAll(c)
		open := errors.Is(err, os.ErrDeadlineExceeded) // any other error is a reset, for the body that was left
		_ = c.Close()
		if n := strings.Count(string(all), "HTTP/1.1 "); !strings.HasPrefix(string(all), "HTTP/1.1 500 ") || n != 1 || ran+healthy != 0 ||
			open {
			t.Errorf("VULNERABLE: %s: got %d answers, handlers ran %d times, connection open %t, want 500 alone and the connection "+
				"closed:\n%s",
				name, n, ran+healthy, open, all)
		}
	}
}

// byProxy is the source of an API behind a proxy.
func byProxy(format proxy.Format, trust ...proxy.Trust) popauth.CertificateSource {
	source, err := proxy.Certificate(format, trust...)
	if err != nil {
		panic(err)
	}
	return source
}
