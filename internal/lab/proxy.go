package lab

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// ClientCert is the value of Client-Cert for a client.
func ClientCert(c *popauthtest.Client) string {
	return ":" + base64.StdEncoding.EncodeToString(c.Certificate.Certificate[0]) + ":"
}

var ProxyNet = netip.MustParsePrefix("10.0.0.0/8")

// ViaProxy is a request as the proxy makes it: from its address, over a connection of its own, with headers.
func ViaProxy(token string, header ...string) *http.Request {
	r := httptest.NewRequest("GET", "/orders", http.NoBody)
	r.RemoteAddr = ProxyAddress
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// BothWays sends a request through a Guard with the source of its own, and through one inside ClientCertificate.
func BothWays(t *testing.T, l *Lab, source popauth.CertificateSource, r func() *http.Request, judge func(testing.TB, Outcome)) {
	t.Helper()
	own := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	judge(t, Send(Chain(own.Authenticate, own.Confirm, own.Authorize(popauth.Scope("orders.read"))), r()))
	judge(t, Send(Chain(popauth.ClientCertificate(source), l.Guard().Confirm), r()))
}

func Passes(tb testing.TB, o Outcome) { tb.Helper(); o.Passed(tb) }

func Unauthorized(tb testing.TB, o Outcome) { tb.Helper(); o.Refused(tb, 401, InvalidToken) }

var ProxyAddress = "10.0.4.7:41234"
