package proxy

import (
	"encoding/base64"
	"strings"
)

// Base64DER reads one certificate in standard base64, as HAProxy, Caddy, Azure App Service, IIS ARR, Cloudflare's
// older header and gorouter send it. Padding is required and canonical; line breaks, spaces, the URL alphabet and
// commas are refused, so two header lines merged into one never pass.
func Base64DER(value string) ([][]byte, error) {
	if len(value) > maxValue {
		return nil, tooLarge("over 16 KiB")
	}
	der, err := base64DER(value)
	switch {
	case err == nil:
		return [][]byte{der}, nil
	case strings.HasPrefix(value, "-----BEGIN%20"):
		return nil, malformed("percent-encoded PEM, where base64 of the DER is expected: Azure Application Gateway, nginx and AWS " +
			"write that, see docs/platforms.md for its format")
	case strings.HasPrefix(value, "LS0tLS1CRUdJTi"): // -----BEGIN
		return nil, malformed("base64 of PEM, where base64 of the DER is expected: see Base64PEM")
	}
	return nil, err
}

// Base64DERList reads one to ten certificates in standard base64, separated by single commas without spaces, leaf
// first, as Traefik sends them.
func Base64DERList(value string) ([][]byte, error) {
	if len(value) > maxValues {
		return nil, tooLarge("over 64 KiB")
	}
	if strings.Count(value, ",") >= maxCertificates {
		return nil, tooLarge("more than 10 certificates")
	}
	var certs [][]byte
	for item := range strings.SplitSeq(value, ",") {
		der, err := base64DER(item)
		if err != nil {
			return nil, err
		}
		certs = append(certs, der)
	}
	return certs, nil
}

// Base64DERBlob reads one to ten certificates whose DER was concatenated before it was encoded once in standard
// base64, as HAProxy's ssl_c_chain_der is. Each certificate's own length says where the next one starts.
func Base64DERBlob(value string) ([][]byte, error) {
	if len(value) > maxValues {
		return nil, tooLarge("over 64 KiB")
	}
	blob, err := strictBase64(value)
	if err != nil {
		return nil, err
	}
	var certs [][]byte
	for {
		if len(certs) == maxCertificates {
			return nil, tooLarge("more than 10 certificates")
		}
		der, rest, err := cutDER(blob)
		if err != nil {
			return nil, err
		}
		certs = append(certs, der)
		if len(rest) == 0 {
			return certs, nil
		}
		blob = rest
	}
}

func base64DER(value string) ([]byte, error) {
	b, err := strictBase64(value)
	if err != nil {
		return nil, err
	}
	return oneDER(b)
}

// strictBase64 decodes what RFC 4648, section 4 produces and nothing else. The standard library skips line breaks
// even in strict mode, which adds the check of the pad bits only.
func strictBase64(value string) ([]byte, error) {
	if strings.ContainsAny(value, "\r\n") {
		return nil, malformed("line break in base64")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil {
		return nil, malformed("not canonical base64")
	}
	return b, nil
}
