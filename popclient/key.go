package popclient

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha512" // SHA-384, for crypto.SHA384.New
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/seed-171ab058/popauth/internal/jwk"
)

// Key signs proofs. The zero Key and the nil one return an error wherever they would have to. Make one with
// [GenerateKey] or [NewKey]. It is safe for concurrent use if its signer is, as those of the standard library are.
type Key struct {
	_ [0]func()

	// Now is the clock for iat. If nil, time.Now. It is for before the first use. DPoP and Proofs put right what a server
	// says is wrong with it, see DPoP.
	Now func() time.Time

	signer     func() crypto.Signer // a function, so that fmt prints no private key: it asks no method of an unexported field
	alg        algorithm
	header     string // the JOSE header, encoded
	thumbprint string
	places     chan struct{} // of signatures that a signer elsewhere is making; nil for keys in memory
}

// algorithm is a row of the algorithms that a Key may have.
type algorithm struct {
	name     string
	options  crypto.SignerOpts
	curve    elliptic.Curve // nil if not ECDSA
	fits     func(crypto.PublicKey) bool
	generate func() (crypto.Signer, error)
}

// minRSA is what RFC 7518, section 3.3, demands. The upper bound of APIs is one of package jwk.
const minRSA = 2048

// findAlgorithm knows what APIs of this module accept by default.
func findAlgorithm(name string) (algorithm, error) {
	switch name {
	case "ES256":
		return onCurve(name, elliptic.P256(), crypto.SHA256), nil
	case "ES384":
		return onCurve(name, elliptic.P384(), crypto.SHA384), nil
	case "EdDSA", "Ed25519": // RFC 9864, section 2.2: two names for one
		return algorithm{name: name, options: crypto.Hash(0), fits: isEd25519, generate: func() (crypto.Signer, error) {
			_, private, err := ed25519.GenerateKey(rand.Reader)
			return private, err
		}}, nil
	case "RS256":
		return algorithm{name: name, options: crypto.SHA256, fits: isRSA, generate: generateRSA}, nil
	case "PS256":
		// RFC 7518, section 3.5: the salt is as long as the hash.
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		return algorithm{name: name, options: options, fits: isRSA, generate: generateRSA}, nil
	}
	return algorithm{}, fmt.Errorf("popclient: no algorithm %q: ES256, ES384, EdDSA, Ed25519, RS256 and PS256 are known", name)
}

func onCurve(name string, curve elliptic.Curve, hash crypto.Hash) algorithm {
	return algorithm{
		name: name, options: hash, curve: curve,
		fits: func(key crypto.PublicKey) bool {
			k, ok := key.(*ecdsa.PublicKey)
			return ok && k != nil && k.Curve == curve
		},
		generate: func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) },
	}
}

func isEd25519(key crypto.PublicKey) bool {
	_, ok := key.(ed25519.PublicKey) // its size is read from the JWK
	return ok
}

func isRSA(key crypto.PublicKey) bool {
	k, ok := key.(*rsa.PublicKey)
	return ok && k != nil && k.N != nil && k.N.BitLen() >= minRSA
}

func generateRSA() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, minRSA) }

// GenerateKey makes a key that lives in this process alone. Alg is as in [NewKey]; RSA keys have 2048 bits.
func GenerateKey(alg string) (*Key, error) {
	a, err := findAlgorithm(alg)
	if err != nil {
		return nil, err
	}
	signer, err := a.generate()
	if err != nil {
		return nil, fmt.Errorf("popclient: generate: %w", err)
	}
	return newKey(signer, a)
}

// NewKey makes a Key of any signer, such as one whose private key stays in a KMS or a PKCS#11 token. Alg is ES256,
// ES384, EdDSA, Ed25519, RS256 or PS256, and must fit the signer's public key.
func NewKey(signer crypto.Signer, alg string) (*Key, error) {
	a, err := findAlgorithm(alg)
	if err != nil {
		return nil, err
	}
	if signer == nil {
		return nil, errors.New("popclient: no signer")
	}
	return newKey(signer, a)
}

func newKey(signer crypto.Signer, a algorithm) (*Key, error) {
	public, err := publicOf(signer)
	if err != nil {
		return nil, fmt.Errorf("popclient: %w", err)
	}
	if !a.fits(public) {
		return nil, fmt.Errorf("popclient: a key of type %T, or of this curve or size, does not fit %s", public, a.name)
	}
	b, err := marshalJWK(public)
	if err != nil {
		return nil, fmt.Errorf("popclient: public key: %w", err)
	}
	// Reading it again makes the thumbprint, and refuses a key that no API would take.
	read, err := jwk.Read(b)
	if err != nil {
		return nil, fmt.Errorf("popclient: public key: %w", err)
	}
	header := `{"typ":"dpop+jwt","alg":"` + a.name + `","jwk":` + string(b) + `}`
	key := &Key{
		signer: func() crypto.Signer { return signer }, alg: a,
		header: encode([]byte(header)), thumbprint: encode(read.Thumbprint[:]),
	}
	if !inMemory(signer) {
		key.places = make(chan struct{}, maxSigning)
	}
	return key, nil
}

// marshalJWK writes the public members, and has no others that it could write.
func marshalJWK(public crypto.PublicKey) (written []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // crypto/ecdsa does, for a key without a point
			written, err = nil, fmt.Errorf("a key of type %T that is incomplete: %v", public, p)
		}
	}()
	members := map[string]string{}
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		b, err := k.Bytes()
		if err != nil {
			return nil, err
		}
		half := (len(b) - 1) / 2 // after the 4 that says: not compressed
		members["kty"], members["crv"] = "EC", k.Curve.Params().Name
		members["x"], members["y"] = encode(b[1:1+half]), encode(b[1+half:])
	case ed25519.PublicKey:
		members["kty"], members["crv"], members["x"] = "OKP", "Ed25519", encode(k)
	case *rsa.PublicKey:
		members["kty"], members["n"] = "RSA", encode(k.N.Bytes())
		members["e"] = encode(big.NewInt(int64(k.E)).Bytes())
	}
	return json.Marshal(members)
}

func (k *Key) now() time.Time {
	if k != nil && k.Now != nil {
		return k.Now()
	}
	return time.Now()
}

// Thumbprint is the jkt that tokens are bound to (RFC 7638; RFC 9449, section 6.1); "" without a key.
func (k *Key) Thumbprint() string {
	if k == nil {
		return ""
	}
	return k.thumbprint
}

// sign returns the signature in the form of RFC 7518.
func (k *Key) sign(input []byte) ([]byte, error) {
	if hash := k.alg.options.HashFunc(); hash != 0 {
		h := hash.New()
		h.Write(input)
		input = h.Sum(nil)
	}
	signature, err := k.signer().Sign(rand.Reader, input, k.alg.options)
	if err != nil {
		return nil, fmt.Errorf("popclient: sign: %w", err)
	}
	if k.alg.curve == nil {
		return signature, nil
	}
	return concatenated(signature, (k.alg.curve.Params().BitSize+7)/8)
}

var errSignature = errors.New("popclient: the signer returned no ECDSA signature in ASN.1")

// concatenated makes of the ASN.1 that a crypto.Signer returns what RFC 7518, section 3.4, asks for: r and s, each at
// full length.
func concatenated(signature []byte, size int) ([]byte, error) {
	var parts struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(signature, &parts)
	if err != nil || len(rest) > 0 {
		return nil, errSignature
	}
	for _, n := range []*big.Int{parts.R, parts.S} {
		if n.Sign() <= 0 || n.BitLen() > 8*size {
			return nil, errSignature
		}
	}
	b := make([]byte, 2*size)
	parts.R.FillBytes(b[:size])
	parts.S.FillBytes(b[size:])
	return b, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
