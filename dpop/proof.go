package dpop

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"encoding/base64"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/jwk"
	"github.com/seed-171ab058/popauth/internal/mismatch"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// proof is a DPoP proof whose signature is right (RFC 9449, section 4.2), and what RFC 7519 says of any JWT's times. What it says
// beyond this is not looked at.
type proof struct {
	id     string    // jti
	method string    // htm
	uri    string    // htu
	issued time.Time // iat
	begins time.Time // nbf; zero without
	ends   time.Time // exp; zero without
	token  []byte    // ath, decoded; nil without
	nonce  string    // "" without
	header string    // to be put into the memory, since it is not known; "" if it is
	signer signer
}

// signer is who signs proofs with one header.
type signer struct {
	algorithm jose.Algorithm
	key       jwk.Key
}

// proofHeader is what counts of a proof's header.
type proofHeader struct {
	typ, alg string
	key      []byte // jwk
}

const (
	// maxProof leaves room for an RSA key of 8192 bits and its signature, and is what many servers allow a header.
	maxProof = 8 << 10

	// maxProofID bounds what a client can make a store remember (section 11.1), for stores that don't take a hash.
	maxProofID = 256
)

var (
	errProofCount  = errors.New("more than one DPoP header")
	errProofSize   = errors.New("proof too large")
	errProofForm   = errors.New("not three segments of base64url")
	errProofHeader = errors.New("header has crit, b64, zip or enc")
	errProofClaim  = errors.New("a required claim is missing or empty")
	errProofID     = errors.New("jti too long")
	errProofSigned = errors.New("not made with the key in its jwk, or changed on the way")
)

var proofTypes = []string{"dpop+jwt"}

func malformedProof(err error) error {
	return &popauth.Error{Reason: popauth.ErrProofMalformed, Err: err}
}

// readProof makes the checks 1 to 7 of RFC 9449, section 4.3, on the values of the DPoP header, each before one that
// costs more. A header that is known has passed those that are about it alone. Where bound is not nil, it is the thumbprint
// of the key that the token is bound to, and no signature by another key is looked at: who has a token but not its key would
// choose one that is slow to verify by.
func (d *Confirmer) readProof(lines []string, bound []byte) (proof, error) {
	// Item 1: one header. Proxies and frameworks differ in which of two they pass on.
	switch len(lines) {
	case 0:
		return proof{}, popauth.ErrProofMissing
	case 1:
	default:
		return proof{}, malformedProof(errProofCount)
	}
	s := lines[0]
	if len(s) > maxProof {
		return proof{}, malformedProof(errProofSize)
	}
	// Item 2: one well-formed JWT.
	j, err := jose.Split(s)
	if err != nil {
		return proof{}, malformedProof(errProofForm)
	}
	known, encoded := d.signers.Find(j.Header), j
	if known != nil {
		encoded.Header = ""
	}
	parts, err := encoded.Decode()
	if err != nil {
		return proof{}, malformedProof(errProofForm)
	}
	defer parts.Close()
	var h proofHeader
	if known == nil {
		if h, err = readProofHeader(parts.Header); err != nil {
			return proof{}, malformedProof(err)
		}
	}
	by, fresh := known, ""
	if known == nil {
		own, err := h.signer(d.accepted)
		if err != nil {
			return proof{}, err
		}
		by, fresh = &own, j.Header
	}
	// Item 12, second half.
	if bound != nil && subtle.ConstantTimeCompare(by.key.Thumbprint[:], bound) != 1 {
		return proof{}, &popauth.Error{Reason: popauth.ErrProofKey, Err: &popauth.Mismatch{
			What: "jkt", Got: mismatch.Own(base64.RawURLEncoding.EncodeToString(by.key.Thumbprint[:])) + " of the proof's key",
			Want:   mismatch.Own(base64.RawURLEncoding.EncodeToString(bound)) + " of the token's cnf",
			Advice: "a thief's, or the client has another key than when it got the token",
		}}
	}
	// Item 6.
	if err := by.algorithm.Method.Verify(j.Signed, parts.Signature, by.key.Public); err != nil {
		return proof{}, &popauth.Error{Reason: popauth.ErrProofSignature, Err: errProofSigned}
	}
	// Item 3: all required claims, but ath, which only a proof for a token needs.
	p, err := readProofClaims(parts.Payload)
	if err != nil {
		return proof{}, malformedProof(err)
	}
	p.signer, p.header = *by, fresh
	return p, nil
}

func (h proofHeader) signer(accepted []jose.Algorithm) (signer, error) {
	// Item 4.
	if !jose.IsType(proofTypes, h.typ) {
		return signer{}, malformedProof(&popauth.Mismatch{What: "typ of the proof", Got: mismatch.Text(h.typ),
			Want: mismatch.Any(proofTypes)})
	}
	// Item 5: an asymmetric algorithm that is allowed here; there are no others in the table.
	i := slices.IndexFunc(accepted, func(a jose.Algorithm) bool { return a.Name == h.alg })
	if i < 0 {
		return signer{}, &popauth.Error{Reason: popauth.ErrProofAlgorithm, Err: &popauth.Mismatch{What: "alg of the proof",
			Got: mismatch.Text(h.alg), Want: mismatch.Any(namesOf(accepted)), Advice: "see dpop.Options.Algorithms"}}
	}
	// Item 7, before the key is used: a key that was sent with its private part is nobody's.
	key, err := jwk.Read(h.key)
	if err != nil {
		return signer{}, malformedProof(err)
	}
	// RFC 8725, section 3.1: the algorithm belongs to the key's kind, curve and size.
	if !accepted[i].Fits(key.Public) {
		return signer{}, &popauth.Error{Reason: popauth.ErrProofAlgorithm, Err: fmt.Errorf("alg is %s, and jwk is no key for it", h.alg)}
	}
	return signer{accepted[i], key}, nil
}

func namesOf(list []jose.Algorithm) []string {
	names := make([]string, len(list))
	for i, a := range list {
		names[i] = a.Name
	}
	slices.Sort(names)
	return slices.Compact(names) // an algorithm may have been given by both of its names
}

func readProofHeader(b []byte) (proofHeader, error) {
	if strictjson.Values(b) > jose.MaxHeaderValues {
		return proofHeader{}, jose.ErrCrowded
	}
	var h proofHeader
	err := strictjson.Members(b, []string{"typ", "alg", "jwk", "crit", "b64", "zip", "enc"},
		func(name string, v jsontext.Value) (err error) {
			switch name {
			case "typ":
				h.typ, err = strictjson.String(v)
			case "alg":
				h.alg, err = strictjson.String(v)
			case "jwk":
				h.key = v.Clone()
			case "crit", "b64", "zip", "enc":
				// RFC 7515, section 4.1.11: an extension that is not understood makes the proof invalid, and none is.
				err = errProofHeader
			}
			return err
		})
	return h, err
}

func readProofClaims(b []byte) (proof, error) {
	var p proof
	err := strictjson.Members(b, []string{"jti", "htm", "htu", "iat", "nbf", "exp", "ath", "nonce"},
		func(name string, v jsontext.Value) (err error) {
			switch name {
			case "jti":
				if p.id, err = strictjson.String(v); err == nil && len(p.id) > maxProofID {
					err = errProofID
				}
			case "htm":
				p.method, err = strictjson.String(v)
			case "htu":
				p.uri, err = strictjson.String(v)
			case "iat":
				p.issued, err = proofDate(v)
			case "nbf":
				p.begins, err = proofDate(v)
			case "exp":
				p.ends, err = proofDate(v)
			case "ath":
				var hash string
				var sum [sha256.Size]byte
				if hash, err = strictjson.String(v); err == nil {
					sum, err = jose.Digest(hash)
					p.token = sum[:]
				}
			case "nonce":
				p.nonce, err = strictjson.String(v)
			}
			return err
		})
	if err == nil && (p.id == "" || p.method == "" || p.uri == "" || p.issued.IsZero()) {
		err = fmt.Errorf("%w: jti, htm, htu and iat are", errProofClaim)
	}
	return p, err
}

// proofDate is in whole seconds: a fraction is cut off.
func proofDate(v jsontext.Value) (time.Time, error) {
	s, err := strictjson.Seconds(v)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(s, 0), nil
}
