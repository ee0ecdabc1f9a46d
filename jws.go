package popauth

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

// jws is a compact JWS in its three segments.
type jws struct {
	header, payload, signature string
	signed                     string // what the signature is for
}

// part parts a compact JWS (RFC 7515, section 7.1). A JWE has five segments.
func part(token string) (jws, error) {
	h, rest, ok := strings.Cut(token, ".")
	p, s, both := strings.Cut(rest, ".")
	if !ok || !both || strings.Contains(s, ".") {
		return jws{}, errForm
	}
	return jws{h, p, s, token[:len(h)+1+len(p)]}, nil
}

// segments are those of a compact JWS, decoded.
type segments struct {
	header, payload, signature []byte
	space                      *[]byte // that they are in
}

// spaces are used again: nobody keeps what is in them.
var spaces = sync.Pool{New: func() any { return new([]byte) }}

func (s segments) close() {
	clear(*s.space)
	spaces.Put(s.space)
}

// decode decodes the segments that there are.
func (j jws) decode() (segments, error) {
	space, _ := spaces.Get().(*[]byte)
	*space = slices.Grow((*space)[:0], len(j.header)+len(j.payload)+len(j.signature))
	all := *space
	var ends [3]int
	for i, segment := range [...]string{j.header, j.payload, j.signature} {
		var err error
		if all, err = appendSegment(all, segment); err != nil {
			spaces.Put(space)
			return segments{}, err
		}
		ends[i] = len(all)
	}
	*space = all
	return segments{all[:ends[0]], all[ends[0]:ends[1]], all[ends[1]:], space}, nil
}

// header is what counts of a JOSE header. jku, jwk, x5u and x5c, which would let a token bring its own key, are not
// looked at.
type header struct {
	alg, typ string
	by, kid  string // what the token calls its key: by kid, else by x5t#S256, else by x5t; "" if it names none
}

const (
	maxKeyID = 256

	// maxHeaderValues bounds what a header without a signature makes its reader do. Most have three members, and those of
	// proofs with their key eight.
	maxHeaderValues = 64
)

var (
	errForm    = errors.New("not a JWS in three segments, the first a JSON object in base64url")
	errHeader  = errors.New("header has crit, b64, zip, enc or a nested token, or an unfit kid")
	errCrowded = fmt.Errorf("header has more than %d members or elements", maxHeaderValues)
)

var joseMembers = []string{"alg", "typ", "kid", "crit", "b64", "zip", "enc", "cty"}

func (j jws) readHeader() (header, error) {
	// An object begins with a brace, perhaps behind JSON's white space: most garbage does not.
	if j.header == "" || !strings.Contains("eICD", j.header[:1]) {
		return header{}, errForm
	}
	s, err := jws{header: j.header}.decode()
	if err != nil {
		return header{}, err
	}
	defer s.close()
	if strictjson.Values(s.header) > maxHeaderValues {
		return header{}, errCrowded
	}
	var h header
	text := string(s.header)
	err = strictjson.MembersAt(s.header, joseMembers, func(name string, v jsontext.Value, at int) (err error) {
		switch name {
		case "alg":
			h.alg, err = strictjson.StringAt(text, at, v)
		case "typ":
			h.typ, err = strictjson.StringAt(text, at, v)
		case "kid":
			h.by = byKeyID
			if h.kid, err = strictjson.StringAt(text, at, v); err == nil && (h.kid == "" || len(h.kid) > maxKeyID || strings.ContainsFunc(h.kid, unicode.IsControl)) {
				err = errHeader
			}
		case bySHA256, bySHA1:
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
		return header{}, err
	}
	return h, nil
}

// thumbprint takes a certificate's thumbprint for the name of the key, unless there is a better one. What can't be one is
// not looked at: the kid may be all that the token needs.
func (h *header) thumbprint(by string, v jsontext.Value) {
	if h.by == byKeyID || h.by == bySHA256 {
		return
	}
	if s, err := strictjson.String(v); err == nil {
		if name := thumbprintName(s); name != "" {
			h.by, h.kid = by, name
		}
	}
}

// isType tells whether a header's typ is one of a list: media types compare in any case, and application/ may be left
// out where no other slash is (RFC 7515, section 4.1.9).
func isType(list []string, typ string) bool {
	if among(list, typ) {
		return true
	}
	short := shortType(typ)
	return slices.ContainsFunc(list, func(have string) bool { return among([]string{shortType(have)}, short) })
}

func shortType(typ string) string {
	const application = "application/"
	if len(typ) > len(application) && among([]string{application}, typ[:len(application)]) && !strings.Contains(typ[len(application):], "/") {
		return typ[len(application):]
	}
	return typ
}

// among compares in any case. Of one length, since a Kelvin sign folds to a k and is three bytes.
func among(list []string, s string) bool {
	return slices.ContainsFunc(list, func(have string) bool { return len(have) == len(s) && strings.EqualFold(have, s) })
}
