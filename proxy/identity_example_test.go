package proxy_test

import (
	"crypto/x509"
	"fmt"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// exampleTB stands for the *testing.T of a test.
type exampleTB struct{}

func (exampleTB) Helper()                           {}
func (exampleTB) Cleanup(func())                    {}
func (exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// The proxy is who has a certificate with its name, of the authority for proxies. Another authority's word counts for nothing, even
// where the server takes its certificates from callers that come directly.
func ExampleIdentity() {
	t := exampleTB{} // in a test, its *testing.T
	mesh, customers := popauthtest.NewCA(t), popauthtest.NewCA(t)
	trusted, err := proxy.Trusted(proxy.TrustProxyTLS(proxy.Identity{DNS: "proxy.internal", Roots: mesh.Pool()}))
	if err != nil {
		panic(err)
	}
	name := func(c *x509.Certificate) { c.DNSNames = []string{"proxy.internal"} }
	for _, peer := range []*popauthtest.Client{mesh.Client("proxy", name), mesh.Client("orders"), customers.Client("proxy", name)} {
		fmt.Println(trusted.Check(peer.Request("GET", "https://api.example.com/orders", "")) == nil)
	}

	_, err = proxy.Trusted(proxy.TrustProxyTLS(proxy.Identity{DNS: "proxy.internal"}))
	fmt.Println(err)
	// Output:
	// true
	// false
	// false
	// proxy: Trusted: TrustProxyTLS: URI and DNS need Roots: the authorities that may give the proxy its name
}
