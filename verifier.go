package popauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// examiner decides about the access tokens of one Guard, whoever holds them: by its Verifier, the time, and Options.Revoked.
type examiner struct {
	verifier Verifier // nil in a Guard that New has not made
	revoked  func(context.Context, *Token) (bool, error)
	now      func() time.Time
	leeway   time.Duration
}

// verify returns what the token says, which may be shared with other requests.
func (x *examiner) verify(ctx context.Context, token string) (*Token, error) {
	t, err := x.verifier.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if t == nil || t.payload == "" {
		return nil, &Error{Reason: ErrTokenInvalid, Err: errors.New("the Verifier returned a Token that NewToken has not made")}
	}
	return t, nil
}

// reverify checks a token that was verified a moment ago: its key may be withdrawn since, and the token expired.
func (x *examiner) reverify(ctx context.Context, token string, t *Token) (*Token, *Error) {
	if !fresh(x.verifier, token, t) {
		anew, err := x.verify(ctx, token)
		if err != nil {
			return t, errorOf(err, ErrTokenInvalid)
		}
		t = anew
	}
	return t, x.over(t)
}

// over refuses a token that has expired since the Verifier checked it, or whose time the Verifier doesn't check.
func (x *examiner) over(t *Token) *Error {
	if end := t.ExpiresAt(); !end.IsZero() && !x.now().Before(end.Add(x.leeway)) {
		return &Error{Reason: ErrTokenExpired, who: t.who()}
	}
	return nil
}

// unrevoked refuses a token that is revoked.
func (x *examiner) unrevoked(ctx context.Context, t *Token) *Error {
	if x.revoked == nil {
		return nil
	}
	revoked, err := x.revoked(ctx, t)
	switch {
	case err != nil:
		return &Error{Reason: ErrUnavailable, Err: fmt.Errorf("Options.Revoked: %w", err), who: t.who()}
	case revoked:
		return &Error{Reason: ErrTokenRevoked, who: t.who()}
	}
	return nil
}

// JWTOr returns a Verifier for an API that gets JWTs and opaque tokens: what has the form of a JWT, three parts of
// which the first is a JSON object, goes to the first Verifier, and everything else to the second. A JWT that is
// refused never gets to the second. It panics if one is nil.
func JWTOr(jwt, opaque Verifier) Verifier {
	if jwt == nil || opaque == nil {
		panic("popauth: JWTOr: nil Verifier")
	}
	return jwtOr{limit(jwt), limit(opaque)}
}

type jwtOr struct{ jwt, opaque Verifier }

func (v jwtOr) Verify(ctx context.Context, token string) (*Token, error) {
	return v.choose(token).Verify(ctx, token)
}

// Fresh implements CachingVerifier: it is for the Verifier that has decided to say.
func (v jwtOr) Fresh(token string, t *Token) bool { return fresh(v.choose(token), token, t) }

// fresh tells whether v need not be called for a token again. A Verifier without Fresh is not called again: that could be a
// second call over the network.
func fresh(v Verifier, token string, t *Token) bool {
	c, ok := v.(CachingVerifier)
	return !ok || c.Fresh(token, t)
}

func (v jwtOr) choose(token string) Verifier {
	if own, ok := v.jwt.(*jwtVerifier); ok && own.knowsHeader(token) || jose.HasForm(token) {
		return v.jwt
	}
	return v.opaque
}

// Verifiers returns both.
func (v jwtOr) Verifiers() []Verifier { return []Verifier{v.jwt, v.opaque} }

// Issuers returns those of both; none unless both say theirs.
func (v jwtOr) Issuers() []string {
	var all []string
	for _, v := range []Verifier{v.jwt, v.opaque} {
		i, ok := v.(issuing)
		if !ok || len(i.Issuers()) == 0 {
			return nil
		}
		all = append(all, i.Issuers()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// KnownIssuers returns those of either that are known now.
func (v jwtOr) KnownIssuers() []string {
	all := slices.Concat(knownIssuers(v.jwt), knownIssuers(v.opaque))
	slices.Sort(all)
	return slices.Compact(all)
}

// OpenTokenTypes returns the issuers of either of whose JWTs only the claims tell the kind.
func (v jwtOr) OpenTokenTypes() []string {
	return slices.Concat(openIssuers(v.jwt), openIssuers(v.opaque))
}

// knownIssuers returns the issuers of a Verifier that are known now, be they all or not.
func knownIssuers(v Verifier) []string {
	switch v := v.(type) {
	case interface{ KnownIssuers() []string }:
		return v.KnownIssuers()
	case issuing:
		return v.Issuers()
	}
	return nil
}

// openIssuers returns the issuers of whose JWTs only the claims tell the kind, by default or by a setting.
func openIssuers(v Verifier) []string {
	if l, ok := v.(limited); ok {
		v = l.Verifier
	}
	if o, ok := v.(interface{ OpenTokenTypes() []string }); ok {
		return o.OpenTokenTypes()
	}
	return nil
}

// JWTOptions configure a Verifier of JWTs. The fields are those of Options, whose documentation holds for them. Each
// Verifier remembers tokens of its own, in a table that is made with the first genuine token and grows; those that
// Share a Budget, as behind package issuers, keep to it together.
type JWTOptions struct {
	_ [0]func()

	Issuer         string
	Audience       []string
	Keys           KeySource
	KeyIssuer      string
	Algorithms     []string
	TokenTypes     []string
	RequiredClaims []string
	AllowIDTokens  bool
	ClientClaim    string
	Leeway         time.Duration
	Remember       int
	Now            func() time.Time

	ClientsWithoutAudience []string

	// AllowMissingExpiration accepts JWTs without exp, for what is no access token and has none, such as a signed answer
	// (RFC 9701, section 5): set TokenTypes to its type. An access token without exp would be good for ever. If false, they are
	// refused with ErrTokenMalformed.
	AllowMissingExpiration bool

	// JWTSVIDs accepts JWT-SVIDs (SPIFFE), which have no iss unless the server is configured for it, and nothing else. Issuer is
	// the trust domain then, such as spiffe://example.org, and Keys its bundle: StaticKeys, or RemoteKeys with URL. A token is
	// accepted if it has no iss and its sub is the SPIFFE ID of a workload in that trust domain; its Issuer is then
	// the trust domain. Package issuers can't have such a Verifier, as it goes by iss.
	JWTSVIDs bool
}

// NewJWTVerifier returns the Verifier that a Guard uses if Options.Verifier is nil: for JWTOr and package issuers, which take
// several. It makes no request. The error lists every problem of the options.
//
// Whoever keeps many of them, as package issuers does, finds these methods by a type assertion:
//
//   - Ready() bool is that of RemoteKeys, and Load(context.Context) error waits until there are keys.
//   - Share(*Budget) lets the Verifier remember tokens within a bound that others have too; the first one counts. Retire() has it
//     forget all tokens and leave the Budget.
//   - Size() int64 is about what the Verifier needs beside the tokens that it remembers, in bytes. Watch(who any, changed func())
//     has changed called whenever that may be another because of the keys; it may ask for Size alone. Unwatch(who any) ends that.
//   - Issuers and OpenTokenTypes are those that Verifier speaks of.
//
// What JWTOr returns has Verifiers() []Verifier in their place, for the two that decide.
func NewJWTVerifier(o JWTOptions) (Verifier, error) {
	var wrong []error
	problem := settings.Problems("popauth: JWTOptions", &wrong)
	if o.Now == nil {
		o.Now = time.Now
	}
	settings.Leeway(&o.Leeway, problem)
	v := newJWTVerifier(o, problem)
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return v, nil
}

// checkKeys reports RemoteKeys that are not this issuer's.
func checkKeys(keys KeySource, issuer string, problem settings.Problem) {
	if k, ok := keys.(*RemoteKeys); ok {
		switch {
		case !k.made():
			problem("Keys", "not made by NewRemoteKeys")
		case k.issuer != "" && k.issuer != issuer:
			problem("Keys", "of the issuer %q, and Issuer is %q: compared to the letter, a slash at the end too", k.issuer, issuer)
		}
	}
}

// remote returns the keys of a Verifier if they are fetched; nil if not, or if somebody else sees to that.
func (v *jwtVerifier) remote() *RemoteKeys {
	if v == nil {
		return nil
	}
	keys, _ := v.keys.(*RemoteKeys)
	if !keys.made() {
		return nil
	}
	return keys
}

// Ready tells whether there are keys, and begins to fetch them if not; see RemoteKeys.Ready.
func (v *jwtVerifier) Ready() bool {
	keys := v.remote()
	return keys == nil || keys.Ready()
}

// Load waits until there are keys, no longer than ctx.
func (v *jwtVerifier) Load(ctx context.Context) error {
	keys := v.remote()
	if keys == nil {
		return nil
	}
	if err := keys.remote.Load(ctx); err != nil {
		return &Error{Reason: ErrUnavailable, Err: err}
	}
	return nil
}

// Size is about what the Verifier needs beside the tokens that it remembers, in bytes.
func (v *jwtVerifier) Size() int64 {
	if v == nil {
		return 0
	}
	return v.headers.Size() + v.remote().Size()
}

// Watch has changed called whenever Size may be another because of the keys. It may ask for Size alone. Who is compared with
// ==, and has one func at a time, also where several Verifiers share the keys.
func (v *jwtVerifier) Watch(who any, changed func()) {
	if keys := v.remote(); keys != nil {
		keys.remote.Watch(who, changed)
	}
}

// Unwatch ends that.
func (v *jwtVerifier) Unwatch(who any) {
	if keys := v.remote(); keys != nil {
		keys.remote.Unwatch(who)
	}
}
