package jose

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// JWS is a compact JWS in its three segments.
type JWS struct {
	Header, Payload, Signature string
	Signed                     string // what the signature is for
}

// Split parts a compact JWS (RFC 7515, section 7.1). A JWE has five segments.
func Split(token string) (JWS, error) {
	h, rest, ok := strings.Cut(token, ".")
	p, s, both := strings.Cut(rest, ".")
	if !ok || !both || strings.Contains(s, ".") {
		return JWS{}, ErrForm
	}
	return JWS{h, p, s, token[:len(h)+1+len(p)]}, nil
}

// Segments are those of a compact JWS, decoded.
type Segments struct {
	Header, Payload, Signature []byte
	space                      *[]byte // that they are in
}

// spaces are used again: nobody keeps what is in them.
var spaces = sync.Pool{New: func() any { return new([]byte) }}

// Close gives back the space that the segments are in. Nothing of them may be used afterwards.
func (s Segments) Close() {
	clear(*s.space)
	spaces.Put(s.space)
}

// Decode decodes the segments that there are.
func (j JWS) Decode() (Segments, error) {
	space, _ := spaces.Get().(*[]byte)
	*space = slices.Grow((*space)[:0], len(j.Header)+len(j.Payload)+len(j.Signature))
	all := *space
	var ends [3]int
	for i, segment := range [...]string{j.Header, j.Payload, j.Signature} {
		var err error
		if all, err = AppendDecode(all, segment); err != nil {
			spaces.Put(space)
			return Segments{}, err
		}
		ends[i] = len(all)
	}
	*space = all
	return Segments{all[:ends[0]], all[ends[0]:ends[1]], all[ends[1]:], space}, nil
}

// Header is what counts of a JOSE header. jku, jwk, x5u and x5c, which would let a token bring its own key, are not
// looked at.
type Header struct {
	Algorithm, Type string
	By, KeyID       string // what the token calls its key: by kid, else by x5t#S256, else by x5t; "" if it names none
}

const (
	// MaxKeyID bounds the name of a key, in bytes.
	MaxKeyID = 256

	// MaxHeaderValues bounds what a header without a signature makes its reader do. Most have three members, and those of
	// proofs with their key eight.
	MaxHeaderValues = 64
)

var (
	// ErrForm is what isn't a compact JWS at all, as most garbage.
	ErrForm   = errors.New("not a JWS in three segments, the first a JSON object in base64url")
	errHeader = errors.New("header has crit, b64, zip, enc or a nested token, or an unfit kid")
	// ErrCrowded is a header with more values than MaxHeaderValues.
	ErrCrowded = fmt.Errorf("header has more than %d members or elements", MaxHeaderValues)
)

var joseMembers = []string{"alg", "typ", "kid", "crit", "b64", "zip", "enc", "cty"}

// ReadHeader reads what counts of the header. What no JWS may have that is understood here is an error.
func (j JWS) ReadHeader() (Header, error) {
	// An object begins with a brace, perhaps behind JSON's white space: most garbage does not.
	if j.Header == "" || !strings.Contains("eICD", j.Header[:1]) {
		return Header{}, ErrForm
	}
	s, err := JWS{Header: j.Header}.Decode()
	if err != nil {
		return Header{}, err
	}
	defer s.Close()
	if strictjson.Values(s.Header) > MaxHeaderValues {
		return Header{}, ErrCrowded
	}
	var h Header
	text := string(s.Header)
	err = strictjson.MembersAt(s.Header, joseMembers, func(name string, v jsontext.Value, at int) (err error) {
		switch name {
		case "alg":
			h.Algorithm, err = strictjson.StringAt(text, at, v)
		case "typ":
			h.Type, err = strictjson.StringAt(text, at, v)
		case "kid":
			h.By = ByKeyID
			if h.KeyID, err = strictjson.StringAt(text, at, v); err == nil &&
				(h.KeyID == "" || len(h.KeyID) > MaxKeyID || strings.ContainsFunc(h.KeyID, unicode.IsControl)) {
				err = errHeader
			}
		case BySHA256, BySHA1:
			h.thumbprint(name, v)
		case "cty":
			var cty string
			if cty, err = strictjson.String(v); err == nil && strings.HasSuffix(strings.ToLower(cty), "jwt") {
				err = errHeader
			}
		case "zip":
			// None of a JWS's (RFC 7516, section 4.1.3). ForgeRock's tokens have one that says that nothing is compressed.
			var zip string
			if zip, err = strictjson.String(v); err == nil && zip != "NONE" {
				err = errHeader
			}
		case "crit", "b64", "enc":
			// RFC 7515, section 4.1.11: an extension that is not understood makes the token invalid, and none is.
			err = errHeader
		}
		return err
	})
	if err != nil {
		return Header{}, err
	}
	return h, nil
}

// thumbprint takes a certificate's thumbprint for the name of the key, unless there is a better one. What can't be one is
// not looked at: the kid may be all that the token needs.
func (h *Header) thumbprint(by string, v jsontext.Value) {
	if h.By == ByKeyID || h.By == BySHA256 {
		return
	}
	if s, err := strictjson.String(v); err == nil {
		if name := ThumbprintName(s); name != "" {
			h.By, h.KeyID = by, name
		}
	}
}

// IsType tells whether a header's typ is one of a list: media types compare in any case, and application/ may be left
// out where no other slash is (RFC 7515, section 4.1.9).
func IsType(list []string, typ string) bool {
	if Among(list, typ) {
		return true
	}
	short := shortType(typ)
	return slices.ContainsFunc(list, func(have string) bool { return Among([]string{shortType(have)}, short) })
}

func shortType(typ string) string {
	const application = "application/"
	if len(typ) > len(application) && Among([]string{application}, typ[:len(application)]) &&
		!strings.Contains(typ[len(application):], "/") {
		return typ[len(application):]
	}
	return typ
}

// Among compares in any case. Of one length, since a Kelvin sign folds to a k and is three bytes.
func Among(list []string, s string) bool {
	return slices.ContainsFunc(list, func(have string) bool { return len(have) == len(s) && strings.EqualFold(have, s) })
}
