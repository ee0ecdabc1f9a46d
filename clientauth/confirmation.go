package clientauth

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/jwk"
)

// Confirmation is the cnf claim of a token, and of the answer when the token is introspected (RFC 7800, section 3.1;
// RFC 8705, sections 3.1 and 3.2; RFC 9449, section 6). The zero value binds to nothing: leave it out, as
// `json:"cnf,omitzero"` does, since an empty cnf is malformed.
type Confirmation struct {
	Thumbprint string `json:"x5t#S256,omitempty"` // of the certificate
	JKT        string `json:"jkt,omitempty"`      // of the DPoP key
}

// TokenType is the token_type of a token that is bound like this: DPoP if to a DPoP key (RFC 9449, section 5), else
// Bearer (RFC 8705, section 3).
func (c Confirmation) TokenType() string {
	if c.JKT != "" {
		return "DPoP"
	}
	return "Bearer"
}

// ConfirmationX509 binds a token to a certificate. Its token_type is Bearer.
func ConfirmationX509(c *x509.Certificate) Confirmation {
	return Confirmation{Thumbprint: popauth.Thumbprint(c)}
}

// confirmationDER is zero for no certificate.
func confirmationDER(der []byte) Confirmation {
	if len(der) == 0 {
		return Confirmation{}
	}
	sum := sha256.Sum256(der)
	return Confirmation{Thumbprint: base64.RawURLEncoding.EncodeToString(sum[:])}
}

// ConfirmationJWK binds a token to the public key of a DPoP proof that something else has verified, given as the JWK of
// the proof's header; Authenticator.Proof verifies one itself. Its token_type is DPoP. A client that authenticates by
// certificate may ask for such a token; then the certificate is no part of the binding.
func ConfirmationJWK(key []byte) (Confirmation, error) {
	k, err := jwk.Read(key)
	if err != nil {
		return Confirmation{}, fmt.Errorf("clientauth: jwk: %w", err)
	}
	return Confirmation{JKT: base64.RawURLEncoding.EncodeToString(k.Thumbprint[:])}, nil
}
