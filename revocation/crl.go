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

	"golang.org/x/crypto/cryptobyte"
)

// list is a CRL that speaks for its issuer alone. It holds nothing of the DER but the serial numbers, once it is sealed.
type list struct {
	issuer, authorityKey []byte
	this, next           time.Time
	number               *big.Int // the CRL number; nil: it has none
	kept                 bool     // from before its file was read again
	serials              serials
	entries              cryptobyte.String // of which serials is made; nil once it is
	scope                scope

	mu     sync.Mutex
	signed []byte               // what is signed; nil once it is sealed
	crl    *x509.RevocationList // the signature and its algorithm
	made   map[[sha256.Size]byte]signature
	checks map[[sha256.Size]byte]*check
	hashed sync.Once
	hash   []byte // of what is signed, once it is hashed
}

// scope is the issuing distribution point, RFC 5280, section 5.2.5.
type scope struct {
	users, authorities bool     // only certificates of these
	points             []string // only certificates that name one of these points; nil: all
}

var (
	oidDelta        = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidScope        = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidAuthorityKey = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidNumber       = asn1.ObjectIdentifier{2, 5, 29, 20}
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

// parseList reads a list whole.
func parseList(der []byte) (*list, error) {
	l, err := parseUnread(der)
	if err != nil {
		return nil, err
	}
	return l, l.read()
}

// parseUnread leaves the entries for read. It refuses what a plain reading would misunderstand: delta, indirect and
// partial CRLs.
func parseUnread(der []byte) (*list, error) {
	f, err := parseForm(der)
	if err != nil {
		return nil, err
	}
	crl := f.head
	l := &list{
		issuer: bytes.Clone(crl.RawIssuer), authorityKey: bytes.Clone(crl.AuthorityKeyId),
		number: crl.Number, this: crl.ThisUpdate, next: crl.NextUpdate,
	}
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
	if crl.NextUpdate.IsZero() {
		return nil, errors.New("a CRL without nextUpdate") // RFC 5280, section 5.1.2.5
	}
	if unfitAlgorithm(crl.SignatureAlgorithm) {
		return nil, fmt.Errorf("a CRL signed by %v", crl.SignatureAlgorithm)
	}
	l.entries, l.signed = f.entries, f.signed
	l.crl = &x509.RevocationList{SignatureAlgorithm: crl.SignatureAlgorithm, Signature: bytes.Clone(crl.Signature)}
	return l, nil
}

// read reads the entries.
func (l *list) read() (err error) {
	l.serials, err = newSerials(l.entries)
	l.entries = nil
	return err
}
