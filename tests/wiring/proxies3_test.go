package wiring_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// A proxy3 is a proxy that speaks HTTP/3 with its callers.
type proxy3 struct {
	name     string
	wheel    counterpart.Wheel
	format   proxy.Format
	settings func() proxies.Settings
	lines    func(der []byte) http.Header // what it sends for a certificate
}

var proxies3 = []proxy3{
	{
		name: "caddy", wheel: counterpart.Caddy(), format: proxy.Caddy("X-SSL-Client-Cert"),
		settings: func() proxies.Settings { return proxies.Settings{HTTP3: true} },
		lines: func(der []byte) http.Header {
			return http.Header{"x-ssl-client-cert": {base64.StdEncoding.EncodeToString(der)}}
		},
	},
	{
		name: "traefik", wheel: counterpart.Traefik(), format: proxy.Traefik(),
		settings: func() proxies.Settings {
			static := proxies.Configuration("traefik-static.yaml")
			address := "    address: \"${LISTEN}\"\n"
			return proxies.Settings{Static: strings.Replace(static, address, address+"    http3: {}\n", 1)}
		},
		lines: func(der []byte) http.Header {
			return http.Header{"x-forwarded-tls-client-cert": {base64.StdEncoding.EncodeToString(der)}}
		},
	},
	{
		name: "envoy", wheel: counterpart.Envoy(), format: proxy.Envoy(),
		settings: func() proxies.Settings {
			return proxies.Settings{Configuration: quicEnvoy(proxies.Configuration("envoy.yaml"))}
		},
		lines: func(der []byte) http.Header {
			text := url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
			return http.Header{"x-forwarded-client-cert": {
				fmt.Sprintf(`Hash=%x;Cert="%s"`, sha256.Sum256(der), strings.ReplaceAll(text, "+", "%20")),
			}}
		},
	},
}

// quicEnvoy adds a second listener to the shipped file, by UDP: the same with QUIC in place of TCP and TLS.
func quicEnvoy(text string) string {
	before, rest, _ := strings.Cut(text, "  - name: https\n")
	listener, after, _ := strings.Cut(rest, "  clusters:\n")
	lines := strings.Split(strings.TrimSuffix(listener, "\n"), "\n")
	var udp []string
	for _, line := range lines {
		switch {
		case strings.Contains(line, "address: { socket_address: {"):
			line = strings.Replace(line, "socket_address: {", "socket_address: { protocol: UDP,", 1) +
				"\n    udp_listener_config: { quic_options: {} }"
		case strings.Contains(line, "v3.DownstreamTlsContext"):
			line = "          \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport\n" +
				"          downstream_tls_context:"
		case strings.Contains(line, "name: tls"):
			line = strings.Replace(line, "name: tls", "name: quic", 1)
		case strings.Contains(line, "alpn_protocols"):
			line = strings.Replace(line, "[h2, http/1.1]", "[h3]", 1)
		case strings.Contains(line, "stat_prefix: https"):
			line = strings.Replace(line, "stat_prefix: https", "stat_prefix: http3\n          codec_type: HTTP3", 1)
		}
		udp = append(udp, line)
	}
	// What is of the TLS context is one level deeper there.
	quic := strings.Join(udp, "\n")
	head, tail, _ := strings.Cut(quic, "downstream_tls_context:\n")
	context, filters, _ := strings.Cut(tail, "      filters:\n")
	context = "  " + strings.ReplaceAll(strings.TrimSuffix(context, "\n"), "\n", "\n  ")
	quic = head + "downstream_tls_context:\n" + context + "\n      filters:\n" + filters
	return before + "  - name: https\n" + listener + "  - name: http3\n" + quic + "\n  clusters:\n" + after
}

// Over HTTP/3 the shipped files let in whom they let in over HTTP/1.1 and 2: the owner, on a new connection and a resumed one, and
// nobody else.
func TestProxiesHTTP3(t *testing.T) {
	issuer, ca, key := popauthtest.NewIssuer(t), popauthtest.NewCA(t), popauthtest.NewProofKey(t, "")
	owner, thief, nobody := ca.Client("owner"), ca.Client("thief"), &popauthtest.Client{}
	expired := ca.Client("expired", func(x *x509.Certificate) {
		x.NotBefore, x.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	})
	selfSigned := popauthtest.SelfSigned(t, "self-signed")
	for _, p := range proxies3 {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			f := newFront3(t, p, issuer, ca)
			token, bound := issuer.Token(owner.Bound()), issuer.Token(key.Bound())
			forged := p.lines(owner.Certificate.Certificate[0])
			forged["x-proxy-secret"] = []string{"guessed, and wrong"}
			for _, tt := range []struct {
				name   string
				as     *popauthtest.Client
				header func() http.Header
				want   int
			}{
				{"the owner", owner, bearer(token), 200},
				{"no certificate", nobody, bearer(token), 401},
				{"another certificate", thief, bearer(token), 401},
				{"no certificate, forged headers", nobody, bearer(token, forged), 401},
				{"another certificate, forged headers", thief, bearer(token, forged), 401},
				{"no certificate, each forged line twice", nobody, bearer(token, forged, forged), 401},
				{"no certificate, forged with _", nobody, bearer(token, spelled(forged, "_")), 401},
				{"no certificate, forged with .", nobody, bearer(token, spelled(forged, ".")), 401},
				{"no certificate, forged with ~", nobody, bearer(token, spelled(forged, "~")), 401},
				{"the owner, forged lines as well", owner, bearer(token, forged), 200},
				{"a self-signed certificate", selfSigned, bearer(issuer.Token(selfSigned.Bound())), 200},
				{"an expired certificate", expired, bearer(issuer.Token(expired.Bound())), 200},
				{"the owner of a key", nobody, func() http.Header { return proven(key, bound, f.base) }, 200},
				{"the token of the key, without a proof", nobody, bearer(bound), 401},
				{"the same, with a proof for another URL", nobody, func() http.Header { return proven(key, bound, f.base+"x") }, 401},
			} {
				f.twice(t, tt.name, tt.as, tt.header, tt.want)
			}
		})
	}
}

func bearer(token string, more ...http.Header) func() http.Header {
	return func() http.Header {
		h := http.Header{"Authorization": {"Bearer " + token}}
		for _, m := range more {
			for name, values := range m {
				h[name] = append(h[name], values...)
			}
		}
		return h
	}
}

func proven(key *popauthtest.ProofKey, token, target string) http.Header {
	return http.Header{"Authorization": {"DPoP " + token}, "Dpop": {key.Proof("GET", target, token)}}
}

func spelled(h http.Header, hyphen string) http.Header {
	other := http.Header{}
	for name, values := range h {
		other[strings.ReplaceAll(name, "-", hyphen)] = values
	}
	return other
}

// A front3 is a proxy with an API behind it.
type front3 struct {
	base, address string // of the proxy, as a URL of the API and by address
	ca            *popauthtest.CA
	spy           *popauthtest.Spy
}

func newFront3(t *testing.T, p proxy3, issuer *popauthtest.Issuer, ca *popauthtest.CA) *front3 {
	t.Helper()
	f := &front3{ca: ca, spy: &popauthtest.Spy{}}
	handler := make(chan http.Handler, 1) // known once the proxy listens
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := <-handler
		handler <- h
		h.ServeHTTP(w, r)
	}))
	api.Config.ConnContext = proxy.ConnContext
	api.Start()
	t.Cleanup(api.Close)

	const secret = "the secret of proxy and API"
	settings := p.settings()
	settings.Program, settings.API, settings.Secret = p.wheel.Path(t), api.Listener.Addr().String(), secret
	settings.Server, settings.Clients = ca.Server(), ca.PEM()
	front, err := proxies.Start(p.name, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(front.Stop)
	f.address = front.Address
	origin := "https://" + strings.Replace(front.Address, "127.0.0.1", "localhost", 1)
	f.base = origin + "/orders"

	source, err := proxy.Certificate(p.format, proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")),
		proxy.TrustSecret("X-Proxy-Secret", secret))
	if err != nil {
		t.Fatal(err)
	}
	proofs, err := dpop.New(dpop.Options{BaseURL: origin})
	if err != nil {
		t.Fatal(err)
	}
	o := issuer.Options()
	o.Certificate, o.Confirmers = source, []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	handler <- guard.Confirm(f.spy)
	return f
}

// twice makes a request on a new connection and on one that resumes its session, if the proxy does that.
func (f *front3) twice(t *testing.T, name string, as *popauthtest.Client, header func() http.Header, want int) {
	t.Helper()
	config := &tls.Config{RootCAs: f.ca.Pool(), ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	if len(as.Certificate.Certificate) > 0 {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &as.Certificate, nil }
	}
	for _, connection := range []string{"new", "second"} {
		tr := &http3.Transport{
			TLSClientConfig: config,
			Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
				return quic.DialAddr(ctx, f.address, t, q)
			},
		}
		before := f.spy.Ran()
		got, err := ask3(tr, f.base, header())
		if ran := f.spy.Ran() - before; err != nil || got != want || (ran == 1) != (want == 200) || ran > 1 {
			t.Errorf("%s, %s connection: got %d, %v, the handler ran %d times, want %d", name, connection, got, err, ran, want)
		}
		_ = tr.Close()
	}
}

func ask3(tr *http3.Transport, target string, header http.Header) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return 0, err
	}
	r.Header = header
	answer, err := tr.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}
