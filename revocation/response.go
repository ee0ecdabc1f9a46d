package revocation

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"github.com/seed-171ab058/popauth/internal/jwk"
)

// response is an OCSP response (RFC 6960, section 4.2.1), of which only who has signed it is read.
type response struct {
	Data         asn1.RawValue
	Algorithm    pkix.AlgorithmIdentifier
	Signature    asn1.BitString
	Certificates asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

var oidBasicResponse = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}

// envelope is what a response comes in.
type envelope struct {
	Status asn1.Enumerated
	Bytes  struct {
		Type     asn1.ObjectIdentifier
		Response []byte
	} `asn1:"explicit,tag:0,optional"`
}

func parseResponse(body []byte) (*response, error) {
	var e envelope
	var r response
	switch rest, err := asn1.Unmarshal(body, &e); {
	case err != nil || len(rest) > 0:
		return nil, errors.New("not an OCSP response")
	case e.Status != 0:
		return nil, ocsp.ResponseError{Status: ocsp.ResponseStatus(e.Status)}
	case !e.Bytes.Type.Equal(oidBasicResponse):
		return nil, errors.New("an OCSP response that is not a basic one")
	}
	if rest, err := asn1.Unmarshal(e.Bytes.Response, &r); err != nil || len(rest) > 0 {
		return nil, errors.New("an OCSP response that can't be read")
	}
	return &r, nil
}

// read has the library read the answer about the certificate, without certificates and with no issuer: it checks no
// signature then.
func (r *response) read(cert *x509.Certificate) (*ocsp.Response, error) {
	bare := *r
	bare.Certificates = asn1.RawValue{}
	inner, err := asn1.Marshal(bare)
	if err != nil {
		return nil, err
	}
	e := envelope{}
	e.Bytes.Type, e.Bytes.Response = oidBasicResponse, inner
	outer, err := asn1.Marshal(e)
	if err != nil {
		return nil, err
	}
	return ocsp.ParseResponseForCert(outer, cert, nil)
}

const (
	maxSigners   = 4        // of an answer's certificates are looked at
	maxResponder = 16 << 10 // bytes that each may have
)

// signer finds who has signed: the issuer's key (nil), whether or not a certificate of it is sent along, or a responder
// that the same key has authorized (section 4.2.2.2). That is looked at before the answer's signature is checked by a
// responder's key: anybody can send any key along.
func (r *response) signer(issuer *x509.Certificate, now time.Time) (*x509.Certificate, error) {
	algorithm, err := signatureAlgorithm(r.Algorithm)
	if err != nil {
		return nil, err
	}
	if err := jwk.Affordable(issuer.PublicKey); err != nil {
		return nil, fmt.Errorf("an issuer with %w", err)
	}
	signed, signature := r.Data.FullBytes, r.Signature.RightAlign()
	err = issuer.CheckSignature(algorithm, signed, signature)
	if err == nil {
		return nil, nil
	}
	for _, raw := range r.sent() {
		own, parseErr := parseResponder(raw)
		if parseErr != nil {
			return nil, parseErr
		}
		if err = authorized(own, issuer, now); err != nil {
			continue
		}
		if err = own.CheckSignature(algorithm, signed, signature); err == nil {
			return own, nil
		}
	}
	return nil, fmt.Errorf("an answer that neither the issuer's key nor a responder of its has signed: %w", err)
}

// sent are the first of the certificates that were sent along.
func (r *response) sent() (all [][]byte) {
	outer, inner := cryptobyte.String(r.Certificates.FullBytes), cryptobyte.String(nil)
	if !outer.ReadASN1(&outer, tag.Tag(0).ContextSpecific().Constructed()) || !outer.ReadASN1(&inner, tag.SEQUENCE) {
		return nil
	}
	var one cryptobyte.String
	for len(all) < maxSigners && inner.ReadASN1Element(&one, tag.SEQUENCE) {
		all = append(all, one)
	}
	return all
}

func parseResponder(der []byte) (*x509.Certificate, error) {
	if len(der) > maxResponder {
		return nil, fmt.Errorf("a responder's certificate of %d bytes, at most %d are read", len(der), maxResponder)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("a responder's certificate that can't be read: %w", err)
	}
	if err := jwk.Affordable(c.PublicKey); err != nil {
		return nil, fmt.Errorf("a responder with %w", err)
	}
	return c, nil
}

// authorized is section 4.2.2.2: who is not the issuer itself needs a certificate of the issuer's, for this purpose.
func authorized(responder, issuer *x509.Certificate, now time.Time) error {
	switch {
	case !slices.Contains(responder.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("a responder that may not answer for the issuer: its certificate has no extendedKeyUsage OCSPSigning")
	case now.Before(responder.NotBefore) || now.After(responder.NotAfter):
		return errors.New("a responder whose certificate is outside its period")
	case unfitAlgorithm(responder.SignatureAlgorithm), len(responder.UnhandledCriticalExtensions) > 0:
		return errors.New("a responder whose certificate is not acceptable")
	case !bytes.Equal(responder.RawIssuer, issuer.RawSubject):
		return errors.New("a responder of another issuer")
	}
	if err := issuer.CheckSignature(responder.SignatureAlgorithm, responder.RawTBSCertificate, responder.Signature); err != nil {
		return fmt.Errorf("a responder whose certificate the issuer's key has not signed: %w", err)
	}
	return nil
}

// sameCertificate is section 3.2, item 1: the library compares serial numbers, which are an issuer's own.
func sameCertificate(r *ocsp.Response, cert, issuer *x509.Certificate) error {
	var data struct {
		Version     int `asn1:"optional,default:0,explicit,tag:0"`
		ResponderID asn1.RawValue
		ProducedAt  time.Time `asn1:"generalized"`
		Responses   []struct {
			ID struct {
				Hash              pkix.AlgorithmIdentifier
				NameHash, KeyHash []byte
				Serial            *big.Int
			}
		}
	}
	if rest, err := asn1.Unmarshal(r.TBSResponseData, &data); err != nil || len(rest) > 0 {
		return errors.New("an answer that can't be read")
	}
	if r.IssuerHash == crypto.SHA1 && fips140.Enforced() {
		return errors.New("an answer that names the issuer by SHA-1, which GODEBUG=fips140=only forbids: it was asked by SHA-256")
	}
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if rest, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &key); err != nil || len(rest) > 0 {
		return errors.New("an issuer's key that can't be read")
	}
	sum := func(b []byte) []byte {
		h := r.IssuerHash.New()
		_, _ = h.Write(b)
		return h.Sum(nil)
	}
	for _, one := range data.Responses {
		if one.ID.Serial.Cmp(cert.SerialNumber) != 0 {
			continue
		}
		// The first is the one that the library has read.
		if bytes.Equal(one.ID.NameHash, sum(issuer.RawSubject)) && bytes.Equal(one.ID.KeyHash, sum(key.Key.RightAlign())) {
			return nil
		}
		break
	}
	return errors.New("an answer about a certificate of another issuer")
}
