package popauth

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/jose"
)

// credentials are the access token of a request and the scheme it came under.
type credentials struct {
	under schemeNumber
	token string
}

// readCredentials takes the access token from the Authorization header, the only place it is read from (RFC 6750,
// section 2.1; RFC 9449, section 7.1).
func readCredentials(r *http.Request, s *schemes, v Verifier) (credentials, *Error) {
	lines := r.Header["Authorization"]
	switch {
	case len(lines) == 0:
		return credentials{}, &Error{Reason: ErrCredentialsMissing}
	case len(lines) > 1:
		return credentials{}, &Error{Reason: ErrCredentialsMalformed}
	}
	if len(lines[0]) > jose.MaxToken {
		return credentials{}, &Error{Reason: ErrTokenMalformed, Err: fmt.Errorf("too large: Authorization has %d bytes, and %d are the most", len(lines[0]), jose.MaxToken)}
	}
	scheme, token, _ := strings.Cut(lines[0], " ")
	if !field.IsToken(scheme) {
		return credentials{}, &Error{Reason: ErrCredentialsMalformed}
	}
	under := s.find(scheme)
	if under == 0 {
		return credentials{}, &Error{Reason: ErrCredentialsMissing}
	}
	token = strings.TrimLeft(token, " ") // 1*SP
	if !readsAll(v, token) && !field.IsToken68(token) || tokenElsewhere(r) {
		return credentials{}, &Error{Reason: ErrCredentialsMalformed, used: s.name(under)}
	}
	return credentials{under: under, token: token}, nil
}

// readsAll tells whether a Verifier of ours refuses whatever is no token68: all of a JWT that passes is base64url. Its
// characters need not be looked at twice, which is a tenth of what a remembered token takes.
func readsAll(v Verifier, token string) bool {
	switch v := v.(type) {
	case *jwtVerifier:
		return true
	case jwtOr:
		return readsAll(v.choose(token), token)
	}
	return false
}

// tokenElsewhere tells whether the request carries an access token in its query or in a form that is parsed already
// as well (RFC 6750, section 2). The body is not read for it.
func tokenElsewhere(r *http.Request) bool {
	const parameter = "access_token"
	for rest := r.URL.RawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		name, _, _ := strings.Cut(pair, "=")
		if name == parameter {
			return true
		}
		if strings.Contains(name, "%") && spells(name, parameter) {
			return true
		}
	}
	return r.PostForm.Has(parameter)
}

// spells tells whether s is plain with some characters percent-encoded. It decodes nothing else: a query may have
// thousands of names.
func spells(s, plain string) bool {
	for i := range len(plain) {
		switch {
		case len(s) >= 3 && s[0] == '%':
			var c [1]byte
			if _, err := hex.Decode(c[:], []byte(s[1:3])); err != nil || c[0] != plain[i] {
				return false
			}
			s = s[3:]
		case s != "" && s[0] == plain[i]:
			s = s[1:]
		default:
			return false
		}
	}
	return s == ""
}
