package keys

import (
	"errors"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/jose"
)

var namings = []string{jose.ByKeyID, jose.BySHA256, jose.BySHA1}

// ID is what a token calls its key; the zero keyID if it names none.
type ID struct{ By, Name string }

// Hint is what a token says about its key.
type Hint struct {
	ID
	Algorithm string
}

// Wanted is what a key must fit.
type Wanted struct {
	Hint
	Issuer string
}

var errUnfitKeyID = errors.New("kid is no string, empty, or too long")

// WantedBy reads what a token of golang-jwt says about its key.
func WantedBy(t *jwt.Token) (Wanted, error) {
	w := Wanted{Issuer: issuerOf(t)}
	w.Algorithm, _ = t.Header["alg"].(string)
	for _, by := range namings {
		v, ok := t.Header[by]
		if !ok {
			continue
		}
		name, ok := v.(string)
		if by == jose.ByKeyID {
			if !ok || name == "" || len(name) > jose.MaxKeyID {
				return Wanted{}, &NotFoundError{errUnfitKeyID}
			}
		} else if name = jose.ThumbprintName(name); name == "" {
			continue
		}
		w.ID = ID{by, name}
		break
	}
	return w, nil
}

// KnownTo returns the key for a token of golang-jwt if one is chosen already.
func (s *Set) KnownTo(t *jwt.Token) (any, bool) {
	kid, _ := t.Header[jose.ByKeyID].(string)
	alg, _ := t.Header["alg"].(string)
	return s.Known(kid, alg, issuerOf(t))
}

// issuerOf returns the iss that a token is held against; "" if there is none.
func issuerOf(t *jwt.Token) string {
	if t.Claims == nil {
		return ""
	}
	iss, _ := t.Claims.GetIssuer()
	return iss
}

// Choice returns keys to try in golang-jwt's way: one key, or several.
func Choice(found []any, w Wanted) any {
	if len(found) == 1 && w.By != "" {
		return found[0]
	}
	set := jwt.VerificationKeySet{}
	for _, k := range found {
		set.Keys = append(set.Keys, k)
	}
	return set
}
