package proxy_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/proxy"
)

const ingressGateway = "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway"

func ExampleSite_Istio() {
	format := proxy.Envoy().WithHops("spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway")
	text, err := proxy.Site{
		Format: format, SecretHeader: "X-Proxy-Secret", Secret: "0123456789abcdef", // of the environment, in earnest
		Cluster: proxy.Cluster{
			Host: "api.example.com", Namespace: "shop", Service: "orders:8080", Certificate: "api-tls", Pods: "app=orders",
		},
	}.Istio()
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "mode: ") || strings.Contains(line, "details: ") || strings.Contains(line, "cluster.local/ns") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// #	proxy.Certificate(proxy.Envoy().WithHops("spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway"),
	// mode: OPTIONAL_MUTUAL
	// forward_client_cert_details: SANITIZE_SET
	// forward_client_cert_details: APPEND_FORWARD
	// mode: STRICT
	// - "cluster.local/ns/istio-system/sa/istio-ingressgateway"
}

func istioSite() proxy.Site {
	return proxy.Site{
		Format: proxy.Envoy().WithHops(ingressGateway), SecretHeader: "X-Secret", Secret: "0123456789abcdef",
		Cluster: proxy.Cluster{
			Host: "api.example.com", Namespace: "shop", Service: "orders:8080", Certificate: "api-tls", Pods: "app=orders",
		},
	}
}

func TestSiteIstioRefuses(t *testing.T) {
	if _, err := istioSite().Istio(); err != nil {
		t.Fatal(err)
	}
	hop := func(uris ...string) func(*proxy.Site) {
		return func(s *proxy.Site) { s.Format = proxy.Envoy().WithHops(uris...) }
	}
	for _, tt := range []struct {
		name   string
		change func(*proxy.Site)
		want   string
	}{
		{"a format of another proxy", func(s *proxy.Site) { s.Format = proxy.IngressNginx() }, "use proxy.Envoy with WithHops"},
		{"no gateway", func(s *proxy.Site) { s.Format = proxy.Envoy() }, "want the gateway alone"},
		{"two hops", hop(ingressGateway, "spiffe://cluster.local/ns/a/sa/b"), "want the gateway alone"},
		{"no SPIFFE ID", hop("https://cluster.local/ns/istio-system/sa/gateway"), "want the gateway alone"},
		{"another form of SPIFFE ID", hop("spiffe://cluster.local/gateway"), "want the gateway alone"},
		{"another path in a SPIFFE ID", hop("spiffe://cluster.local/ns/a/account/b"), "want the gateway alone"},
		{"a namespace for all", hop("spiffe://cluster.local/ns/*/sa/b"), "want the gateway alone"},
		{"an account for all", hop("spiffe://cluster.local/ns/a/sa/*"), "want the gateway alone"},
		{"a domain for all", hop("spiffe://*/ns/a/sa/b"), "want the gateway alone"},
		{"no label of the pods", func(s *proxy.Site) { s.Cluster.Pods = "" }, "Cluster.Pods"},
		{"a label without a value", func(s *proxy.Site) { s.Cluster.Pods = "app" }, "Cluster.Pods"},
		{"labels", func(s *proxy.Site) { s.Cluster.Pods = "app=orders,tier=web" }, "Cluster.Pods"},
		{"a label of two lines", func(s *proxy.Site) { s.Cluster.Gateway = "istio=a\nb" }, "Cluster.Gateway"},
		{"a class", func(s *proxy.Site) { s.Cluster.Class = "nginx" }, "leave them empty"},
		{"a Secret elsewhere", func(s *proxy.Site) { s.Cluster.Clients = "other/ca" }, "Cluster.Clients"},
		{"a file", func(s *proxy.Site) { s.Key = "/c/key" }, "set Cluster"},
		{"the secret under the certificate's name", func(s *proxy.Site) { s.SecretHeader = "x-forwarded-client-cert" }, "another use"},
		{"a host with a port", func(s *proxy.Site) { s.Cluster.Host = "api.example.com:443" }, "Cluster.Host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := istioSite()
			tt.change(&s)
			if text, err := s.Istio(); err == nil || !strings.Contains(err.Error(), tt.want) || text != "" {
				t.Errorf("got %q, %v, want an error with %q", text, err, tt.want)
			}
		})
	}
}

// Each object is of a published form, with published values.
func TestSiteIstioShape(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*proxy.Site)
		want   map[string]any // by the object and the path to it
	}{
		{name: "as it is", change: func(*proxy.Site) {}, want: map[string]any{
			"Gateway istio-system/orders spec selector istio":                            "ingressgateway",
			"VirtualService shop/orders spec http 0 headers request set X-Secret":        "0123456789abcdef",
			"VirtualService shop/orders spec http 0 route 0 destination host":            "orders.shop.svc.cluster.local",
			"VirtualService shop/orders spec http 0 retries attempts":                    0,
			"VirtualService shop/orders spec gateways 0":                                 "istio-system/orders",
			"EnvoyFilter shop/orders-sidecar spec workloadSelector labels app":           "orders",
			"PeerAuthentication shop/orders spec mtls mode":                              "STRICT",
			"AuthorizationPolicy shop/orders spec rules 0 from 0 source principals 0":    strings.TrimPrefix(ingressGateway, "spiffe://"),
			"Gateway istio-system/orders spec servers 0 tls mode":                        "OPTIONAL_MUTUAL",
			"Gateway istio-system/orders spec servers 0 tls credentialName":              "api-tls",
			"Gateway istio-system/orders spec servers 0 tls caCertCredentialName":        nil,
			"EnvoyFilter istio-system/orders-gateway spec configPatches 1 match context": "GATEWAY",
		}},
		{name: "another gateway", change: func(s *proxy.Site) {
			s.Format = proxy.Envoy().WithHops("spiffe://td.example/ns/edge/sa/gw")
			s.Cluster.Gateway, s.Cluster.Pods, s.Cluster.Clients = "example.com/gw=Edge_1", "app.kubernetes.io/name=o", "clients-ca"
		}, want: map[string]any{
			"Gateway edge/orders spec selector example.com/gw":                                    "Edge_1",
			"PeerAuthentication shop/orders spec selector matchLabels app.kubernetes.io/name":     "o",
			"AuthorizationPolicy shop/orders spec rules 0 from 0 source principals 0":             "td.example/ns/edge/sa/gw",
			"Gateway edge/orders spec servers 0 tls caCertCredentialName":                         "clients-ca",
			"EnvoyFilter edge/orders-gateway spec workloadSelector labels example.com/gw":         "Edge_1",
			"EnvoyFilter shop/orders-sidecar spec workloadSelector labels app.kubernetes.io/name": "o",
		}},
		{name: "no secret", change: func(s *proxy.Site) { s.SecretHeader, s.Secret = "", "" }, want: map[string]any{
			"VirtualService shop/orders spec http 0 headers request set": nil,
		}},
		{name: "commands in the secret", change: func(s *proxy.Site) { s.Secret = "%REQ(:path)% 100%x" }, want: map[string]any{
			"VirtualService shop/orders spec http 0 headers request set X-Secret": "%%REQ(:path)%% 100%%x",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := istioSite()
			tt.change(&s)
			text, err := s.Istio()
			if err != nil {
				t.Fatal(err)
			}
			all := objects(t, text, published(t, "istio.json"))
			if len(all) != 6 {
				t.Errorf("got %d objects, want 6", len(all))
			}
			for path, want := range tt.want {
				words := strings.Fields(path)
				if got := inside(all[words[0]+" "+words[1]], words[2:]); got != want {
					t.Errorf("%s: got %v, want %v", path, got, want)
				}
			}
		})
	}
}

// inside is under, through lists too.
func inside(value any, path []string) any {
	for _, name := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// What the pages have for the mesh's configuration is as published, too.
func TestMeshConfiguration(t *testing.T) {
	kinds := published(t, "istio.json")
	for page, tt := range map[string]struct {
		kind string
		path []string
	}{
		"../docs/proxies.md":     {"ProxyConfig", []string{"meshConfig", "defaultConfig"}},
		"../docs/forwardauth.md": {"ExtensionProvider", []string{"meshConfig", "extensionProviders", "0"}},
	} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		_, block, ok := strings.Cut(string(text), "```yaml\nmeshConfig:")
		block, _, ok2 := strings.Cut("meshConfig:"+block, "```")
		if !ok || !ok2 {
			t.Fatalf("%s has no such block", page)
		}
		documents, err := lab.YAML(block)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range kinds["mesh.istio.io/v1alpha1 "+tt.kind].problems(page, inside(documents[0], tt.path)) {
			t.Error(problem)
		}
	}
}

// Whatever the values are, the objects are the same, and Kubernetes reads the values as they are.
func FuzzSiteIstio(f *testing.F) {
	f.Add(`0123456789abcdef": x #'\`, "api.example.com", "app=orders", "cluster.local")
	f.Add(`0123456789abcdef%REQ(x)%`, "a.b", "a.b/c=d", "x")
	f.Fuzz(func(t *testing.T, secret, host, pods, domain string) {
		s := istioSite()
		s.Secret, s.Cluster.Host, s.Cluster.Pods = secret, host, pods
		s.Format = proxy.Envoy().WithHops("spiffe://" + domain + "/ns/a/sa/b")
		text, err := s.Istio()
		if err != nil {
			return
		}
		documents, err := lab.YAML(text)
		if err != nil || len(documents) != 6 {
			t.Fatalf("%v, %d documents in\n%s", err, len(documents), text)
		}
		want := strings.ReplaceAll(secret, "%", "%%")
		if got := inside(documents[1], strings.Fields("spec http 0 headers request set X-Secret")); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		key, value, _ := strings.Cut(pods, "=")
		if got := inside(documents[5], []string{"spec", "selector", "matchLabels", key}); got != value {
			t.Errorf("got %q, want %q", got, value)
		}
		principal := inside(documents[5], strings.Fields("spec rules 0 from 0 source principals 0"))
		if principal != domain+"/ns/a/sa/b" || strings.Contains(domain, "*") {
			t.Errorf("got %q", principal)
		}
	})
}
