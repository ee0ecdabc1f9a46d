package proxies_test

import (
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// certificates is how many TestRandomNames sends.
const certificates = 1200

// A certificate is its bytes, whatever its names are: none of them confuses a proxy's quoting or the reading of its header. Each
// owner passes, and the token of the one before doesn't.
func TestRandomNames(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	n := certificates
	if testing.Short() {
		n = 60
	}
	seed := rand.Uint64()
	t.Logf("%d certificates, seed %d", n, seed)
	r := rand.New(rand.NewPCG(seed, 0))
	clients, tokens := make([]*popauthtest.Client, n), make([]string, n)
	for i := range clients {
		clients[i] = c.authority.Client("x", func(x *x509.Certificate) { lab.Names(r, x) })
		tokens[i] = c.token(clients[i])
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			l := newLane(t, c, k, "")
			want := "200 verified"
			if len(k.names) == 1 || k.format.Name() == "rfc9440" { // has no verdict
				want = "200"
			}
			for i, client := range clients {
				w := ways[i%len(ways)]
				own, other := l.pair(w, client, tokens[i], tokens[(i+1)%n])
				if own != want || other != "401" {
					t.Errorf("%s: got %s, with another's token %s, want %s and 401: %x", client.Certificate.Leaf.Subject, own, other, want,
						client.Certificate.Certificate[0])
				}
			}
		})
	}
}

// pair makes a request with each of two tokens, over HTTP/1.1 on one connection.
func (l *lane) pair(w way, as *popauthtest.Client, tokens ...string) (first, second string) {
	config := l.config(way{"http/1.1", w.version}, as)
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", l.front.Address, config)
	if err != nil {
		return err.Error(), ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var got [2]string
	for i, token := range tokens {
		before := l.spy.Ran()
		r, err := exchange1(conn, []field{{"Authorization", "Bearer " + token}})
		got[i] = l.judge(r, err, before)
	}
	return got[0], got[1]
}
