package forwardauth

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/field"
)

// identity names the headers that say who a request comes from.
var identity = []string{"X-Auth-Issuer", "X-Auth-Subject", "X-Auth-Client", "X-Auth-Scope", "X-Auth-Binding"}

// Identity is the form in which an Endpoint tells an API who a request comes from: the headers that the package's documentation
// lists, and one for each further claim. It is for doors of your own that tell an API the same, such as a gRPC service that a proxy
// asks. It is immutable and safe for concurrent use. NewIdentity makes one; the zero Identity refuses everything.
type Identity struct {
	claims map[string]string // by header
	names  map[string]string // of all headers, by their folded name
}

// NewIdentity makes an Identity. The claims are those of Options.Claims; the error lists every problem of them.
func NewIdentity(claims map[string]string) (*Identity, error) {
	var wrong []error
	problem := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("forwardauth: NewIdentity: "+format, args...))
	}
	i := &Identity{claims: map[string]string{}, names: map[string]string{}}
	for _, name := range identity {
		i.names[field.Fold(name)] = name
	}
	for header, claim := range claims {
		name := http.CanonicalHeaderKey(header)
		if _, twice := i.claims[name]; twice || !fitName(header) || slices.Contains(identity, name) {
			problem("%q is not a header's name of letters, digits and hyphens, or has another use", header)
		}
		if why := field.Taken(header); why != "" {
			problem("no claim can be told in %s, since %s: name another, such as X-Auth-Tenant", header, why)
		}
		if claim == "" {
			problem("%s: no claim", header)
		}
		i.claims[name] = claim
		i.names[field.Fold(name)] = name
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return i, nil
}

// Names returns the names of the headers, sorted. Each is in every Header, so a proxy that replaces these leaves no client's own.
func (i *Identity) Names() []string { return slices.Sorted(maps.Values(i.names)) }

// Header returns the headers for the API. Of a nil Principal all are empty: for a public route, whose requests must not bring
// headers of their own either. A claim that is no string is an error with popauth.ErrForbidden.
func (i *Identity) Header(who *popauth.Principal) (http.Header, error) {
	if len(i.names) == 0 {
		return nil, popauth.ErrUnconfigured
	}
	h := http.Header{}
	if who == nil {
		for _, name := range i.names {
			h.Set(name, "")
		}
		return h, nil
	}
	var members []string
	for _, b := range who.Bindings {
		members = append(members, b.Member)
	}
	for n, value := range []string{encode(who.Issuer), encode(who.Subject), encode(who.ClientID), encodeAll(who.Scopes),
		encodeAll(members)} {
		h.Set(identity[n], value)
	}
	if len(i.claims) == 0 {
		return h, nil
	}
	all, err := popauth.Claims[map[string]jsontext.Value](who)
	if err != nil {
		return nil, &popauth.Error{Reason: popauth.ErrForbidden, Err: err}
	}
	for header, claim := range i.claims {
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

// Check refuses a request that a proxy asks about, and that comes with one of the headers, in any spelling: with
// popauth.ErrForwardedRequest. A proxy passes its client's on wherever its configuration has no line for that very name, and then
// the API would believe the client.
func (i *Identity) Check(h http.Header) error {
	if len(i.names) == 0 {
		return popauth.ErrUnconfigured
	}
	for name := range h {
		if own := i.names[field.Fold(name)]; own != "" {
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
