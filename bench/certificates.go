package bench

import (
	"encoding/pem"
	"log"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// remembered is the number of certificates that a proxy.Certificate remembers.
const remembered = 512

// CertificateRace measures how the certificate that nginx forwards is read, beside a token's signature: one seen before,
// and as many in turn that each is forgotten before its next one.
func (f *Fixture) CertificateRace(algorithm string, cycles int) ([]Sample, error) {
	raw, err := f.raw(algorithm, f.Tokens(algorithm, Rotation))
	if err != nil {
		return nil, err
	}
	source := func() popauth.CertificateSource {
		source, err := proxy.Certificate(proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"),
			proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")), proxy.TrustSecret("X-Proxy-Secret", "0123456789abcdef"))
		if err != nil {
			log.Panic(err)
		}
		return source
	}
	ca := popauthtest.NewCA(&Program{})
	var requests []*http.Request
	for range 2 * remembered {
		requests = append(requests, behindNginx(ca.Client("client")))
	}
	read := func(s popauth.CertificateSource) func(*http.Request) {
		return func(r *http.Request) {
			if c, err := s.Certificate(r); err != nil || c == nil {
				log.Panicf("certificate: %v, %v", c, err)
			}
		}
	}
	return Pairs([]Contender{
		{Name: rawName, Run: raw},
		{Name: "certificate seen before", Run: rotate(requests[:1], read(source()))},
		{Name: "certificate not seen before", Run: rotate(requests, read(source()))},
	}, cycles), nil
}

// behindNginx is a request as nginx sends it on.
func behindNginx(client *popauthtest.Client) *http.Request {
	r := request(nil, "Bearer", "token")
	r.TLS = nil
	r.RemoteAddr = "127.0.0.1:41234"
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: client.Certificate.Certificate[0]})
	r.Header.Set("X-SSL-Client-Cert", strings.ReplaceAll(url.QueryEscape(string(text)), "+", "%20"))
	r.Header.Set("X-SSL-Client-Verify", "SUCCESS")
	r.Header.Set("X-Proxy-Secret", "0123456789abcdef")
	return r
}
