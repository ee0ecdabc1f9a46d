package main

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// mask keeps secrets out of what is printed: those that are known, wherever they stand, and whatever is a JWT.
type mask struct {
	off bool // they were asked for

	mu    sync.Mutex
	known []string
}

var tokenPattern = regexp.MustCompile(`ey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)

// secretFields are of forms and of JSON answers of authorization servers.
var secretFields = []string{"client_secret", "client_assertion", "access_token", "refresh_token", "id_token", "password", "code"}

// add makes a secret known.
func (m *mask) add(secret string) {
	if len(secret) < 4 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.known, secret) {
		m.known = append(m.known, secret)
	}
}

// text is s without secrets.
func (m *mask) text(s string) string {
	if m.off {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, secret := range m.known {
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), quotedInside(secret)} {
			s = strings.ReplaceAll(s, form, cut(form))
		}
	}
	return tokenPattern.ReplaceAllStringFunc(s, cut)
}

// quotedInside is a text as it stands between quotes, in JSON and in errors.
func quotedInside(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// cut is the beginning of a secret that is long enough for one to recognise it and not to use it.
func cut(s string) string {
	if i := strings.IndexRune(s, '…'); i >= 0 {
		return s // it is cut
	}
	if len(s) < 40 {
		return "…"
	}
	return fmt.Sprintf("%s…(%d characters)", s[:6], len(s))
}

// header is a header's value.
func (m *mask) header(name, value string) string {
	if m.off {
		return value
	}
	switch http.CanonicalHeaderKey(name) {
	case "Authorization", "Proxy-Authorization":
		scheme, credentials, _ := strings.Cut(value, " ")
		if strings.EqualFold(scheme, "Basic") {
			return scheme + " …" // its beginning is the secret's too, after a short name
		}
		return scheme + " " + cut(credentials)
	case "Dpop", "Cookie", "Set-Cookie":
		return cut(value)
	}
	return m.text(value)
}

// form is the body of a token request, in the order in which it came.
func (m *mask) form(body string) string {
	if m.off {
		return body
	}
	fields := strings.Split(body, "&")
	for i, field := range fields {
		name, value, _ := strings.Cut(field, "=")
		if slices.Contains(secretFields, name) {
			fields[i] = name + "=" + cut(value)
		}
	}
	return m.text(strings.Join(fields, "&"))
}

var secretMember = regexp.MustCompile(`("(?:` + strings.Join(secretFields, "|") + `)"\s*:\s*")((?:[^"\\]|\\.)*)"`)

// json is the answer of a token endpoint.
func (m *mask) json(body string) string {
	if m.off {
		return body
	}
	return m.text(secretMember.ReplaceAllStringFunc(body, func(s string) string {
		parts := secretMember.FindStringSubmatch(s)
		return parts[1] + cut(parts[2]) + `"`
	}))
}
