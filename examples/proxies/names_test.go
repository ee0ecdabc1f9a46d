package proxies_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"testing"
	"time"

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
		clients[i] = c.authority.Client("x", func(x *x509.Certificate) { randomNames(r, x) })
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

// attributes are the types that subjects have, and one that no program knows.
var attributes = []asn1.ObjectIdentifier{
	{2, 5, 4, 3}, {2, 5, 4, 5}, {2, 5, 4, 10}, {2, 5, 4, 11}, {2, 5, 4, 97}, {0, 9, 2342, 19200300, 100, 1, 1},
	{1, 2, 840, 113549, 1, 9, 1}, {1, 2, 3, 4, 5},
}

// randomText has what means something in a header, in a quoted string, in XFCC or in a configuration.
func randomText(r *rand.Rand) string {
	alphabet := []rune(`ab1,,;;="":<>#/\ '%&{}$()[]|` + "üß中😀\n\r\t\x00\x01\u2028")
	var text []rune
	for range 1 + r.IntN(12) {
		text = append(text, alphabet[r.IntN(len(alphabet))])
	}
	return string(text)
}

func randomNames(r *rand.Rand, x *x509.Certificate) {
	x.Subject = pkix.Name{}
	for range r.IntN(5) {
		oid := attributes[r.IntN(len(attributes))]
		x.Subject.ExtraNames = append(x.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: oid, Value: randomText(r)})
	}
	for range r.IntN(3) {
		label := []string{"*", "xn--mnchen-3ya", "_srv"}[r.IntN(3)]
		x.DNSNames = append(x.DNSNames, fmt.Sprintf("%s.%d.example", label, r.IntN(1000)))
	}
	for range r.IntN(3) {
		x.URIs = append(x.URIs, &url.URL{Scheme: "spiffe", Host: "td.example", Path: "/" + randomText(r)})
	}
	if r.IntN(3) == 0 {
		x.EmailAddresses = []string{`"a;b,c=\"` + fmt.Sprint(r.IntN(1000)) + `"@example.com`}
	}
	if r.IntN(3) == 0 {
		x.IPAddresses = []net.IP{net.IPv4(192, 0, 2, byte(r.IntN(256)))}
	}
	if len(x.Subject.ExtraNames) == 0 && r.IntN(2) == 0 {
		x.Subject.CommonName = "Hash=00;Cert=\"x\",By=spiffe://td.example/gateway"
	}
}
