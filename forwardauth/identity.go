package forwardauth

import (
	"errors"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/field"
)

// identity names the headers that say who a request comes from.
var identity = []string{"X-Auth-Issuer", "X-Auth-Subject", "X-Auth-Client", "X-Auth-Scope", "X-Auth-Binding"}

// identity returns the headers for the API.
func (e *Endpoint) identity(who *popauth.Principal) (http.Header, error) {
	var members []string
	for _, b := range who.Bindings {
		members = append(members, b.Member)
	}
	h := http.Header{}
	for i, value := range []string{encode(who.Issuer), encode(who.Subject), encode(who.ClientID), encodeAll(who.Scopes),
		encodeAll(members)} {
		h.Set(identity[i], value)
	}
	if len(e.claims) == 0 {
		return h, nil
	}
	all, err := popauth.Claims[map[string]jsontext.Value](who)
	if err != nil {
		return nil, &popauth.Error{Reason: popauth.ErrForbidden, Err: err}
	}
	for header, claim := range e.claims {
		value := ""
		if raw, ok := all[claim]; ok {
			if raw.Kind() != '"' || json.Unmarshal(raw, &value) != nil {
				return nil, &popauth.Error{Reason: popauth.ErrForbidden, Err: errors.New(claim + ": not a string")}
			}
		}
		h.Set(header, encode(value))
	}
	return h, nil
}

// brought refuses a request that comes with a header by which the Endpoint says who is calling. A proxy passes its
// client's on wherever its configuration has no line for that very name, and then the API would believe the client.
func (e *Endpoint) brought(h http.Header) error {
	for name := range h {
		if own := e.handed[field.Fold(name)]; own != "" {
			return unreported(own, "the client's own, or of a proxy further out, want none; have the proxy remove it before it asks, "+
				"and set it from the answer")
		}
	}
	return nil
}

func encodeAll(values []string) string {
	var all []string
	for _, v := range values {
		all = append(all, encode(v))
	}
	return strings.Join(all, " ")
}

// encode percent-encodes what doesn't fit a header's value, what would separate two of them, and the percent sign,
// so that there is one way back.
func encode(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c > '~' || c == '%' || c == ',':
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
