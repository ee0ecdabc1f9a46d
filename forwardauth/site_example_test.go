package forwardauth_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/proxy"
)

// An API in any language behind nginx: the service and nginx.conf are of one Site.
func ExampleSite() {
	secret := "0123456789abcdef" // of the environment, in earnest
	format := proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify")
	trust := []proxy.Trust{
		proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")), proxy.TrustSecret("X-Proxy-Secret", secret),
	}
	peer, err := proxy.Trusted(trust...)
	if err != nil {
		panic(err)
	}
	source, err := proxy.Certificate(format, trust...)
	if err != nil {
		panic(err)
	}
	endpoint, err := forwardauth.New(forwardauth.Options{
		Guard: popauth.Options{
			Issuer:      "https://id.example.com",
			Audience:    []string{"https://api.example.com"},
			TokenTypes:  []string{"at+jwt"},
			Certificate: source,
			Confirmers:  []popauth.Confirmer{popauth.MutualTLS{}, proofs(dpop.Options{BaseURL: "https://api.example.com"})},
		},
		Headers: forwardauth.Nginx(),
		Proxy:   peer,
		Claims:  map[string]string{"X-Auth-Tenant": "tenant"},
	})
	if err != nil {
		panic(err)
	}
	site := forwardauth.Site{
		Endpoint: endpoint, Format: format, Secret: secret,
		Routes: []forwardauth.Route{
			{Path: "/orders", Handler: endpoint.Authorize(popauth.Bound(), popauth.Scope("orders.read"))},
			{Path: "/orders/admin", Handler: endpoint.Authorize(popauth.Bound(), popauth.Scope("orders.admin"))},
		},
		Listen: "443", API: []string{"127.0.0.1:8080"}, Service: []string{"127.0.0.1:9090"},
		Certificate: "/etc/ssl/server.crt", Key: "/etc/ssl/server.key", Clients: "/etc/ssl/clients-ca.crt",
	}
	service, err := site.Handler()
	if err != nil {
		panic(err)
	}
	server := &http.Server{Addr: site.Service[0], Handler: service, ConnContext: proxy.ConnContext, ReadHeaderTimeout: 10 * time.Second}
	_ = server.ListenAndServe // in a goroutine of its own

	text, err := site.Nginx() // for the file that nginx includes
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "_tenant;") || strings.Contains(line, "/orders") && strings.Contains(line, "~*") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// "~*^/orders/admin(/|$)" 1;
	// "~*^/orders(/|$)" 1;
	// auth_request_set $said_x_auth_tenant $upstream_http_x_auth_tenant;
	// proxy_set_header X-Auth-Tenant $said_x_auth_tenant;
}
