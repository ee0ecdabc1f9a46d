package popauth

import (
	"context"
	"errors"
	"time"

	"github.com/seed-171ab058/popauth/internal/settings"
)

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
			problem("Keys", "of another issuer")
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
