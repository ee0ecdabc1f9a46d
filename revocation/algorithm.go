package revocation

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// unfitAlgorithm: crypto/x509 still checks such signatures where they are not a certificate's.
func unfitAlgorithm(a x509.SignatureAlgorithm) bool {
	return slices.Contains([]x509.SignatureAlgorithm{x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1}, a)
}

var oidPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}

// signatureAlgorithm knows those of crypto/x509 that an answer may be signed by.
func signatureAlgorithm(a pkix.AlgorithmIdentifier) (x509.SignatureAlgorithm, error) {
	rsa := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1}
	ecdsa := asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3}
	for _, known := range []struct {
		id        asn1.ObjectIdentifier
		algorithm x509.SignatureAlgorithm
	}{
		{append(slices.Clone(rsa), 11), x509.SHA256WithRSA},
		{append(slices.Clone(rsa), 12), x509.SHA384WithRSA},
		{append(slices.Clone(rsa), 13), x509.SHA512WithRSA},
		{append(slices.Clone(ecdsa), 2), x509.ECDSAWithSHA256},
		{append(slices.Clone(ecdsa), 3), x509.ECDSAWithSHA384},
		{append(slices.Clone(ecdsa), 4), x509.ECDSAWithSHA512},
		{asn1.ObjectIdentifier{1, 3, 101, 112}, x509.PureEd25519},
	} {
		if a.Algorithm.Equal(known.id) {
			return known.algorithm, nil
		}
	}
	if a.Algorithm.Equal(oidPSS) {
		return pssAlgorithm(a.Parameters.FullBytes)
	}
	return 0, fmt.Errorf("an answer signed by the algorithm %v, which doesn't count", a.Algorithm)
}

// pssAlgorithm reads RSASSA-PSS-params (RFC 4055, section 3.1), and takes those that crypto/x509 does: one hash for both
// purposes, and a salt of its length.
func pssAlgorithm(der []byte) (x509.SignatureAlgorithm, error) {
	var p struct {
		Hash    pkix.AlgorithmIdentifier `asn1:"explicit,tag:0"`
		Mask    pkix.AlgorithmIdentifier `asn1:"explicit,tag:1"`
		Salt    int                      `asn1:"explicit,tag:2"`
		Trailer int                      `asn1:"optional,explicit,tag:3,default:1"`
	}
	var mask pkix.AlgorithmIdentifier
	refused := errors.New("an answer signed by RSASSA-PSS with parameters other than SHA-256, 384 or 512 and a salt of that length")
	if rest, err := asn1.Unmarshal(der, &p); err != nil || len(rest) > 0 || p.Trailer != 1 {
		return 0, refused
	}
	rest, err := asn1.Unmarshal(p.Mask.Parameters.FullBytes, &mask)
	if err != nil || len(rest) > 0 || !mask.Algorithm.Equal(p.Hash.Algorithm) {
		return 0, refused
	}
	sha2 := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2}
	for i, known := range []x509.SignatureAlgorithm{x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS} {
		if p.Hash.Algorithm.Equal(append(slices.Clone(sha2), i+1)) && p.Salt == 32+16*i {
			return known, nil
		}
	}
	return 0, refused
}
