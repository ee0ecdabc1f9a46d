package popclient

import (
	"crypto/fips140"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// maxIterations bounds what deriving the key of a file's MAC costs: about a second. All that the MAC protects has been
// written by somebody who knows the password, the other counts of iterations among it.
const maxIterations = 2_000_000

var (
	errPKCS12     = errors.New("not PKCS#12 in DER")
	errMAC        = errors.New("not protected by a password as a whole")
	errIterations = errors.New("too many iterations")
	errFIPS       = errors.New("FIPS 140-3 forbids what the file is protected by: give its certificate and key in PEM, " +
		"to CertificateFiles")
)

// decodeChain is pkcs12.DecodeChain, which panics at old algorithms where GODEBUG=fips140=only forbids them.
func decodeChain(der []byte, password string) (key any, first *x509.Certificate, others []*x509.Certificate, err error) {
	defer func() {
		if fips140.Enforced() {
			if why := recover(); why != nil {
				err = fmt.Errorf("%v: %w", why, errFIPS)
			}
		}
	}()
	return pkcs12.DecodeChain(der, password)
}

// explain adds to what is wrong with a file how to mend it.
func explain(err error, file string) error {
	text := err.Error()
	const again = "openssl pkcs12 -in %s -nodes -out all.pem && openssl pkcs12 -export -in all.pem -out new.p12"
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, errIterations), errors.Is(err, errFIPS):
		return err
	case strings.Contains(text, "exactly one key bag"):
		return fmt.Errorf("more than one private key in the file, of which only one can be meant: take that one out by its alias: "+
			"keytool -importkeystore -srckeystore %s -srcalias NAME -destkeystore new.p12 -deststoretype PKCS12: %w", quoted(file), err)
	}
	return fmt.Errorf("%w: if it is a PKCS#12 file of another form, as NSS writes them in BER, write it anew: "+again, err, quoted(file))
}

// quoted is a file's name for a shell.
func quoted(file string) string {
	if strings.Trim(file, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return file
	}
	return "'" + strings.ReplaceAll(file, "'", `'\''`) + "'"
}

// checkMAC reads of a PKCS#12 file what comes before the password is checked: PFX of RFC 7292, section 4, and
// PBMAC1-params of RFC 8018, appendix A.5.
func checkMAC(der []byte) error {
	var pfx struct {
		Version  int
		AuthSafe asn1.RawValue
		MAC      struct {
			Mac struct {
				Algorithm pkix.AlgorithmIdentifier
				Digest    []byte
			}
			Salt       []byte
			Iterations int `asn1:"optional,default:1"`
		} `asn1:"optional"`
	}
	if rest, err := asn1.Unmarshal(der, &pfx); err != nil || len(rest) > 0 {
		return errPKCS12
	}
	algorithm := pfx.MAC.Mac.Algorithm
	if len(algorithm.Algorithm) == 0 {
		return errMAC
	}
	if pfx.MAC.Iterations > maxIterations {
		return errIterations
	}
	if !algorithm.Algorithm.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}) {
		return nil
	}
	var params struct {
		KDF  pkix.AlgorithmIdentifier
		Rest asn1.RawValue
	}
	var kdf struct {
		Salt       asn1.RawValue
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(algorithm.Parameters.FullBytes, &params); err != nil {
		return errPKCS12
	}
	if _, err := asn1.Unmarshal(params.KDF.Parameters.FullBytes, &kdf); err != nil {
		return errPKCS12
	}
	if kdf.Iterations > maxIterations {
		return errIterations
	}
	return nil
}
