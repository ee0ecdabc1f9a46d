package popauth

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/internal/jose"
)

var namings = []string{jose.ByKeyID, jose.BySHA256, jose.BySHA1}

// keyID is what a token calls its key; the zero keyID if it names none.
type keyID struct{ by, name string }

// keyName is what a token says about its key.
type keyName struct {
	keyID
	alg string
}

// wanted is what a key must fit.
type wanted struct {
	keyName
	issuer string
}

// maxTried is how many keys under one name are tried, so that a token costs no more than three verifications.
const maxTried = 3

var errUnfitKeyID = errors.New("kid is no string, empty, or too long")

// issuerKey is a public key of a set, and what the set says about it.
type issuerKey struct {
	key    any
	alg    string // keyfunc's name; "" for any that fits
	issuer string // "" if it says none
}

// fits tells whether the key counts for the token.
func (k issuerKey) fits(w wanted) bool {
	a, ok := jose.Find(w.alg)
	return ok && a.Fits(k.key) && (k.alg == "" || k.alg == w.alg)
}

// of tells whether the key counts for that issuer's tokens.
func (k issuerKey) of(issuer string) bool { return isIssuer(k.issuer, issuer) }

// keySet is a JWK Set with what can verify tokens in it, and nothing else. It is immutable.
type keySet struct {
	named  map[keyID][]issuerKey
	all    []issuerKey
	chosen map[keyName]chosenKey // by keyfunc, where a kid and an algorithm leave one key
	left   []string              // why keys were left out
	size   int64                 // about what all that needs, in bytes
}

type chosenKey struct {
	key    any
	issuer string // as in issuerKey
}

// known takes no lock and allocates nothing.
func (s *keySet) known(kid, alg, issuer string) (any, bool) {
	if s == nil {
		return nil, false
	}
	c, ok := s.chosen[keyName{keyID{jose.ByKeyID, kid}, alg}]
	if !ok || !isIssuer(c.issuer, issuer) {
		return nil, false
	}
	return c.key, true
}

// has tells whether there is a key of that name, or the token names none.
func (s *keySet) has(id keyID) bool { return id.by == "" || len(s.named[id]) > 0 }

// find returns keyfunc's choice for the token: of the issuer's keys that fit it, the first maxTried of the name. Where it names
// none it returns all of them, and an error if they are more than maxTried.
func (s *keySet) find(w wanted) ([]any, error) {
	views := 1
	if w.by != "" {
		views = max(1, min(maxTried, len(s.fitting(s.named[w.keyID], w))))
	} else if n := s.count(w); n > maxTried { // before each is made what keyfunc wants to see
		return nil, &Error{Reason: ErrTokenKey, Err: fmt.Errorf("the token names no key, and %d of the issuer fit its algorithm: have it name one by kid", n)}
	}
	var keys []any
	for nth := range views {
		chosen, err := chosenBy(keyView{set: s, token: w, nth: nth}, w)
		if err != nil {
			return nil, err
		}
		keys = append(keys, chosen...)
	}
	return keys, nil
}

// fitting returns those of the keys that count for the token.
func (s *keySet) fitting(keys []issuerKey, w wanted) []issuerKey {
	var fit []issuerKey
	for _, k := range keys {
		if k.of(w.issuer) && k.fits(w) {
			fit = append(fit, k)
		}
	}
	return fit
}

// count returns how many keys count for the token, whatever their names.
func (s *keySet) count(w wanted) int {
	n := 0
	for i := range s.all {
		if s.all[i].of(w.issuer) && s.all[i].fits(w) {
			n++
		}
	}
	return n
}

// missing says why no key of that name counts for the token.
func (s *keySet) missing(w wanted) error {
	named := s.named[w.keyID]
	var err error
	switch {
	case len(named) == 0:
		err = fmt.Errorf("key not found by its %s among %d of the issuer%s", w.by, len(s.all), s.leftOut())
	case !slices.ContainsFunc(named, func(k issuerKey) bool { return k.of(w.issuer) }):
		err = fmt.Errorf("the key says that it is of issuer %.128q: see Options.KeyIssuer", named[0].issuer)
	default:
		err = errors.New("the key of that name is for another algorithm than the token's")
	}
	return &Error{Reason: ErrTokenKey, Err: err}
}

// leftOut says which keys of the set don't count, and why.
func (s *keySet) leftOut() string {
	if len(s.left) == 0 {
		return ""
	}
	return "; left out: " + strings.Join(s.left, ", ")
}

// weight is about what the set needs, in bytes.
func (s *keySet) weight() int64 {
	const key, name = 512, 128
	n := int64(0)
	for _, k := range s.all {
		n += key + int64(len(k.issuer))
		if rsaKey, ok := k.key.(*rsa.PublicKey); ok {
			n += int64(rsaKey.Size())
		}
	}
	for id := range s.named {
		n += name + int64(len(id.name))
	}
	return n + name*int64(len(s.chosen))
}

// choose asks keyfunc beforehand for what needs no look at the other keys: where one key alone has the kid and fits the
// algorithm, whatever the token's issuer.
func (s *keySet) choose() {
	s.chosen = map[keyName]chosenKey{}
	for id, keys := range s.named {
		if id.by != jose.ByKeyID {
			continue
		}
		for _, a := range jose.Algorithms {
			n := keyName{id, a.Method.Alg()}
			var fit []issuerKey
			for _, k := range keys {
				if k.fits(wanted{keyName: n}) {
					fit = append(fit, k)
				}
			}
			if len(fit) != 1 {
				continue
			}
			if key, err := s.find(wanted{n, fit[0].issuer}); err == nil && len(key) == 1 {
				s.chosen[n] = chosenKey{key[0], fit[0].issuer}
			}
		}
	}
}

const tenantPlaceholder = "{tenantid}"

// isIssuer tells whether what a key says of its issuer is this one. The placeholder stands for one text wherever it
// is, of one segment at most.
func isIssuer(said, issuer string) bool {
	n := strings.Count(said, tenantPlaceholder)
	if n == 0 {
		return said == "" || said == issuer
	}
	length := (len(issuer) - len(said) + n*len(tenantPlaceholder)) / n
	start := strings.Index(said, tenantPlaceholder)
	if length <= 0 || start+length > len(issuer) {
		return false
	}
	tenant := issuer[start : start+length]
	if strings.ContainsAny(tenant, "/?#") {
		return false
	}
	for {
		before, after, more := strings.Cut(said, tenantPlaceholder)
		rest, ok := strings.CutPrefix(issuer, before)
		if !more || !ok {
			return ok && rest == ""
		}
		if issuer, ok = strings.CutPrefix(rest, tenant); !ok {
			return false
		}
		said = after
	}
}
