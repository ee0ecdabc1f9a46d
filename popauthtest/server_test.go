package popauthtest_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
)

func describe(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s verified=%d", r.Proto, len(r.TLS.VerifiedChains))
	for _, cert := range r.TLS.PeerCertificates {
		fmt.Fprintf(w, " %s", cert.Subject)
	}
}

func http1(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }

func TestMutualTLS(t *testing.T) {
	ca := popauthtest.NewCA(t)
	verify := func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool() }
	someList := func(c *tls.Config) { c.ClientCAs = ca.Pool() }
	own := func(c *tls.Config) { c.Certificates = []tls.Certificate{ca.Intermediate("web").Server()} }

	tests := map[string]struct {
		client    *popauthtest.Client
		configure []func(*tls.Config)
		want      string
	}{
		"issued":                 {client: ca.Client("a"), want: "HTTP/2.0 verified=0 CN=a"},
		"issued, HTTP/1.1":       {ca.Client("a"), []func(*tls.Config){http1}, "HTTP/1.1 verified=0 CN=a"},
		"self-signed":            {client: popauthtest.SelfSigned(t, "b"), want: "HTTP/2.0 verified=0 CN=b"},
		"self-signed, HTTP/1.1":  {popauthtest.SelfSigned(t, "b"), []func(*tls.Config){http1}, "HTTP/1.1 verified=0 CN=b"},
		"self-signed, CA listed": {popauthtest.SelfSigned(t, "b"), []func(*tls.Config){someList}, "HTTP/2.0 verified=0 CN=b"},
		"intermediate":           {client: ca.Intermediate("i").Client("c"), want: "HTTP/2.0 verified=0 CN=c CN=i"},
		"verified":               {ca.Client("a"), []func(*tls.Config){verify}, "HTTP/2.0 verified=1 CN=a"},
		"verified, intermediate": {ca.Intermediate("i").Client("c"), []func(*tls.Config){verify}, "HTTP/2.0 verified=1 CN=c CN=i"},
		"server of a CA":         {ca.Client("a"), []func(*tls.Config){own}, "HTTP/2.0 verified=0 CN=a"},
		"zero":                   {client: &popauthtest.Client{}, want: "HTTP/2.0 verified=0"},
		"nil, HTTP/1.1":          {nil, []func(*tls.Config){http1}, "HTTP/1.1 verified=0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := popauthtest.NewServer(t, http.HandlerFunc(describe), test.configure...)
			_, got := get(t, test.client.HTTP(server), server.URL)
			equal(t, "answer", got, test.want)
		})
	}
}

func TestServerKeepsProtocolsApart(t *testing.T) {
	server := popauthtest.NewServer(t, http.HandlerFunc(describe))
	client := popauthtest.SelfSigned(t, "b").HTTP(server)
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	_, got := get(t, client, server.URL)
	equal(t, "answer", got, "HTTP/1.1 verified=0 CN=b")
}

func TestServerRefuses(t *testing.T) {
	verify := func(c *tls.Config) {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, popauthtest.NewCA(t).Pool()
	}
	demand := func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }
	var nobody *popauthtest.Client
	for name, test := range map[string]struct {
		client    *popauthtest.Client
		configure func(*tls.Config)
	}{
		"another authority": {popauthtest.NewCA(t).Client("a"), verify},
		"self-signed":       {popauthtest.SelfSigned(t, "a"), verify},
		"no certificate":    {nobody, demand},
	} {
		t.Run(name, func(t *testing.T) {
			var spy popauthtest.Spy
			server := popauthtest.NewServer(t, &spy, test.configure)
			if response, err := test.client.HTTP(server).Get(server.URL); err == nil {
				response.Body.Close()
				t.Errorf("handshake: got %s, want an error", response.Status)
			}
			equal(t, "handler ran", spy.Ran(), 0)
		})
	}
}

func TestClientTrustsItsServerAlone(t *testing.T) {
	var spy popauthtest.Spy
	one, other := popauthtest.NewServer(t, &spy), popauthtest.NewServer(t, &spy)
	if response, err := popauthtest.SelfSigned(t, "a").HTTP(other).Get(one.URL); err == nil {
		response.Body.Close()
		t.Errorf("handshake: got %s, want an error", response.Status)
	}
	equal(t, "handler ran", spy.Ran(), 0)
}

func TestSpy(t *testing.T) {
	var spy popauthtest.Spy
	equal(t, "before", spy.Ran(), 0)
	w := httptest.NewRecorder()
	spy.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	equal(t, "status", w.Code, http.StatusOK)

	spy.Next = http.NotFoundHandler()
	w = httptest.NewRecorder()
	spy.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	equal(t, "status with Next", w.Code, http.StatusNotFound)
	equal(t, "after", spy.Ran(), 2)
}
