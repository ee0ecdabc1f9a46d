package keys

import (
	"cmp"
	"crypto/fips140"
	"crypto/sha1" //nolint:gosec // x5t names a key among the issuer's own, and proves nothing
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/jwk"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

const (
	// maxKeys is how many keys of a set are looked at.
	maxKeys = 200

	// maxLeftOut is how many keys an error names that were left out.
	maxLeftOut = 5
)

// Read reads a JWK Set. A key that is strange is left out and spoils no other (RFC 7517, section 5).
func Read(jwks []byte) (*Set, error) {
	set := &Set{named: map[ID][]issuerKey{}}
	found := false
	err := strictjson.Among(jwks, []string{"keys"}, func(_ string, v jsontext.Value) error {
		found = true
		keys, err := strictjson.Items(v, maxKeys)
		for i, raw := range keys {
			set.add(i, raw)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("JWK Set: %w", err)
	case !found:
		return nil, errors.New("no usable key in the JWK Set: it has no member keys")
	case len(set.all) == 0:
		return nil, &emptySet{set.leftOut()}
	}
	set.choose()
	set.nameAll()
	set.bytes = set.weight()
	return set, nil
}

// emptySet is a JWK Set that can be read, and has no key to verify a token with. From an issuer that is an answer: keys that
// were in it before are withdrawn.
type emptySet struct{ left string }

func (e *emptySet) Error() string { return "no usable key in the JWK Set" + e.left }

// Brief is the same without the names, which are as long as the issuer likes.
func (*emptySet) Brief() error { return &emptySet{} }

// IsEmptySet tells whether an error says that a JWK Set has no usable key.
func IsEmptySet(err error) bool {
	_, ok := errors.AsType[*emptySet](err)
	return ok
}

// add adds a key of a set, or the reason for which it doesn't count.
func (s *Set) add(i int, raw jsontext.Value) {
	j, err := readJWK(raw)
	if err == nil {
		var k issuerKey
		if k, err = j.public(); err == nil {
			s.all = append(s.all, k)
			for _, id := range j.names(raw) {
				s.named[id] = append(s.named[id], k)
			}
			return
		}
	}
	if len(s.left) < maxLeftOut {
		s.left = append(s.left, fmt.Sprintf("key %d, kid %.64q: %v", i+1, j.kid, err))
	}
}

// jwkMembers is what counts of a JWK. The certificates that may stand beside it are not relied on, and nothing else is
// looked at.
type jwkMembers struct {
	kid, issuer string
	marshal     jwkset.JWKMarshal // kty, crv, x, y, n, e and alg
}

var (
	errSecretKey = errors.New("a private or symmetric key, which everybody can read: it is nobody's")
	jwkNames     = []string{
		"kty", "crv", "x", "y", "n", "e", "alg", "use", "key_ops", "kid", "issuer", "d", "k", "p", "q", "dp", "dq", "qi", "oth",
	}
)

func readJWK(raw jsontext.Value) (jwkMembers, error) {
	var j jwkMembers
	err := strictjson.Among(raw, jwkNames, func(name string, v jsontext.Value) error {
		if v.Kind() == 'n' {
			return nil // absent, in another spelling
		}
		if err := j.read(name, v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	return j, err
}

func (j *jwkMembers) read(name string, v jsontext.Value) error {
	switch name {
	case "d", "k", "p", "q", "dp", "dq", "qi", "oth":
		if s := string(v); s == `""` || s == "[]" {
			return nil
		}
		return errSecretKey
	case "key_ops":
		return readKeyOps(v)
	}
	s, err := strictjson.String(v)
	if err != nil {
		return err
	}
	switch name {
	case "kty":
		j.marshal.KTY = jwkset.KTY(s)
	case "crv":
		j.marshal.CRV = jwkset.CRV(s)
	case "x":
		j.marshal.X = s
	case "y":
		j.marshal.Y = s
	case "n":
		j.marshal.N = s
	case "e":
		j.marshal.E = s
	case "alg":
		j.marshal.ALG = jwkset.ALG(s)
	case "use":
		// SPIFFE's bundles have uses of their own (SPIFFE Trust Domain and Bundle, section 4.2.2).
		if s != "" && s != "sig" && s != "jwt-svid" {
			return fmt.Errorf("%.64q is not for signatures", s)
		}
	case "kid":
		if j.kid = s; len(s) > jose.MaxKeyID {
			return fmt.Errorf("of %d bytes, more than %d", len(s), jose.MaxKeyID)
		}
	case "issuer":
		// Microsoft Entra says by it whose a key is, in sets that several issuers share.
		if j.issuer = s; s == "" {
			return errors.New("empty: nobody knows whose key it is")
		}
	}
	return nil
}

// readKeyOps reads what a key is for: a list (RFC 7517, section 4.3), or one entry without the list.
func readKeyOps(v jsontext.Value) error {
	ops := []string{""}
	err := strictjson.Strict(v)
	if err == nil && v.Kind() == '[' {
		ops, err = strictjson.Strings(v)
	} else if err == nil {
		ops[0], err = strictjson.String(v)
	}
	if err == nil && len(ops) > 0 && !slices.Contains(ops, "verify") {
		err = errors.New("without verify")
	}
	return err
}

// public leaves parsing to jwkset.
func (j jwkMembers) public() (issuerKey, error) {
	if j.marshal.ALG == "Ed25519" { // RFC 9864: jwkset and keyfunc know it as EdDSA
		j.marshal.ALG = jwkset.AlgEdDSA
	}
	k, err := jwkset.NewJWKFromMarshal(j.marshal, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipKeyOps: true})
	if err != nil {
		return issuerKey{}, fmt.Errorf("no key that can be read, of kty %.32q: %w", j.marshal.KTY, err)
	}
	own := issuerKey{key: k.Key(), alg: j.marshal.ALG.String(), issuer: j.issuer}
	if !slices.ContainsFunc(jose.Algorithms, func(a jose.Algorithm) bool {
		return own.fits(Wanted{Hint: Hint{Algorithm: a.Method.Alg()}})
	}) {
		return issuerKey{}, fmt.Errorf("kty %.32q, crv %.32q, alg %.32q: of no algorithm that is known here, or of a size that is refused",
			j.marshal.KTY, j.marshal.CRV, j.marshal.ALG)
	}
	// A key that nobody can sign with, or everybody. crypto/rsa would refuse its own only when a token is verified: too
	// late for another key of the same kid, and for telling a set without any.
	return own, jwk.Sound(own.key)
}

// names are what tokens may call the key. Thumbprints are those of the certificate beside it (RFC 7517, sections 4.7 to
// 4.9); what is strange about them spoils no key.
func (j jwkMembers) names(raw jsontext.Value) []ID {
	var all []ID
	if j.kid != "" {
		all = append(all, ID{jose.ByKeyID, j.kid})
	}
	said := map[string]string{}
	_ = strictjson.Among(raw, []string{jose.BySHA256, jose.BySHA1, "x5c"}, func(name string, v jsontext.Value) error {
		switch name {
		case "x5c":
			if certificate := firstCertificate(v); certificate != nil {
				long := sha256.Sum256(certificate)
				said["of "+jose.BySHA256] = base64.RawURLEncoding.EncodeToString(long[:])
				if !fips140.Enforced() { // there crypto/sha1 panics
					short := sha1.Sum(certificate) //nolint:gosec // as above
					said["of "+jose.BySHA1] = base64.RawURLEncoding.EncodeToString(short[:])
				}
			}
		default:
			if s, err := strictjson.String(v); err == nil {
				said[name] = jose.ThumbprintName(s)
			}
		}
		return nil
	})
	for _, by := range []string{jose.BySHA256, jose.BySHA1} {
		if name := cmp.Or(said[by], said["of "+by]); name != "" {
			all = append(all, ID{by, name})
		}
	}
	return all
}

// firstCertificate returns the DER form of the first certificate of an x5c; nil if there is none.
func firstCertificate(v jsontext.Value) []byte {
	first, err := strictjson.Items(v, 1)
	if err != nil || len(first) == 0 || strictjson.Strict(first[0]) != nil {
		return nil
	}
	s, err := strictjson.String(first[0])
	if err != nil {
		return nil
	}
	der, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return der
}
