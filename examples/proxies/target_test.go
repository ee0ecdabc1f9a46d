package proxies_test

import (
	"crypto/tls"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/lab"
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

// requestLines is how many TestRandomTargets sends.
const requestLines = 500

// A proof opens one path at most, however the request line is written: that of the proof, as its client reads it. The proxy may put
// a path in order, and the API's own router does; then the proof, which names another one, is refused.
func TestRandomTargets(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	n := requestLines
	if testing.Short() {
		n = 50
	}
	seed := rand.Uint64()
	t.Logf("%d targets, seed %d", n, seed)
	r := rand.New(rand.NewPCG(seed, 0))
	targets := []string{"/orders/a", "/orders/b?c=/admin", "/orders/%C3%BC"}
	for len(targets) < n {
		targets = append(targets, lab.Target(r))
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			d := newDPoPLane(t, c, k)
			var arrived atomic.Value
			d.spy.Next = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived.Store(r.URL.Path) })
			if got := d.raw(t, "/orders", ""); got != "401 nonce_required" {
				t.Fatalf("without a nonce: got %s, want 401 nonce_required", got)
			}
			passed := 0
			for i, target := range targets {
				arrived.Store("")
				own := d.raw(t, target, d.base+withoutQuery(target))
				path := arrived.Load().(string)
				switch read, err := normalized(d.base + target); {
				case strings.Contains(own, "HANDLER"):
					t.Errorf("%q: got %s", target, own)
				case own == "200" && (err != nil || read != path):
					t.Errorf("VULNERABLE: %q, whose client reads %q, %v: the handler ran for %q", target, read, err, path)
				case own == "200":
					passed++
				case i < 3:
					t.Errorf("%q: got %s, want 200", target, own)
				}
				arrived.Store("")
				stolen := d.raw(t, target, d.base+"/orders/stolen")
				if path := arrived.Load().(string); path != "" && path != "/orders/stolen" || strings.Contains(stolen, "HANDLER") {
					t.Errorf("VULNERABLE: %q with a proof for /orders/stolen: got %s, the handler ran for %q", target, stolen, path)
				}
			}
			t.Logf("%d of %d passed with a proof for them", passed, len(targets))
		})
	}
}

// normalized is the path of a URL, as RFC 3986, sections 6.2.2 and 6.2.3, has it: of equivalent URLs it is the same.
func normalized(raw string) (string, error) {
	if i := strings.IndexAny(raw, "?#"); i >= 0 {
		raw = raw[:i]
	}
	u, err := url.Parse(strings.NewReplacer("%2e", ".", "%2E", ".").Replace(raw))
	if err != nil {
		return "", err
	}
	if u = u.ResolveReference(&url.URL{Path: u.Path, RawPath: u.RawPath}); u.Path == "" {
		return "/", nil
	}
	return u.Path, nil
}

func withoutQuery(target string) string {
	path, _, _ := strings.Cut(target, "?")
	return path
}

// raw sends a request line as it is, with a proof for a URL, or one without a nonce if that is empty.
func (d *dpopLane) raw(t *testing.T, target, proofFor string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", d.front.Address, d.config(way{"http/1.1", tls.VersionTLS13}, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	proof := d.key.Proof("GET", d.base+"/orders", d.token)
	if proofFor != "" {
		proof = d.proof(proofFor)
	}
	before := d.spy.Ran()
	answer, err := exchangeRaw(conn, target, []field{{"Authorization", "DPoP " + d.token}, {"DPoP", proof}, {"Connection", "close"}})
	if err != nil {
		return d.judge(reply{}, err, before)
	}
	if n := answer.Header.Get("DPoP-Nonce"); n != "" {
		d.nonce = n
	}
	outcome := d.judge(reply{status: answer.StatusCode}, nil, before)
	if code, _ := d.reason.Swap("").(string); code != "" {
		outcome += " " + code
	}
	return outcome
}
