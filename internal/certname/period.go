package certname

import (
	"errors"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Period reads the period of a certificate (RFC 5280, section 4.1.2.5), and nothing else: for one that crypto/x509 can't
// parse.
func Period(raw []byte) (from, until time.Time, err error) {
	s := cryptobyte.String(raw)
	var outer, tbs, validity cryptobyte.String
	if !s.ReadASN1(&outer, der.SEQUENCE) || !outer.ReadASN1(&tbs, der.SEQUENCE) ||
		!tbs.SkipOptionalASN1(der.Tag(0).ContextSpecific().Constructed()) || !tbs.SkipASN1(der.INTEGER) || // version, serial number
		!tbs.SkipASN1(der.SEQUENCE) || !tbs.SkipASN1(der.SEQUENCE) || // algorithm, issuer
		!tbs.ReadASN1(&validity, der.SEQUENCE) || !readTime(&validity, &from) || !readTime(&validity, &until) || !validity.Empty() {
		return time.Time{}, time.Time{}, errors.New("a period that can't be read")
	}
	return from, until, nil
}

func readTime(s *cryptobyte.String, t *time.Time) bool {
	if s.PeekASN1Tag(der.UTCTime) {
		return s.ReadASN1UTCTime(t)
	}
	return s.ReadASN1GeneralizedTime(t)
}
