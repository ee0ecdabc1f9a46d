package popauth_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// clientCert is the value of Client-Cert for a client.
func clientCert(c *popauthtest.Client) string {
	return ":" + base64.StdEncoding.EncodeToString(c.Certificate.Certificate[0]) + ":"
}

var proxyNet = netip.MustParsePrefix("10.0.0.0/8")

// viaProxy is a request as the proxy makes it: from its address, over a connection of its own, with headers.
func viaProxy(token string, header ...string) *http.Request {
	r := httptest.NewRequest("GET", "/orders", http.NoBody)
	r.RemoteAddr = proxyAddress
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// bothWays sends a request through a Guard with the source of its own, and through one inside ClientCertificate.
func bothWays(t *testing.T, l *lab, source popauth.CertificateSource, r func() *http.Request, judge func(testing.TB, outcome)) {
	t.Helper()
	own := l.guard(func(o *popauth.Options) { o.Certificate = source })
	judge(t, send(chain(own.Authenticate, own.Confirm, own.Authorize(popauth.Scope("orders.read"))), r()))
	judge(t, send(chain(popauth.ClientCertificate(source), l.guard().Confirm), r()))
}

func passes(tb testing.TB, o outcome) { tb.Helper(); o.passed(tb) }

func unauthorized(tb testing.TB, o outcome) { tb.Helper(); o.refused(tb, 401, invalidToken) }

var proxyAddress = "10.0.4.7:41234"
