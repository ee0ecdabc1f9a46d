package proxies_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// folded is a name as CGI and its heirs read it.
func folded(name string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' && c < 'a' || c > 'z' {
			return '-'
		}
		return c
	}, strings.ToLower(name))
}

// An API that isn't of Go takes other characters in a name for hyphens: it must not find a client's certificate, secret, path or
// method under such a name.
func TestForeignNames(t *testing.T) {
	need(t, "caddy")
	c := newCast(t)
	for _, k := range kinds {
		if k.proxy != "caddy" && k.proxy != "traefik" {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan http.Header, 1)
			api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }))
			t.Cleanup(api.Close)
			front, err := proxies.Start(k.proxy, proxies.Settings{
				Program: k.program(t), API: api.Listener.Addr().String(), Secret: secret, Server: c.authority.Server(), Clients: c.clients,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(front.Stop)
			managed := append([]string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL",
				"X-Proxy-Secret"}, k.names...)
			for _, as := range []*popauthtest.Client{nil, c.owner} {
				for _, separator := range "-!#$%&'*+.^_`|~" {
					var sent []field
					for _, name := range managed {
						first := strings.Replace(name, "-", string(separator), 1)
						at := strings.LastIndex(name, "-")
						last := name[:at] + string(separator) + name[at+1:]
						all := strings.ReplaceAll(name, "-", string(separator))
						for _, spelled := range []string{first, last, all, strings.ToLower(all), strings.ToUpper(all)} {
							sent = append(sent, field{spelled, "evil"})
						}
					}
					for name, values := range throughTo(t, c, front.Address, as, sent, seen) {
						if slices.ContainsFunc(managed, func(m string) bool { return folded(m) == folded(name) }) &&
							slices.Contains(values, "evil") {
							t.Errorf("VULNERABLE: certificate %t: the API sees a client's %s", as != nil, name)
						}
					}
				}
			}
		})
	}
}

// throughTo sends fields through a proxy, and returns what the API has received.
func throughTo(t *testing.T, c *cast, address string, as *popauthtest.Client, fields []field, seen <-chan http.Header) http.Header {
	t.Helper()
	config := &tls.Config{ServerName: "localhost", RootCAs: c.authority.Pool(), MinVersion: tls.VersionTLS12}
	if as != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &as.Certificate, nil }
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := exchange1(conn, fields); err != nil {
		t.Fatal(err)
	}
	select {
	case h := <-seen:
		return h
	default:
		t.Fatal("the API has seen nothing")
		return nil
	}
}
