package clientauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"unicode"
)

// pinned is a certificate with one of the SHA-256 thumbprints.
type pinned [][sha256.Size]byte

func (p pinned) fits(have *presented) bool {
	fits := 0
	for _, want := range p {
		fits |= subtle.ConstantTimeCompare(have.sum[:], want[:])
	}
	return fits == 1
}

// Thumbprint is the certificate with the SHA-256 thumbprint given: in hex, with or without colons, spaces or hyphens
// and in either case, as the value of x5t#S256, or in base64, and as openssl prints it with its title. Invisible
// characters that were copied along are left out. It fits one certificate, whoever issued it. This prints it:
//
//	openssl x509 -in client.pem -noout -fingerprint -sha256
func Thumbprint(thumbprint string) (Credential, error) {
	sum, err := readThumbprint(thumbprint)
	if err != nil {
		return Credential{}, err
	}
	return Credential{"thumbprint", base64.RawURLEncoding.EncodeToString(sum[:]), SelfSignedTLSClientAuth, pinned{sum}}, nil
}

const thisPrintsOne = "; this prints one: openssl x509 -in client.pem -noout -fingerprint -sha256"

var (
	errThumbprint = errors.New("clientauth: thumbprint: neither 64 hex digits nor 43 characters of base64url" +
		thisPrintsOne)
	// Someone who may choose what both certificates say can make two with one SHA-1 thumbprint.
	errSHA1 = errors.New("clientauth: thumbprint: of SHA-1, which two certificates can share; enter that of SHA-256" +
		thisPrintsOne)
)

const sha1Size = 20

func readThumbprint(s string) (sum [sha256.Size]byte, err error) {
	// U+200E is what the certificate dialogue of Windows puts in front.
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
	for _, title := range []string{"sha256fingerprint=", "sha1fingerprint=", "sha256:"} {
		if len(s) > len(title) && strings.EqualFold(s[:len(title)], title) {
			s = s[len(title):]
			break
		}
	}
	b := decodeThumbprint(s)
	switch len(b) {
	case sha256.Size:
		return [sha256.Size]byte(b), nil
	case sha1Size:
		return sum, errSHA1
	}
	return sum, errThumbprint
}

// decodeThumbprint returns nil for what is neither. In base64, 32 and 20 bytes have 43 and 27 characters without the one
// "=" that may stand at the end; a hyphen among them is one of base64url's.
func decodeThumbprint(s string) []byte {
	if text := strings.TrimSuffix(s, "="); len(text) == 43 || len(text) == 27 {
		encoding := base64.RawStdEncoding
		if strings.ContainsAny(s, "-_") {
			encoding = base64.RawURLEncoding
		}
		if b, err := encoding.Strict().DecodeString(text); err == nil {
			return b
		}
	}
	b, err := hex.DecodeString(strings.NewReplacer(":", "", "-", "").Replace(s))
	if err != nil {
		return nil
	}
	return b
}
