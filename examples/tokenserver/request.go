package main

import (
	"errors"
	"mime"
	"net/http"
	"net/url"

	"github.com/seed-171ab058/popauth/clientauth"
)

const maxForm = 64 << 10

func malformed(why string) error {
	return &clientauth.Error{Reason: clientauth.ErrRequestMalformed, Err: errors.New(why)}
}

// checkForm refuses forms that a library could read differently: it may also read the query, and take the first of two
// values.
func checkForm(r *http.Request) error {
	if r.Method != http.MethodPost {
		return malformed("not POST")
	}
	if r.URL.RawQuery != "" {
		return malformed("parameters in the URL")
	}
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if contentType != "application/x-www-form-urlencoded" {
		return malformed("not application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		reason := clientauth.ErrRequestMalformed
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			reason = clientauth.ErrRequestTooLarge
		}
		return &clientauth.Error{Reason: reason, Err: err}
	}
	for name, values := range r.PostForm {
		// RFC 6749, section 3.2; RFC 8707, section 2, and RFC 8693, section 2.1, for the two that may be repeated.
		if len(values) > 1 && name != "resource" && name != "audience" {
			return malformed("a parameter twice")
		}
	}
	return nil
}

// readSecret returns the claimed client and its secret (RFC 6749, section 2.3.1): under Basic or in the form.
func readSecret(r *http.Request) (id, secret string, err error) {
	lines, form := r.Header.Values("Authorization"), r.PostForm
	switch {
	case form.Get("client_assertion") != "" || form.Get("client_assertion_type") != "":
		return "", "", &clientauth.Error{Reason: clientauth.ErrOtherMethod, Err: errors.New("assertions are not supported")}
	case len(lines) == 0:
		return form.Get("client_id"), form.Get("client_secret"), nil
	case len(lines) > 1:
		return "", "", malformed("Authorization twice")
	case form.Get("client_secret") != "":
		return "", "", &clientauth.Error{Reason: clientauth.ErrTwoMethods}
	}
	name, password, ok := r.BasicAuth()
	if !ok {
		return "", "", malformed("Authorization is not Basic")
	}
	id, badID := url.QueryUnescape(name)
	secret, badSecret := url.QueryUnescape(password)
	if badID != nil || badSecret != nil {
		return "", "", malformed("Authorization is not form-encoded")
	}
	if claimed := form.Get("client_id"); claimed != "" && claimed != id {
		return "", "", malformed("two different client identifiers")
	}
	return id, secret, nil
}
