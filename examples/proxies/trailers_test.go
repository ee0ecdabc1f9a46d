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
					before := l.spy.Ran()
					status, err := l.askTrailing(t, tt.as, head, lines.String())
					if got := l.judge(reply{status: status}, err, before); got != tt.want {
						t.Errorf("%s, announced %t: got %s, want %s", tt.name, head != "", got, tt.want)
					}
				}
			}
		})
	}
}

// askTrailing sends a request of the owner's token with a body, and lines behind it.
func (l *lane) askTrailing(t *testing.T, as *tls.Certificate, head, lines string) (status int, err error) {
	t.Helper()
	config := &tls.Config{
		ServerName: "localhost", RootCAs: l.authority.Pool(), MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
	}
	if as != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return as, nil }
	}
	conn, err := tls.Dial("tcp", l.front.Address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "POST /orders HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", host(conn), l.token(l.owner))
	_, _ = io.WriteString(conn, head+"Transfer-Encoding: chunked\r\n\r\n")
	_, _ = io.WriteString(conn, "5\r\nhello\r\n0\r\n"+lines+"\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}
