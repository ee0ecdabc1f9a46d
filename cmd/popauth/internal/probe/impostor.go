package probe

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// lookalike are certificates of a thief's, each of which has something of the owner's.
type lookalike struct {
	other      *tls.Certificate // nothing of it
	namesake   *tls.Certificate // subject and alternative names, self-signed
	successor  *tls.Certificate // subject, the issuer's name, serial number and key identifier, of an authority of the thief's
	sameKey    *tls.Certificate // the key; only the owner could make it
	withOwners *tls.Certificate // the thief's own, and behind it the owner's certificate in the chain
}

// impersonate makes them. If the options have another client's certificate, the first and the last are that one.
func impersonate(owner, other *tls.Certificate) (l lookalike, err error) {
	own, err := x509.ParseCertificate(owner.Certificate[0])
	if err != nil {
		return l, fmt.Errorf("the owner's certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return l, err
	}
	private, ok := owner.PrivateKey.(crypto.Signer)
	if !ok {
		return l, fmt.Errorf("the owner's key: a %T can't sign", owner.PrivateKey)
	}
	if l.other = other; other == nil {
		plain := &x509.Certificate{Subject: pkix.Name{CommonName: "popauth probe"}, SerialNumber: big.NewInt(time.Now().UnixNano())}
		if l.other, err = certificate(plain, nil, key, key); err != nil {
			return l, err
		}
	}
	l.withOwners = &tls.Certificate{
		Certificate: append(append([][]byte{}, l.other.Certificate[0]), owner.Certificate...), PrivateKey: l.other.PrivateKey,
	}
	like := &x509.Certificate{
		RawSubject: own.RawSubject, SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: own.DNSNames, URIs: own.URIs,
		EmailAddresses: own.EmailAddresses, IPAddresses: own.IPAddresses,
	}
	if l.namesake, err = certificate(like, nil, key, key); err != nil {
		return l, err
	}
	if l.sameKey, err = certificate(like, nil, private, private); err != nil {
		return l, err
	}
	authority := &x509.Certificate{RawSubject: own.RawIssuer, SubjectKeyId: own.AuthorityKeyId}
	like.SerialNumber, like.SubjectKeyId, like.AuthorityKeyId = own.SerialNumber, own.SubjectKeyId, own.AuthorityKeyId
	l.successor, err = certificate(like, authority, key, key)
	return l, err
}

// certificate signs one for client authentication. A nil parent is itself.
func certificate(template, parent *x509.Certificate, key, signer crypto.Signer) (*tls.Certificate, error) {
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// throwaway is a certificate of nobody's.
func throwaway() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return certificate(&x509.Certificate{Subject: pkix.Name{CommonName: "popauth probe"}, SerialNumber: newSerial()}, nil, key, key)
}
