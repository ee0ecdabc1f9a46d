package popauth

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

// algorithm is a signature algorithm with the keys that it may be used with.
type algorithm struct {
	name   string
	method jwt.SigningMethod
	fits   func(key any) bool
}

var algorithms = []algorithm{
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

func findAlgorithm(name string) (algorithm, bool) {
	i := slices.IndexFunc(algorithms, func(a algorithm) bool { return a.name == name })
	if i < 0 {
		return algorithm{}, false
	}
	return algorithms[i], true
}

// algorithmsNamed returns the algorithms of these names, and reports those that there are none for.
func algorithmsNamed(names []string, problem func(field, format string, args ...any)) []algorithm {
	var found []algorithm
	for _, name := range names {
		a, ok := findAlgorithm(name)
		if !ok {
			problem("Algorithms", "%q is no asymmetric signature algorithm that is known here", name)
		}
		for _, same := range algorithms {
			if ok && same.method == a.method { // EdDSA and Ed25519 are one
				found = append(found, same)
			}
		}
	}
	return found
}

// completeAlgorithms returns the algorithms of these names, all of them for nil.
func completeAlgorithms(names []string, problem func(field, format string, args ...any)) []algorithm {
	switch {
	case names == nil:
		return slices.Clone(algorithms)
	case len(names) == 0:
		problem("Algorithms", "empty, but not nil")
	}
	return algorithmsNamed(names, problem)
}
