package proxies_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A trailer is a header that comes behind the body, announced or not. What it says of certificate, secret or method reaches no
// handler.
func TestTrailers(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			l := newLane(t, c, k, "")
			var names, lines strings.Builder
			for _, f := range l.forged() {
				fmt.Fprintf(&names, "%s,", f.name)
				fmt.Fprintf(&lines, "%s: %s\r\n", f.name, f.value)
			}
			announced := "Trailer: " + strings.TrimSuffix(names.String(), ",") + "\r\n"
			for _, tt := range []struct {
				name string
				as   *tls.Certificate
				want string
			}{
				{"no certificate", nil, "401"},
				{"another certificate", &c.thief.Certificate, "401"},
				{"the owner", &c.owner.Certificate, "200"},
			} {
				for _, head := range []string{"", announced} {
					config := &tls.Config{
						ServerName: "localhost", RootCAs: c.authority.Pool(), MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
					}
					if tt.as != nil {
						config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return tt.as, nil }
					}
					conn, err := tls.Dial("tcp", l.front.Address, config)
					if err != nil {
						t.Fatal(err)
					}
					before := l.spy.Ran()
					_, _ = fmt.Fprintf(conn, "POST /orders HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n%sTransfer-Encoding: chunked\r\n\r\n"+
						"5\r\nhello\r\n0\r\n%s\r\n", host(conn), c.token(c.owner), head, lines.String())
					answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
					r := reply{}
					if err == nil {
						_, _ = io.Copy(io.Discard, answer.Body)
						r.status = answer.StatusCode
					}
					conn.Close()
					if got := l.judge(r, err, before); got != tt.want {
						t.Errorf("%s, announced %t: got %s, want %s", tt.name, head != "", got, tt.want)
					}
				}
			}
		})
	}
}
