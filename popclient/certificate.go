package popclient

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// StaticCertificate is for a certificate that is never another one: leaf first, with the key, which may be any
// crypto.Signer.
func StaticCertificate(c tls.Certificate) func(context.Context) (*tls.Certificate, error) {
	return func(context.Context) (*tls.Certificate, error) { return &c, nil }
}

// CertificateFiles reads certificate, with its intermediates, and key from PEM files, and reads them again when one of
// them has changed. The key may be in the certificate's file.
func CertificateFiles(certFile, keyFile string) func(context.Context) (*tls.Certificate, error) {
	f := &files{paths: []string{certFile, keyFile}, load: func(content [][]byte) (*tls.Certificate, error) {
		if err := checkKeyFile(keyFile, content[1]); err != nil {
			return nil, err
		}
		c, err := tls.X509KeyPair(content[0], content[1])
		if err != nil {
			err = fmt.Errorf("with the key in %s: %w", keyFile, err)
		}
		return &c, err
	}}
	return f.certificate
}

// CertificateFile reads the certificate, with its intermediates, of a key that is no file, such as one in a KMS or a
// PKCS#11 token, from a PEM file, and reads it again when that has changed.
func CertificateFile(certFile string, key crypto.Signer) func(context.Context) (*tls.Certificate, error) {
	f := &files{paths: []string{certFile}, load: func(content [][]byte) (*tls.Certificate, error) {
		c := &tls.Certificate{PrivateKey: key}
		for rest := content[0]; ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				return c, nil
			}
			if block.Type == "CERTIFICATE" {
				c.Certificate = append(c.Certificate, block.Bytes)
			}
		}
	}}
	return f.certificate
}

// CertificatePKCS12 reads certificate, intermediates and key from a PKCS#12 file (.p12, .pfx; RFC 7292), and reads it
// again when it has changed. The file must be protected by the password, "" perhaps, as a whole. It must hold one key; of
// several certificates of that key the one that ends last counts.
func CertificatePKCS12(file, password string) func(context.Context) (*tls.Certificate, error) {
	f := &files{paths: []string{file}, load: func(content [][]byte) (*tls.Certificate, error) {
		if err := checkMAC(content[0]); err != nil {
			return nil, explain(err, file)
		}
		key, first, others, err := decodeChain(content[0], password)
		if err != nil {
			return nil, explain(err, file)
		}
		c := &tls.Certificate{PrivateKey: key}
		signer, _ := key.(crypto.Signer)
		all := append([]*x509.Certificate{first}, others...)
		for _, cert := range all { // not every program writes the leaf first, nor the new one before the old
			if belongs(signer, cert) && (c.Leaf == nil || cert.NotAfter.After(c.Leaf.NotAfter)) {
				c.Leaf = cert
			}
		}
		if c.Leaf != nil {
			c.Certificate = [][]byte{c.Leaf.Raw}
		}
		for _, cert := range all {
			if !belongs(signer, cert) {
				c.Certificate = append(c.Certificate, cert.Raw)
			}
		}
		return c, nil
	}}
	return f.certificate
}

// checkKeyFile says of a key that is encrypted what crypto/tls says as if there were none, and of the other file.
func checkKeyFile(file string, content []byte) error {
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return fmt.Errorf("%s: the private key is encrypted, and a key without a password is needed: openssl pkey -in %s -out "+
				"plain.key", file, quoted(file))
		}
	}
}

// checkCertificate returns a copy, with Leaf, of what a handshake can be made with.
func checkCertificate(c *tls.Certificate) (*tls.Certificate, error) {
	if c == nil || len(c.Certificate) == 0 {
		return nil, errors.New("no certificate")
	}
	signer, ok := c.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T, which can't sign", c.PrivateKey)
	}
	checked := *c
	for i, der := range c.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			checked.Leaf = cert
		}
	}
	if !belongs(signer, checked.Leaf) {
		return nil, errors.New("the key is not the certificate's")
	}
	return &checked, nil
}

// belongs tells whether a certificate is for the key of the signer.
func belongs(signer crypto.Signer, cert *x509.Certificate) bool {
	if signer == nil {
		return false
	}
	said, err := publicOf(signer)
	public, ok := said.(interface{ Equal(crypto.PublicKey) bool })
	return err == nil && ok && public.Equal(cert.PublicKey)
}
