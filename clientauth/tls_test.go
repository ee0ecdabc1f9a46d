package clientauth_test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// clientCert puts a certificate where a proxy of RFC 9440 does.
func clientCert(c *popauthtest.Client) func(*http.Request) {
	return header("Client-Cert", ":"+base64.StdEncoding.EncodeToString(c.Certificate.Certificate[0])+":")
}

// tokenServer answers with the cnf of the token that it would issue.
func tokenServer(t testing.TB, a *clientauth.Authenticator, configure ...func(*tls.Config)) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		client, err := a.Authenticate(r)
		if err != nil {
			clientauth.WriteError(w, err)
			return
		}
		w.Header().Set("Resumed", map[bool]string{true: "yes"}[r.TLS.DidResume])
		_ = json.NewEncoder(w).Encode(client.Confirmation())
	})
	return popauthtest.NewServer(t, a.Handler(mux), configure...)
}

func ask(t testing.TB, c *http.Client, url, form string) (status int, body string, h http.Header) {
	t.Helper()
	response, err := c.Post(url, "application/x-www-form-urlencoded", strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(raw)), response.Header
}

// The whole way, with names and pinned certificates on one listener, over HTTP/1.1 and HTTP/2, TLS 1.2 and 1.3.
func TestOverTLS(t *testing.T) {
	ca := popauthtest.NewCA(t)
	named, pinned := ca.Intermediate("issuing").Client("batch"), popauthtest.SelfSigned(t, "till-7")
	clients := clientauth.Static{
		"batch": {{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}}, "till-7": {thumbprint(t, pinned)},
	}
	verifying := func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, ca.Pool() }
	for _, tt := range []struct {
		name      string
		options   clientauth.Options
		configure []func(*tls.Config)
		self      bool // self-signed certificates get through the handshake
	}{
		{"own roots", clientauth.Options{Roots: ca.Pool()}, nil, true},
		{"verified by TLS", clientauth.Options{}, []func(*tls.Config){verifying}, false},
		{"HTTP/1.1", clientauth.Options{Roots: ca.Pool()}, []func(*tls.Config){
			func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }}, true},
		{"TLS 1.2", clientauth.Options{Roots: ca.Pool()}, []func(*tls.Config){func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
			true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.options.Clients, tt.options.Endpoints = clients, clientauth.PathPrefix("/mtls")
			server := tokenServer(t, newAuth(t, tt.options), tt.configure...)
			expect := func(c *popauthtest.Client, path, id string, status int, body string) {
				t.Helper()
				if s, b, _ := ask(t, c.HTTP(server), server.URL+path, "client_id="+id); s != status || !strings.Contains(b, body) {
					t.Errorf("%s as %s: got %d %s, want %d %s", path, id, s, b, status, body)
				}
			}
			expect(named, "/mtls/token", "batch", 200, `{"x5t#S256":"`+named.Thumbprint()+`"}`)
			expect(named, "/mtls/token", "till-7", 401, "invalid_client")
			expect(named, "/token", "batch", 401, "invalid_client")
			expect(nil, "/mtls/token", "batch", 401, "invalid_client")
			if !tt.self {
				return
			}
			expect(pinned, "/mtls/token", "till-7", 200, `{"x5t#S256":"`+pinned.Thumbprint()+`"}`)
			expect(pinned, "/mtls/token", "batch", 401, "invalid_client")
			expect(pinned, "/token", "till-7", 401, "invalid_client")
			expect(popauthtest.SelfSigned(t, "batch"), "/mtls/token", "batch", 401, "invalid_client")
		})
	}
}

// A resumed session has the certificate of the first one, and is held to the same.
func TestResumption(t *testing.T) {
	ca := popauthtest.NewCA(t)
	owner, thief := ca.Client("batch"), popauthtest.SelfSigned(t, "batch")
	a := newAuth(t, clientauth.Options{
		Clients:   clientauth.Static{"batch": {{Credential: must(t)(clientauth.SubjectDN("CN=batch"))}}},
		Endpoints: clientauth.PathPrefix("/mtls"), Roots: ca.Pool(),
	})
	server := tokenServer(t, a, func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} })
	for c, want := range map[*popauthtest.Client]int{owner: 200, thief: 401} {
		client := c.HTTP(server)
		transport := client.Transport.(*http.Transport)
		transport.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		transport.DisableKeepAlives = true
		for i := range 3 {
			status, body, h := ask(t, client, server.URL+"/mtls/token", form)
			if status != want || want == 200 && (!strings.Contains(body, owner.Thumbprint()) || i > 0 && h.Get("Resumed") != "yes") {
				t.Errorf("connection %d: got %d %s %v, want %d", i, status, body, h, want)
			}
		}
	}
}
