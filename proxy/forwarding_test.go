package proxy_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

var (
	stranger = "192.0.2.1:41234"
)

func badRequest(tb testing.TB, o lab.Outcome) { tb.Helper(); o.Refused(tb, 400, "") }

func TestForwarded(t *testing.T) {
	l := lab.New(t)
	source := lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(lab.ProxyNet))
	token, owners, thiefs := l.Bound(), lab.ClientCert(l.Owner), lab.ClientCert(l.Thief)
	direct := func(c *popauthtest.Client, header ...string) *http.Request {
		r := c.Request("GET", "/orders", token)
		r.RemoteAddr = stranger
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		return r
	}
	for _, tt := range []struct {
		name  string
		r     func() *http.Request
		judge func(testing.TB, lab.Outcome)
	}{
		{"owner through the proxy", func() *http.Request { return lab.ViaProxy(token, "Client-Cert", owners) }, lab.Passes},
		{"with chain", func() *http.Request {
			return lab.ViaProxy(token, "Client-Cert", owners, "Client-Cert-Chain",
				":"+base64.StdEncoding.EncodeToString(l.CA.Certificate.Raw)+":")
		}, lab.Passes},
		{"thief through the proxy", func() *http.Request { return lab.ViaProxy(token, "Client-Cert", thiefs) }, lab.Unauthorized},
		{"nobody through the proxy", func() *http.Request { return lab.ViaProxy(token) }, lab.Unauthorized},
		{"the proxy's own certificate is not the caller's", func() *http.Request {
			r := lab.ViaProxy(token)
			r.TLS = l.Owner.Request("GET", "/", "").TLS
			return r
		}, lab.Unauthorized},
		{"header before the proxy's own certificate", func() *http.Request {
			r := lab.ViaProxy(token, "Client-Cert", owners)
			r.TLS = l.Thief.Request("GET", "/", "").TLS
			return r
		}, lab.Passes},
		{"owner around the proxy", func() *http.Request { return direct(l.Owner) }, lab.Passes},
		{"thief around the proxy", func() *http.Request { return direct(l.Thief) }, lab.Unauthorized},
		{"thief around the proxy, forging the header", func() *http.Request { return direct(l.Thief, "Client-Cert", owners) },
			lab.Unauthorized},
		{"without certificate around the proxy, forging the header", func() *http.Request { return direct(nil, "Client-Cert", owners) },
			lab.Unauthorized},
		{"owner around the proxy, with a junk header", func() *http.Request { return direct(l.Owner, "Client-Cert", "junk") }, lab.Passes},
		{"two lines", func() *http.Request { return lab.ViaProxy(token, "Client-Cert", owners, "Client-Cert", owners) }, badRequest},
		{"two lines, the thief's first", func() *http.Request {
			return lab.ViaProxy(token, "Client-Cert", thiefs, "Client-Cert", owners)
		}, badRequest},
		{"two lines, one empty", func() *http.Request { return lab.ViaProxy(token, "Client-Cert", owners, "Client-Cert", "") }, badRequest},
		{"two in one line", func() *http.Request { return lab.ViaProxy(token, "Client-Cert", owners+", "+owners) }, badRequest},
		{"junk", func() *http.Request { return lab.ViaProxy(token, "Client-Cert", "junk") }, badRequest},
		{"no certificate inside", func() *http.Request { return lab.ViaProxy(token, "Client-Cert", ":MAA=:") }, badRequest},
		{"no certificate inside the chain", func() *http.Request {
			return lab.ViaProxy(token, "Client-Cert", owners, "Client-Cert-Chain", ":MAA=:")
		}, badRequest},
		{"empty", func() *http.Request { return lab.ViaProxy(token, "Client-Cert", "") }, badRequest},
		{"chain alone", func() *http.Request { return lab.ViaProxy(token, "Client-Cert-Chain", owners) }, badRequest},
		{"too large", func() *http.Request { return lab.ViaProxy(token, "Client-Cert", ":"+strings.Repeat("A", 1<<20)+":") },
			func(tb testing.TB, o lab.Outcome) {
				tb.Helper()
				o.Refused(tb, 431, "")
			}},
		{"in a trailer", func() *http.Request {
			r := lab.ViaProxy(token)
			r.Trailer = http.Header{"Client-Cert": {owners}}
			return r
		}, lab.Unauthorized},
		{"under an alias", func() *http.Request { return lab.ViaProxy(token, "Client_Cert", owners) }, lab.Unauthorized},
		{"under another alias", func() *http.Request { return lab.ViaProxy(token, "Client.Cert", owners) }, lab.Unauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // once read, once remembered
				lab.BothWays(t, l, source, tt.r, tt.judge)
			}
		})
	}
}

// Nobody after the source sees the headers, under whichever name; the caller's own map stays as it was.
func TestForwardedHeadersAreRemoved(t *testing.T) {
	l := lab.New(t)
	source := lab.ByProxy(proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"),
		proxy.TrustPeers(lab.ProxyNet), proxy.TrustSecret("X-Proxy-Auth", "0123456789abcdef"))
	names := []string{"X-SSL-Client-Cert", "x-ssl-client-cert", "X_SSL_Client_Cert", "X.SSL.Client.Cert", "X-SSL_Client-Cert",
		"X~SSL~Client~Cert", "X!SSL!Client!Cert", "X-SSL-Client-Verify", "X_ssl_client_verify", "X-Proxy-Auth", "X_Proxy_Auth"}
	for _, from := range []string{lab.ProxyAddress, stranger} {
		make1 := func() *http.Request {
			r := l.Owner.Request("GET", "/", l.Bound())
			r.RemoteAddr = from
			r.Header.Set("X-Other", "stays")
			for _, n := range names {
				r.Header[n] = []string{"forged"}
			}
			if from == lab.ProxyAddress {
				for _, n := range names {
					delete(r.Header, n)
				}
				r.Header["X-Ssl-Client-Cert"] = []string{url.PathEscape(certPEM(l.Owner))}
				r.Header["X-Ssl-Client-Verify"] = []string{"SUCCESS"}
				r.Header["X-Proxy-Auth"] = []string{"0123456789abcdef"}
				r.Header["X_ssl_client_cert"] = []string{"forged"}
			}
			return r
		}
		look := lab.Tap(func(r *http.Request) {
			for n := range r.Header {
				if n != "Authorization" && n != "X-Other" {
					t.Errorf("from %s: %s reached the handler", from, n)
				}
			}
		})
		own := l.Guard(func(o *popauth.Options) { o.Certificate = source })
		r := make1()
		before := len(r.Header)
		lab.Send(lab.Chain(own.Authenticate, look, own.Confirm, look), r).Passed(t)
		if len(r.Header) != before {
			t.Errorf("from %s: the caller's header map was changed", from)
		}
		lab.Send(lab.Chain(popauth.ClientCertificate(source), look, l.Guard().Confirm, look), make1()).Passed(t)
	}
}

func certPEM(c *popauthtest.Client) string {
	b := base64.StdEncoding.EncodeToString(c.Certificate.Certificate[0])
	var lines []string
	for len(b) > 64 {
		lines, b = append(lines, b[:64]), b[64:]
	}
	return "-----BEGIN CERTIFICATE-----\n" + strings.Join(append(lines, b), "\n") + "\n-----END CERTIFICATE-----\n"
}

// A header that comes back between two stages is another certificate.
func TestForwardedHeaderThatComesBack(t *testing.T) {
	l := lab.New(t)
	g := l.Guard(func(o *popauth.Options) {
		o.Certificate = lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(lab.ProxyNet))
	})
	put := func(value string) func(http.Handler) http.Handler {
		return lab.Altered(func(r *http.Request) { r.Header.Set("Client-Cert", value) })
	}
	r := lab.ViaProxy(l.Bound(), "Client-Cert", lab.ClientCert(l.Owner))
	lab.Send(lab.Chain(g.Authenticate, put(lab.ClientCert(l.Thief)), g.Authenticate), r).Refused(t, 401, lab.InvalidToken)
	r = lab.ViaProxy(l.Bound(), "Client-Cert", lab.ClientCert(l.Owner))
	lab.Send(lab.Chain(g.Authenticate, put(lab.ClientCert(l.Owner)), g.Authenticate), r).Passed(t)
}

func TestForwardedCertificate(t *testing.T) {
	l := lab.New(t)
	source := lab.ByProxy(proxy.Nginx("X-Cert", "X-Verify"), proxy.TrustPeers(lab.ProxyNet))
	escaped := url.PathEscape(certPEM(l.Owner))
	for verdict, want := range map[string]popauth.VerifiedBy{"SUCCESS": popauth.VerifiedByProxy,
		"FAILED:self-signed certificate": popauth.NotVerified} {
		for range 2 {
			c, err := source.Certificate(lab.ViaProxy("", "X-Cert", escaped, "X-Verify", verdict))
			if err != nil || c == nil || c.Verified != want || c.Source != "nginx" || c.Thumbprint != l.Owner.Thumbprint() {
				t.Errorf("%s: got %+v, %v", verdict, c, err)
			}
		}
	}
	// What was remembered with a verdict does not stand in for a request without.
	if c, err := source.Certificate(lab.ViaProxy("", "X-Cert", escaped)); c != nil || !errors.Is(err, popauth.ErrCertificateMalformed) {
		t.Errorf("verdict removed: got %v, %v", c, err)
	}
	if c, err := source.Certificate(lab.ViaProxy("", "X-Cert", escaped, "X-Verify", "NONE")); c != nil ||
		!errors.Is(err, popauth.ErrCertificateMalformed) {
		t.Errorf("verdict NONE: got %v, %v", c, err)
	}
}

func TestTrustPeers(t *testing.T) {
	l := lab.New(t)
	source := func(prefix string) popauth.CertificateSource {
		return lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(netip.MustParsePrefix(prefix)))
	}
	trusted := func(s popauth.CertificateSource, r *http.Request) bool {
		c, err := s.Certificate(r)
		return err == nil && c != nil && c.Source == "rfc9440"
	}
	for _, tt := range []struct {
		prefix, remote string
		want           bool
	}{
		{"10.0.0.0/8", "10.1.2.3:99", true},
		{"10.0.0.0/8", "[::ffff:10.1.2.3]:99", true},
		{"10.0.0.0/8", "11.1.2.3:99", false},
		{"10.0.0.0/8", "10.1.2.3", false}, // as a handler that reads X-Forwarded-For writes it
		{"10.0.0.0/8", "", false},
		{"10.0.0.0/8", "@", false},
		{"10.0.0.0/8", "pipe", false},
		{"10.0.0.0/8", "10.1.2.3:http", false},
		{"10.0.0.0/8", "localhost:99", false},
		{"10.0.0.0/8", "127.0.0.1:99", false},
		{"fe80::/10", "[fe80::1]:99", true},
		{"fe80::/10", "[fe80::1%eth0]:99", false},
		{"::1/128", "[::1]:99", true},
	} {
		r := lab.ViaProxy("", "Client-Cert", lab.ClientCert(l.Owner))
		r.RemoteAddr = tt.remote
		if got := trusted(source(tt.prefix), r); got != tt.want {
			t.Errorf("%s from %q: trusted %t, want %t", tt.prefix, tt.remote, got, tt.want)
		}
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "True-Client-Ip", "Forwarded"} {
			r := lab.ViaProxy("", "Client-Cert", lab.ClientCert(l.Owner), name, "10.1.2.3")
			r.RemoteAddr = stranger
			if trusted(source("10.0.0.0/8"), r) {
				t.Errorf("%s opened the door", name)
			}
		}
	}
	// Where the connection's address was kept, nothing that is written later counts.
	kept := func(addr net.Addr) *http.Request {
		r := lab.ViaProxy("", "Client-Cert", lab.ClientCert(l.Owner))
		return r.WithContext(proxy.ConnContext(r.Context(), addressed{addr: addr}))
	}
	if trusted(source("10.0.0.0/8"), kept(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9})) {
		t.Error("a rewritten RemoteAddr opened the door")
	}
	if !trusted(source("192.0.2.0/24"), kept(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9})) {
		t.Error("the address that was kept did not count")
	}
	// A client on a unix socket chooses the name of its end.
	named := &net.UnixAddr{Name: "10.1.2.3:99"}
	onSocket := lab.ViaProxy("", "Client-Cert", lab.ClientCert(l.Owner))
	onSocket.RemoteAddr = named.Name
	onSocket = onSocket.WithContext(context.WithValue(onSocket.Context(), http.LocalAddrContextKey, named))
	if trusted(source("10.0.0.0/8"), kept(named)) || trusted(source("10.0.0.0/8"), onSocket) {
		t.Error("a socket's name opened the door")
	}
	zoned := &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 9, Zone: "eth0"}
	if trusted(source("fe80::/10"), kept(zoned)) {
		t.Error("a zoned address opened the door")
	}
}

type addressed struct {
	net.Conn
	addr net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.addr }

func TestTrustProxyTLS(t *testing.T) {
	l := lab.New(t)
	spiffe, err := url.Parse("spiffe://example.org/ingress")
	if err != nil {
		t.Fatal(err)
	}
	named := l.CA.Client("ingress", func(c *x509.Certificate) { c.URIs, c.DNSNames = []*url.URL{spiffe}, []string{"ingress.internal"} })
	leaf := named.Request("GET", "/", "").TLS.PeerCertificates[0]
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	pin := base64.StdEncoding.EncodeToString(sum[:])
	request := func(c *popauthtest.Client, verified bool) *http.Request {
		r := lab.ViaProxy("", "Client-Cert", lab.ClientCert(l.Owner))
		r.TLS = c.Request("GET", "/", "").TLS
		if verified {
			r.TLS.VerifiedChains = [][]*x509.Certificate{r.TLS.PeerCertificates}
		}
		return r
	}
	plain := request(named, true)
	plain.TLS = nil
	half := request(named, true)
	half.TLS.HandshakeComplete = false
	for _, tt := range []struct {
		name string
		id   proxy.Identity
		r    *http.Request
		want bool
	}{
		{"URI", proxy.Identity{URI: "spiffe://example.org/ingress", AnyAuthority: true}, request(named, true), true},
		{"URI, not verified", proxy.Identity{URI: "spiffe://example.org/ingress", AnyAuthority: true}, request(named, false), false},
		{"another URI", proxy.Identity{URI: "spiffe://example.org/ingress2", AnyAuthority: true}, request(named, true), false},
		{"DNS", proxy.Identity{DNS: "Ingress.internal", AnyAuthority: true}, request(named, true), true},
		{"DNS, not verified", proxy.Identity{DNS: "ingress.internal", AnyAuthority: true}, request(named, false), false},
		{"common name", proxy.Identity{DNS: "ingress", AnyAuthority: true}, request(named, true), false},
		{"key", proxy.Identity{Key: pin}, request(named, false), true},
		{"another key", proxy.Identity{Key: pin}, request(l.Thief, false), false},
		{"no TLS", proxy.Identity{Key: pin}, plain, false},
		{"handshake not complete", proxy.Identity{Key: pin}, half, false},
		{"no certificate", proxy.Identity{Key: pin}, request(nil, true), false},
	} {
		c, err := lab.ByProxy(proxy.RFC9440(), proxy.TrustProxyTLS(tt.id)).Certificate(tt.r)
		if got := c != nil && c.Source == "rfc9440"; got != tt.want || err != nil {
			t.Errorf("%s: trusted %t, %v, want %t", tt.name, got, err, tt.want)
		}
	}
}

func TestTrustSecret(t *testing.T) {
	l := lab.New(t)
	const old, current = "0123456789abcdef", "fedcba9876543210"
	alone := lab.ByProxy(proxy.RFC9440(), proxy.TrustSecret("X-Proxy-Auth", current, old))
	both := lab.ByProxy(proxy.RFC9440(), proxy.TrustSecret("X-Proxy-Auth", current, old), proxy.TrustPeers(lab.ProxyNet))
	for _, tt := range []struct {
		name        string
		secret      []string
		alone, both string // whose certificate, or the error
	}{
		{"current", []string{current}, "owner", "owner"},
		{"old", []string{old}, "owner", "owner"},
		{"none", nil, "thief", "refused"},
		{"wrong", []string{"0123456789abcdeF"}, "thief", "refused"},
		{"beginning", []string{current[:15]}, "thief", "refused"},
		{"more", []string{current + "0"}, "thief", "refused"},
		{"twice", []string{current, current}, "thief", "refused"},
		{"empty", []string{""}, "thief", "refused"},
	} {
		for i, source := range []popauth.CertificateSource{alone, both} {
			r := lab.ViaProxy("", "Client-Cert", lab.ClientCert(l.Owner))
			r.TLS = l.Thief.Request("GET", "/", "").TLS // the proxy's own, or a direct caller's
			for _, s := range tt.secret {
				r.Header.Add("X-Proxy-Auth", s)
			}
			c, err := source.Certificate(r)
			got := "refused"
			switch {
			case c != nil && c.Thumbprint == l.Owner.Thumbprint():
				got = "owner"
			case c != nil:
				got = "thief"
			case !errors.Is(err, popauth.ErrProxySecret):
				got = fmt.Sprint(err)
			}
			if want := []string{tt.alone, tt.both}[i]; got != want {
				t.Errorf("%s, %d: got %s, want %s", tt.name, i, got, want)
			}
		}
	}
	g := l.Guard(func(o *popauth.Options) { o.Certificate = both })
	lab.Send(g.Confirm, lab.ViaProxy(l.Bound(), "Client-Cert", lab.ClientCert(l.Owner))).Refused(t, 400, "")
}

// Rules that are given together must all hold.
func TestTrustTogether(t *testing.T) {
	l := lab.New(t)
	leaf := l.Thief.Request("GET", "/", "").TLS.PeerCertificates[0]
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	source := lab.ByProxy(proxy.RFC9440(), proxy.TrustPeers(lab.ProxyNet),
		proxy.TrustProxyTLS(proxy.Identity{Key: base64.StdEncoding.EncodeToString(sum[:])}))
	for _, tt := range []struct {
		from   string
		client *popauthtest.Client
		want   string
	}{
		{lab.ProxyAddress, l.Thief, l.Owner.Thumbprint()},
		{stranger, l.Thief, l.Thief.Thumbprint()},
		{lab.ProxyAddress, nil, ""},
	} {
		r := lab.ViaProxy("", "Client-Cert", lab.ClientCert(l.Owner))
		r.RemoteAddr, r.TLS = tt.from, tt.client.Request("GET", "/", "").TLS
		c, err := source.Certificate(r)
		got := ""
		if c != nil {
			got = c.Thumbprint
		}
		if got != tt.want || err != nil {
			t.Errorf("from %s: got %q, %v, want %q", tt.from, got, err, tt.want)
		}
	}
}

func TestForwardedConfiguration(t *testing.T) {
	peers := proxy.TrustPeers(lab.ProxyNet)
	secret := proxy.TrustSecret("X-Proxy-Auth", "0123456789abcdef")
	with := func(format proxy.Format, trust ...proxy.Trust) func() (popauth.CertificateSource, error) {
		return func() (popauth.CertificateSource, error) { return proxy.Certificate(format, trust...) }
	}
	for name, source := range map[string]func() (popauth.CertificateSource, error){
		"no rule":             with(proxy.RFC9440()),
		"zero rule":           with(proxy.RFC9440(), proxy.Trust{}),
		"zero format":         with(proxy.Format{}, peers),
		"header without name": with(proxy.Nginx("", "X-Verify"), peers),
		"no prefix":           with(proxy.RFC9440(), proxy.TrustPeers()),
		"everything":          with(proxy.RFC9440(), proxy.TrustPeers(netip.MustParsePrefix("0.0.0.0/0"))),
		"everything, IPv6":    with(proxy.RFC9440(), proxy.TrustPeers(lab.ProxyNet, netip.MustParsePrefix("::/0"))),
		"4-in-6":              with(proxy.RFC9440(), proxy.TrustPeers(netip.MustParsePrefix("::ffff:10.0.0.0/104"))),
		"invalid prefix":      with(proxy.RFC9440(), proxy.TrustPeers(netip.Prefix{})),
		"no identity":         with(proxy.RFC9440(), proxy.TrustProxyTLS()),
		"empty identity":      with(proxy.RFC9440(), proxy.TrustProxyTLS(proxy.Identity{})),
		"two in an identity":  with(proxy.RFC9440(), proxy.TrustProxyTLS(proxy.Identity{URI: "a:b", DNS: "c"})),
		"name of anybody":     with(proxy.RFC9440(), proxy.TrustProxyTLS(proxy.Identity{DNS: "proxy.internal"})),
		"URI of anybody":      with(proxy.RFC9440(), proxy.TrustProxyTLS(proxy.Identity{URI: "spiffe://example.org/proxy"})),
		"two authorities": with(proxy.RFC9440(),
			proxy.TrustProxyTLS(proxy.Identity{DNS: "a", Roots: popauthtest.NewCA(t).Pool(), AnyAuthority: true})),
		"empty Roots": with(proxy.RFC9440(), proxy.TrustProxyTLS(proxy.Identity{DNS: "a", Roots: x509.NewCertPool()})),
		"key with Roots": with(proxy.RFC9440(),
			proxy.TrustProxyTLS(proxy.Identity{Key: strings.Repeat("A", 43) + "=", Roots: popauthtest.NewCA(t).Pool()})),
		"key of anybody": with(proxy.RFC9440(),
			proxy.TrustProxyTLS(proxy.Identity{Key: strings.Repeat("A", 43) + "=", AnyAuthority: true})),
		"short key":            with(proxy.RFC9440(), proxy.TrustProxyTLS(proxy.Identity{Key: "AAAA"})),
		"no secret":            with(proxy.RFC9440(), proxy.TrustSecret("X-Proxy-Auth")),
		"empty secret":         with(proxy.RFC9440(), proxy.TrustSecret("X-Proxy-Auth", "")),
		"short secret":         with(proxy.RFC9440(), proxy.TrustSecret("X-Proxy-Auth", "0123456789abcde")),
		"secret in Connection": with(proxy.RFC9440(), proxy.TrustSecret("Connection", "0123456789abcdef")),
		"secret in Host":       with(proxy.RFC9440(), proxy.TrustSecret("host", "0123456789abcdef")),
		"three secrets": with(proxy.RFC9440(),
			proxy.TrustSecret("X-Proxy-Auth", strings.Repeat("a", 16), strings.Repeat("b", 16), strings.Repeat("c", 16))),
		"secret's header":      with(proxy.RFC9440(), proxy.TrustSecret("X_Proxy_Auth", "0123456789abcdef")),
		"one header, two uses": with(proxy.RFC9440(), peers, proxy.TrustSecret("Client-Cert", "0123456789abcdef")),
		"second rule bad":      with(proxy.RFC9440(), secret, proxy.TrustPeers()),
	} {
		if source, err := source(); source != nil || err == nil || !strings.HasPrefix(err.Error(), "proxy: ") {
			t.Errorf("%s: got %v, %v", name, source, err)
		}
	}
}

// A proxy on a unix socket, on a real listener: the peer's address is no more than "@".
func TestTrustUnixSocket(t *testing.T) {
	l := lab.New(t)
	g := l.Guard(func(o *popauth.Options) {
		o.Certificate = lab.ByProxy(proxy.RFC9440(), proxy.TrustUnixSocket())
	})
	serve := func(network, address string) string {
		listener, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: g.Confirm(&popauthtest.Spy{}), ConnContext: proxy.ConnContext} //nolint:gosec // no slow client here
		go func() { _ = server.Serve(listener) }()
		t.Cleanup(func() { _ = server.Close() })
		return listener.Addr().String()
	}
	socket := serve("unix", filepath.Join(t.TempDir(), "api.sock"))
	tcp := serve("tcp", "127.0.0.1:0")
	for _, tt := range []struct {
		network, address string
		want             int
	}{{"unix", socket, 200}, {"tcp", tcp, 401}} {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, tt.network, tt.address)
			}}}
		r, err := http.NewRequest("GET", "http://api.example.com/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+l.Bound())
		r.Header.Set("Client-Cert", lab.ClientCert(l.Owner))
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != tt.want {
			t.Errorf("%s: got %d, want %d", tt.network, answer.StatusCode, tt.want)
		}
	}
}

// The proxy's own certificate over real TLS, resumed sessions included.
func TestProxyOverTLS(t *testing.T) {
	l := lab.New(t)
	ingress := l.CA.Client("ingress", func(c *x509.Certificate) { c.DNSNames = []string{"ingress.internal"} })
	g := l.Guard(func(o *popauth.Options) {
		o.Certificate = lab.ByProxy(proxy.RFC9440(), proxy.TrustProxyTLS(proxy.Identity{DNS: "ingress.internal", Roots: l.CA.Pool()}))
	})
	server := popauthtest.NewServer(t, g.Confirm(&popauthtest.Spy{}), func(c *tls.Config) {
		c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, l.CA.Pool()
	})
	for _, tt := range []struct {
		name   string
		client *popauthtest.Client
		header string
		want   int
	}{
		{"the proxy for the owner", ingress, lab.ClientCert(l.Owner), 200},
		{"the proxy for a thief", ingress, lab.ClientCert(l.Thief), 401},
		{"the proxy for nobody", ingress, "", 401},
		{"the owner itself", l.Owner, "", 200},
		{"a thief with a certificate of the same authority, forging", l.CA.Client("other"), lab.ClientCert(l.Owner), 401},
		{"a thief without certificate, forging", nil, lab.ClientCert(l.Owner), 401},
	} {
		client := tt.client.HTTP(server)
		if tr, ok := client.Transport.(*http.Transport); ok {
			tr.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(2)
		}
		for range 2 {
			r, err := http.NewRequest("GET", server.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+l.Bound())
			if tt.header != "" {
				r.Header.Set("Client-Cert", tt.header)
			}
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != tt.want {
				t.Errorf("%s: got %d, want %d", tt.name, answer.StatusCode, tt.want)
			}
			client.CloseIdleConnections()
		}
	}
}
