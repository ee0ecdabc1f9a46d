// Package requestline holds a request's method and path to the rules by which everybody reads them alike.
package requestline

import (
	"net/http"
	"net/url"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/uri"
)

// The rules beside those of package uri.
const (
	Rewritten      uri.Rule = "Request.URL is not what the request line says"
	RawPath        uri.Rule = "Request.URL.RawPath is no spelling of its Path"
	Decoded        uri.Rule = "Request.URL has lost the RawPath of its request line"
	HTTP2          uri.Rule = "start of HTTP/2 on this connection"
	MethodLetters  uri.Rule = "method that is no token in upper case"
	MethodOverride uri.Rule = "header with another method than the request"
)

// Broken is a rule that a request breaks. What it quotes is the sender's choice.
type Broken struct {
	Rule     uri.Rule
	Header   string // that breaks it, in the sender's spelling; "" if it is no header
	Found    string
	Compared string // with what; "" if with nothing
}

// Allowed opens some of the rules.
type Allowed struct {
	Path                          uri.Allowed
	RewrittenURL, MethodOverrides bool
}

// Check returns the rule that r breaks; nil if there is none. Decoded tells that a handler outside has decoded the path: it has
// dropped URL.RawPath, so that all routers inside go by URL.Path, or left one that is spelled as net/url spells it.
func Check(r *http.Request, allowed Allowed, decoded bool) *Broken {
	path, rule := uri.Target(r)
	if rule == "" && r.URL.Opaque != "" {
		rule = uri.Opaque
	}
	if rule != "" {
		return &Broken{Rule: rule, Found: uri.Shown(r.RequestURI)}
	}
	sent := allowed.Path
	sent.OtherEncoding = sent.OtherEncoding || decoded
	if broken := checkPath(path, sent); broken != nil {
		return broken
	}
	if !allowed.RewrittenURL {
		rest, kept, fits := uri.Rest(path, r.URL)
		if !fits {
			return &Broken{Rule: Rewritten, Found: r.URL.Path, Compared: path}
		}
		if !kept && (!decoded || uri.HasEncodedSlash(rest) && !uri.HasEncodedSlash(r.URL.RawPath)) {
			return &Broken{Rule: Decoded, Found: r.URL.Path, Compared: rest}
		}
	}
	if allowed.RewrittenURL || decoded && r.URL.RawPath != "" {
		if broken := checkURL(r.URL, allowed.Path); broken != nil {
			return broken
		}
	}
	return checkMethod(r, allowed.MethodOverrides)
}

// checkURL holds a path that middleware has written to the rules of a sent one. Routers that find a RawPath go by that.
func checkURL(u *url.URL, allowed uri.Allowed) *Broken {
	path := u.RawPath
	switch {
	case path == "":
		path = u.EscapedPath()
	case !uri.Decodes(path, u.Path):
		return &Broken{Rule: RawPath, Found: path, Compared: u.Path}
	}
	if path == "" || path[0] != '/' {
		path = "/" + path // as http.StripPrefix leaves it
	}
	return checkPath(path, allowed)
}

func checkPath(path string, allowed uri.Allowed) *Broken {
	if len(path) > uri.MaxPath {
		return &Broken{Rule: uri.LongPath, Found: path}
	}
	rule, at := uri.Reading(path, allowed)
	if rule == "" {
		return nil
	}
	return &Broken{Rule: rule, Found: path[at:], Compared: path}
}

// checkMethod refuses a method that some compare to the letter and others in upper case, RFC 9110, section 9.1,
// notwithstanding, and headers with another method unless they may override it.
func checkMethod(r *http.Request, override bool) *Broken {
	own := Method(r)
	if !field.IsMethod(own) {
		return &Broken{Rule: MethodLetters, Found: own}
	}
	if override {
		return nil
	}
	for name, values := range r.Header {
		if !field.OverridesMethod(name) {
			continue
		}
		for _, value := range values {
			if value != "" && !field.IsInUpperCase(value, own) {
				return &Broken{Rule: MethodOverride, Header: name, Found: value, Compared: own}
			}
		}
	}
	return nil
}

// Method is the request's; net/http lets a request that no server has read leave out GET.
func Method(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}
