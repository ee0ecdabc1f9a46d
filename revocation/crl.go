package revocation

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// list is a CRL that speaks for its issuer alone. It holds nothing of the DER but the serial numbers, once it is sealed.
type list struct {
	issuer, authorityKey []byte
	this, next           time.Time
	number               *big.Int // the CRL number; nil: it has none
	kept                 bool     // from before its file was read again
	serials              serials
	scope                scope

	mu     sync.Mutex
	signed []byte               // what is signed; nil once it is sealed
	crl    *x509.RevocationList // the signature and its algorithm
	made   map[[sha256.Size]byte]signature
}

// scope is the issuing distribution point, RFC 5280, section 5.2.5.
type scope struct {
	users, authorities bool     // only certificates of these
	points             []string // only certificates that name one of these points; nil: all
}

var (
	oidDelta             = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidScope             = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidAuthorityKey      = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidNumber            = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidCertificateIssuer = asn1.ObjectIdentifier{2, 5, 29, 29}
)

// parseLists reads one CRL in DER, or any number of them in PEM, with nothing else between.
func parseLists(data []byte) ([]*list, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN")) {
		l, err := parseList(data)
		if err != nil {
			return nil, err
		}
		return []*list{l}, nil
	}
	var all []*list
	for data = bytes.TrimSpace(data); len(data) > 0; data = bytes.TrimSpace(data) {
		// encoding/pem would skip what is not PEM, a damaged list among it.
		block, rest := pem.Decode(data)
		if block == nil || block.Type != "X509 CRL" || !bytes.HasPrefix(data, []byte("-----BEGIN X509 CRL-----")) ||
			bytes.Count(data[:len(data)-len(rest)], []byte("-----BEGIN")) != 1 {
			return nil, errors.New("not a CRL in PEM")
		}
		l, err := parseList(block.Bytes)
		if err != nil {
			return nil, err
		}
		all, data = append(all, l), rest
	}
	return all, nil
}

// parseList refuses what a plain reading would misunderstand: delta, indirect and partial CRLs.
func parseList(der []byte) (*list, error) {
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("not a CRL: %w", err)
	}
	if len(crl.Raw) != len(der) {
		return nil, errors.New("a CRL with something behind it")
	}
	l := &list{issuer: crl.RawIssuer, authorityKey: crl.AuthorityKeyId, number: crl.Number, this: crl.ThisUpdate, next: crl.NextUpdate}
	for _, e := range crl.Extensions {
		switch {
		case e.Id.Equal(oidDelta):
			return nil, errors.New("a delta CRL")
		case e.Id.Equal(oidScope):
			if l.scope, err = parseScope(e.Value); err != nil {
				return nil, err
			}
		case e.Critical && !e.Id.Equal(oidAuthorityKey) && !e.Id.Equal(oidNumber):
			return nil, fmt.Errorf("a CRL with the unknown critical extension %v", e.Id)
		}
	}
	for _, e := range crl.RevokedCertificateEntries {
		for _, x := range e.Extensions {
			if x.Critical || x.Id.Equal(oidCertificateIssuer) {
				return nil, errors.New("an indirect CRL, or an entry with a critical extension")
			}
		}
	}
	if crl.NextUpdate.IsZero() {
		return nil, errors.New("a CRL without nextUpdate") // RFC 5280, section 5.1.2.5
	}
	if unfitAlgorithm(crl.SignatureAlgorithm) {
		return nil, fmt.Errorf("a CRL signed by %v", crl.SignatureAlgorithm)
	}
	l.serials = newSerials(crl.RevokedCertificateEntries)
	l.signed = crl.RawTBSRevocationList
	l.crl = &x509.RevocationList{SignatureAlgorithm: crl.SignatureAlgorithm, Signature: crl.Signature}
	return l, nil
}

func parseScope(der []byte) (scope, error) {
	var s struct {
		Point struct {
			FullName []asn1.RawValue `asn1:"optional,tag:0"`
			Relative asn1.RawValue   `asn1:"optional"`
		} `asn1:"optional,tag:0"`
		Users       bool           `asn1:"optional,tag:1"`
		Authorities bool           `asn1:"optional,tag:2"`
		SomeReasons asn1.BitString `asn1:"optional,tag:3"`
		Indirect    bool           `asn1:"optional,tag:4"`
		Attributes  bool           `asn1:"optional,tag:5"`
	}
	rest, err := asn1.Unmarshal(der, &s)
	switch {
	case err != nil || len(rest) > 0:
		return scope{}, errors.New("a CRL with a malformed issuing distribution point")
	case s.Indirect || s.Attributes || s.SomeReasons.BitLength > 0:
		return scope{}, errors.New("a CRL that is indirect, of attribute certificates, or of some reasons only")
	case s.Point.Relative.FullBytes != nil:
		return scope{}, errors.New("a CRL with a relative distribution point")
	}
	out := scope{users: s.Users, authorities: s.Authorities}
	for _, n := range s.Point.FullName {
		if n.Class == asn1.ClassContextSpecific && n.Tag == 6 {
			out.points = append(out.points, string(n.Bytes))
		}
	}
	if s.Point.FullName != nil && out.points == nil {
		return scope{}, errors.New("a CRL whose distribution point is no URL")
	}
	return out, nil
}
