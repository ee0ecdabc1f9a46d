package popauth

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// KeySource finds the key that a token names. RemoteKeys and StaticKeys are made for it; a Keyfunc of keyfunc/v3 is
// one too. Whatever it returns is used only if it fits the token's algorithm in kind, curve and size. An error that
// wraps ErrUnavailable is answered with 503, any other with 401.
type KeySource interface {
	KeyfuncCtx(context.Context) jwt.Keyfunc
}

// StaticKeys returns the public keys of a JWK Set (RFC 7517, section 5) that never changes. Keys that can't verify a
// token are left out: private, symmetric, for encryption, too small, of an unknown kind; and of more than 200, those
// after the first 200. It is an error if none is left. A key with a member issuer, as Microsoft Entra's have, counts for
// the tokens of that issuer alone, in which {tenantid} stands for any text of one segment; see Options.KeyIssuer.
func StaticKeys(jwks []byte) (KeySource, error) {
	set, err := readKeySet(jwks)
	if err != nil {
		return nil, fmt.Errorf("popauth: StaticKeys: %w", err)
	}
	return staticKeys{newKeyChoice(staticStorage{set: set}), set}, nil
}

type staticKeys struct {
	keyChoice
	set *keySet
}

func (s staticKeys) snapshot() *keySet { return s.set }

type staticStorage struct {
	jwkset.Storage // nil: keyfunc only reads
	set            *keySet
}

func (s staticStorage) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	return s.set.find(ctx, kid)
}

func (s staticStorage) KeyReadAll(ctx context.Context) ([]jwkset.JWK, error) {
	return s.set.fitting(ctx), nil
}

// keyChoice is keyfunc over a storage of ours. It tells the storage the token's algorithm and issuer, since an issuer
// may have several keys under one kid, issuers may share a set, and keyfunc compares neither for a token without kid.
type keyChoice struct{ choose keyfunc.Keyfunc }

func newKeyChoice(s jwkset.Storage) keyChoice {
	k, _ := keyfunc.New(keyfunc.Options{Storage: s}) // fails without a storage only
	return keyChoice{k}
}

// KeyfuncCtx returns keyfunc's choice for a token.
func (c keyChoice) KeyfuncCtx(ctx context.Context) jwt.Keyfunc {
	return func(t *jwt.Token) (any, error) {
		alg, _ := t.Header["alg"].(string)
		return c.choose.KeyfuncCtx(context.WithValue(ctx, wantedKey{}, wanted{alg, issuerOf(t)}))(t)
	}
}

// wanted is what a key must fit.
type wanted struct{ alg, issuer string }

type wantedKey struct{}

// issuerOf returns the iss that a token is held against; "" if there is none.
func issuerOf(t *jwt.Token) string {
	if t.Claims == nil {
		return ""
	}
	iss, _ := t.Claims.GetIssuer()
	return iss
}

// issuerKey is a key of a set, and the issuer that it says it is of; "" if it says none.
type issuerKey struct {
	jwkset.JWK
	issuer string
}

// of tells whether the key counts for that issuer's tokens.
func (k issuerKey) of(issuer string) bool { return isIssuer(k.issuer, issuer) }

const tenantPlaceholder = "{tenantid}"

// isIssuer tells whether what a key says of its issuer is this one. The placeholder stands for one text wherever it
// is, of one segment at most.
func isIssuer(said, issuer string) bool {
	n := strings.Count(said, tenantPlaceholder)
	if n == 0 || said == issuer {
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

// snapshots is a KeySource that tells when its keys change: each change is another keySet. One that no longer counts
// never counts again.
type snapshots interface {
	snapshot() *keySet // the keys that count now; nil if none do
}

// keyName is what a token says about its key.
type keyName struct{ kid, alg string }

// keySet is a JWK Set with what can verify tokens in it, and nothing else. It is immutable.
type keySet struct {
	byID   map[string][]issuerKey
	all    []issuerKey
	chosen map[keyName]chosenKey // what keyfunc chooses
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
	c, ok := s.chosen[keyName{kid, alg}]
	if !ok || !isIssuer(c.issuer, issuer) {
		return nil, false
	}
	return c.key, true
}

// find returns the issuer's key of that kid which fits the token's algorithm, else any of that kid.
func (s *keySet) find(ctx context.Context, kid string) (jwkset.JWK, error) {
	w, _ := ctx.Value(wantedKey{}).(wanted)
	keys := slices.DeleteFunc(slices.Clone(s.byID[kid]), func(k issuerKey) bool { return !k.of(w.issuer) })
	switch {
	case len(s.byID[kid]) == 0:
		return jwkset.JWK{}, &Error{Reason: ErrTokenKey, Err: jwkset.ErrKeyNotFound}
	case len(keys) == 0:
		return jwkset.JWK{}, &Error{Reason: ErrTokenKey, Err: fmt.Errorf("the key says that it is of issuer %.128q: see Options.KeyIssuer", s.byID[kid][0].issuer)}
	}
	if i := slices.IndexFunc(keys, w.fits); i >= 0 {
		return keys[i].JWK, nil
	}
	return keys[0].JWK, nil
}

// fitting returns the issuer's keys that fit the token's algorithm.
func (s *keySet) fitting(ctx context.Context) []jwkset.JWK {
	w, _ := ctx.Value(wantedKey{}).(wanted)
	var fit []jwkset.JWK
	for _, k := range s.all {
		if k.of(w.issuer) && w.fits(k) {
			fit = append(fit, k.JWK)
		}
	}
	return fit
}

func (w wanted) fits(k issuerKey) bool {
	a, ok := findAlgorithm(w.alg)
	own := k.Marshal().ALG.String()
	return ok && a.fits(k.Key()) && (own == "" || own == w.alg)
}

// choose asks keyfunc for every choice that a token could ask it for. Where keys of several issuers have one kid, the
// choice is left to the token.
func (s *keySet) choose() map[keyName]chosenKey {
	choice, chosen := newKeyChoice(staticStorage{set: s}), map[keyName]chosenKey{}
	for kid, keys := range s.byID {
		issuer := keys[0].issuer
		if slices.ContainsFunc(keys, func(k issuerKey) bool { return k.issuer != issuer }) {
			continue
		}
		for _, a := range algorithms {
			alg := a.method.Alg()
			t := &jwt.Token{Header: map[string]any{"kid": kid, "alg": alg}, Claims: jwt.RegisteredClaims{Issuer: issuer}}
			if key, err := choice.KeyfuncCtx(context.Background())(t); err == nil && a.fits(key) {
				chosen[keyName{kid, alg}] = chosenKey{key, issuer}
			}
		}
	}
	return chosen
}

// maxKeys is how many keys of a set are looked at.
const maxKeys = 200

var errNoKey = errors.New("no usable key in the JWK Set")

// readKeySet reads a JWK Set. A key that is strange is left out and spoils no other (RFC 7517, section 5).
func readKeySet(jwks []byte) (*keySet, error) {
	set := &keySet{byID: map[string][]issuerKey{}}
	err := strictjson.Members(jwks, []string{"keys"}, func(name string, v jsontext.Value) error {
		if name != "keys" {
			return nil
		}
		keys, err := strictjson.Elements(v)
		if err != nil {
			return err
		}
		for _, raw := range keys[:min(len(keys), maxKeys)] {
			if k, ok := readKey(raw); ok {
				if kid := k.Marshal().KID; kid != "" {
					set.byID[kid] = append(set.byID[kid], k)
				}
				set.all = append(set.all, k)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("JWK Set: %w", err)
	}
	if len(set.all) == 0 {
		return nil, errNoKey
	}
	set.chosen = set.choose()
	return set, nil
}

// readKey leaves parsing to jwkset and takes away before what must not make a good key unusable: the certificates
// that may stand beside it, which nothing here relies on.
func readKey(raw jsontext.Value) (issuerKey, bool) {
	var m jwkset.JWKMarshal
	issuer, err := readKeyIssuer(raw)
	if err != nil {
		return issuerKey{}, false // nobody knows whose it is
	}
	if err := json.Unmarshal(raw, &m); err != nil || len(m.KID) > maxKeyID {
		return issuerKey{}, false
	}
	if m.D != "" || m.K != "" || m.P != "" || m.Q != "" || m.DP != "" || m.DQ != "" || m.QI != "" || len(m.OTH) > 0 {
		return issuerKey{}, false // a key that everybody can read is nobody's
	}
	if m.USE != "" && m.USE != jwkset.UseSig || len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify) {
		return issuerKey{}, false
	}
	m.X5C, m.X5T, m.X5TS256, m.X5U = nil, "", "", ""
	if m.ALG == "Ed25519" { // RFC 9864: jwkset and keyfunc know it as EdDSA
		m.ALG = jwkset.AlgEdDSA
	}
	k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipKeyOps: true})
	if err != nil {
		return issuerKey{}, false
	}
	fits := slices.ContainsFunc(algorithms, func(a algorithm) bool {
		return a.fits(k.Key()) && (m.ALG == "" || m.ALG.String() == a.name)
	})
	return issuerKey{k, issuer}, fits && isSound(k.Key())
}

// readKeyIssuer reads the member by which Microsoft Entra says whose a key is, for sets that several issuers share.
func readKeyIssuer(raw jsontext.Value) (issuer string, err error) {
	err = strictjson.Members(raw, []string{"issuer"}, func(name string, v jsontext.Value) (err error) {
		if name == "issuer" && v.Kind() != 'n' {
			if issuer, err = strictjson.String(v); issuer == "" {
				err = errNoKey
			}
		}
		return err
	})
	return issuer, err
}

// isSound leaves out RSA keys that crypto/rsa would refuse only when a token is verified: too late for another key of
// the same kid, and for telling a set without any.
func isSound(key any) bool {
	k, ok := key.(*rsa.PublicKey)
	return !ok || k.N.Bit(0) == 1 && k.E&1 == 1 // jwkset holds E to its range
}
