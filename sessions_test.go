package popauth_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// oneSession is a client that shows its last session at any name, as no browser does and anybody can.
type oneSession struct{ last *tls.ClientSessionState }

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.last, o.last != nil }

func (o *oneSession) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		o.last = s
	}
}

// namedServers is a server whose names differ in what they ask of a client's certificate.
func namedServers(t *testing.T, h http.Handler, configs map[string]*tls.Config) (ask func(name string, c *popauthtest.Client,
	sessions *oneSession) string) {
	t.Helper()
	web := popauthtest.NewCA(t)
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are refused are meant
	s.TLS = &tls.Config{Certificates: []tls.Certificate{web.Server("a.example.com", "b.example.com")}}
	s.StartTLS()
	t.Cleanup(s.Close)
	for _, c := range configs {
		c.Certificates = s.TLS.Certificates
	}
	s.TLS.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) { return configs[h.ServerName], nil }
	return func(name string, c *popauthtest.Client, sessions *oneSession) string {
		t.Helper()
		transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			RootCAs: web.Pool(), ServerName: name, ClientSessionCache: sessions,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.Certificate, nil },
		}}
		r, err := http.NewRequest("GET", s.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = name
		answer, err := transport.RoundTrip(r)
		if err != nil {
			return "no connection"
		}
		defer answer.Body.Close()
		said, _ := io.ReadAll(answer.Body)
		return fmt.Sprintf("%d%s", answer.StatusCode, said)
	}
}

// What a name wouldn't give to a new connection, it doesn't give to one that goes on with another name's session.
func TestSessionsOfAnotherName(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		a, b := popauthtest.NewCA(t), popauthtest.NewCA(t)
		client := a.Client("customer of a")
		for name, other := range map[string]tls.ClientAuthType{
			"nobody verifies": tls.RequestClientCert, "any certificate": tls.RequireAnyClientCert,
			"others verify": tls.VerifyClientCertIfGiven,
		} {
			for kind, own := range map[string]func(*tls.Config){
				"OwnSessions":            popauth.OwnSessions,
				"SessionTicketsDisabled": func(c *tls.Config) { c.SessionTicketsDisabled = true },
				"SetSessionTicketKeys": func(c *tls.Config) {
					c.SetSessionTicketKeys([][32]byte{[32]byte([]byte(fmt.Sprintf("%-32p", c)))})
				},
				"OwnSessions, one key": func(c *tls.Config) { c.SetSessionTicketKeys([][32]byte{{1}}); popauth.OwnSessions(c) },
			} {
				configs := map[string]*tls.Config{
					"a.example.com": {ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: a.Pool()},
					"b.example.com": {ClientAuth: other, ClientCAs: b.Pool()},
				}
				for _, c := range configs {
					c.MinVersion, c.MaxVersion = version, version
					own(c)
				}
				spy := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = fmt.Fprintf(w, " resumed=%t", r.TLS.DidResume)
				})
				ask := namedServers(t, clientcert.Require(nil)(spy), configs)
				what := fmt.Sprintf("%s, %s, %s", tls.VersionName(version), name, kind)
				fresh, sessions := ask("b.example.com", client, &oneSession{}), &oneSession{}
				if got := ask("a.example.com", client, sessions); got != "200 resumed=false" {
					t.Errorf("%s: a: got %q", what, got)
				}
				if got := ask("b.example.com", client, &oneSession{sessions.last}); got != fresh || got[:3] == "200" {
					t.Errorf("VULNERABLE: %s: b with a's session: got %q, without %q", what, got, fresh)
				}
				want := fmt.Sprintf("200 resumed=%t", kind != "SessionTicketsDisabled")
				if got := ask("a.example.com", client, sessions); got != want {
					t.Errorf("%s: a again: got %q, want %q", what, got, want)
				}
			}
		}
	}
}

func TestOwnSessionsPanics(t *testing.T) {
	used := &tls.Config{ClientCAs: x509.NewCertPool()}
	popauth.OwnSessions(used)
	for name, c := range map[string]*tls.Config{"nil": nil, "twice": used} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			popauth.OwnSessions(c)
		}()
	}
}

// Each server name has its own authorities, and its own sessions.
func ExampleOwnSessions() {
	partners, staff := popauthtest.NewCA(t), popauthtest.NewCA(t)
	configs := map[string]*tls.Config{ // made once
		"partners.example.com": {ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: partners.Pool()},
		"staff.example.com":    {ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: staff.Pool()},
	}
	for _, c := range configs {
		popauth.OwnSessions(c)
	}
	outermost := &tls.Config{ // http.Server.TLSConfig
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			if c := configs[h.ServerName]; c != nil {
				return c, nil
			}
			return nil, fmt.Errorf("no server name %q", h.ServerName)
		},
	}
	_, err := outermost.GetConfigForClient(&tls.ClientHelloInfo{ServerName: "x.example.com"})
	fmt.Println(err)
	// Output: no server name "x.example.com"
}
