package proxy

import "errors"

// Error is a class of refusal. Every error of [Format.Decode] on a valid format is one of the constants below but
// ErrNone for [errors.Is]; its text is made of constants of this package, configured names and counts, so a log line never carries a byte
// that the sender of a request chose. ErrHops alone also has the URIs that came, quoted and cut.
type Error string

const (
	// ErrMalformed is the class of values that the format does not allow, of headers that came twice, and of a
	// verdict and a certificate that contradict each other. It asks for status 400.
	ErrMalformed Error = "proxy: malformed client certificate"

	// ErrTooLarge is the class of values beyond a limit of the package. It asks for status 431.
	ErrTooLarge Error = "proxy: client certificate too large"

	// ErrNone is no refusal: an [Encoding] returns it for a value that says within itself that there is no certificate. Decode
	// never does.
	ErrNone Error = "proxy: no certificate in the value"

	// ErrHops is the class of requests that did not come by the proxies that [Format.WithHops] names, and of their elements as
	// a caller's. It asks for status 403.
	ErrHops Error = "proxy: not by the proxies of WithHops"
)

// Error returns the text of the class.
func (e Error) Error() string { return string(e) }

// A refusal is a class with its reason, which is a constant, but for ErrHops.
type refusal struct {
	class  Error
	header string // a configured name, or empty
	reason string
}

func (r *refusal) Error() string {
	if r.header == "" {
		return string(r.class) + ": " + r.reason
	}
	return string(r.class) + ": " + r.header + ": " + r.reason
}

func (r *refusal) Unwrap() error { return r.class }

func malformed(reason string) error { return &refusal{class: ErrMalformed, reason: reason} }

func tooLarge(reason string) error { return &refusal{class: ErrTooLarge, reason: reason} }

// in names the header that err is about. The text of an error that an [Encoding] of the caller's own returned may
// quote the value, so only its class remains.
func in(header string, err error) error {
	r := &refusal{class: ErrMalformed, header: header, reason: "refused by the configured encoding"}
	if errors.Is(err, ErrTooLarge) {
		r.class = ErrTooLarge
	}
	if own, ok := errors.AsType[*refusal](err); ok {
		r.class = own.class
		r.reason = own.reason
	}
	return r
}
