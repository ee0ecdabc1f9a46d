package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/proxy"
)

// The server writes a trailer that nobody has announced into its own request when the body is read, be it by a policy.
func TestTrailerBehindABodyThatAPolicyReads(t *testing.T) {
	l := lab.New(t)
	const secret = "0123456789abcdef"
	source := func(prefix string) popauth.CertificateSource {
		peers := proxy.TrustPeers(netip.MustParsePrefix(prefix))
		return lab.ByProxy(proxy.RFC9440(), peers, proxy.TrustSecret("X-Proxy-Secret", secret))
	}
	// A stranger's request has no managed header, so that it is the server's own that a policy sees.
	for name, prefix := range map[string]string{"the proxy": "127.0.0.0/8", "a stranger": "10.0.0.0/8"} {
		brought := ""
		if name == "the proxy" {
			brought = "X-Proxy-Secret: " + secret + "\r\n"
		}
		for _, announced := range []string{"", "Trailer: Client-Cert, X-Proxy-Secret\r\n", "Trailer: Digest\r\n"} {
			var seen []http.Header
			read := popauth.PolicyFunc(func(r *http.Request, _ *popauth.Principal) error {
				b, err := io.ReadAll(r.Body)
				seen = append(seen, r.Trailer)
				r.Body = io.NopCloser(strings.NewReader(string(b)))
				return err
			})
			g := l.Guard(func(o *popauth.Options) { o.Certificate = source(prefix) })
			s := httptest.NewServer(g.Authorize(read)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				seen = append(seen, r.Trailer)
			})))
			c, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = fmt.Fprintf(c, "POST /x HTTP/1.1\r\nHost: api\r\n%s%sAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n"+
				"2\r\nhi\r\n0\r\nClient-Cert: :AAAA:\r\nX-Proxy-Secret: %[4]s\r\nDigest: x\r\n\r\n", announced, brought, l.Unbound(),
				secret)
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != 200 || len(seen) != 2 {
				t.Errorf("%s, %q: got %d, %d looks", name, announced, answer.StatusCode, len(seen))
			}
			for i, h := range seen {
				if h["Client-Cert"] != nil || h["X-Proxy-Secret"] != nil {
					t.Errorf("%s, %q, look %d: got %v, want none of the managed names", name, announced, i, h)
				}
			}
			_ = c.Close()
			s.Close()
		}
	}
}
