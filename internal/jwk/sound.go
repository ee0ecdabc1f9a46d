package jwk

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
)

// ErrUnsound is a public key that no private key belongs to, or that everybody can sign for.
var ErrUnsound = errors.New("a key that nobody has, or everybody")

// Sound returns ErrUnsound for a public key of the right kind and size whose value can't be one.
func Sound(key any) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		// The exponent 1 would make every signature correct.
		if k.N.Bit(0) == 1 && k.E&1 == 1 && k.E >= 3 {
			return nil
		}
	case *ecdsa.PublicKey:
		if _, err := k.Bytes(); err == nil { // it is on its curve, and not at infinity
			return nil
		}
	case ed25519.PublicKey:
		if isPoint(k) {
			return nil
		}
	}
	return ErrUnsound
}

// MaxRSABits bounds what a sender can make others compute with.
const MaxRSABits = 8192

// maxRSAExponent is the largest that crypto/rsa works with.
const maxRSAExponent = 1<<31 - 1

// Affordable returns an error for a public key that is too much to work on. Keys that are no RSA keys have sizes of their
// own.
func Affordable(key any) error {
	k, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil
	}
	switch {
	case k.N == nil:
		return ErrUnsound
	case k.N.BitLen() > MaxRSABits || k.E > maxRSAExponent:
		return fmt.Errorf("an RSA key of %d bits, with the exponent %d; want at most %d bits, and %d",
			k.N.BitLen(), k.E, MaxRSABits, maxRSAExponent)
	}
	return nil
}

// edwards are the numbers of edwards25519 (RFC 8032, section 5.1): the prime, d, and the y of a point of order 8.
var edwards = struct{ p, d, order8 *big.Int }{
	p:      number("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed"),
	d:      number("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3"),
	order8: number("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7"),
}

func number(hex string) *big.Int {
	n, _ := new(big.Int).SetString(hex, 16)
	return n
}

// isPoint tells whether 32 bytes are a point of the curve that can be somebody's key. For a point of small order
// everybody can make signatures.
func isPoint(key ed25519.PublicKey) bool {
	p, one := edwards.p, big.NewInt(1)
	b := make([]byte, ed25519.PublicKeySize)
	for i := range b {
		b[i] = key[len(key)-1-i]
	}
	b[0] &= 0x7f // the sign of x
	y := new(big.Int).SetBytes(b)
	y.Mod(y, p) // crypto/ed25519 takes y of p and more, too
	for _, small := range []*big.Int{new(big.Int), one, new(big.Int).Sub(p, one), edwards.order8, new(big.Int).Sub(p, edwards.order8)} {
		if y.Cmp(small) == 0 {
			return false
		}
	}
	// x² = (y²-1) / (dy²+1) has a root if the product of both is a square, or zero.
	square := new(big.Int).Mul(y, y)
	u := new(big.Int).Sub(square, one)
	v := square.Mul(square, edwards.d)
	v.Add(v, one)
	return big.Jacobi(u.Mod(u.Mul(u, v), p), p) == 1
}
