package introspection

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/backoff"
	"github.com/seed-171ab058/popauth/internal/calls"
	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/memory"
	"github.com/seed-171ab058/popauth/internal/settings"
)

const (
	rememberRefused = 5 * time.Second
	refusedEntries  = 1024
	refusedBytes    = 1 << 20
	answerSize      = 1600 // bytes of a remembered answer, as it comes
	givenAnswers    = 1 << 16
)

// Verifier is a popauth.Verifier that asks the authorization server about each token (RFC 7662), for tokens that are
// opaque to an API. Requests with the same token share one call, which goes on when one of them ends, and its answer
// for a while; of a token no more than a hash is kept. A cnf in the answer binds the token as it does in a JWT; a JWT
// with a cnf of its own is refused unless the answer has the same. Make it with New; it is safe for
// concurrent use.
//
// A token that is not active is refused with popauth.ErrTokenInvalid. popauth.ErrUnavailable are an endpoint that can't be
// reached, one that does not accept how this API authenticates, and an answer that is none. A request whose turn for a call
// doesn't come in time is refused with popauth.ErrOverloaded if the calls before it were answered, as in a flood of made-up
// tokens, and with popauth.ErrUnavailable if they were not.
type Verifier struct {
	options   Options
	profile   error // what of the options FAPI 2.0 doesn't allow
	client    *http.Client
	guarded   bool // the transport is ours: it judges addresses
	metadata  *discovery.Client
	issuer    *discovery.Issuer // where discovery starts; nil if nothing is discovered
	signed    popauth.Verifier  // of signed answers; nil if they are plain
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

var _ popauth.Verifier = (*Verifier)(nil)

// verdict is what an answer says about a token: one of the two.
type verdict struct {
	token   *popauth.Token
	refusal error
}

// New makes no request. The error lists every problem of the options.
func New(o Options) (*Verifier, error) {
	var wrong []error
	problem := settings.Problems("introspection: Options", &wrong)
	i := &Verifier{}
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
	if o.RootCAs != nil && o.Client != nil && o.Client.Transport != nil {
		problem("RootCAs", "set, but Client has a Transport, whose TLSClientConfig says it")
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
		if i.found, err = discovery.ParseURL(o.Endpoint, discovery.Loopback(o.AllowLoopbackHTTP)); err != nil {
			problem("Endpoint", "%w", err)
		}
	}
	if o.Issuer != "" && (o.Endpoint == "" || o.Signed && o.Keys == nil) {
		i.issuer = o.discovered(problem)
	}
	if o.RequiredClaims = slices.Clone(o.RequiredClaims); slices.Contains(o.RequiredClaims, "") {
		problem("RequiredClaims", "has an empty entry")
	}
	o.Authentication = byValue(o.Authentication)
	i.profile = o.checkFAPI2()
	o.Authentication = o.completeAuthentication(problem)
	i.signed = o.signedAnswers(problem)
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	i.options = o
	i.client, i.guarded = o.httpClient()
	i.metadata = discovery.NewClient(o.Client, o.Now)
	i.metadata.Trust(o.RootCAs)
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
func (i *Verifier) Verify(ctx context.Context, token string) (*popauth.Token, error) {
	if i == nil || i.calls == nil {
		return nil, popauth.ErrUnconfigured
	}
	if err := jose.CheckSize(token); err != nil {
		return nil, &popauth.Error{Reason: popauth.ErrTokenMalformed, Err: err}
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
		if err != nil {
			return nil, popauth.Unavailable(ctx, err)
		}
	}
	if v.refusal != nil {
		return nil, v.refusal
	}
	if err := i.checkTime(v.token); err != nil {
		return nil, err
	}
	return v.token, nil
}

// checkTime holds the token's times against the clock, on every use.
func (i *Verifier) checkTime(t *popauth.Token) error {
	return t.CheckTime(i.options.Now(), i.options.Leeway)
}

func (i *Verifier) known(key [sha256.Size]byte) (verdict, bool) {
	now := i.options.Now()
	if v, ok := i.accepted.Get(key, now); ok {
		return v, true
	}
	return i.refused.Get(key, now)
}

// remember keeps the newer verdict and takes the older out, whatever the clock says later.
func (i *Verifier) remember(key [sha256.Size]byte, v verdict) {
	now, keep := i.options.Now(), i.options.Remember
	if v.refusal != nil || i.checkTime(v.token) != nil {
		i.accepted.Remove(key)
		if keep > 0 {
			size := int64(0)
			if v.token != nil {
				size = v.token.Size()
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
	i.accepted.Put(key, v, now, keep, v.token.Size())
}

// Issuers returns the one issuer.
func (i *Verifier) Issuers() []string {
	if i == nil { // it says what the zero one does
		i = &Verifier{}
	}
	return []string{i.options.Issuer}
}
