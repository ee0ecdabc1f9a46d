package revocation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/seed-171ab058/popauth"
)

// answer is what a responder said about one certificate.
type answer struct {
	revoked     bool
	this, until time.Time
}

func (a *answer) issued() time.Time  { return a.this }
func (a *answer) expires() time.Time { return a.until }

func (c *Checker) ask(ctx context.Context, address string, cert, issuer *x509.Certificate) (bool, error) {
	certSum, issuerSum := sha256.Sum256(cert.Raw), sha256.Sum256(issuer.Raw)
	a, err := c.answers.get(ctx, address+"\n"+string(certSum[:])+string(issuerSum[:]), func(ctx context.Context) (*answer, error) {
		// The hash only names the issuer; SHA-1 is the one that every responder knows (RFC 5019, section 2.1.1).
		request, err := ocsp.CreateRequest(cert, issuer, nil)
		if err != nil {
			return nil, err
		}
		body, err := c.fetch(ctx, address, request, maxAnswerSize)
		if err != nil {
			return nil, err
		}
		return readAnswer(body, cert, issuer, c.options.Now())
	})
	if err != nil {
		return false, fmt.Errorf("OCSP: %w", err)
	}
	return a.revoked, nil
}

// readAnswer adds to the library's checks those of RFC 6960, section 3.2, that it leaves to its callers.
func readAnswer(body []byte, cert, issuer *x509.Certificate, now time.Time) (*answer, error) {
	r, err := ocsp.ParseResponseForCert(body, cert, issuer)
	if err != nil {
		return nil, err
	}
	if err := sameCertificate(r, cert, issuer); err != nil {
		return nil, err
	}
	if unfitAlgorithm(r.SignatureAlgorithm) {
		return nil, fmt.Errorf("an answer signed by %v", r.SignatureAlgorithm)
	}
	if err := authorized(r.Certificate, issuer, now); err != nil {
		return nil, err
	}
	a := &answer{revoked: r.Status == ocsp.Revoked, this: r.ThisUpdate, until: r.NextUpdate}
	if a.until.IsZero() {
		// Newer information is available all the time then (section 4.2.2.1); an old answer is one played back.
		a.until = a.this.Add(maxFresh)
	}
	switch {
	case !current(now, a):
		return nil, fmt.Errorf("an answer for %s to %s", a.this.UTC().Format(time.RFC3339), a.until.UTC().Format(time.RFC3339))
	case r.Status == ocsp.Unknown:
		return nil, fmt.Errorf("%w: the responder doesn't know it", popauth.ErrCertificateUntrusted)
	}
	return a, nil
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

// authorized is section 4.2.2.2: who is not the issuer itself needs a certificate of the issuer's, for this purpose.
// That the issuer has signed it, the library has checked.
func authorized(responder, issuer *x509.Certificate, now time.Time) error {
	switch {
	case responder == nil, bytes.Equal(responder.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo):
		return nil
	case !slices.Contains(responder.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("a responder that may not answer for the issuer")
	case now.Before(responder.NotBefore) || now.After(responder.NotAfter):
		return errors.New("a responder whose certificate is outside its period")
	case unfitAlgorithm(responder.SignatureAlgorithm), len(responder.UnhandledCriticalExtensions) > 0:
		return errors.New("a responder whose certificate is not acceptable")
	}
	return nil
}
