package popauth

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
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
	case len(lines) == 0 && r.Method == http.MethodOptions && len(r.Header["Access-Control-Request-Method"]) > 0:
		return credentials{}, &Error{Reason: ErrCredentialsMissing, Err: errPreflight}
	case len(lines) == 0:
		return credentials{}, &Error{Reason: ErrCredentialsMissing}
	case len(lines) > 1:
		return credentials{}, &Error{Reason: ErrCredentialsMalformed,
			Err: &Mismatch{What: "Authorization", Got: strconv.Itoa(len(lines)) + " header lines", Want: "one"}}
	}
	if len(lines[0]) > jose.MaxToken {
		return credentials{}, &Error{Reason: ErrTokenMalformed,
			Err: fmt.Errorf("too large: Authorization has %d bytes, and %d are the most", len(lines[0]), jose.MaxToken)}
	}
	scheme, token, two := strings.Cut(lines[0], " ")
	if !field.IsToken(scheme) {
		return credentials{}, &Error{Reason: ErrCredentialsMalformed, Err: errNoScheme}
	}
	under := s.find(scheme)
	if under == 0 {
		return credentials{}, &Error{Reason: ErrCredentialsMissing, Err: s.wrongScheme(scheme, !two)}
	}
	token = strings.TrimLeft(token, " ") // 1*SP
	if !readsAll(v, token) && !field.IsToken68(token) {
		return credentials{}, &Error{Reason: ErrCredentialsMalformed, Err: errNoToken68, used: s.name(under)}
	}
	if tokenElsewhere(r) {
		return credentials{}, &Error{Reason: ErrCredentialsMalformed, Err: errTokenElsewhere, used: s.name(under)}
	}
	return credentials{under: under, token: token}, nil
}

var (
	errPreflight = errors.New("a browser's preflight request, which has none: put the CORS handler outside of the Guard, so that " +
		"it answers first")
	errNoScheme  = errors.New("header Authorization begins with no scheme, such as Bearer")
	errNoToken68 = errors.New("what follows the scheme in Authorization is no token: empty, or with a character that none has, " +
		"such as a space or a comma")
	errTokenElsewhere = errors.New("a parameter access_token in the query or the form beside Authorization: the client has to send one")
)

// readsAll tells whether a Verifier of ours refuses whatever is no token68: all of a JWT that passes is base64url. Its
// characters need not be read twice, which is a tenth of what a remembered token takes.
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

// bearer is the scheme of tokens that bring no scheme of their own (RFC 6750), certificate-bound ones among them.
const bearer = "Bearer"

// challenge is one authentication scheme of a Guard with the parameters that its challenges always carry.
type challenge struct {
	scheme string
	params []Param
}

// challengesFor returns the WWW-Authenticate values for e: RFC 6750, section 3; RFC 9449, section 7.2: the error
// stands in the challenge of the scheme that was used, in all if that can't be told; without credentials in none.
func challengesFor(e *Error, schemes []challenge, realm string) []string {
	a := e.answer()
	switch {
	case a.status == http.StatusUnauthorized:
	case a.code != "" && a.status < http.StatusInternalServerError:
	default:
		return nil
	}
	var first, rest []string
	for _, s := range schemes {
		mine := e.used == "" || strings.EqualFold(e.used, s.scheme)
		switch {
		case mine && a.code != "":
			first = append(first, s.write(a, e.needed, realm))
		case a.status == http.StatusUnauthorized:
			rest = append(rest, s.write(answer{}, nil, realm))
		}
	}
	return append(first, rest...)
}

// challengeKey has all that a prepared challenge depends on. One with further parameters, such as scope, is never prepared.
type challengeKey struct {
	answer answer
	used   string
}

// schemes are the authentication schemes of one Guard, Bearer first, with the challenges that they make.
type schemes struct {
	all      []challenge
	realm    string
	prepared map[challengeKey][]string
}

// newSchemes writes the challenges once that are the same with every refusal. Named are parameters that all schemes carry,
// own are the schemes of Confirmers.
func newSchemes(realm string, named []Param, own []challenge) schemes {
	s := schemes{all: []challenge{{bearer, named}}, realm: realm, prepared: map[challengeKey][]string{}}
	for _, c := range own {
		s.all = append(s.all, challenge{c.scheme, slices.Concat(named, c.params)})
	}
	for reason := range answers {
		for _, c := range slices.Concat(s.all, []challenge{{}}) { // and without a scheme
			e := &Error{Reason: reason, used: c.scheme}
			s.prepared[challengeKey{e.answer(), e.used}] = challengesFor(e, s.all, realm)
		}
	}
	return s
}

// schemeNumber is that of one of a Guard's schemes, from 1: all that a decision keeps of it. 0 is none.
type schemeNumber uint16

// find returns the number of a scheme (RFC 9110, section 11.1: in any case); 0 if it is none of the Guard's.
func (s *schemes) find(scheme string) schemeNumber {
	i := slices.IndexFunc(s.all, func(c challenge) bool { return strings.EqualFold(c.scheme, scheme) })
	if i < 0 || i >= math.MaxUint16 {
		return 0
	}
	return schemeNumber(i) + 1
}

// name is the scheme as the Guard writes it; "" if it isn't known.
func (s *schemes) name(n schemeNumber) string {
	if n == 0 {
		return ""
	}
	return s.all[n-1].scheme
}

// challenges returns those for e. They may be shared with other requests.
func (s *schemes) challenges(e *Error) []string {
	if len(e.needed) == 0 {
		if c, ok := s.prepared[challengeKey{e.answer(), e.used}]; ok {
			return c
		}
	}
	return challengesFor(e, s.all, s.realm)
}

// write puts error first, since some clients find it only there.
func (c challenge) write(a answer, needed []Param, realm string) string {
	return field.Challenge(c.scheme, func(add func(name, value string)) {
		add("error", a.code)
		add("error_description", a.description)
		for _, p := range needed {
			add(p.Name, p.Value)
		}
		add("realm", realm)
		for _, p := range c.params {
			add(p.Name, p.Value)
		}
	})
}

// Param is one parameter of a challenge, such as algs of DPoP.
type Param struct{ Name, Value string }
