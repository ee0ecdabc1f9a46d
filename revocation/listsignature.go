package revocation

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"

	"github.com/seed-171ab058/popauth/internal/jwk"
)

const (
	maxSignatures = 64 // are remembered per list
	maxChecks     = 64 // by keys, that have not signed it; those that have stay
)

// signatureFor is remembered. It is made of the issuer's key, since what that has signed counts whichever of the
// authority's certificates it is seen from. Nothing is locked while a signature is checked: anybody may name an authority
// after another, and a list may be long.
func (l *list) signatureFor(s subject, signers func(subject) []*x509.Certificate) signature {
	key := digest("signature", s.issuedBy[:], s.above.RawSubject, s.above.RawSubjectPublicKeyInfo)
	l.mu.Lock()
	made, ok := l.made[key]
	l.mu.Unlock()
	if ok {
		return made
	}
	made = signature{issuer: s.issuer, above: s.above}
	if made.err = l.checkSignature(s.issuer); made.err != nil {
		for _, other := range signers(s) {
			if l.checkSignature(other) == nil { // one key may have several, of other periods
				made.by, made.err = append(made.by, other), nil
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.signed == nil && len(l.made) > 0 {
		return made // it was sealed meanwhile, and has what it needs
	}
	if l.made == nil {
		l.made = map[[sha256.Size]byte]signature{}
	}
	makeRoom(l.made, maxSignatures, func(m signature) bool { return m.err != nil })
	l.made[key] = made
	return made
}

// makeRoom forgets one that isn't worth keeping, or else any.
func makeRoom[V any](of map[[sha256.Size]byte]V, most int, worthless func(V) bool) {
	if len(of) < most {
		return
	}
	var victim [sha256.Size]byte
	for key, v := range of {
		if victim = key; worthless(v) {
			break
		}
	}
	delete(of, victim)
}

// check is whether one key has signed a list. It is made once, by whoever asks first; the others wait for that.
type check struct {
	once sync.Once
	err  error
	done bool // under the list's lock
}

var errUnchecked = errors.New("the check of the signature did not end")

func (l *list) checkSignature(by *x509.Certificate) error {
	key := digest("key", by.RawSubjectPublicKeyInfo)
	l.mu.Lock()
	signed, crl := l.signed, l.crl
	if signed == nil {
		l.mu.Unlock()
		return errors.New("a CRL whose signature has been checked for another issuer")
	}
	own := l.checks[key]
	if own == nil {
		own = &check{err: errUnchecked}
		if l.checks == nil {
			l.checks = map[[sha256.Size]byte]*check{}
		}
		makeRoom(l.checks, maxChecks, func(c *check) bool { return !c.done || c.err != nil })
		l.checks[key] = own
	}
	l.mu.Unlock()
	own.once.Do(func() {
		err := l.verify(by, signed, crl)
		l.mu.Lock()
		defer l.mu.Unlock()
		own.err, own.done = err, true
	})
	if own.err != nil {
		return fmt.Errorf("a CRL that bears the issuer's name and that another key has signed: "+
			"if the authority has renewed its key, put the certificate of the new one into Options.ListSigners: %w", own.err)
	}
	return nil
}

// verify hashes the list once for all keys, where the algorithm hashes nothing else (Ed25519 does).
func (l *list) verify(by *x509.Certificate, signed []byte, crl *x509.RevocationList) error {
	if err := jwk.Affordable(by.PublicKey); err != nil {
		return err
	}
	hash := hashOf(crl.SignatureAlgorithm)
	if hash == 0 {
		return by.CheckSignature(crl.SignatureAlgorithm, signed, crl.Signature)
	}
	l.hashed.Do(func() {
		h := hash.New()
		_, _ = h.Write(signed)
		l.hash = h.Sum(nil)
	})
	if len(l.hash) != hash.Size() {
		return errUnchecked // for an empty one anybody can make a signature
	}
	wrongKey := fmt.Errorf("a signature by %v, and a key that is another kind: %T", crl.SignatureAlgorithm, by.PublicKey)
	switch key := by.PublicKey.(type) {
	case *rsa.PublicKey:
		switch crl.SignatureAlgorithm { //nolint:exhaustive // hashOf knows no others
		case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA:
			return rsa.VerifyPKCS1v15(key, hash, l.hash, crl.Signature)
		case x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
			return rsa.VerifyPSS(key, hash, l.hash, crl.Signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
	case *ecdsa.PublicKey:
		switch crl.SignatureAlgorithm { //nolint:exhaustive // hashOf knows no others
		case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
			if ecdsa.VerifyASN1(key, l.hash, crl.Signature) {
				return nil
			}
			return errors.New("the signature is wrong")
		}
	}
	return wrongKey
}

// hashOf is 0 for an algorithm that signs more than a hash of the list.
func hashOf(a x509.SignatureAlgorithm) crypto.Hash {
	switch a { //nolint:exhaustive // crypto/x509 checks the others
	case x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
		return crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		return crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		return crypto.SHA512
	}
	return 0
}
