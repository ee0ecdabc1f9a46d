package popauth

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/certname"
)

// A certificate is hashed for its connection, not for each request, and whatever else is different is found out anew.
func TestCertificateMemory(t *testing.T) {
	raw := make([]byte, 600)
	until := time.Now().Add(time.Hour)
	leaf := &x509.Certificate{Raw: raw, NotAfter: until}
	other := &x509.Certificate{Raw: append([]byte{1}, raw...), NotAfter: until}
	s := tlsSource{memory: newCertificateMemory()}
	ask := func(verified bool, sent ...*x509.Certificate) *Certificate {
		t.Helper()
		state := &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: sent}
		if verified {
			state.VerifiedChains = [][]*x509.Certificate{sent}
		}
		c, err := s.shared(&http.Request{TLS: state})
		if err != nil {
			t.Fatal(err)
		}
		if want := sha256.Sum256(sent[0].Raw); c.digest() != want || c.Thumbprint != certname.Thumbprint(want) ||
			c.Leaf != sent[0] || len(c.Intermediates) != len(sent)-1 || (c.at(time.Now()).Verified == VerifiedByTLS) != verified {
			t.Errorf("got %+v", c)
		}
		return c
	}
	first := ask(false, leaf)
	if ask(false, leaf) != first {
		t.Error("hashed again")
	}
	ask(true, leaf)
	ask(false, leaf, other)
	ask(false, other)
	ask(false, other, leaf)
	raw[7] ^= 1 // nobody should, but then it is another certificate
	ask(false, leaf)
	leaf.Raw = append([]byte(nil), raw[1:]...)
	ask(false, leaf)
	if got := first.digest(); got != sha256.Sum256(leaf.Raw) {
		t.Error("the hash of what the certificate was")
	}

	large := &x509.Certificate{Raw: make([]byte, maxKeptChain)}
	if c := ask(false, large, leaf); ask(false, large, leaf) != c {
		t.Error("a large chain is hashed again")
	}
	for range 100 {
		ask(false, &x509.Certificate{Raw: make([]byte, maxKeptChain+1)})
	}
	for i := range s.memory.small {
		if k := s.memory.small[i].Load(); k != nil && k.handshake.size() > maxKeptChain {
			t.Error("a large chain takes a place of a small one")
		}
	}
	for range 10 * len(s.memory.small) {
		ask(false, &x509.Certificate{Raw: raw})
	}
}
