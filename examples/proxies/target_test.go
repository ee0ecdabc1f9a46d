package proxies_test

import (
	"crypto/tls"
	"testing"
)

// A target that is neither a path nor an absolute URL with one: Caddy by itself takes foo:http:/a://b apart, and sends on
// another target than it was asked for.
func TestTargets(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			l := newLane(t, c, k, "")
			config := &tls.Config{
				ServerName: "localhost", RootCAs: c.authority.Pool(), MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.owner.Certificate, nil },
			}
			for _, target := range []string{
				"foo:http:/orders/x://x/close", "foo:x://b/orders", "foo:orders", "foo:http://evil.example/orders", "orders",
			} {
				conn, err := tls.Dial("tcp", l.front.Address, config)
				if err != nil {
					t.Fatal(err)
				}
				before := l.spy.Ran()
				r, err := exchangeFor(conn, target, []field{{"Authorization", "Bearer " + c.token(c.owner)}, {"Connection", "close"}})
				if got := l.judge(r, err, before); got != "400" && got != "closed" || l.spy.Ran() != before {
					t.Errorf("%s: got %s, want 400", target, got)
				}
				conn.Close()
			}
		})
	}
}
