package clientauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/reply"
)

// Reason says why a request was refused. The constants are errors: errors.Is(err, clientauth.ErrOtherMethod).
type Reason string

// The reasons, in the order in which a request meets them. What each is answered with stands in one table, answers.
const (
	ErrUnconfigured         Reason = "authenticator was not made by New"
	ErrOtherMethod          Reason = "no authentication by certificate" // left to the other methods that a server may have
	ErrCertificateMissing   Reason = "no certificate on an endpoint that demands one"
	ErrCertificateMalformed Reason = "client certificate malformed"
	ErrCertificateTooLarge  Reason = "client certificate too large"
	ErrMisdirected          Reason = "connection made for another host than that of the request"
	ErrRequestMalformed     Reason = "request malformed"
	ErrRequestTooLarge      Reason = "request too large"
	ErrTwoMethods           Reason = "more than one authentication method"
	ErrClientUnknown        Reason = "client unknown, or not registered with a certificate"
	ErrCertificateMismatch  Reason = "certificate is not one that the client is registered with"
	ErrCertificateUntrusted Reason = "certificate not trusted"
	ErrProofMissing         Reason = "DPoP proof missing" // for a server to say of a client that must send one
	ErrProofInvalid         Reason = "DPoP proof not accepted"
	ErrProofNonce           Reason = "DPoP nonce needed"
	ErrProofLimit           Reason = "too many DPoP proofs of one key"
	ErrEarlyData            Reason = "request in TLS early data"
	ErrRequestEnded         Reason = "request ended before the decision"
	ErrUnavailable          Reason = "something needed for the decision can't be reached"
)

// Error returns the reason's text.
func (r Reason) Error() string { return string(r) }

// answer is what a client sees of a Reason: nothing here comes from a request.
type answer struct {
	status      int
	code        string // RFC 6749, section 5.2
	description string
}

// One answer for all of these: which of them it was would tell a stranger who is registered, and with what.
var failed = answer{http.StatusUnauthorized, "invalid_client", "Client authentication failed"}

var answers = map[Reason]answer{
	ErrUnconfigured:         {http.StatusInternalServerError, "server_error", "The server is not configured"},
	ErrOtherMethod:          failed,
	ErrCertificateMissing:   failed,
	ErrClientUnknown:        failed,
	ErrCertificateMismatch:  failed,
	ErrCertificateUntrusted: failed,
	ErrCertificateMalformed: {http.StatusBadRequest, "invalid_request", "The certificate is malformed"},
	ErrCertificateTooLarge:  {http.StatusRequestHeaderFieldsTooLarge, "invalid_request", "The certificate is too large"},
	ErrMisdirected: {http.StatusMisdirectedRequest, "invalid_request",
		"This connection was made for another host: open one for this host"},
	ErrRequestMalformed: {http.StatusBadRequest, "invalid_request", "The request is malformed"},
	ErrRequestTooLarge:  {http.StatusRequestEntityTooLarge, "invalid_request", "The request is too large"},
	ErrTwoMethods:       {http.StatusBadRequest, "invalid_request", "More than one client authentication method"},
	// RFC 9449, sections 5 and 8, in the form of RFC 6749: 400, where an API has 401.
	ErrProofMissing: {http.StatusBadRequest, "invalid_dpop_proof", "A DPoP proof is needed"},
	ErrProofInvalid: {http.StatusBadRequest, "invalid_dpop_proof", "The DPoP proof is not valid for this request"},
	ErrProofNonce:   {http.StatusBadRequest, "use_dpop_nonce", "A nonce is needed in the DPoP proof"},
	// RFC 8470, section 5.2
	ErrEarlyData:  {http.StatusTooEarly, "temporarily_unavailable", "Send the request again when the TLS handshake is complete"},
	ErrProofLimit: {http.StatusTooManyRequests, "temporarily_unavailable", "Too many DPoP proofs of one key"},
	// Nobody reads it; see popauth.ErrRequestEnded.
	ErrRequestEnded: {(&popauth.Error{Reason: popauth.ErrRequestEnded}).Status(), "temporarily_unavailable", "The request ended"},
	ErrUnavailable:  {http.StatusServiceUnavailable, "temporarily_unavailable", "Try again later"},
}

// Error is why a request was refused: for logs and for Options.Deny. Its text may name what a sender chose, so it
// must never reach a client; Status and Code may.
type Error struct {
	Reason Reason
	Err    error // the cause; may be nil

	challenge   string // for the Authorization header that the request came with
	misdirected bool   // answered as such, whatever the reason
	closes      bool   // the connection's own certificate is out of its period
}

// Error returns the reason and the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return "clientauth: " + e.Reason.Error()
	}
	return "clientauth: " + e.Reason.Error() + ": " + e.Err.Error()
}

// Unwrap returns the reason and the cause, so that errors.Is and errors.As find both.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// Status is the HTTP status to answer with.
func (e *Error) Status() int { return e.answer().status }

// Code is the error code to answer with, such as invalid_client.
func (e *Error) Code() string { return e.answer().code }

func (e *Error) answer() answer {
	if e.misdirected {
		return answers[ErrMisdirected]
	}
	if a, ok := answers[e.Reason]; ok {
		return a
	}
	return answers[ErrUnconfigured]
}

// WriteError answers a request that Authenticate or Proof has refused, as RFC 6749, section 5.2, has it. What wraps neither an
// *Error nor a Reason is answered like a fault of the server's own.
func WriteError(w http.ResponseWriter, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Reason: ErrUnconfigured}
		if reason, ok := errors.AsType[Reason](err); ok {
			e.Reason = reason
		}
	}
	a := e.answer()
	h := w.Header()
	reply.Refuse(h)
	h.Set("Content-Type", "application/json")
	h.Set("Pragma", "no-cache") // section 5.1 asks for it beside the other
	if a.status == http.StatusUnauthorized && e.challenge != "" {
		h.Set("WWW-Authenticate", e.challenge)
	}
	if a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests {
		h.Set("Retry-After", "5")
	}
	if e.closes {
		h.Set("Connection", "close") // a client that has a new certificate can show it
	}
	w.WriteHeader(a.status)
	// The table has nothing that JSON would have to escape.
	_, _ = fmt.Fprintf(w, `{"error":"%s","error_description":"%s"}`, a.code, a.description)
}

// challengeFor is the challenge that a client gets which has used the Authorization header: of its own scheme, if that
// is a known one (RFC 6749, section 5.2).
func challengeFor(h http.Header) string {
	lines := h.Values("Authorization")
	if len(lines) == 0 {
		return ""
	}
	scheme, _, _ := strings.Cut(lines[0], " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return "Bearer"
	case strings.EqualFold(scheme, "DPoP"):
		return "DPoP"
	}
	return `Basic realm="client"`
}

// endOf returns a refusal as ErrRequestEnded where it is an outage for no other reason than that the request has ended.
func endOf(r *http.Request, e *Error) *Error {
	if e == nil || e.Reason != ErrUnavailable && !errors.Is(e.Err, context.Canceled) {
		return e
	}
	ctx := r.Context()
	if !errors.Is(ctx.Err(), context.Canceled) && !errors.Is(context.Cause(ctx), popauth.ErrRequestEnded) {
		return e
	}
	own := *e
	own.Reason, own.Err = ErrRequestEnded, context.Cause(ctx)
	return &own
}

// unreadable makes an Error of what a CertificateSource returned.
func unreadable(err error) *Error {
	reason, ok := errors.AsType[popauth.Reason](err)
	if !ok {
		return &Error{Reason: ErrCertificateMalformed, Err: err}
	}
	e := &Error{Reason: ErrCertificateUntrusted, Err: err}
	if reason == popauth.ErrRequestEnded {
		e.Reason = ErrRequestEnded
		return e
	}
	switch (&popauth.Error{Reason: reason}).Status() {
	case http.StatusServiceUnavailable:
		e.Reason = ErrUnavailable
	case http.StatusInternalServerError:
		e.Reason = ErrUnconfigured
	case http.StatusRequestHeaderFieldsTooLarge:
		e.Reason = ErrCertificateTooLarge
	case http.StatusBadRequest:
		e.Reason = ErrCertificateMalformed
	case http.StatusMisdirectedRequest:
		e.Reason = ErrMisdirected
	}
	return e
}
