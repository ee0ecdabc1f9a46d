package revocation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// list is a CRL that speaks for its issuer alone.
type list struct {
	crl     *x509.RevocationList // without its entries
	serials map[string]struct{}
	scope   scope

	mu      sync.Mutex
	signers map[[sha256.Size]byte]error // what checking the signature against these certificates came to
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
	l := &list{crl: crl, serials: make(map[string]struct{}, len(crl.RevokedCertificateEntries)), signers: map[[sha256.Size]byte]error{}}
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
		l.serials[string(e.SerialNumber.Bytes())] = struct{}{}
	}
	if crl.NextUpdate.IsZero() {
		return nil, errors.New("a CRL without nextUpdate") // RFC 5280, section 5.1.2.5
	}
	if unfitAlgorithm(crl.SignatureAlgorithm) {
		return nil, fmt.Errorf("a CRL signed by %v", crl.SignatureAlgorithm)
	}
	crl.RevokedCertificateEntries, crl.RevokedCertificates, crl.Raw = nil, nil, nil //nolint:staticcheck // SA1019: the old field holds memory too
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

// unfitAlgorithm: crypto/x509 still checks such signatures where they are not a certificate's.
func unfitAlgorithm(a x509.SignatureAlgorithm) bool {
	return slices.Contains([]x509.SignatureAlgorithm{x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1}, a)
}

func (l *list) issued() time.Time  { return l.crl.ThisUpdate }
func (l *list) expires() time.Time { return l.crl.NextUpdate }

func (l *list) has(cert *x509.Certificate) bool {
	_, ok := l.serials[string(cert.SerialNumber.Bytes())]
	return ok
}

// speaksOf tells whether the list is one of the issuer and of certificates such as this one. A partition of the
// issuer's list must be the one that the certificate names, or another partition would acquit it.
func (l *list) speaksOf(cert *x509.Certificate) bool {
	switch {
	case !bytes.Equal(l.crl.RawIssuer, cert.RawIssuer):
	case l.scope.users && cert.IsCA, l.scope.authorities && !cert.IsCA:
	case l.scope.points == nil:
		return true
	default:
		return slices.ContainsFunc(l.scope.points, func(p string) bool { return slices.Contains(cert.CRLDistributionPoints, p) })
	}
	return false
}

// usable returns nil if the list is of the issuer's making, and of today.
func (l *list) usable(issuer *x509.Certificate, now time.Time) error {
	if !current(now, l) {
		return fmt.Errorf("a CRL for %s to %s", l.issued().UTC().Format(time.RFC3339), l.expires().UTC().Format(time.RFC3339))
	}
	key := sha256.Sum256(issuer.Raw)
	l.mu.Lock()
	defer l.mu.Unlock()
	err, ok := l.signers[key]
	if !ok {
		if err = l.crl.CheckSignatureFrom(issuer); err != nil {
			err = fmt.Errorf("a CRL that its issuer has not signed: %w", err)
		}
		if len(l.signers) >= maxLists {
			clear(l.signers)
		}
		l.signers[key] = err
	}
	return err
}

// current looks at a period; it ends with nextUpdate, when there is something newer.
func current(now time.Time, d dated) bool {
	return !now.Add(skew).Before(d.issued()) && now.Before(d.expires())
}

// byFiles lets any list that speaks of the certificate revoke it, and any acquit it that nothing else revokes.
func (c *Checker) byFiles(cert, issuer *x509.Certificate) (known, revoked bool, err error) {
	now := c.options.Now()
	var why []error
	for _, f := range c.files {
		for _, l := range f.current(now, c.options.Reread, c.options.Logger) {
			if !l.speaksOf(cert) {
				continue
			}
			if err := l.usable(issuer, now); err != nil {
				why = append(why, err)
				continue
			}
			known, revoked = true, revoked || l.has(cert)
		}
	}
	return known, revoked, errors.Join(why...)
}

func (c *Checker) fetchList(ctx context.Context, address string, cert, issuer *x509.Certificate) (bool, error) {
	sum := sha256.Sum256(issuer.Raw)
	l, err := c.lists.get(ctx, address+"\n"+string(sum[:]), func(ctx context.Context) (*list, error) {
		body, err := c.fetch(ctx, address, nil, maxListSize)
		if err != nil {
			return nil, err
		}
		l, err := parseList(body)
		if err != nil {
			return nil, err
		}
		return l, l.usable(issuer, c.options.Now())
	})
	if err != nil {
		return false, fmt.Errorf("distribution point: %w", err)
	}
	if !l.speaksOf(cert) {
		return false, errors.New("distribution point: a CRL of another issuer or for other certificates")
	}
	return l.has(cert), nil
}
