package clientauth

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

const (
	maxForm     = 64 << 10 // bytes, unless the form has been parsed before
	maxClientID = 512
)

// The parameters by which clients authenticate (RFC 6749, section 2.3.1; RFC 7521, section 4.2).
var credentials = []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"}

// claimed is who a request says that it is from.
type claimed struct {
	clientID string
	other    bool // it brings another method's credentials
}

func malformed(why string) *Error { return &Error{Reason: ErrRequestMalformed, Err: errors.New(why)} }

// readClaim reads the client's parameters, from the body alone.
func readClaim(r *http.Request) (claimed, *Error) {
	basic, err := readAuthorization(r.Header)
	if err != nil {
		return claimed{}, err
	}
	form, err := readForm(r)
	if err != nil {
		return claimed{}, err
	}
	for _, name := range credentials {
		// RFC 6749, sections 2.3.1 and 3.2: not in the URI, and once.
		if r.URL.Query().Has(name) {
			return claimed{}, malformed(name + " in the URL")
		}
		if len(form[name]) > 1 {
			return claimed{}, malformed(name + " twice")
		}
	}
	c := claimed{clientID: form.Get("client_id"), other: basic.other}
	// A parameter without a value counts as left out (RFC 6749, section 3.2).
	for _, name := range credentials[1:] {
		c.other = c.other || form.Get(name) != ""
	}
	switch {
	case c.clientID == "":
		c.clientID = basic.clientID
	case basic.clientID != "" && basic.clientID != c.clientID:
		return claimed{}, malformed("two different client identifiers")
	}
	return c, nil
}

// readAuthorization takes a client_id without a secret from Basic; everything else is another method.
func readAuthorization(h http.Header) (claimed, *Error) {
	lines := h.Values("Authorization")
	switch {
	case len(lines) == 0:
		return claimed{}, nil
	case len(lines) > 1:
		return claimed{}, malformed("Authorization twice")
	}
	if scheme, _, _ := strings.Cut(lines[0], " "); !strings.EqualFold(scheme, "Basic") {
		return claimed{other: true}, nil
	}
	id, secret, ok := (&http.Request{Header: h}).BasicAuth()
	if !ok {
		return claimed{}, malformed("Authorization: not an identifier and a secret in base64")
	}
	// RFC 6749, section 2.3.1: both are form-encoded first.
	id, err := url.QueryUnescape(id)
	if err != nil {
		return claimed{}, malformed("Authorization: the identifier is not form-encoded")
	}
	return claimed{clientID: id, other: secret != ""}, nil
}

// readForm parses the body, unless an earlier handler has, in which case that one's limit counts.
func readForm(r *http.Request) (url.Values, *Error) {
	if r.Method != http.MethodPost {
		return nil, malformed("not POST")
	}
	// What is malformed yields "", or is refused by ParseForm.
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if contentType != "application/x-www-form-urlencoded" {
		return nil, malformed("not application/x-www-form-urlencoded")
	}
	if body := r.Body; body != nil {
		r.Body = http.MaxBytesReader(nil, body, maxForm)
		defer func() { r.Body = body }() // a copy of the request is still told by it
	}
	if err := r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, &Error{Reason: ErrRequestTooLarge, Err: err}
		}
		return nil, &Error{Reason: ErrRequestMalformed, Err: err}
	}
	return r.PostForm, nil
}

// plausible tells whether an identifier is one at all (RFC 6749, appendix A.1), so that a store is not asked about
// others.
func plausible(clientID string) bool {
	return len(clientID) <= maxClientID &&
		!strings.ContainsFunc(clientID, func(c rune) bool { return c < ' ' || c > '~' })
}
