// Package jwk reads a public key in a message, as a JWK (RFC 7517; RFC 7518, section 6; RFC 8037). It accepts one
// spelling for each key, because another one would have another thumbprint.
package jwk

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// Errors of this package never quote what was read: the text may end in a log.
var (
	ErrPrivate = errors.New("a private or symmetric key was sent along")
	ErrKind    = errors.New("a key of an unknown kind")
	ErrValue   = errors.New("a key with a missing or wrong value")
)

// Key is a public key: an *ecdsa.PublicKey, an ed25519.PublicKey or an *rsa.PublicKey.
type Key struct {
	Public     any
	Thumbprint [sha256.Size]byte // RFC 7638, with SHA-256
}

// members are what a key is made of: the public ones, and those that nobody must see.
type members struct{ kty, crv, x, y, n, e string }

var names = []string{"kty", "crv", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// Read reads one JWK. Members that are not needed for the key are ignored, what it says about its use among them.
func Read(b []byte) (Key, error) {
	var m members
	err := strictjson.Members(b, names, func(name string, v jsontext.Value) (err error) {
		switch name {
		case "kty":
			m.kty, err = strictjson.String(v)
		case "crv":
			m.crv, err = strictjson.String(v)
		case "x":
			m.x, err = strictjson.String(v)
		case "y":
			m.y, err = strictjson.String(v)
		case "n":
			m.n, err = strictjson.String(v)
		case "e":
			m.e, err = strictjson.String(v)
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
			err = ErrPrivate
		}
		return err
	})
	if err != nil {
		return Key{}, err
	}
	switch m.kty {
	case "EC":
		return m.ec()
	case "OKP":
		return m.okp()
	case "RSA":
		return m.rsa()
	}
	return Key{}, ErrKind
}

func (m members) ec() (Key, error) {
	var curve elliptic.Curve
	switch m.crv {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		return Key{}, ErrKind
	}
	size := (curve.Params().BitSize + 7) / 8
	x, errX := decode(m.x)
	y, errY := decode(m.y)
	// RFC 7518, section 6.2.1.2: at full length, always.
	if errX != nil || errY != nil || len(x) != size || len(y) != size {
		return Key{}, ErrValue
	}
	// ParseUncompressedPublicKey refuses a point that is not on the curve.
	public, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
	if err != nil {
		return Key{}, ErrValue
	}
	return Key{public, thumbprint("crv", m.crv, "kty", "EC", "x", m.x, "y", m.y)}, nil
}

func (m members) okp() (Key, error) {
	if m.crv != "Ed25519" {
		return Key{}, ErrKind
	}
	x, err := decode(m.x)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return Key{}, ErrValue
	}
	if Sound(ed25519.PublicKey(x)) != nil {
		return Key{}, ErrValue
	}
	return Key{ed25519.PublicKey(x), thumbprint("crv", m.crv, "kty", "OKP", "x", m.x)}, nil
}

const maxModulus = MaxRSABits / 8

func (m members) rsa() (Key, error) {
	n, errN := decode(m.n)
	e, errE := decode(m.e)
	// RFC 7518, section 2: the smallest number of bytes, always. The exponent 1 would make every signature correct.
	if errN != nil || errE != nil || len(n) == 0 || len(n) > maxModulus || n[0] == 0 || len(e) == 0 || len(e) > 4 || e[0] == 0 {
		return Key{}, ErrValue
	}
	exponent := new(big.Int).SetBytes(e).Int64()
	if exponent < 3 || exponent%2 == 0 || exponent > 1<<31-1 {
		return Key{}, ErrValue
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}
	return Key{public, thumbprint("e", m.e, "kty", "RSA", "n", m.n)}, nil
}

// thumbprint is RFC 7638, section 3, for members in lexicographic order. Nothing in the values needs a JSON escape:
// they are names of this package and base64url.
func thumbprint(pairs ...string) [sha256.Size]byte {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString(`,"` + pairs[i] + `":"` + pairs[i+1] + `"`)
	}
	return sha256.Sum256([]byte("{" + b.String()[1:] + "}"))
}

// decode decodes base64url without padding. Strict alone would skip line breaks, and take two spellings for one key.
func decode(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, ErrValue
	}
	return b, nil
}
