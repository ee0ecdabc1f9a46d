package popauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/seed-171ab058/popauth/internal/backoff"
	"github.com/seed-171ab058/popauth/internal/calls"
	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/memory"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// IntrospectionOptions configure an Introspection.
type IntrospectionOptions struct {
	_ [0]func()

	// Issuer is the authorization server. An answer's iss, if it has one, must be this to the letter; the Token of an
	// answer without has this one. Unless Endpoint is set it is also where discovery starts, as with RemoteKeys. It is
	// required.
	Issuer string

	// MetadataURL is where the issuer's metadata is, as with RemoteKeysOptions.
	MetadataURL string

	// Endpoint is the URL of the introspection endpoint. If empty, the one that the issuer's metadata names.
	Endpoint string

	// Audience lists this API's names; an answer's aud must contain one. It is required.
	Audience []string

	// AllowMissingAudience accepts answers without aud, for a server that never sends one: then this API accepts every
	// token of the issuer, those for other APIs too. If false, they are refused.
	AllowMissingAudience bool

	// RequiredClaims are members that every answer about an access token has and those about other tokens don't, such as
	// token_type. Most servers answer for refresh tokens as well, as active as any, and some mark them by nothing but
	// what is missing. An answer without one of them, or with null, is refused with ErrTokenType. If nil, none is required.
	RequiredClaims []string

	// Authentication is how this API authenticates to the endpoint. It is required.
	Authentication ClientAuthentication

	// Signed asks for signed answers (RFC 9701) and accepts no other. Each must be the issuer's, made for this API,
	// which it may call by its client ID or a name in Audience, and made no more than Leeway before the call. If false,
	// answers are plain JSON.
	//
	// An answer does not name the token that was asked about. It is refused if it is one of the last 65536 that said
	// "active" about another token, and, for a token that is a JWT, if its iss, sub, client_id, jti, exp or iat is not the token's own. Whoever
	// can answer in the server's place can still give the fresh answer about one opaque token for another; a smaller
	// Leeway narrows that, and a binding ends it for everybody but the holder of that other token's key.
	Signed bool

	// Keys are those of signed answers. If nil, RemoteKeys found through the issuer's metadata.
	Keys KeySource

	// Algorithms lists the signature algorithms of signed answers, as in Options. If nil, all of them.
	Algorithms []string

	// Client makes the requests. Redirects of the endpoint are not followed, whatever it says. If nil, one of popauth's
	// own, which uses the proxy of the environment.
	Client *http.Client

	// AllowLoopbackHTTP lets URLs be http if their host is a loopback address or localhost, for development. If
	// false, everything is https.
	AllowLoopbackHTTP bool

	// Timeout bounds one call, discovery included. If zero, 10 s.
	Timeout time.Duration

	// Wait is how long a request waits at most for a call that it needs. If zero, 5 s.
	Wait time.Duration

	// Calls is the number of calls at once, a quarter of which are kept for tokens that were active lately. A request for
	// which there is none left waits. If zero, 64.
	Calls int

	// Remember is how long an answer is cached. A revoked token can still pass for this long. An answer that the token is
	// not active counts for 5 s at most. If zero, 10 s; if negative, every request asks, though those that ask for the
	// same token at the same time share one call.
	Remember time.Duration

	// Entries is the number of active tokens that are remembered at most, with 1,600 bytes for each; an answer that needs
	// more counts for more. If zero, 10000.
	Entries int

	// Leeway is how far this clock and the issuer's may differ. If zero, 30 s; at most 5 min.
	Leeway time.Duration

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

const (
	rememberRefused = 5 * time.Second
	refusedEntries  = 1024
	refusedBytes    = 1 << 20
	answerSize      = 1600 // bytes of a remembered answer, as it comes
	givenAnswers    = 1 << 16
)

// Introspection is a Verifier that asks the authorization server about each token (RFC 7662), for tokens that are
// opaque to an API. Requests with the same token share one call, which goes on when one of them ends, and its answer
// for a while; of a token no more than a hash is kept. A cnf in the answer binds the token as it does in a JWT; a JWT
// with a cnf of its own is refused unless the answer has the same. Make it with NewIntrospection; it is safe for
// concurrent use.
//
// A token that is not active is refused with ErrTokenInvalid. ErrUnavailable are an endpoint that can't be reached,
// one that does not accept how this API authenticates, and an answer that is none. A request whose turn for a call doesn't
// come in time is refused with ErrOverloaded if the calls before it were answered, as in a flood of made-up tokens, and with
// ErrUnavailable if they were not.
type Introspection struct {
	options   IntrospectionOptions
	client    *http.Client
	guarded   bool // the transport is ours: it judges addresses
	metadata  *discovery.Client
	issuer    *discovery.Issuer // where discovery starts; nil if nothing is discovered
	signed    *jwtVerifier      // of signed answers; nil if they are plain
	validator *jwt.Validator
	kinds     tokenKinds
	discovery *calls.Group[struct{}, *url.URL]
	calls     *calls.Group[[sha256.Size]byte, verdict]
	accepted  *memory.Recent[verdict]
	refused   *memory.Recent[verdict]                          // apart, so that a flood of made-up tokens pushes out no good one
	given     *lru.Cache[[sha256.Size]byte, [sha256.Size]byte] // the token that each signed answer was given about

	mu      sync.Mutex
	found   *url.URL // the endpoint
	inside  bool     // it was found inside of a network
	foundAt time.Time
	doubted bool             // what is there gave no answer: it may have moved
	sought  backoff.Interval // the metadata is not asked meanwhile
	missed  error            // why there is no endpoint
	misses  int              // in a row
	quiet   backoff.Interval // the endpoint has asked to be left alone
}

var _ Verifier = (*Introspection)(nil)

// verdict is what an answer says about a token: one of the two.
type verdict struct {
	token   *Token
	refusal error
}

// NewIntrospection makes no request. The error lists every problem of the options.
func NewIntrospection(o IntrospectionOptions) (*Introspection, error) {
	var wrong []error
	problem := settings.Problems("popauth: IntrospectionOptions", &wrong)
	i := &Introspection{}
	if o.Now == nil {
		o.Now = time.Now
	}
	settings.Leeway(&o.Leeway, problem)
	settings.Duration(problem, "Timeout", &o.Timeout, 10*time.Second)
	settings.Duration(problem, "Wait", &o.Wait, 5*time.Second)
	settings.Count(problem, "Calls", &o.Calls, 64)
	settings.Count(problem, "Entries", &o.Entries, 10000)
	if o.Remember == 0 {
		o.Remember = 10 * time.Second
	}
	if o.Issuer == "" {
		problem("Issuer", "empty")
	}
	if len(o.Audience) == 0 || slices.Contains(o.Audience, "") {
		problem("Audience", "empty, or has an empty entry")
	}
	o.Audience = slices.Clone(o.Audience)
	var err error
	if o.Endpoint != "" {
		if i.found, err = discovery.ParseURL(o.Endpoint, o.AllowLoopbackHTTP); err != nil {
			problem("Endpoint", "%w", err)
		}
	}
	if o.Issuer != "" && (o.Endpoint == "" || o.Signed && o.Keys == nil) {
		i.issuer = o.discovered(problem)
	}
	i.kinds = completeKinds(o.RequiredClaims, false, problem)
	o.Authentication = o.completeAuthentication(problem)
	i.signed = o.signedAnswers(problem)
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	i.options = o
	i.client, i.guarded = o.httpClient()
	i.metadata = discovery.NewClient(o.Client, o.Now)
	i.validator = jwt.NewValidator(jwt.WithIssuedAt(), jwt.WithLeeway(o.Leeway), jwt.WithTimeFunc(o.Now))
	i.discovery = calls.NewGroup[struct{}, *url.URL](1, o.Timeout, o.Timeout)
	i.calls = calls.NewGroup[[sha256.Size]byte, verdict](o.Calls, o.Timeout, o.Wait)
	if o.Signed {
		i.given, _ = lru.New[[sha256.Size]byte, [sha256.Size]byte](givenAnswers) // fails for a size that is not positive only
	}
	i.accepted = memory.NewRecent[verdict](o.Entries, int64(o.Entries)*answerSize)
	i.refused = memory.NewRecent[verdict](refusedEntries, refusedBytes)
	i.refused.Ends = true
	return i, nil
}

// Verify returns the claims of the server's answer about the token.
func (i *Introspection) Verify(ctx context.Context, token string) (*Token, error) {
	if i == nil || i.calls == nil {
		return nil, ErrUnconfigured
	}
	if err := fitSize(token); err != nil {
		return nil, err
	}
	key := sha256.Sum256([]byte(token))
	known := func() (verdict, bool) { return i.known(key) }
	v, ok := known()
	if !ok {
		_, _, lately := i.accepted.Last(key, i.options.Now())
		var err error
		token := strings.Clone(token) // the call may outlive the request, and the request's memory be another's by then
		v, err = i.calls.Do(ctx, calls.Question[[sha256.Size]byte, verdict]{Key: key, Known: known, Lately: lately,
			Ask: func(ctx context.Context) (verdict, error) {
				v, err := i.ask(ctx, token)
				if err == nil {
					i.remember(key, v)
				}
				return v, err
			}})
		if v, err = answered(ctx, v, err); err != nil {
			return nil, err
		}
	}
	if v.refusal != nil {
		return nil, v.refusal
	}
	if err := i.inForce(v.token); err != nil {
		return nil, err
	}
	return v.token, nil
}

// fitSize refuses a token that nobody has to look at.
func fitSize(token string) error {
	switch {
	case token == "":
		return &Error{Reason: ErrTokenMalformed, Err: errors.New("an empty token")}
	case len(token) > maxToken:
		return &Error{Reason: ErrTokenMalformed, Err: fmt.Errorf("the token is too large: %d bytes, and %d are the most", len(token), maxToken)}
	}
	return nil
}

// inForce holds the token's times against the clock, on every use.
func (i *Introspection) inForce(t *Token) error {
	if err := i.validator.Validate(claimsOf(t)); err != nil {
		return &Error{Reason: claimReason(t, err), Err: err, who: t.who()}
	}
	return nil
}

func (i *Introspection) known(key [sha256.Size]byte) (verdict, bool) {
	now := i.options.Now()
	if v, ok := i.accepted.Get(key, now); ok {
		return v, true
	}
	return i.refused.Get(key, now)
}

// remember keeps the newer verdict and takes the older out, whatever the clock says later.
func (i *Introspection) remember(key [sha256.Size]byte, v verdict) {
	now, keep := i.options.Now(), i.options.Remember
	if v.refusal != nil || i.inForce(v.token) != nil {
		i.accepted.Remove(key)
		if keep > 0 {
			size := int64(0)
			if v.token != nil {
				size = v.token.size()
			}
			i.refused.Put(key, v, now, min(keep, rememberRefused), size)
		}
		return
	}
	i.refused.Remove(key)
	if keep < 0 {
		i.accepted.Put(key, verdict{}, now, 0, 0) // only that it was active: its place among the calls
		return
	}
	if end := v.token.ExpiresAt(); !end.IsZero() {
		keep = min(keep, end.Add(i.options.Leeway).Sub(now))
	}
	i.accepted.Put(key, v, now, keep, v.token.size())
}

// Issuers returns the one issuer.
func (i *Introspection) Issuers() []string {
	if i == nil {
		return nil
	}
	return []string{i.options.Issuer}
}
