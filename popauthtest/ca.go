package popauthtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"slices"
	"time"
)

// CA is a certificate authority. Its certificates are valid from an hour ago for a day, by the real clock: a TLS
// handshake looks at no other.
//
// Wherever a certificate is issued, configure may edit it before it is signed: Subject, NotAfter, URIs, ExtKeyUsage
// and whatever else crypto/x509 signs.
type CA struct {
	Certificate *x509.Certificate
	Key         crypto.Signer // of Certificate; signs revocation lists and whatever this package doesn't issue

	chain [][]byte // what has to accompany a certificate on its way to the root, in DER; the root is left out
	tb    TB
}

// NewCA makes a root authority with a P-256 key.
func NewCA(tb TB, configure ...func(*x509.Certificate)) *CA {
	tb.Helper()
	key := newKeyP256(tb)
	cert := issue(tb, authority("popauthtest CA", configure), nil, key.Public(), key)
	return &CA{Certificate: cert, Key: key, tb: tb}
}

// Intermediate makes an authority that is certified by this one, and whose clients and servers send its certificate
// along with theirs.
func (c *CA) Intermediate(name string, configure ...func(*x509.Certificate)) *CA {
	c.tb.Helper()
	key := newKeyP256(c.tb)
	cert := issue(c.tb, authority(name, configure), c.Certificate, key.Public(), c.Key)
	return &CA{Certificate: cert, Key: key, chain: slices.Insert(slices.Clone(c.chain), 0, cert.Raw), tb: c.tb}
}

// Pool is a new pool that trusts this authority and no other.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.Certificate)
	return pool
}

// PEM is the authority's certificate as proxies and curl --cacert read it.
func (c *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate.Raw})
}

// Client makes a client whose certificate this authority has issued: name is the subject's common name, the key is
// P-256, the extended key usage client authentication.
func (c *CA) Client(name string, configure ...func(*x509.Certificate)) *Client {
	c.tb.Helper()
	return c.ClientFor(newKeyP256(c.tb), name, configure...)
}

// ClientFor is Client with a key that the test brings: of another kind, or one that had a certificate before.
func (c *CA) ClientFor(key crypto.Signer, name string, configure ...func(*x509.Certificate)) *Client {
	c.tb.Helper()
	cert := issue(c.tb, leaf(name, configure), c.Certificate, key.Public(), c.Key)
	return &Client{Certificate: c.pair(cert, key), tb: c.tb}
}

// Server issues a certificate for a server on loopback (127.0.0.1, ::1, localhost) and for the names given, hosts or
// IP addresses.
func (c *CA) Server(names ...string) tls.Certificate {
	c.tb.Helper()
	key := newKeyP256(c.tb)
	cert := leaf("localhost", nil)
	cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range append([]string{"localhost", "127.0.0.1", "::1"}, names...) {
		if ip := net.ParseIP(name); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, name)
		}
	}
	return c.pair(issue(c.tb, cert, c.Certificate, key.Public(), c.Key), key)
}

func (c *CA) pair(cert *x509.Certificate, key crypto.Signer) tls.Certificate {
	return tls.Certificate{
		Certificate: append([][]byte{cert.Raw}, c.chain...),
		PrivateKey:  key,
		Leaf:        cert,
	}
}

// SelfSigned makes a client whose certificate nobody but itself vouches for; apart from that it is like one of
// [CA.Client].
func SelfSigned(tb TB, name string, configure ...func(*x509.Certificate)) *Client {
	tb.Helper()
	return SelfSignedFor(tb, newKeyP256(tb), name, configure...)
}

// SelfSignedFor is SelfSigned with a key that the test brings: of another kind, or one that had a certificate before.
func SelfSignedFor(tb TB, key crypto.Signer, name string, configure ...func(*x509.Certificate)) *Client {
	tb.Helper()
	cert := issue(tb, leaf(name, configure), nil, key.Public(), key)
	return &Client{
		Certificate: tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert},
		tb:          tb,
	}
}

func leaf(name string, configure []func(*x509.Certificate)) *x509.Certificate {
	now := time.Now()
	cert := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	for _, f := range configure {
		f(cert)
	}
	return cert
}

func authority(name string, configure []func(*x509.Certificate)) *x509.Certificate {
	cert := leaf(name, nil)
	cert.IsCA = true
	cert.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	cert.ExtKeyUsage = nil
	for _, f := range configure {
		f(cert)
	}
	return cert
}

// issue signs cert with the key of parent, or with its own key where parent is nil.
func issue(tb TB, cert, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	tb.Helper()
	if parent == nil {
		parent = cert
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, public, signer)
	if err != nil {
		tb.Fatalf("popauthtest: certificate of %q: %v", cert.Subject.CommonName, err)
	}
	issued, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatalf("popauthtest: certificate of %q: %v", cert.Subject.CommonName, err)
	}
	return issued
}

func newKeyP256(tb TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("popauthtest: key: %v", err)
	}
	return key
}
