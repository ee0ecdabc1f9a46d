package proxies_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// nginx logs an alert with each session that finds no room in its cache. A client certificate is in the session, and some
// are as large as this one: so many callers must fit.
func TestNginxSessionCache(t *testing.T) {
	const callers = 800
	need(t, "nginx")
	c := newCast(t)
	large := c.authority.Client("large", func(x *x509.Certificate) {
		for n := range 60 {
			x.DNSNames = append(x.DNSNames, fmt.Sprintf("device-%d.example.com", n))
		}
	})
	log := filepath.Join(t.TempDir(), "log")
	l := &lane{cast: c, kind: kinds[0]}
	// Nobody is behind it: the handshake is all.
	l.start(t, "127.0.0.1:1", "error_log "+log+" notice;\n"+file(l.kind))
	config := &tls.Config{
		ServerName: "localhost", RootCAs: c.authority.Pool(), MinVersion: tls.VersionTLS12,
		Certificates: []tls.Certificate{large.Certificate},
	}
	var done atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for done.Add(1) <= callers {
				conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.front.Address, config)
				if err != nil {
					t.Errorf("handshake: %v", err)
					return
				}
				_ = conn.Close()
			}
		})
	}
	all.Wait()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(text), "could not allocate new session"); got > 0 {
		t.Errorf("%d of %d sessions found no room", got, callers)
	}
	if strings.Contains(string(text), "[alert]") {
		t.Errorf("alerts in the log:\n%.2000s", text)
	}
}
