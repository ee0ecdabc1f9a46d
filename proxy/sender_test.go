package proxy_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

const gatewaySecret = "0123456789abcdef0123"

// gateway is one in Go in front of an API that takes certificate-bound tokens, with what rewrites the requests.
type gateway struct {
	front  *httptest.Server
	ca     *popauthtest.CA
	issuer *popauthtest.Issuer
	spy    *popauthtest.Spy
	seen   http.Header // by the API, before popauth
}

func newGateway(t *testing.T, ingress func(api *url.URL) *httputil.ReverseProxy) *gateway {
	t.Helper()
	g := &gateway{ca: popauthtest.NewCA(t), issuer: popauthtest.NewIssuer(t), spy: &popauthtest.Spy{}}
	o := g.issuer.Options()
	o.Certificate = byProxy(proxy.RFC9440(), proxy.TrustSecret("X-Gateway-Secret", gatewaySecret))
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	handler := guard.Confirm(g.spy)
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.seen = r.Header.Clone()
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(back.Close)
	api, err := url.Parse(back.URL)
	if err != nil {
		t.Fatal(err)
	}
	g.front = popauthtest.NewServer(t, ingress(api), func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert })
	return g
}

func rewriting(t *testing.T, o proxy.SenderOptions) func(*url.URL) *httputil.ReverseProxy {
	t.Helper()
	sender, err := proxy.NewSender(o)
	if err != nil {
		t.Fatal(err)
	}
	return func(api *url.URL) *httputil.ReverseProxy {
		return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(api); sender.Rewrite(r) }}
	}
}

// send is a request of the client's own writing, with these lines.
func (g *gateway) send(t *testing.T, by *popauthtest.Client, lines ...string) int {
	t.Helper()
	config := by.HTTP(g.front).Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"http/1.1"}
	conn, err := tls.Dial("tcp", g.front.Listener.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "GET /orders HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", g.front.Listener.Addr(), strings.Join(lines, "\r\n"))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// A gateway in Go hands on the certificate of its client, and nothing that the client says of certificates and secrets.
func TestSender(t *testing.T) {
	g := newGateway(t, rewriting(t, proxy.SenderOptions{SecretHeader: "X-Gateway-Secret", Secret: gatewaySecret, Chain: true,
		Remove: []string{"X-Tenant", "X-Own-*"}}))
	owner, thief := g.ca.Client("owner"), g.ca.Client("thief")
	token := "Authorization: Bearer " + g.issuer.Token(owner.Bound())
	made := ":" + base64.StdEncoding.EncodeToString(owner.Certificate.Certificate[0]) + ":"
	if got := g.send(t, owner, token); got != 200 {
		t.Fatalf("owner: got %d, want 200", got)
	}
	for name, tt := range map[string]struct {
		by    *popauthtest.Client
		lines []string
	}{
		"thief, his own certificate": {thief, nil},
		"thief, made-up header":      {thief, []string{"Client-Cert: " + made}},
		"nobody, made-up header":     {nil, []string{"Client-Cert: " + made}},
		"nobody, and the secret":     {nil, []string{"Client-Cert: " + made, "X-Gateway-Secret: " + gatewaySecret}},
		"other spellings":            {nil, []string{"client_cert: " + made, "CLIENT.CERT: " + made}},
		"twice":                      {thief, []string{"Client-Cert: " + made, "client-cert: " + made}},
		"hop by hop":                 {thief, []string{"Client-Cert: " + made, "Connection: Client-Cert, X-Gateway-Secret"}},
	} {
		before := g.spy.Ran()
		if got := g.send(t, tt.by, append(tt.lines, token)...); got != 401 || g.spy.Ran() != before {
			t.Errorf("VULNERABLE: %s: got %d, want 401 and no handler", name, got)
		}
	}
	// The owner can't be locked out by what is named in Connection, and what is made up beside doesn't get through.
	if got := g.send(t, owner, token, "Connection: Client-Cert, X-Gateway-Secret", "X_Forwarded.Client-Cert: x", "X-Auth-Subject: admin",
		"x_auth_scope: all",
		"X-SSL-Client-Verify: SUCCESS", "X-Tenant: other", "x.own-thing: 1", "X_Gateway_Secret: x", "Kept: yes"); got != 200 {
		t.Errorf("owner: got %d, want 200", got)
	}
	for name := range g.seen {
		switch name {
		case "Authorization", "Kept", "Client-Cert", "X-Gateway-Secret", "Accept-Encoding", "User-Agent":
		default:
			t.Errorf("VULNERABLE: the API got %s: %q", name, g.seen[name])
		}
	}
	// With the intermediates.
	unit := g.ca.Intermediate("unit").Client("unit")
	if got := g.send(t, unit, "Authorization: Bearer "+g.issuer.Token(unit.Bound())); got != 200 {
		t.Errorf("with intermediates: got %d, want 200", got)
	}
	presented, err := proxy.RFC9440().Decode(g.seen)
	if err != nil || len(presented.Chain) != 1 || string(presented.Leaf) != string(unit.Certificate.Certificate[0]) {
		t.Errorf("got %d certificates beside the leaf, %v, want 1", len(presented.Chain), err)
	}
}

// By Director the client undoes what the gateway has written, which is why Sender has no form for it.
func TestDirectorIsUndone(t *testing.T) {
	g := newGateway(t, func(api *url.URL) *httputil.ReverseProxy {
		return &httputil.ReverseProxy{Director: func(r *http.Request) { //nolint:staticcheck // SA1019: it is what is shown
			r.URL.Scheme, r.URL.Host = api.Scheme, api.Host
			r.Header.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(r.TLS.PeerCertificates[0].Raw)+":")
			r.Header.Set("X-Gateway-Secret", gatewaySecret)
		}}
	})
	owner := g.ca.Client("owner")
	token := "Authorization: Bearer " + g.issuer.Token(owner.Bound())
	if got := g.send(t, owner, token); got != 200 {
		t.Errorf("owner: got %d, want 200", got)
	}
	if got := g.send(t, owner, token, "Connection: X-Gateway-Secret"); got == 200 {
		t.Error("httputil.ReverseProxy has changed: the page on Director is to be looked at again")
	}
}

// Before the handshake is complete nobody has proven anything.
func TestSenderBeforeHandshake(t *testing.T) {
	sender, err := proxy.NewSender(proxy.SenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	in := popauthtest.NewCA(t).Client("c").Request(http.MethodGet, "/", "")
	for _, complete := range []bool{false, true} {
		state := *in.TLS
		state.HandshakeComplete = complete
		r := &httputil.ProxyRequest{In: in.Clone(t.Context()), Out: in.Clone(t.Context())}
		r.In.TLS = &state
		r.Out.Header.Set("Client-Cert", "made up")
		r.Out.Trailer = http.Header{"Client-Cert": nil}
		sender.Rewrite(r)
		if got := r.Out.Header.Get("Client-Cert"); (got != "") != complete || got == "made up" || len(r.Out.Trailer) > 0 {
			t.Errorf("VULNERABLE: handshake complete %t: got %q and trailers %v", complete, got, r.Out.Trailer)
		}
	}
}

func TestSenderOptions(t *testing.T) {
	for want, o := range map[string]proxy.SenderOptions{
		"belong together":           {SecretHeader: "X-Secret"},
		"less than 16":              {SecretHeader: "X-Secret", Secret: "short"},
		"printable":                 {SecretHeader: "X-Secret", Secret: "0123456789abcdef\n"},
		"SecretHeader: invalid":     {SecretHeader: "X_Secret", Secret: gatewaySecret},
		`Remove: invalid name "a b`: {Remove: []string{"a b"}},
		`Remove: invalid name "*"`:  {Remove: []string{"*"}},
	} {
		if s, err := proxy.NewSender(o); s != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, %v, want %q", s, err, want)
		}
	}
	for _, name := range []string{
		"Client-Cert", "client-cert", "Client-Cert-Chain", "Client-Cert-Secret", "Authorization", "Connection", "Host", "Content-Length",
		"Transfer-Encoding", "Trailer", "Early-Data", "TE", "Upgrade", "Keep-Alive", "Proxy-Authorization", "DPoP", "Cookie", "Forwarded",
	} {
		s, err := proxy.NewSender(proxy.SenderOptions{SecretHeader: name, Secret: gatewaySecret})
		if s != nil || err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "name another") {
			t.Errorf("the secret in %s: got %v, want an error that says so", name, err)
		}
	}
	for name, unmade := range map[string]*proxy.Sender{"zero": {}, "nil": nil} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, "NewSender has not made") {
					t.Errorf("got %s, want a panic that says what to call", got)
				}
			}()
			unmade.Rewrite(&httputil.ProxyRequest{})
		})
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

// A client's own line for any preset is removed, but for names that an operator has chosen.
func TestSenderKnowsEveryFormat(t *testing.T) {
	sender, err := proxy.NewSender(proxy.SenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range presets() {
		for _, name := range f.Headers() {
			if strings.HasPrefix(name, "X-Chain-") {
				continue
			}
			in := httptest.NewRequest("GET", "/", http.NoBody)
			in.Header.Set(name, "a client's")
			out := in.Clone(in.Context())
			sender.Rewrite(&httputil.ProxyRequest{In: in, Out: out})
			if out.Header.Get(name) != "" {
				t.Errorf("VULNERABLE: %s: a client's own %s goes on", f.Name(), name)
			}
		}
	}
}
