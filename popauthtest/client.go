package popauthtest

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
)

// Client is the caller of an API, with its certificate. The zero Client and the nil one have none: the thief who has
// nothing but the token.
type Client struct {
	// Certificate is what the client presents: leaf first, with the key. It may be one from elsewhere.
	Certificate tls.Certificate

	tb TB // nil: nothing is closed but by the server
}

// Thumbprint is the x5t#S256 of the certificate: the SHA-256 of its DER in base64url (RFC 8705, section 3.1). It is
// empty without a certificate.
func (c *Client) Thumbprint() string {
	if !c.hasCertificate() {
		return ""
	}
	sum := sha256.Sum256(c.Certificate.Certificate[0])
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Bound is the claim that binds a token to the certificate: {"cnf": {"x5t#S256": …}}. It is empty without a
// certificate, and the token unbound.
func (c *Client) Bound() Claims {
	if !c.hasCertificate() {
		return Claims{}
	}
	return Claims{"cnf": Claims{"x5t#S256": c.Thumbprint()}}
}

// Request returns a request as a handler gets it from a TLS server that has asked for a certificate and verified
// nothing (tls.RequestClientCert): TLS has PeerCertificates and no VerifiedChains. The token is sent under the Bearer
// scheme; without one ("") there is no Authorization header. Target is a path or a URL. Request panics if target is
// malformed, or a Certificate from elsewhere is.
func (c *Client) Request(method, target, token string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.TLS = &tls.ConnectionState{
		Version:            tls.VersionTLS13,
		CipherSuite:        tls.TLS_AES_128_GCM_SHA256,
		HandshakeComplete:  true,
		NegotiatedProtocol: "http/1.1",
		ServerName:         r.URL.Hostname(),
		PeerCertificates:   c.certificates(),
	}
	if r.TLS.ServerName == "" {
		r.TLS.ServerName = r.Host
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// RequestVia is [Client.Request] as the API gets it from a proxy at that address, which has ended the client's TLS: without TLS, and
// with the headers by which the proxy reports the client's certificate, or that there is none. The format is one of package proxy,
// such as proxy.Envoy(). It panics as well if the format can't be encoded. A secret of the proxy's is for the test to set.
func (c *Client) RequestVia(format interface {
	Encode(der []byte) (http.Header, error)
}, peer, method, target, token string) *http.Request {
	var der []byte
	if c.hasCertificate() {
		der = c.Certificate.Certificate[0]
	}
	sent, err := format.Encode(der)
	if err != nil {
		panic("popauthtest: RequestVia: " + err.Error())
	}
	r := c.Request(method, target, token)
	r.TLS, r.RemoteAddr = nil, peer
	maps.Copy(r.Header, sent)
	return r
}

// HTTP returns an HTTP client that presents the certificate whenever server asks for one, and trusts the certificate
// of server alone. It speaks HTTP/2 where the server does, else HTTP/1.1. Its Transport is an *http.Transport of its
// own. Its connections are closed when the test ends, those of a zero Client when the server is closed.
func (c *Client) HTTP(server *httptest.Server) *http.Client {
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if cert := server.Certificate(); cert != nil {
		config.RootCAs.AddCert(cert)
	}
	if c.hasCertificate() {
		// Through tls.Config.Certificates, one that the server's list of authorities doesn't cover would stay at home.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &c.Certificate, nil
		}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	if c != nil && c.tb != nil {
		c.tb.Cleanup(transport.CloseIdleConnections)
	}
	return &http.Client{Transport: transport}
}

// WritePEM writes the certificate, with its intermediates, and the key to files in dir, as curl --cert and --key read
// them. The files are named for the subject's common name.
func (c *Client) WritePEM(dir string) (certFile, keyFile string, err error) {
	if !c.hasCertificate() {
		return "", "", errors.New("popauthtest: no certificate to write")
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.Certificate.PrivateKey)
	if err != nil {
		return "", "", err
	}
	var chain bytes.Buffer
	for _, der := range c.Certificate.Certificate {
		if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return "", "", err
		}
	}
	base := filepath.Join(dir, fileName(c.certificates()[0].Subject.CommonName))
	certFile, keyFile = base+".crt", base+".key"
	if err := os.WriteFile(certFile, chain.Bytes(), 0o600); err != nil {
		return "", "", err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	if err := os.WriteFile(keyFile, block, 0o600); err != nil {
		return "", "", err
	}
	return certFile, keyFile, nil
}

func (c *Client) hasCertificate() bool {
	return c != nil && len(c.Certificate.Certificate) > 0
}

func (c *Client) certificates() []*x509.Certificate {
	if !c.hasCertificate() {
		return nil
	}
	certs := make([]*x509.Certificate, len(c.Certificate.Certificate))
	for n, der := range c.Certificate.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			panic("popauthtest: malformed certificate: " + err.Error())
		}
		certs[n] = cert
	}
	return certs
}

// fileName keeps a name inside its folder.
func fileName(name string) string {
	if name == "" {
		return "client"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, name)
}
