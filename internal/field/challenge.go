package field

import "strings"

// Challenge writes one challenge of WWW-Authenticate (RFC 9110, section 11.6.1), each value as a quoted-string. Params adds the
// parameters in their order; those without a value are left out.
func Challenge(scheme string, params func(add func(name, value string))) string {
	var b strings.Builder
	b.Grow(160)
	b.WriteString(scheme)
	sep := " "
	params(func(name, value string) {
		if value == "" {
			return
		}
		b.WriteString(sep)
		b.WriteString(name)
		b.WriteString("=")
		b.WriteString(Quote(value))
		sep = ", "
	})
	return b.String()
}
