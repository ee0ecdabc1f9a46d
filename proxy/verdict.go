package proxy

import "strings"

// Verdict is what a proxy says about the client certificate of a connection. The zero value is [Unknown].
type Verdict int

// What a proxy can say.
const (
	Unknown         Verdict = iota // no text of this proxy: the request is refused
	NoCertificate                  // the client sent none
	Validated                      // the proxy validated the chain
	NotValidated                   // the client holds the key, but the proxy could not validate the chain
	ValidatedOrNone                // one text for both: the certificate header says which

	unsent // the verdict header is missing
)

// A Judge reads the text of a verdict header, exactly and case-sensitively. Whatever it does not know is [Unknown].
type Judge func(text string) Verdict

// NginxVerify is the [Judge] of nginx's $ssl_client_verify: SUCCESS, NONE, and FAILED: with a reason.
func NginxVerify(text string) Verdict {
	switch text {
	case "SUCCESS":
		return Validated
	case "NONE":
		return NoCertificate
	}
	return failed(text)
}

// ApacheVerify is the [Judge] of Apache's SSL_CLIENT_VERIFY: SUCCESS, NONE, GENEROUS (accepted without validation),
// FAILED: with a reason, and (null) on a connection without TLS.
func ApacheVerify(text string) Verdict {
	switch text {
	case "SUCCESS":
		return Validated
	case "NONE", "(null)":
		return NoCertificate
	case "GENEROUS":
		return NotValidated
	}
	return failed(text)
}

// HAProxyVerify is the [Judge] of HAProxy's ssl_c_verify: the number of an OpenSSL error, where 0 means validated as
// well as no certificate, and an empty text on a connection without TLS.
func HAProxyVerify(text string) Verdict {
	switch {
	case text == "":
		return NoCertificate
	case text == "0":
		return ValidatedOrNone
	case len(text) > 4 || text[0] == '0' || strings.Trim(text, "0123456789") != "":
		return Unknown
	}
	return NotValidated
}

// failed reads FAILED: and the reason of the TLS library. The reasons change with its releases, so they are not
// listed; but no reason holds a second verdict, or the comma that joins two lines into one.
func failed(text string) Verdict {
	reason, ok := strings.CutPrefix(text, "FAILED:")
	if !ok || reason == "" || strings.Contains(reason, ",") {
		return Unknown
	}
	for _, verdict := range []string{"SUCCESS", "NONE", "GENEROUS", "FAILED"} {
		if strings.Contains(reason, verdict) {
			return Unknown
		}
	}
	return NotValidated
}

// against compares a verdict with what the certificate header holds: a certificate if present, or at least some text
// if sent. Text that means none, as Apache's does, was set together with the verdict: where that is missing, the
// client had it removed.
func (v Verdict) against(present, sent bool) error {
	switch v {
	case ValidatedOrNone:
	case NoCertificate:
		if present {
			return malformed("verdict says that there is no certificate")
		}
	case Validated, NotValidated:
		if !present {
			return malformed("verdict without a certificate")
		}
	case unsent:
		if present || sent {
			return malformed("verdict missing")
		}
	default:
		return malformed("verdict that the format does not accept")
	}
	return nil
}
