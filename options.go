package popauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// Options configure a Guard. New checks them all and reports every problem; what it accepted it has copied.
type Options struct {
	_ [0]func()

	// Issuer is the iss that a token must have, to the letter. Unless Keys is set it is also the https URL where the
	// discovery of the issuer's keys starts.
	Issuer string

	// Audience lists this API's names; a token's aud must contain one.
	Audience []string

	// Keys finds the key that a token names. If nil, RemoteKeys found through the issuer's metadata.
	Keys KeySource

	// KeyIssuer is the issuer that keys name in their member issuer, where that is not Issuer. A key that names one counts
	// for its tokens alone, since tenants share key sets. The keys document of Microsoft Entra's v2.0 endpoint names
	// https://login.microsoftonline.com/TENANT/v2.0, and v1.0 tokens, national clouds and external tenants have another
	// iss. If empty, Issuer.
	KeyIssuer string

	// Verifier decides whether a token is genuine and meant for this API. If nil, the token is a JWT (RFC 7519,
	// RFC 9068) that fits Issuer, Audience, Keys, KeyIssuer, Algorithms, TokenTypes, RequiredClaims, AllowIDTokens, ClientClaim,
	// ClientsWithoutAudience and Leeway; if set, those must be empty.
	Verifier Verifier

	// Confirmers prove possession, each for one member of cnf. If nil, MutualTLS{}; package dpop has one for DPoP. A token
	// with a member that none of them handles is refused.
	Confirmers []Confirmer

	// Binding says whether every token has to be bound, on routes with Authenticate alone and for Check, too: so one forgotten
	// Confirm lets no bearer token in. If zero, BindingByRoute. It changes nothing for a token that is bound: that is
	// confirmed everywhere.
	Binding BindingRule

	// Certificate finds the certificate of a request's caller. Handlers inside that have no source of their own go by what
	// it has found. If nil, CallerCertificate: what a handler further out has found, and without one TLSCertificate.
	Certificate CertificateSource

	// Algorithms lists the signature algorithms accepted, of RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512
	// EdDSA (which is Ed25519 too, RFC 9864). If nil, all of these. There is no way to accept none or HMAC.
	Algorithms []string

	// TokenTypes lists the values of the header's typ that are accepted, in any case; "" stands for a token without one.
	// If nil, at+jwt, application/at+jwt and JWT. Where the issuer writes at+jwt (RFC 9068), list that alone: under JWT,
	// or none, it may sign ID tokens, refresh tokens and more with the same key for the same audience, and only their
	// claims tell them from access tokens. New logs a warning then, unless RequiredClaims is set.
	TokenTypes []string

	// RequiredClaims are claims that every access token of the issuer has and its ID tokens don't, such as scope, scp or
	// client_id. A token without one of them, or with null, is refused with ErrTokenType. If nil, none is required.
	RequiredClaims []string

	// AllowIDTokens accepts what only the claims of an ID token tell from an access token's, for an issuer whose access
	// tokens are ID tokens, as those of dex are. Danger: whoever gets a user's ID token, each client that logs users in,
	// can use this API as that user. All other kinds are still refused.
	AllowIDTokens bool

	// ClientClaim is the claim that names the client, where that is not client_id: azp for Auth0, Keycloak, authentik and Entra's
	// v2.0 tokens, cid for Okta, appid for Entra's v1.0 tokens. Principal.ClientID is what it says, and so is what Client compares.
	// A token without it is refused with ErrTokenType, and one whose client_id says something else with ErrTokenMalformed. If
	// empty, client_id, which may be absent.
	ClientClaim string

	// ClientsWithoutAudience are the clients whose tokens may come without aud, for an issuer that leaves it out, as Cognito
	// does without resource binding. The client is the one that ClientClaim names; a token that has an aud needs one of
	// Audience all the same. Danger: such a token is for every API that trusts the issuer, so whoever one of these clients sends
	// it to can call this API with it. Bind tokens, or demand a scope of this API's own. If nil, every token needs aud.
	ClientsWithoutAudience []string

	// Leeway is how far this clock and the issuer's may differ. If zero, 30 s; at most 5 min. A dpop.Confirmer has its own.
	Leeway time.Duration

	// OutliveToken lets requests go on when their token has ended. If false, the context that handlers get ends with the token,
	// with its leeway, and context.Cause is an *Error with ErrTokenExpired then: event streams that watch it end, and so do calls to
	// others that are made with it. A handler that waits for something else, as for an upload's body, has to watch it as well: see
	// docs/streams.md. A token that is revoked ends nothing by itself: see Guard.Recheck.
	OutliveToken bool

	// Realm is named in challenges. If empty, none is.
	Realm string

	// RequestLine opens rules about the request line, each of which has its danger. The zero RequestLine has all rules: a
	// request whose method or path programs read differently is refused with 400 and ErrRequestLine. That goes for %40 and
	// %7E of honest clients, too, unless there is a RequestLine.Handler around the API, which decodes them.
	RequestLine RequestLine

	// Resource is what the API publishes about itself. If it has an ID, challenges name the address of the document
	// that Guard.Metadata serves.
	Resource Resource

	// Deny writes the answer to a refused request. Challenges, Retry-After and Cache-Control: no-store are set before it
	// runs, headers of handlers further out that describe another answer are removed from it, and
	// those of Certificate from the request. It can answer with 302, 303, 307
	// and any status from 400 to 599 but 412 and 416; any other is replaced by the refusal's own. Its writer can't be
	// hijacked or unwrapped, and its request has no preconditions and no Range, so that http.ServeContent sends a page
	// whole. If nil, the answer has a status and no body; ProblemDetails gives it one.
	Deny func(http.ResponseWriter, *http.Request, *Error)

	// Revoked is called for every genuine token on every request; true refuses it with 401, an error with 503.
	// If nil, no token is revoked.
	Revoked func(context.Context, *Token) (bool, error)

	// Observe is called with what each stage has decided, before anything is answered: once per request for its
	// authentication, however many stages share it (a Check that is behind none shares it with nobody), once for each
	// Confirm and Authorize that the request comes to after that, once for each Recheck, and once for what Refuse or
	// Refusal is given from outside. A stage that refuses is the last, so its request has one Observation with a Reason.
	// Requests are those of StageAuthenticate, and those of StageOutside that no stage came before. A Check is a decision,
	// not an answer: each one that fails has a Reason, whatever the handler answers. The context is the request's. Calls
	// come from many goroutines at once and must not block; a panic is not recovered. clientcert.Require,
	// ClientCertificate and RequestLine.Handler belong to no Guard: see RequestLine.Observe. If nil, nothing is observed.
	Observe func(context.Context, Observation)

	// Remember is how many verified tokens are remembered, so that their signatures need not be verified again. Of each
	// there is what it says and its SHA-256, in about 700 bytes; larger ones count for more. The time, the binding, the
	// policies and Revoked are called on every request, and tokens are forgotten when the issuer's keys change.
	// With Keys other than RemoteKeys and StaticKeys none is remembered; what a Verifier of your own remembers is up to it.
	// If zero, 10000; if negative, none.
	Remember int

	// Logger gets a line for a refusal, "request refused", at Info for the caller's faults and at Warn for those on this side
	// (status 500 and above). It has what docs/observability.md lists: why, what was compared, method, path and peer, and, once
	// the token is known to be genuine, issuer, client and token_id. What a sender chose is cut and holds printable ASCII only.
	// If nil, slog.Default(); a slog.Logger of slog.DiscardHandler logs nothing.
	Logger *slog.Logger

	// LogPerMinute is how many lines of one Reason are logged within a minute at most, so that a flood doesn't fill the log. The
	// next line of that Reason has in its attribute unlogged how many were left out. If zero, 60; if negative, all are logged.
	LogPerMinute int

	// Now is the clock. If nil, time.Now.
	Now func() time.Time

	fapi2 bool // FAPI2 has been called
}

// complete returns o with the defaults filled in, or everything that is wrong with it.
func (o Options) complete() (Options, error) {
	var wrong []error
	problem := settings.Problems("popauth: Options", &wrong)
	if o.Now == nil {
		o.Now = time.Now
	}
	leeway := o.Leeway
	settings.Leeway(&o.Leeway, problem)
	if strings.ContainsFunc(o.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		problem("Realm", "%q has a character other than printable ASCII without quote and backslash", o.Realm)
	}
	o.Confirmers = slices.Clone(o.Confirmers)
	if o.Confirmers == nil {
		o.Confirmers = []Confirmer{MutualTLS{}}
	}
	for i, c := range o.Confirmers {
		if v := reflect.ValueOf(c); c == nil || v.Kind() == reflect.Pointer && v.IsNil() { // of a constructor that has failed
			problem("Confirmers", "entry %d is nil", i)
			o.Confirmers[i] = nil
			continue
		}
		switch {
		case c.Member() == "":
			problem("Confirmers", "entry %d names no cnf member", i)
		case slices.ContainsFunc(descriptions, func(d description) bool { return d.member == c.Member() }):
			problem("Confirmers", "entry %d: %q describes a key and is none: leave it out, tokens that have it beside their key pass",
				i, c.Member())
		case slices.ContainsFunc(o.Confirmers[:i], func(d Confirmer) bool {
			return d != nil && d.Member() == c.Member() && strings.EqualFold(schemeOf(d), schemeOf(c))
		}):
			problem("Confirmers", "two for the cnf member %q under one scheme", c.Member())
		}
		if s, ok := c.(SchemeConfirmer); ok {
			if scheme, _ := s.Challenge(); !field.IsToken(scheme) || strings.EqualFold(scheme, bearer) {
				problem("Confirmers", "entry %d: %q is no scheme of its own", i, scheme)
			}
		}
	}
	if _, err := headersOf(o.Certificate); err != nil {
		problem("Certificate", "%w", err)
	}
	if o.Verifier == nil {
		o.Verifier = newJWTVerifier(JWTOptions{
			Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys, KeyIssuer: o.KeyIssuer,
			Algorithms: o.Algorithms, TokenTypes: o.TokenTypes,
			RequiredClaims: o.RequiredClaims, AllowIDTokens: o.AllowIDTokens, ClientClaim: o.ClientClaim,
			ClientsWithoutAudience: o.ClientsWithoutAudience, Leeway: o.Leeway, Remember: o.Remember, Now: o.Now,
		}, problem)
	} else if o.Issuer != "" || o.Audience != nil || o.Keys != nil || o.Algorithms != nil || o.TokenTypes != nil ||
		o.KeyIssuer != "" || o.RequiredClaims != nil || o.AllowIDTokens || o.ClientClaim != "" || o.ClientsWithoutAudience != nil ||
		leeway != 0 || o.Remember > 0 {
		problem("Verifier", "leave Issuer, Audience, Keys, KeyIssuer, Algorithms, TokenTypes, RequiredClaims, AllowIDTokens, ClientClaim, "+
			"ClientsWithoutAudience, Leeway and Remember empty: the Verifier decides in their place")
	} else {
		o.Verifier = limit(o.Verifier)
	}
	if o.Binding < BindingByRoute || o.Binding > BindingRequired {
		problem("Binding", "%d is none of the constants", o.Binding)
	}
	if o.fapi2 {
		o.checkFAPI2(problem)
	}
	return o, errors.Join(wrong...)
}
