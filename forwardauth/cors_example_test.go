package forwardauth_test

import (
	"fmt"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/proxy"
)

// exampleSite is that of an API whose tokens are bound to keys, so that no proxy reports certificates.
func exampleSite(headers forwardauth.Headers) forwardauth.Site {
	secret := "0123456789abcdef" // of the environment, in earnest
	peer, err := proxy.Trusted(proxy.TrustSecret("X-Proxy-Secret", secret))
	if err != nil {
		panic(err)
	}
	endpoint, err := forwardauth.New(forwardauth.Options{
		Guard: popauth.Options{
			Issuer:     "https://id.example.com",
			Audience:   []string{"https://api.example.com"},
			TokenTypes: []string{"at+jwt"},
			Confirmers: []popauth.Confirmer{proofs(dpop.Options{BaseURL: "https://api.example.com"})},
		},
		Headers: headers,
		Proxy:   peer,
	})
	if err != nil {
		panic(err)
	}
	return forwardauth.Site{
		Endpoint: endpoint, Secret: secret,
		Routes: []forwardauth.Route{{Path: "/orders", Handler: endpoint.Authorize(popauth.Bound())}},
	}
}

// Pages of one origin may ask the API: the proxy answers their preflights, which have no token.
func ExampleCORS() {
	site := exampleSite(forwardauth.Nginx())
	site.Listen, site.Certificate, site.Key = "443", "/etc/ssl/server.crt", "/etc/ssl/server.key"
	site.API, site.Service = []string{"127.0.0.1:8080"}, []string{"127.0.0.1:9090"}
	site.CORS = &forwardauth.CORS{
		Origins: []string{"https://app.example.com"},
		Methods: []string{"GET", "POST"},
		Headers: []string{"Content-Type"},
	}
	text, err := site.Nginx()
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "app.example.com") || strings.Contains(line, "Allow-Methods") || strings.Contains(line, "Allow-Headers") {
			fmt.Println(strings.TrimSpace(line))
		}
	}

	site.CORS.Origins = []string{"*"} // any page, with whoever's token it has
	_, err = site.Nginx()
	fmt.Println(err)
	// Output:
	// "~^https://app\\.example\\.com$" "https://app.example.com";
	// add_header Access-Control-Allow-Methods "GET, POST";
	// add_header Access-Control-Allow-Headers "Authorization, DPoP, Content-Type";
	// forwardauth: Site.CORS.Origins: got "*", want https:// and a host in lower case
}

// The manifests of an API in Kubernetes whose tokens are bound to keys: one ConfigMap and one Ingress.
func ExampleIngress() {
	site := exampleSite(forwardauth.IngressNginx())
	site.Service = []string{"auth.shop.svc.cluster.local:80"}
	text, err := site.IngressNginx(forwardauth.Ingress{
		Namespace: "shop", Name: "orders", Host: "api.example.com", Certificate: "api-tls", API: "orders", Port: 80,
	})
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "kind:") || strings.Contains(line, "auth-url:") || strings.Contains(line, "- host:") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// kind: ConfigMap
	// kind: Ingress
	// nginx.ingress.kubernetes.io/auth-url: http://auth.shop.svc.cluster.local:80/auth
	// - host: "api.example.com"
}
