package proxy_test

import (
	"fmt"
	"net/http/httptest"
	"net/netip"

	"github.com/seed-171ab058/popauth/proxy"
)

// Who is the proxy: an address and a secret, both of which have to fit.
func ExampleTrusted() {
	var trust []proxy.Trust
	trust = append(trust, proxy.TrustPeers(netip.MustParsePrefix("10.0.4.7/32")))
	trust = append(trust, proxy.TrustSecret("X-Proxy-Secret", "0123456789abcdef"))
	if _, err := proxy.Trusted(trust...); err != nil {
		panic(err)
	}
	_, err := proxy.Trusted()
	fmt.Println(err != nil)
	// Output: true
}

// The URL that the client has asked for, from the headers of a proxy, and of nobody else.
func ExampleURL() {
	url, err := proxy.URL(proxy.URLHeaders{Scheme: "X-Forwarded-Proto", Host: "X-Forwarded-Host"},
		proxy.TrustPeers(netip.MustParsePrefix("10.0.4.7/32")))
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest("GET", "http://10.0.4.8/orders", nil)
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("X-Forwarded-Host", "api.example.com")
	r.RemoteAddr = "10.0.4.7:40000"
	fmt.Println(url(r))
	// Output: https://api.example.com/orders
}

// A proxy in Go that passes on what it has verified, and removes what clients send under the same names.
func ExampleNewSender() {
	sender, err := proxy.NewSender(proxy.SenderOptions{SecretHeader: "X-Proxy-Secret", Secret: "0123456789abcdef"})
	if err != nil {
		panic(err)
	}
	_ = sender.Rewrite // of an httputil.ReverseProxy
	_, err = proxy.NewSender(proxy.SenderOptions{SecretHeader: "X-Proxy-Secret"})
	fmt.Println(err != nil)
	// Output: true
}
