package clientauth

import (
	"errors"
	"net/http"

	"github.com/seed-171ab058/popauth"
)

// Proof is what binds a token to the key of the DPoP proof that a request brings (RFC 9449, section 5). It is zero
// for a request without proof, and without Options.DPoP. Where it is not, it takes the place of the client's
// certificate: that has authenticated the client, and the token_type is DPoP.
//
// Any request whose token is to be bound may bring one, whichever way its client authenticates, to an ordinary endpoint
// or one that demands a certificate. Proof authenticates nobody. Call it once and when that is done, since the proof is
// used up. The nonce for the client's next one is put into h, the headers of the answer, be that a token or an error.
//
// The error is an *Error; see WriteError.
func (a *Authenticator) Proof(h http.Header, r *http.Request) (Confirmation, error) {
	if a.unconfigured() {
		return Confirmation{}, &Error{Reason: ErrUnconfigured}
	}
	if a.options.DPoP == nil {
		return Confirmation{}, nil
	}
	thumbprint, err := a.options.DPoP.ProveKey(h, r, a.options.Now())
	switch {
	case err == nil:
		return Confirmation{JKT: thumbprint}, nil
	case errors.Is(err, popauth.ErrRequestEnded):
		return Confirmation{}, &Error{Reason: ErrRequestEnded, Err: err}
	case errors.Is(err, popauth.ErrUnavailable):
		return Confirmation{}, &Error{Reason: ErrUnavailable, Err: err}
	case errors.Is(err, popauth.ErrProofLimit):
		return Confirmation{}, &Error{Reason: ErrProofLimit, Err: err}
	case errors.Is(err, popauth.ErrProofMissing):
		return Confirmation{}, nil
	case errors.Is(err, popauth.ErrNonceRequired):
		return Confirmation{}, &Error{Reason: ErrProofNonce, Err: err}
	}
	return Confirmation{}, &Error{Reason: ErrProofInvalid, Err: err}
}
