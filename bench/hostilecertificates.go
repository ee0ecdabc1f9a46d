package bench

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// certificates are requests with certificates of which nobody looks at a chain.
func (s *stranger) certificates() []*Hostile {
	key := newEd25519(s.tb)
	name := subject(s.tb, "stranger")
	leaf := newMint(s.tb, client("stranger.example"), name, key.Public(), key)
	behindProxy := func() popauth.CertificateSource {
		source, err := proxy.Certificate(proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"),
			proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")))
		if err != nil {
			s.tb.Fatalf("%v", err)
		}
		return source
	}
	bound := s.f.token(s.f.issuer, "RS256", s.f.owner.Bound())
	large, garbage := strings.Repeat("A", 64<<10), url.QueryEscape(begin)+strings.Repeat("!", 16000)
	return []*Hostile{
		{
			Name: "wrong signature, another certificate each time", Status: 401, protect: s.guard(popauth.Options{}).Authenticate,
			request: func(n int) *http.Request { return connected(s.made(n), leaf.certificate(n)) },
		},
		{
			Name: "a client's token, another certificate each time", Status: 401, Genuine: true,
			protect: s.guard(popauth.Options{}).Authenticate,
			request: func(n int) *http.Request { return connected(bound, leaf.certificate(n)) },
		},
		{
			Name: "wrong signature, another forwarded certificate each time", Status: 401,
			protect: s.guard(popauth.Options{Certificate: behindProxy()}).Authenticate,
			request: func(n int) *http.Request { return proxied(s.made(n), inPEM(leaf.der(n))) },
		},
		{
			Name: "forwarded certificate of 64 KiB", Status: 431, protect: popauth.ClientCertificate(behindProxy()),
			request: func(n int) *http.Request { return proxied("", large+fmt.Sprint(n)) },
		},
		{
			Name: "forwarded certificate of 16 KiB of garbage", Status: 400, protect: popauth.ClientCertificate(behindProxy()),
			request: func(n int) *http.Request { return proxied("", garbage+fmt.Sprint(n)) },
		},
	}
}

const begin = "-----BEGIN CERTIFICATE-----\n"

// connected is a request over a connection of whoever has sent the certificates.
func connected(token string, sent ...*x509.Certificate) *http.Request {
	r := shows("Bearer", token)
	r.TLS.PeerCertificates = sent
	return r
}

// proxied is a request as nginx sends it on.
func proxied(token, header string) *http.Request {
	r := shows("Bearer", token)
	r.TLS = nil
	r.RemoteAddr = "127.0.0.1:41234"
	r.Header.Set("X-SSL-Client-Cert", header)
	r.Header.Set("X-SSL-Client-Verify", "SUCCESS")
	return r
}

func inPEM(der []byte) string {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return strings.ReplaceAll(url.QueryEscape(string(text)), "+", "%20")
}

// chains are requests whose certificates are held against roots. Before the handler of most stands no Guard, so that
// there is no token to look at first.
func (s *stranger) chains() []*Hostile {
	ca := popauthtest.NewCA(s.tb)
	roots := ca.Pool()
	verified := func() popauth.CertificateSource {
		source, err := clientcert.Verified(popauth.TLSCertificateAnyHost(), clientcert.Verification{Roots: roots})
		if err != nil {
			s.tb.Fatalf("bench: %v", err)
		}
		return source
	}
	alone := func(name string, sent func(n int) []*x509.Certificate) *Hostile {
		return &Hostile{
			Name: name + ", no Guard", Status: 403, protect: popauth.ClientCertificate(verified()),
			request: func(n int) *http.Request { return connected("", sent(n)...) },
		}
	}
	guarded := func(name string, token func(n int) string, status int, sent func(n int) []*x509.Certificate) *Hostile {
		return &Hostile{
			Name: name, Status: status, protect: s.guard(popauth.Options{Certificate: verified()}).Authenticate,
			request: func(n int) *http.Request { return connected(token(n), sent(n)...) },
		}
	}
	dear, named := s.dear(subject(s.tb, "nobody")), s.dear(ca.Certificate.RawSubject)
	genuine := s.f.token(s.f.issuer, "RS256", s.f.owner.Bound())
	rows := []*Hostile{
		alone("authorities of slow keys that name a root", named),
		guarded("a client's token, authorities of slow keys that name a root", func(int) string { return genuine }, 403, named),
	}
	for _, h := range rows {
		h.Why = "four signatures of intermediates by the root's key, of P-256 here, which is slower to verify by than RSA: honest ways " +
			"to a root need as many. It is found out once for each chain, and a chain needs a handshake. A Guard verifies the token " +
			"first, " +
			"so that it takes a genuine one"
	}
	rows[1].Genuine = true
	rows = append(rows, guarded("wrong signature, authorities of slow keys that name a root", s.made, 401, named))
	return append(rows,
		alone("chain of 39 intermediates", s.row(39)),
		alone("chain of 40 intermediates", s.row(40)),
		alone("RSA key of 16,384 bits", s.rsaKeys(16384, 0)),
		alone("intermediate with an RSA key of 16,384 bits", s.rsaKeys(0, 16384)),
		alone("intermediate with an RSA key of 90,400 bits", s.rsaKeys(0, 90400)),
		alone("600 names, 500 name constraints", s.names(600, 500)),
		alone("100 names, 20 name constraints", s.names(100, 20)),
		alone("authorities of slow keys that name nobody", dear),
	)
}

// row are so many authorities, each issued by the next.
func (s *stranger) row(n int) func(int) []*x509.Certificate {
	name := func(i int) []byte { return subject(s.tb, fmt.Sprint("authority ", i)) }
	key := newEd25519(s.tb)
	var chain []*x509.Certificate
	for i := range n {
		chain = append(chain, issued(s.tb, authority(), name(i), name(i+1), key.Public(), key))
	}
	return before(newMint(s.tb, client("stranger.example"), name(0), key.Public(), key), chain...)
}

// before returns chains that differ in their leaf.
func before(leaf *mint, chain ...*x509.Certificate) func(int) []*x509.Certificate {
	return func(n int) []*x509.Certificate { return append([]*x509.Certificate{leaf.certificate(n)}, chain...) }
}

// dear are authorities that make a search as dear as it can be: two with a key of P-521, one of P-384, one of P-256, all of
// one name, above one that has issued the leaf. They name somebody as theirs.
func (s *stranger) dear(above []byte) func(int) []*x509.Certificate {
	lower, upper := subject(s.tb, "lower"), subject(s.tb, "upper")
	key, large := newEd25519(s.tb), newECDSA(s.tb, elliptic.P521())
	by := newECDSA(s.tb, elliptic.P256()) // a signature that a root's key of P-256 has to look at as a whole
	twin := func(alias string, key any) *x509.Certificate {
		return issued(s.tb, authority(alias), upper, above, key, by)
	}
	return before(newMint(s.tb, client("stranger.example"), lower, key.Public(), key),
		issued(s.tb, authority(), lower, upper, key.Public(), large),
		twin("a.example", large.Public()), twin("b.example", large.Public()),
		twin("c.example", newECDSA(s.tb, elliptic.P384()).Public()), twin("d.example", newECDSA(s.tb, elliptic.P256()).Public()))
}

// rsaKeys are a leaf and an authority with RSA keys of so many bits; of another kind if zero.
func (s *stranger) rsaKeys(leaf, above int) func(int) []*x509.Certificate {
	key := newEd25519(s.tb)
	var public, upper any = key.Public(), key.Public()
	if leaf > 0 {
		public = modulus(leaf)
	}
	if above > 0 {
		upper = modulus(above)
	}
	name := subject(s.tb, "authority")
	return before(newMint(s.tb, client("stranger.example"), name, public, key),
		issued(s.tb, authority(), name, subject(s.tb, "nobody"), upper, key))
}

// names are a leaf with so many names below an authority with so many name constraints.
func (s *stranger) names(names, constraints int) func(int) []*x509.Certificate {
	key := newEd25519(s.tb)
	list := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("n%d.example", i))
		}
		return all
	}
	var excluded []string
	for i := range constraints {
		excluded = append(excluded, fmt.Sprintf("c%d.example", i))
	}
	limited := authority()
	limited.ExcludedDNSDomains = excluded
	name := subject(s.tb, "authority")
	return before(newMint(s.tb, client(list(names)...), name, key.Public(), key),
		issued(s.tb, limited, name, subject(s.tb, "nobody"), key.Public(), key))
}
