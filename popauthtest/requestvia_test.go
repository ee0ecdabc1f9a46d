package popauthtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// An API behind a proxy is tested without one: the request is as the proxy sends it, and nobody else's headers count.
func ExampleClient_RequestVia() {
	t := &program{} // in a test, its *testing.T
	defer t.close()

	issuer := popauthtest.NewIssuer(t)
	owner, thief := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief")
	format := proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify")
	options := issuer.Options()
	var err error
	if options.Certificate, err = proxy.Certificate(format, proxy.TrustPeers(netip.MustParsePrefix("10.0.4.7/32"))); err != nil {
		panic(err)
	}
	guard, err := popauth.New(options)
	if err != nil {
		panic(err)
	}
	orders := guard.Confirm(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	token := issuer.Token(owner.Bound())
	for _, r := range []*http.Request{
		owner.RequestVia(format, "10.0.4.7:41234", "GET", "/orders", token),
		thief.RequestVia(format, "10.0.4.7:41234", "GET", "/orders", token),
		(*popauthtest.Client)(nil).RequestVia(format, "10.0.4.7:41234", "GET", "/orders", token),
		owner.RequestVia(format, "203.0.113.9:41234", "GET", "/orders", token), // past the proxy
	} {
		w := httptest.NewRecorder()
		orders.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 401
	// 401
	// 401
}
