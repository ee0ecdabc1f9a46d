package pages_test

import (
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

func behindNginx(secret string, orders http.Handler) *http.Server {
	logger := slog.New(slog.DiscardHandler)
	source, err := proxy.Certificate(
		proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"), // what it sends
		proxy.TrustPeers(netip.MustParsePrefix("10.0.4.7/32")),  // from where, and
		proxy.TrustSecret("X-Proxy-Secret", secret))             // with what
	if err != nil {
		log.Fatal(err)
	}
	guard, err := popauth.New(popauth.Options{
		Issuer:      "https://id.example.com",
		Audience:    []string{"https://api.example.com"},
		Certificate: source,
		Logger:      logger, // says why a request was refused
	})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		Handler:           popauth.RequestLine{Logger: logger}.Handler(guard.Confirm(orders)),
		ConnContext:       proxy.ConnContext,
	}
	return server
}

func sending(secret string, api *url.URL) http.Handler {
	sender, err := proxy.NewSender(proxy.SenderOptions{SecretHeader: "X-Gateway-Secret", Secret: secret})
	if err != nil {
		log.Fatal(err)
	}
	gateway := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(api)
		sender.Rewrite(r)
	}}
	return gateway
}

func onIngress(secret string) (string, error) {
	site := proxy.Site{
		Format: proxy.IngressNginx(), SecretHeader: "X-Proxy-Secret", Secret: secret,
		Cluster: proxy.Cluster{
			Host: "api.example.com", Namespace: "shop", Service: "orders:8080",
			Certificate: "api-tls", Clients: "clients-ca", // Secrets in Namespace
		},
	}
	text, err := site.IngressNginx() // for kubectl apply
	return text, err
}

func onIstio(secret string) (string, popauth.CertificateSource, error) {
	format := proxy.Envoy().WithHops("spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway")
	site := proxy.Site{
		Format: format, SecretHeader: "X-Proxy-Secret", Secret: secret,
		Cluster: proxy.Cluster{
			Host: "api.example.com", Namespace: "shop", Service: "orders:8080", Pods: "app=orders",
			Certificate: "api-tls", // a Secret in the gateway's namespace
		},
	}
	text, err := site.Istio() // for kubectl apply
	if err != nil {
		log.Fatal(err)
	}
	source, err := proxy.Certificate(format,
		proxy.TrustPeers(netip.MustParsePrefix("127.0.0.6/32")), // the sidecar
		proxy.TrustSecret("X-Proxy-Secret", secret))
	return text, source, err
}

func asSent(api *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(api) // a URL without a path
		p.Out.URL.RawPath = popauth.SentPath(p.In)
	}}
	return proxy
}

func aroundRouter(router http.Handler) *http.Server {
	logger := slog.New(slog.DiscardHandler)
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		Handler:           popauth.RequestLine{Logger: logger}.Handler(router),
	}
	return server
}

// What docs/proxies.md has for a cluster is written, and its source is one.
func TestCluster(t *testing.T) {
	const secret = "sixteen-bytes-and-more"
	if text, err := onIngress(secret); err != nil || text == "" {
		t.Error(err)
	}
	if text, source, err := onIstio(secret); err != nil || text == "" || source == nil {
		t.Error(err)
	}
}

// What docs/proxies.md and docs/routers.md have runs no handler without a token.
func TestProxies(t *testing.T) {
	spy := &popauthtest.Spy{}
	server := aroundRouter(behindNginx("sixteen-bytes-and-more", spy).Handler)
	w := httptest.NewRecorder()
	server.Handler.ServeHTTP(w, (*popauthtest.Client)(nil).Request("GET", "/orders", ""))
	if w.Code != http.StatusUnauthorized || spy.Ran() != 0 {
		t.Errorf("got %d, ran %d times, want 401", w.Code, spy.Ran())
	}
	api := &url.URL{Scheme: "https", Host: "api.example.com"}
	if sending("sixteen-bytes-and-more", api) == nil || asSent(api) == nil {
		t.Error("got no gateway")
	}
}

func behindIstio() proxy.Format {
	format := proxy.Envoy().WithHops("spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway")
	return format
}

func TestHops(t *testing.T) {
	if err := behindIstio().Validate(); err != nil {
		t.Error(err)
	}
}
