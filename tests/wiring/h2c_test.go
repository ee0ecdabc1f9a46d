package wiring_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c" //nolint:staticcheck // what programs still run
	"golang.org/x/net/http2/hpack"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

func clientCert(c *popauthtest.Client) string {
	return ":" + base64.StdEncoding.EncodeToString(c.Certificate.Certificate[0]) + ":"
}

// who answers with what a handler knows of its caller.
var who = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	answer := r.Proto + " "
	if p, ok := popauth.FromContext(r.Context()); ok {
		answer += p.Subject
	}
	if c, ok := popauth.CertificateFromContext(r.Context()); ok {
		answer += "/" + c.Leaf.Subject.CommonName
	}
	if len(r.Header["Client-Cert"]) > 0 {
		answer += " header"
	}
	_, _ = io.WriteString(w, answer)
})

type lab struct {
	issuer       *popauthtest.Issuer
	alice, bob   *popauthtest.Client
	source       popauth.CertificateSource
	own, plain   *popauth.Guard
	alices, bobs string
}

func newLab(t *testing.T) *lab {
	l := &lab{issuer: popauthtest.NewIssuer(t), alice: popauthtest.SelfSigned(t, "alice"), bob: popauthtest.SelfSigned(t, "bob")}
	l.source = byProxy(proxy.RFC9440(), proxy.TrustPeers(netip.MustParsePrefix("127.0.0.0/8")))
	guard := func(s popauth.CertificateSource) *popauth.Guard {
		o := l.issuer.Options()
		o.Certificate = s
		g, err := popauth.New(o)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	l.own, l.plain = guard(l.source), guard(nil)
	l.alices = l.issuer.Token(l.alice.Bound(), popauthtest.Claims{"sub": "alice"})
	l.bobs = l.issuer.Token(l.bob.Bound(), popauthtest.Claims{"sub": "bob"})
	return l
}

// The upgrade of a connection inside of a Guard is not made: the request is served over HTTP/1.1, and the next one too.
func TestNoUpgradeInside(t *testing.T) {
	l := newLab(t)
	for name, wire := range map[string]func(http.Handler) http.Handler{
		"Guard":              l.own.Confirm,
		"ClientCertificate":  func(h http.Handler) http.Handler { return popauth.ClientCertificate(l.source)(l.plain.Confirm(h)) },
		"RequireCertificate": clientcert.Require(l.source, clientcert.Thumbprint(l.alice.Thumbprint())),
	} {
		server := httptest.NewServer(wire(h2c.NewHandler(who, &http2.Server{}))) //nolint:staticcheck // what programs still run
		want := "HTTP/1.1 alice/alice"
		if name == "RequireCertificate" {
			want = "HTTP/1.1 /alice"
		}
		r, err := http.NewRequest(http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Authorization": {"Bearer " + l.alices}, "Client-Cert": {clientCert(l.alice)},
			"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {""}}
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != 200 || string(body) != want {
			t.Errorf("%s: got %d %q, want %q", name, answer.StatusCode, body, want)
		}
		// Nor does prior knowledge get past it.
		if got := priorKnowledge(t, server, l.alices, clientCert(l.alice)); got != "no HTTP/2" {
			t.Errorf("%s, prior knowledge: got %q", name, got)
		}
		server.Close()
	}
}

// priorKnowledge makes a request over HTTP/2 without TLS.
func priorKnowledge(t *testing.T, server *httptest.Server, token, certificate string) string {
	t.Helper()
	//nolint:staticcheck // what programs still run
	transport := &http2.Transport{AllowHTTP: true,
		DialTLSContext: func(_ context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, address)
		}}
	defer transport.CloseIdleConnections() //nolint:staticcheck // what programs still run
	r, err := http.NewRequest(http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Client-Cert", certificate)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	answer, err := transport.RoundTrip(r.WithContext(ctx)) //nolint:staticcheck // what programs still run
	if err != nil {
		return "no HTTP/2"
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != 200 {
		return answer.Status
	}
	return string(body)
}

// Outside, each stream is a request: x/net's handler, by upgrade and by prior knowledge, and net/http's own server.
func TestHTTP2Outside(t *testing.T) {
	l := newLab(t)
	h := l.own.Confirm(who)
	upgraded := httptest.NewServer(h2c.NewHandler(h, &http2.Server{})) //nolint:staticcheck // what programs still run
	defer upgraded.Close()
	native := httptest.NewUnstartedServer(h)
	native.Config.Protocols = new(http.Protocols)
	native.Config.Protocols.SetUnencryptedHTTP2(true)
	native.Config.Protocols.SetHTTP1(true)
	native.Start()
	defer native.Close()
	for _, server := range []*httptest.Server{upgraded, native} {
		for _, tt := range []struct{ token, certificate, want string }{
			{l.alices, clientCert(l.alice), "HTTP/2.0 alice/alice"}, {l.bobs, clientCert(l.bob), "HTTP/2.0 bob/bob"},
			{l.alices, clientCert(l.bob), "401 Unauthorized"}, {"", "", "401 Unauthorized"},
		} {
			if tt.certificate == "" {
				tt.certificate = clientCert(l.alice)
			}
			if got := priorKnowledge(t, server, tt.token, tt.certificate); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		}
	}
	// alice upgrades; the second stream is another's.
	for _, second := range []struct{ token, want string }{{"", "401"}, {l.bobs, "401"}, {l.alices, "200"}} {
		if got := secondStream(t, upgraded, l, second.token); got != second.want {
			t.Errorf("second stream: got %s, want %s", got, second.want)
		}
	}
}

func secondStream(t *testing.T, server *httptest.Server, l *lab, token string) string {
	t.Helper()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n"+
		"Authorization: Bearer "+l.alices+"\r\nClient-Cert: "+clientCert(l.alice)+"\r\n\r\n")
	head := make([]byte, len("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"))
	if _, err := io.ReadFull(c, head); err != nil || !bytes.Contains(head, []byte(" 101 ")) {
		t.Fatalf("got %q, %v", head, err)
	}
	_, _ = io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = f.WriteSettings()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	fields := []string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "x", "client-cert", clientCert(l.alice)}
	if token != "" {
		fields = append(fields, "authorization", "Bearer "+token)
	}
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndStream: true, EndHeaders: true, BlockFragment: block.Bytes()})
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID == 3 {
				return frame.PseudoValue("status")
			}
		}
	}
}
