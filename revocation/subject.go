package revocation

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"hash"
	"slices"
)

// subject is one certificate of a chain, asked about. Its issuer is a name and a key, not one certificate: an authority
// may have several, and the caller chooses which he sends along.
type subject struct {
	cert, issuer *x509.Certificate
	above        *x509.Certificate // that has certified the issuer; the issuer itself if it is the root
	top          *x509.Certificate // the highest on the way below the root; the root itself if that is the issuer

	// signer is how far it is from who was asked about: 1 is one of Options.ListSigners that has signed a list about that, 2
	// one that has signed a list about the first.
	signer int

	serial   string
	issuedBy [sha256.Size]byte // the issuer's name and key
	id       [sha256.Size]byte // these and the serial number
}

func newSubject(chain []*x509.Certificate, i int) subject {
	s := from(chain[i+1], chain[min(i+2, len(chain)-1)])
	s.top = chain[max(i+1, len(chain)-2)]
	s.cert, s.serial = chain[i], string(chain[i].SerialNumber.Bytes())
	s.id = digest("serial", s.issuedBy[:], []byte(s.serial))
	return s
}

// from is any certificate of an issuer.
func from(issuer, above *x509.Certificate) subject {
	return subject{issuer: issuer, above: above, top: issuer, issuedBy: digest("issuer", issuer.RawSubject, issuer.RawSubjectPublicKeyInfo)}
}

// authority is the certificate's own name and key, for those that issue others.
func (s subject) authority() [sha256.Size]byte {
	return digest("authority", s.cert.RawSubject, s.cert.RawSubjectPublicKeyInfo)
}

// digest tells apart what was digested for what, and where one part ends.
func digest(what string, parts ...[]byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	put(h, []byte(what))
	for _, p := range parts {
		put(h, p)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func put(h hash.Hash, b []byte) {
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
	_, _ = h.Write(b)
}

// maySignLists is RFC 5280, section 6.3.3 (f).
func maySignLists(c *x509.Certificate) bool {
	return c.BasicConstraintsValid && c.IsCA && (c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCRLSign != 0)
}

// signers are the certificates of Options.ListSigners that may speak for the subject's issuer: of the same name, another
// key, and certified by the same authority (RFC 5280, section 6.3.3 (f): a path from the same trust anchor). Whether one is
// in its period is asked when its list is: what is found out here is remembered.
func (o *Options) signers(s subject) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(o.ListSigners), func(own *x509.Certificate) bool {
		return string(own.RawSubject) != string(s.issuer.RawSubject) || own.CheckSignatureFrom(s.above) != nil
	})
}
