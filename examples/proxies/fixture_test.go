package proxies_test

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

const (
	secret  = "the secret of proxy and API"
	guessed = "what a client takes it for"
)

// need skips a test without its proxies; where all are to be installed, it fails.
func need(t *testing.T, names ...string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs all of 127.0.0.0/8 to be loopback")
	}
	for _, name := range names {
		if name == "caddy" {
			lab.NeedUnapproved(t, "TLS 1.2 without extended master secret, as Caddy 2.6 speaks it")
		}
		_, err := proxies.Find(name)
		installed(t, err)
	}
}

func installed(t *testing.T, err error) {
	t.Helper()
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	}
}

// cast is who takes part: an issuer, and the callers.
type cast struct {
	testing.TB
	issuer                        *popauthtest.Issuer
	authority                     *popauthtest.CA
	clients                       []byte // the authorities of the callers, in PEM
	owner, thief                  *popauthtest.Client
	other                         *popauthtest.Client // of whom a test makes a second owner
	borrowed                      *popauthtest.Client // the thief, who presents the owner's certificate behind its own
	selfSigned, rsaChain, expired *popauthtest.Client
}

func newCast(tb testing.TB) *cast {
	c := &cast{TB: tb, issuer: popauthtest.NewIssuer(tb), authority: popauthtest.NewCA(tb)}
	between := c.authority.Intermediate("between")
	c.owner, c.thief = between.Client("owner"), between.Client("thief")
	chain := [][]byte{c.thief.Certificate.Certificate[0], c.owner.Certificate.Certificate[0], between.Certificate.Raw}
	c.borrowed = &popauthtest.Client{Certificate: tls.Certificate{Certificate: chain, PrivateKey: c.thief.Certificate.PrivateKey}}
	c.selfSigned = popauthtest.SelfSigned(tb, "self-signed")
	c.expired = between.Client("expired", func(x *x509.Certificate) {
		x.NotBefore, x.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	})

	text, err := os.ReadFile("testdata/rsa4096.pem")
	if err != nil {
		tb.Fatal(err)
	}
	var keys []*rsa.PrivateKey
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			tb.Fatal(err)
		}
		keys = append(keys, key.(*rsa.PrivateKey))
	}
	isCA := func(x *x509.Certificate) {
		x.IsCA, x.KeyUsage, x.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	}
	top, between2 := popauthtest.NewCA(tb), popauthtest.NewCA(tb)
	top.Certificate, top.Key = popauthtest.SelfSignedFor(tb, keys[0], "RSA-4096 root", isCA).Certificate.Leaf, keys[0]
	between2.Certificate, between2.Key = top.ClientFor(keys[0], "RSA-4096 between", isCA).Certificate.Leaf, keys[0]
	c.rsaChain = between2.ClientFor(keys[1], "rsa-4096")
	for _, ca := range []*popauthtest.CA{between2, top} { // the root, which nobody needs, too
		c.rsaChain.Certificate.Certificate = append(c.rsaChain.Certificate.Certificate, ca.Certificate.Raw)
	}
	c.clients = append(c.authority.PEM(), top.PEM()...)
	return c
}

func (c *cast) token(client *popauthtest.Client) string {
	c.Helper()
	return c.issuer.Token(client.Bound(), popauthtest.Claims{"scope": "orders.read"})
}

// A kind is a proxy with the format that its API reads.
type kind struct {
	name   string // of the column
	proxy  string // as proxies.Start calls it
	format proxy.Format
	names  []string                         // of the headers it sets
	lines  func(certificate []byte) []field // what it sends for a certificate that it has validated
	static string                           // of Traefik; empty: the shipped file
	wheel  counterpart.Wheel                // where the program is from; zero: of the system
	anew   bool                             // it resumes no session
}

var kinds = []kind{
	{name: "nginx", proxy: "nginx", format: proxy.Nginx(sslNames[0], sslNames[1]), names: sslNames, lines: func(der []byte) []field {
		return ssl(escaped(der), "SUCCESS")
	}},
	{name: "apache", proxy: "apache", format: proxy.Apache(sslNames[0], sslNames[1]), names: sslNames, lines: func(der []byte) []field {
		return ssl(strings.ReplaceAll(pemOf(der), "\n", " "), "SUCCESS")
	}},
	{name: "haproxy", proxy: "haproxy", format: proxy.HAProxy(sslNames[0], sslNames[1]), names: sslNames, lines: func(der []byte) []field {
		return ssl(base64.StdEncoding.EncodeToString(der), "0")
	}},
	{name: "haproxy-rfc9440", proxy: "haproxy-rfc9440", format: proxy.RFC9440(), names: []string{"Client-Cert", "Client-Cert-Chain"},
		lines: func(der []byte) []field {
			value := ":" + base64.StdEncoding.EncodeToString(der) + ":"
			return []field{{"Client-Cert", value}, {"Client-Cert-Chain", value}}
		}},
	{name: "caddy", proxy: "caddy", format: proxy.Caddy("X-SSL-Client-Cert"), names: sslNames[:1], lines: caddyLines},
	// It issues no session tickets where client certificates are asked for.
	{name: "caddy 2.11", proxy: "caddy", format: proxy.Caddy("X-SSL-Client-Cert"), names: sslNames[:1], lines: caddyLines,
		wheel: counterpart.Caddy(), anew: true},
	{name: "traefik", proxy: "traefik", format: proxy.Traefik(), names: []string{"X-Forwarded-Tls-Client-Cert"},
		wheel: counterpart.Traefik(), lines: func(der []byte) []field {
			return []field{{"X-Forwarded-Tls-Client-Cert", base64.StdEncoding.EncodeToString(der)}}
		}},
	{name: "envoy", proxy: "envoy", format: proxy.Envoy(), names: []string{"X-Forwarded-Client-Cert"}, wheel: counterpart.Envoy(),
		lines: func(der []byte) []field {
			return []field{{"X-Forwarded-Client-Cert", fmt.Sprintf(`Hash=%x;Cert="%s"`, sha256.Sum256(der), escaped(der))}}
		}},
}

func caddyLines(der []byte) []field { return ssl(base64.StdEncoding.EncodeToString(der), "")[:1] }

// escaped is the certificate in PEM, percent-encoded.
func escaped(der []byte) string { return strings.ReplaceAll(url.QueryEscape(pemOf(der)), "+", "%20") }

// program is the executable, or empty for the one of the system; the test is skipped without it.
func (k kind) program(tb testing.TB) string {
	tb.Helper()
	if k.wheel != (counterpart.Wheel{}) {
		return k.wheel.Path(tb)
	}
	return ""
}

var sslNames = []string{"X-SSL-Client-Cert", "X-SSL-Client-Verify"}

func ssl(certificate, verdict string) []field {
	return []field{{sslNames[0], certificate}, {sslNames[1], verdict}}
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// lane is one proxy with an API of its own behind it.
type lane struct {
	*cast
	kind
	spy   *popauthtest.Spy
	api   *httptest.Server
	front *proxies.Proxy
	named atomic.Bool  // the proxy named authorities in its last request for a certificate
	seen  atomic.Value // a header that no handler should see

	mu      sync.Mutex
	refused []popauth.Reason
}

// refusals are the reasons since the last call.
func (l *lane) refusals() []popauth.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.refused
	l.refused = nil
	return all
}

// loopback is where the proxies connect from.
var loopback = netip.MustParsePrefix("127.0.0.1/32")

func newLane(tb testing.TB, c *cast, k kind, configuration string) *lane {
	tb.Helper()
	l := newAPI(tb, c, k, nil, proxy.TrustPeers(loopback), proxy.TrustSecret("X-Proxy-Secret", secret))
	l.start(tb, l.api.Listener.Addr().String(), configuration)
	return l
}

// newAPI starts the API alone. A nil listener is one on loopback.
func newAPI(tb testing.TB, c *cast, k kind, listener net.Listener, trust ...proxy.Trust) *lane {
	tb.Helper()
	l := &lane{cast: c, kind: k}
	options := c.issuer.Options()
	options.Certificate = byProxy(k.format, trust...)
	options.Observe = func(_ context.Context, o popauth.Observation) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if o.Reason != "" {
			l.refused = append(l.refused, o.Reason)
		}
	}
	guard, err := popauth.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	l.spy = &popauthtest.Spy{Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			n := strings.ToLower(name)
			for _, part := range []string{"client", "secret", "method", "original", "rewrite"} {
				if strings.Contains(n, part) {
					l.seen.Store(name)
				}
			}
		}
		if p, _ := popauth.FromContext(r.Context()); p.Certificate.Verified == popauth.VerifiedByProxy {
			fmt.Fprint(w, "verified")
		}
	})}
	l.api = httptest.NewUnstartedServer(chain(l.spy, guard.Confirm, guard.Authorize(popauth.Scope("orders.read"))))
	l.api.Config.ConnContext = proxy.ConnContext
	if listener != nil {
		l.api.Listener.Close()
		l.api.Listener = listener
	}
	l.api.Start()
	tb.Cleanup(l.api.Close)
	return l
}

func (l *lane) start(tb testing.TB, api, configuration string) {
	tb.Helper()
	if l.proxy == "envoy" { // which waits a second before it closes a connection with an error
		if configuration == "" {
			configuration = file(l.kind)
		}
		configuration = strings.Replace(configuration, "stat_prefix: https\n",
			"stat_prefix: https\n          delayed_close_timeout: 0.05s\n", 1)
	}
	p, err := proxies.Start(l.proxy, proxies.Settings{
		Program: l.program(tb), Static: l.static, API: api,
		Secret: secret, Server: l.authority.Server(), Clients: l.clients, Configuration: configuration,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Stop)
	l.front = p
}

func chain(h http.Handler, outer, inner func(http.Handler) http.Handler) http.Handler {
	return outer(inner(h))
}

// forged is what the proxy would send for the owner, and a secret that is not the one.
func (l *lane) forged() []field {
	return append(l.lines(l.owner.Certificate.Certificate[0]), field{"X-Proxy-Secret", guessed})
}

// way is how a request reaches the proxy.
type way struct {
	alpn    string
	version uint16
}

// ask sends a request through the proxy twice, the second time on a resumed session, and names the outcome.
func (l *lane) ask(w way, as *popauthtest.Client, fields []field) (outcome string, resumed bool) {
	config := l.config(w, as)
	first, _ := l.once(config, w.alpn, fields)
	second, resumed := l.once(config, w.alpn, fields)
	if first != second {
		return first + ", resumed " + second, resumed
	}
	return first, resumed
}

func (l *lane) config(w way, as *popauthtest.Client) *tls.Config {
	config := &tls.Config{
		ServerName: "localhost", RootCAs: l.authority.Pool(), NextProtos: []string{w.alpn}, MinVersion: w.version, MaxVersion: w.version,
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
	if as != nil {
		// As curl and OpenSSL do, whichever authorities the proxy names; through Certificates some would stay at home.
		config.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			l.named.Store(len(r.AcceptableCAs) > 0)
			return &as.Certificate, nil
		}
	}
	return config
}

func (l *lane) once(config *tls.Config, alpn string, fields []field) (outcome string, resumed bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	before := l.spy.Ran()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", l.front.Address)
	if err != nil {
		return l.judge(reply{}, err, before), false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	exchange := exchange1
	if alpn == "h2" {
		exchange = exchange2
	}
	r, err := exchange(conn, fields)
	return l.judge(r, err, before), conn.(*tls.Conn).ConnectionState().DidResume
}

// direct sends a request around the proxy, from an address of the caller's choice.
func (l *lane) direct(from string, fields []field) string {
	before := l.spy.Ran()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 20 * time.Second}
	conn, err := dialer.Dial("tcp", l.api.Listener.Addr().String())
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	r, err := exchange1(conn, fields)
	return l.judge(r, err, before)
}

// judge names an outcome, and says so if the handler ran for a request that was refused.
func (l *lane) judge(r reply, err error, before int) string {
	var network *net.OpError
	outcome := fmt.Sprint(r.status)
	switch {
	case errors.Is(err, errReset), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.As(err, &network) && !network.Timeout(): // an alert, or a connection that is gone before it can be read
		outcome = "closed"
	case err != nil:
		outcome = err.Error()
	case r.status == http.StatusOK && r.body != "":
		outcome += " " + r.body
	}
	ran := l.spy.Ran() - before
	if passed := err == nil && r.status == http.StatusOK; passed != (ran == 1) || ran > 1 {
		outcome += fmt.Sprintf(", HANDLER RAN %d TIMES", ran)
	}
	if name, ok := l.seen.Load().(string); ok {
		outcome += ", HANDLER SAW " + name
	}
	return outcome
}

// byProxy is the source of an API behind a proxy.
func byProxy(format proxy.Format, trust ...proxy.Trust) popauth.CertificateSource {
	source, err := proxy.Certificate(format, trust...)
	if err != nil {
		panic(err)
	}
	return source
}
