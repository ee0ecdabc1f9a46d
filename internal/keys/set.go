package keys

import (
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/mismatch"
)

// maxTried is how many keys under one name are tried, so that a token costs no more than three verifications.
const maxTried = 3

// NotFoundError says that the issuer has no key for a token, or none that can be told from its others. Any other error of a
// look for keys says that the issuer's word can't be had.
type NotFoundError struct{ Err error }

func (e *NotFoundError) Error() string { return e.Err.Error() }
func (e *NotFoundError) Unwrap() error { return e.Err }

// issuerKey is a public key of a set, and what the set says about it.
type issuerKey struct {
	key    any
	alg    string // keyfunc's name; "" for any that fits
	issuer string // "" if it says none
}

// fits tells whether the key counts for the token.
func (k issuerKey) fits(w Wanted) bool {
	a, ok := jose.Find(w.Algorithm)
	return ok && a.Fits(k.key) && (k.alg == "" || k.alg == w.Algorithm)
}

// of tells whether the key counts for that issuer's tokens.
func (k issuerKey) of(issuer string) bool { return isIssuer(k.issuer, issuer) }

// Set is a JWK Set with what can verify tokens in it, and nothing else. It is immutable.
type Set struct {
	named  map[ID][]issuerKey
	all    []issuerKey
	chosen map[Hint]chosenKey // by keyfunc, where a kid and an algorithm leave one key
	left   []string           // why keys were left out
	names  map[string]string  // by each way of naming, what the keys are called, for errors
	bytes  int64              // about what all that needs
}

// Size is about what the set needs, in bytes.
func (s *Set) Size() int64 { return s.bytes }

type chosenKey struct {
	key    any
	issuer string // as in issuerKey
}

// Known returns the key for a token with a kid if keyfunc has chosen it beforehand. It takes no lock and allocates nothing.
func (s *Set) Known(kid, alg, issuer string) (any, bool) {
	if s == nil {
		return nil, false
	}
	c, ok := s.chosen[Hint{ID{jose.ByKeyID, kid}, alg}]
	if !ok || !isIssuer(c.issuer, issuer) {
		return nil, false
	}
	return c.key, true
}

// Has tells whether there is a key of that name, or the token names none.
func (s *Set) Has(id ID) bool { return id.By == "" || len(s.named[id]) > 0 }

// Find returns keyfunc's choice for the token: of the issuer's keys that fit it, the first maxTried of the name. Where it names
// none it returns all of them, and an error if they are more than maxTried.
func (s *Set) Find(w Wanted) ([]any, error) {
	views := 1
	if w.By != "" {
		views = max(1, min(maxTried, len(s.fitting(s.named[w.ID], w))))
	} else if n := s.count(w); n > maxTried { // before each is made what keyfunc wants to see
		return nil, &NotFoundError{fmt.Errorf("the token names no key, and %d of the issuer fit its algorithm: have it name one by kid", n)}
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
func (s *Set) fitting(keys []issuerKey, w Wanted) []issuerKey {
	var fit []issuerKey
	for _, k := range keys {
		if k.of(w.Issuer) && k.fits(w) {
			fit = append(fit, k)
		}
	}
	return fit
}

// count returns how many keys count for the token, whatever their names.
func (s *Set) count(w Wanted) int {
	n := 0
	for i := range s.all {
		if s.all[i].of(w.Issuer) && s.all[i].fits(w) {
			n++
		}
	}
	return n
}

// missing says why no key of that name counts for the token.
func (s *Set) missing(w Wanted) error {
	named := s.named[w.ID]
	var err error
	switch {
	case len(named) == 0:
		err = &mismatch.Error{What: w.By, Got: mismatch.Text(w.Name), Want: s.namesBy(w.By),
			Advice: "a token of another issuer's, or of a key that has been withdrawn" + s.leftOut()}
	case !slices.ContainsFunc(named, func(k issuerKey) bool { return k.of(w.Issuer) }):
		err = fmt.Errorf("the key says that it is of issuer %.128q: see Options.KeyIssuer", named[0].issuer)
	default:
		err = fmt.Errorf("the key of that name, %s, is for another algorithm than the token's, %s", mismatch.Text(w.Name), w.Algorithm)
	}
	return &NotFoundError{err}
}

// namesBy are the names of the keys that there are.
func (s *Set) namesBy(by string) string {
	if names := s.names[by]; names != "" {
		return "one of the issuer's keys, " + names
	}
	return fmt.Sprintf("one of the issuer's %d keys, of which none has a %s", len(s.all), by)
}

// nameAll lists the names once: strangers ask for unknown ones as often as they like.
func (s *Set) nameAll() {
	s.names = map[string]string{}
	for _, by := range namings {
		var all []string
		for id := range s.named {
			if id.By == by {
				all = append(all, id.Name)
			}
		}
		if slices.Sort(all); len(all) > 0 {
			s.names[by] = mismatch.Texts(all)
		}
	}
}

// leftOut says which keys of the set don't count, and why.
func (s *Set) leftOut() string {
	if len(s.left) == 0 {
		return ""
	}
	return "; left out: " + strings.Join(s.left, ", ")
}

// weight is about what the set needs, in bytes.
func (s *Set) weight() int64 {
	const key, name = 512, 128
	n := int64(0)
	for _, k := range s.all {
		n += key + int64(len(k.issuer))
		if rsaKey, ok := k.key.(*rsa.PublicKey); ok {
			n += int64(rsaKey.Size())
		}
	}
	for id := range s.named {
		n += name + int64(len(id.Name))
	}
	for _, names := range s.names {
		n += int64(len(names))
	}
	return n + name*int64(len(s.chosen))
}

// choose asks keyfunc beforehand for what needs no look at the other keys: where one key alone has the kid and fits the
// algorithm, whatever the token's issuer.
func (s *Set) choose() {
	s.chosen = map[Hint]chosenKey{}
	for id, keys := range s.named {
		if id.By != jose.ByKeyID {
			continue
		}
		for _, a := range jose.Algorithms {
			n := Hint{id, a.Method.Alg()}
			var fit []issuerKey
			for _, k := range keys {
				if k.fits(Wanted{Hint: n}) {
					fit = append(fit, k)
				}
			}
			if len(fit) != 1 {
				continue
			}
			if key, err := s.Find(Wanted{n, fit[0].issuer}); err == nil && len(key) == 1 {
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
