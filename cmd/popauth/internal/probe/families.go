package probe

import "github.com/seed-171ab058/popauth/proxy"

// family are the forms in which one kind of proxy reports a client's certificate.
type family struct {
	name, title, section string
	formats              []proxy.Format
}

// families are the proxies whose formats are known, and the headers that they usually have.
func families() []family {
	return []family{
		{"header-client-cert", "Client-Cert, as byte sequence, and as written by hand", "RFC 9440, section 4",
			[]proxy.Format{proxy.RFC9440(), proxy.RFC9440Template()}},
		{"header-envoy", "Envoy and Istio: X-Forwarded-Client-Cert", ofAProxy, []proxy.Format{proxy.Envoy()}},
		{"header-nginx", "nginx: X-SSL-Client-Cert and others", ofAProxy, []proxy.Format{
			proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"), proxy.Nginx("X-Client-Cert", "X-Client-Verify"),
			proxy.Nginx("X-SSL-Cert", "X-SSL-Verify"), proxy.Nginx("X-Client-Certificate", "X-Client-Certificate-Verify")}},
		{"header-ingress-nginx", "ingress-nginx: ssl-client-cert", ofAProxy, []proxy.Format{proxy.IngressNginx()}},
		{"header-apache", "Apache: SSL_CLIENT_CERT and others", ofAProxy, []proxy.Format{
			proxy.Apache("X-SSL-Client-Cert", "X-SSL-Client-Verify"), proxy.Apache("SSL-Client-Cert", "SSL-Client-Verify")}},
		{"header-haproxy", "HAProxy: X-SSL-Client-Cert in DER", ofAProxy, []proxy.Format{
			proxy.HAProxy("X-SSL-Client-Cert", "X-SSL-Client-Verify"), proxy.HAProxy("X-SSL-Client-DER", "X-SSL-Client-Verify")}},
		{"header-caddy", "Caddy: X-SSL-Client-Cert and others", ofAProxy, []proxy.Format{
			proxy.Caddy("X-SSL-Client-Cert"), proxy.Caddy("X-Client-Cert"), proxy.Caddy("X-Client-Certificate")}},
		{"header-traefik", "Traefik: X-Forwarded-Tls-Client-Cert", ofAProxy, []proxy.Format{proxy.Traefik()}},
		{"header-aws", "load balancers of AWS: X-Amzn-Mtls-Clientcert", ofAProxy,
			[]proxy.Format{proxy.AWSALBVerify(), proxy.AWSALBPassthrough()}},
		{"header-google", "load balancers of Google Cloud: X-Client-Cert-Leaf", ofAProxy,
			[]proxy.Format{proxy.GoogleCloud(proxy.GoogleCloudHeaders{})}},
		{"header-azure", "App Service and IIS: X-ARR-ClientCert", ofAProxy, []proxy.Format{proxy.AzureAppService(), proxy.IISARR()}},
		{"header-cloudflare", "Cloudflare: Cf-Client-Cert-Der-Base64", ofAProxy,
			[]proxy.Format{proxy.Cloudflare(), proxy.CloudflareLegacy()}},
		{"header-kong", "Kong: X-Client-Cert", ofAProxy, []proxy.Format{proxy.Kong()}},
		{"header-cloudfoundry", "the routers of Cloud Foundry: X-Forwarded-Client-Cert", ofAProxy, []proxy.Format{proxy.CloudFoundry()}},
	}
}
