package popauth

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth/internal/jose"
)

// Reason says why a request was refused. The constants are errors: errors.Is(err, popauth.ErrTokenExpired).
// A Reason that is not one of the constants is answered like ErrTokenInvalid.
type Reason string

// The reasons, in the order in which a request meets them. What each is answered with stands in one table, answers.
const (
	ErrUnconfigured         Reason = "guard was not made by New"
	ErrRequestLine          Reason = "request line has more than one reading"
	ErrCredentialsMissing   Reason = "no credentials"
	ErrCredentialsMalformed Reason = "credentials malformed or sent twice"
	ErrEarlyData            Reason = "request in TLS early data"
	ErrCertificateMalformed Reason = "client certificate header malformed"
	ErrCertificateTooLarge  Reason = "client certificate too large"
	ErrProxySecret          Reason = "connection of the proxy, but not its secret"
	ErrPeerUntrusted        Reason = "not a connection of the proxy"
	ErrForwardedRequest     Reason = "proxy's account of the original request missing, malformed or sent twice"
	ErrCertificateRequired  Reason = "client certificate required, none presented"
	ErrCertificateUntrusted Reason = "client certificate not acceptable"
	ErrCertificateRevoked   Reason = "client certificate revoked"
	ErrMisdirected          Reason = "connection made for another host than that of the request"
	ErrTokenMalformed       Reason = "token malformed"
	ErrTokenAlgorithm       Reason = "token algorithm not allowed"
	ErrTokenType            Reason = "token type not allowed"
	ErrTokenIssuer          Reason = "token from another issuer"
	ErrTokenKey             Reason = "token key unknown or unfit"
	ErrTokenSignature       Reason = "token signature wrong"
	ErrTokenExpired         Reason = "token expired"
	ErrTokenNotYetValid     Reason = "token not yet valid"
	ErrTokenAudience        Reason = "token for another audience"
	ErrTokenInvalid         Reason = "token not accepted by the verifier"
	ErrTokenRevoked         Reason = "token revoked"
	ErrBindingMalformed     Reason = "cnf malformed"
	ErrBindingUnknown       Reason = "cnf member that no confirmer handles"
	ErrBindingScheme        Reason = "authentication scheme does not fit the binding"
	ErrBindingMissing       Reason = "token not bound"
	ErrBindingUnconfirmed   Reason = "binding not confirmed"
	ErrCertificateMissing   Reason = "token bound to a certificate, none presented"
	ErrCertificateMismatch  Reason = "token bound to another certificate"
	ErrProofMissing         Reason = "DPoP proof missing"
	ErrProofMalformed       Reason = "DPoP proof malformed or sent twice"
	ErrProofAlgorithm       Reason = "DPoP proof algorithm not allowed or unfit for its key"
	ErrProofSignature       Reason = "DPoP proof signature wrong"
	ErrProofTarget          Reason = "DPoP proof for another request"
	ErrNonceRequired        Reason = "DPoP proof without a nonce in force"
	ErrProofTime            Reason = "DPoP proof too old or from the future"
	ErrProofToken           Reason = "DPoP proof for another token"
	ErrProofKey             Reason = "token bound to another DPoP key"
	ErrProofReplayed        Reason = "DPoP proof used before"
	ErrProofLimit           Reason = "too many DPoP proofs of one key"
	ErrStepUp               Reason = "user authentication too weak or too old"
	ErrScope                Reason = "scope missing"
	ErrAuthorizationDetails Reason = "authorization details missing"
	ErrForbidden            Reason = "refused by policy"
	ErrSessionOwner         Reason = "no session of this caller"
	ErrIssuerUnsaid         Reason = "policy on names, but not whose"
	ErrUndecided            Reason = "no stage has let this request pass"
	ErrAnotherRequest       Reason = "context of another request or connection"
	ErrRequestEnded         Reason = "request ended before the decision"
	ErrOverloaded           Reason = "too many requests wait for a decision"
	ErrUnavailable          Reason = "something needed for the decision can't be reached"
)

// Error returns the reason's text.
func (r Reason) Error() string { return string(r) }

// Is lets errors.Is find ErrUnavailable in ErrOverloaded, for whoever wants to say "ask again later" of both. It is no outage to
// watch for, since strangers can bring it about.
func (r Reason) Is(target error) bool { return r == ErrOverloaded && target == ErrUnavailable }

// answer is what a client sees of a Reason: nothing here comes from a request.
type answer struct {
	status      int
	code        string // the challenge's error parameter, RFC 6750, section 3.1
	description string
}

// statusRequestEnded is what nginx logs for a client that has gone, and what gRPC's CANCELLED is over HTTP. RFC 9110 has no
// status for it, since nobody reads the answer. It is none of 5xx: those count as this side's faults.
const statusRequestEnded = 499

// answers is the table of answers. A Reason with a status of 400, 401 or 403 and a code is put into the challenge of
// the scheme that was used; one without a code into a bare challenge (401) or into none.
var answers = map[Reason]answer{
	ErrUnconfigured:         {status: http.StatusInternalServerError},
	ErrRequestLine:          {status: http.StatusBadRequest},
	ErrCredentialsMissing:   {status: http.StatusUnauthorized},
	ErrCredentialsMalformed: {http.StatusBadRequest, "invalid_request", "The request's credentials are malformed"},
	ErrEarlyData:            {status: http.StatusTooEarly}, // RFC 8470, section 5.2
	ErrCertificateMalformed: {status: http.StatusBadRequest},
	ErrCertificateTooLarge:  {status: http.StatusRequestHeaderFieldsTooLarge},
	ErrProxySecret:          {status: http.StatusBadRequest},
	ErrPeerUntrusted:        {status: http.StatusForbidden},
	ErrForwardedRequest:     {status: http.StatusBadRequest},
	// RFC 9440, section 2.4: 403 where the origin can't accept the certificate.
	ErrCertificateRequired:  {status: http.StatusForbidden},
	ErrCertificateUntrusted: {status: http.StatusForbidden},
	ErrCertificateRevoked:   {status: http.StatusForbidden},
	ErrMisdirected:          {status: http.StatusMisdirectedRequest}, // RFC 9110, section 15.5.20: try another connection
	ErrTokenMalformed:       {http.StatusUnauthorized, "invalid_token", "The access token is malformed"},
	ErrTokenAlgorithm:       {http.StatusUnauthorized, "invalid_token", notForUs},
	ErrTokenType:            {http.StatusUnauthorized, "invalid_token", notForUs},
	ErrTokenIssuer:          {http.StatusUnauthorized, "invalid_token", notForUs},
	ErrTokenKey:             {http.StatusUnauthorized, "invalid_token", notForUs},
	ErrTokenSignature:       {http.StatusUnauthorized, "invalid_token", notForUs},
	ErrTokenAudience:        {http.StatusUnauthorized, "invalid_token", notForUs},
	ErrTokenInvalid:         {http.StatusUnauthorized, "invalid_token", notForUs},
	ErrTokenExpired:         {http.StatusUnauthorized, "invalid_token", "The access token expired"},
	ErrTokenNotYetValid:     {http.StatusUnauthorized, "invalid_token", "The access token is not valid yet"},
	ErrTokenRevoked:         {http.StatusUnauthorized, "invalid_token", "The access token was revoked"},
	ErrBindingMalformed:     {http.StatusUnauthorized, "invalid_token", notProven},
	ErrBindingUnknown:       {http.StatusUnauthorized, "invalid_token", notProven},
	ErrBindingScheme:        {http.StatusUnauthorized, "invalid_token", notProven},
	ErrBindingUnconfirmed:   {http.StatusUnauthorized, "invalid_token", notProven},
	ErrCertificateMissing:   {http.StatusUnauthorized, "invalid_token", notProven},
	ErrCertificateMismatch:  {http.StatusUnauthorized, "invalid_token", notProven},
	ErrBindingMissing:       {http.StatusUnauthorized, "invalid_token", "The access token is not bound to a key"},
	ErrProofMissing:         {http.StatusUnauthorized, "invalid_dpop_proof", "A DPoP proof is needed with this access token"},
	ErrProofMalformed:       {http.StatusUnauthorized, "invalid_dpop_proof", "The DPoP proof is malformed"},
	ErrProofAlgorithm:       {http.StatusUnauthorized, "invalid_dpop_proof", notThisAlgorithm},
	ErrProofSignature:       {http.StatusUnauthorized, "invalid_dpop_proof", notThisProof},
	ErrProofTarget:          {http.StatusUnauthorized, "invalid_dpop_proof", notThisProof},
	ErrProofTime:            {http.StatusUnauthorized, "invalid_dpop_proof", "The DPoP proof is too old or from the future"},
	ErrProofToken:           {http.StatusUnauthorized, "invalid_dpop_proof", notThisProof},
	ErrProofReplayed:        {http.StatusUnauthorized, "invalid_dpop_proof", "The DPoP proof was used before"},
	ErrProofLimit:           {status: http.StatusTooManyRequests},
	ErrProofKey:             {http.StatusUnauthorized, "invalid_token", notProven},
	ErrNonceRequired:        {http.StatusUnauthorized, "use_dpop_nonce", "A nonce is needed in the DPoP proof"},
	ErrScope:                {http.StatusForbidden, "insufficient_scope", "The access token lacks a scope"},
	// RFC 9396 has no code for resource servers. This one is for a request that "requires higher privileges".
	ErrAuthorizationDetails: {http.StatusForbidden, "insufficient_scope", "The access token lacks authorization details"},
	ErrStepUp: {
		http.StatusUnauthorized, "insufficient_user_authentication",
		"A stronger or more recent authentication of the user is needed",
	},
	ErrForbidden: {status: http.StatusForbidden},
	// For anybody else the session doesn't exist.
	ErrSessionOwner: {status: http.StatusNotFound},
	ErrIssuerUnsaid: {status: http.StatusInternalServerError},
	ErrUndecided:    {status: http.StatusInternalServerError},
	// The wiring's fault, not the caller's: an answer of 4xx would have him look for it in vain.
	ErrAnotherRequest: {status: http.StatusInternalServerError},
	ErrRequestEnded:   {status: statusRequestEnded},
	ErrOverloaded:     {status: http.StatusServiceUnavailable},
	ErrUnavailable:    {status: http.StatusServiceUnavailable},
}

const (
	notForUs  = "The access token is not valid for this resource"
	notProven = "Possession of the key that the access token is bound to was not proven"

	notThisProof     = "The DPoP proof is not valid for this request"
	notThisAlgorithm = "The algorithm of the DPoP proof is not one of algs, or not its key's"
)

// Error is why a request was refused: for logs and for Options.Deny. Its text may name what a sender chose, so it
// must never reach a client.
type Error struct {
	Reason Reason
	Err    error // the cause; may be nil

	branch     any         // the *Policy in an AnyOf that this is the refusal of, for comparison alone
	needed     []Param     // the parameters of the challenge that say what would do
	used       string      // the scheme the request came under; "" if none or more than one
	who        who         // of the token, once it is known to be genuine
	challenges []string    // shared: not to be changed
	header     http.Header // what the Confirmers put on the answer
	observed   *identity   // of the Guard whose Options.Observe knows of it
	closes     bool        // the connection's own certificate is why
}

// identity tells one Guard from all others, and is all that decisions and errors know of theirs: its address counts.
type identity struct{ _ byte }

// who is what a genuine token says for logs and metrics. The zero who is that of no token.
type who struct {
	known              bool
	issuer, client, id string
	bindings           []Binding // shared: not to be changed
}

// Error returns the reason and the cause.
func (e *Error) Error() string {
	if e == nil {
		return errNothing.Error()
	}
	if e.Err == nil {
		return "popauth: " + e.Reason.Error()
	}
	return "popauth: " + e.Reason.Error() + ": " + e.Err.Error()
}

// Unwrap returns the reason and the cause, so that errors.Is and errors.As find both.
func (e *Error) Unwrap() []error {
	if e == nil {
		return nil
	}
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// Status is the HTTP status to answer with.
func (e *Error) Status() int { return e.answer().status }

// Challenges are the values of the WWW-Authenticate lines that belong to the answer, the scheme that was used first.
func (e *Error) Challenges() []string { return slices.Clone(e.challenges) }

// Header is what the Confirmers put on the answer, such as a nonce; nil if nothing. Refuse sets it, and Refusal.Header has it
// with all other lines.
func (e *Error) Header() http.Header { return e.header.Clone() }

// RetryAfter is how long a client should wait before it tries again; zero unless Status is 429 or 503. A cause with a
// method RetryAfter() time.Duration says how long, rounded up to whole seconds.
func (e *Error) RetryAfter() time.Duration {
	if s := e.Status(); s != http.StatusTooManyRequests && s != http.StatusServiceUnavailable {
		return 0
	}
	wait := 5 * time.Second
	if after, ok := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](e.Err); ok {
		wait = after.RetryAfter()
	}
	return time.Duration(math.Ceil(max(wait, time.Second).Seconds())) * time.Second
}

func (e *Error) answer() answer {
	if e == nil { // that is within another
		return answers[ErrUnconfigured]
	}
	return answers[e.Reason.answered()]
}

// answered is the Reason as which r is answered: one of the constants.
func (r Reason) answered() Reason {
	if _, known := answers[r]; known {
		return r
	}
	return ErrTokenInvalid
}

// errorOf makes an Error of what a Verifier, Confirmer, CertificateSource or Policy returned. An error that names no
// Reason gets the one given.
func errorOf(err error, otherwise Reason) *Error {
	switch e := err.(type) { //nolint:errorlint // these themselves; what wraps them comes below
	case *Error:
		if e == nil {
			return &Error{Reason: otherwise, Err: errNothing}
		}
		own := *e
		return &own
	case Reason:
		return &Error{Reason: e}
	case formless:
		return e.refusal()
	}
	if e, ok := errors.AsType[*Error](err); ok && e != nil {
		own := *e
		own.Err = err
		return &own
	}
	if r, ok := errors.AsType[Reason](err); ok {
		otherwise = r
	}
	return &Error{Reason: otherwise, Err: err}
}

// errNothing is what somebody has returned who has declared a variable as an *Error, and it as an error: that is never nil.
var errNothing = errors.New("popauth: a nil *Error, returned as an error: declare it as error")

// malformed is the refusal of a token that can't be read.
func malformed(err error) error {
	if err == jose.ErrForm { //nolint:errorlint // itself
		return formless{}
	}
	return errorOf(err, ErrTokenMalformed)
}

// formless is the refusal of what has no token's form, as most garbage: it takes no memory, however much of it comes.
type formless struct{}

// Error returns the reason and the cause.
func (formless) Error() string { return formless{}.refusal().Error() }

// Unwrap returns the reason and the cause.
func (formless) Unwrap() []error { return []error{ErrTokenMalformed, jose.ErrForm} }

func (formless) refusal() *Error { return &Error{Reason: ErrTokenMalformed, Err: jose.ErrForm} }
