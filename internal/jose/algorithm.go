package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha512" // for the 384 and 512 bit algorithms
	"slices"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/jwk"
)

// minModulus is what RFC 7518, section 3.3, demands of an RSA key, in bits.
const minModulus = 2048

// Algorithm is a signature algorithm with the keys that it may be used with.
type Algorithm struct {
	Name   string
	Method jwt.SigningMethod
	Fits   func(key any) bool
}

// Algorithms are all that are known here: asymmetric ones. They are not to be changed.
var Algorithms = []Algorithm{
	{"RS256", jwt.SigningMethodRS256, isRSA},
	{"RS384", jwt.SigningMethodRS384, isRSA},
	{"RS512", jwt.SigningMethodRS512, isRSA},
	{"PS256", saltAsLongAsHash(jwt.SigningMethodPS256), isRSA},
	{"PS384", saltAsLongAsHash(jwt.SigningMethodPS384), isRSA},
	{"PS512", saltAsLongAsHash(jwt.SigningMethodPS512), isRSA},
	{"ES256", jwt.SigningMethodES256, isOn(elliptic.P256())},
	{"ES384", jwt.SigningMethodES384, isOn(elliptic.P384())},
	{"ES512", jwt.SigningMethodES512, isOn(elliptic.P521())},
	{"EdDSA", jwt.SigningMethodEdDSA, isEd25519},
	{"Ed25519", jwt.SigningMethodEdDSA, isEd25519}, // RFC 9864, section 2.2
}

// saltAsLongAsHash is what RFC 7518, section 3.5, demands. Left alone, the method takes any length that fits.
func saltAsLongAsHash(m *jwt.SigningMethodRSAPSS) jwt.SigningMethod {
	return &jwt.SigningMethodRSAPSS{
		SigningMethodRSA: m.SigningMethodRSA, Options: m.Options,
		VerifyOptions: &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
	}
}

// isRSA demands what RFC 7518, section 3.3, does, and an upper bound, since a large modulus makes each look at a
// token expensive.
func isRSA(key any) bool {
	k, ok := key.(*rsa.PublicKey)
	return ok && k != nil && k.N != nil && k.N.BitLen() >= minModulus && jwk.Affordable(k) == nil
}

func isOn(curve elliptic.Curve) func(any) bool {
	return func(key any) bool {
		k, ok := key.(*ecdsa.PublicKey)
		return ok && k != nil && k.Curve == curve
	}
}

func isEd25519(key any) bool {
	k, ok := key.(ed25519.PublicKey)
	return ok && len(k) == ed25519.PublicKeySize
}

// Find returns the algorithm of this name.
func Find(name string) (Algorithm, bool) {
	i := slices.IndexFunc(Algorithms, func(a Algorithm) bool { return a.Name == name })
	if i < 0 {
		return Algorithm{}, false
	}
	return Algorithms[i], true
}

// Named returns the algorithms of these names, and reports those that there are none for.
func Named(names []string, problem func(field, format string, args ...any)) []Algorithm {
	var found []Algorithm
	for _, name := range names {
		a, ok := Find(name)
		if !ok {
			problem("Algorithms", "%q is no asymmetric signature algorithm that is known here", name)
		}
		for _, same := range Algorithms {
			if ok && same.Method == a.Method { // EdDSA and Ed25519 are one
				found = append(found, same)
			}
		}
	}
	return found
}

// NamedOrAll returns the algorithms of these names, all of them for nil.
func NamedOrAll(names []string, problem func(field, format string, args ...any)) []Algorithm {
	switch {
	case names == nil:
		return slices.Clone(Algorithms)
	case len(names) == 0:
		problem("Algorithms", "empty, but not nil")
	}
	return Named(names, problem)
}
