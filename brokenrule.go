package popauth

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/uri"
)

// brokenRule is the cause of ErrRequestLine: the rule, the header that breaks it if there is one, what was found, what it
// was compared with, and what to change. It quotes what a sender chose, cut and in ASCII.
type brokenRule struct {
	rule                    uri.Rule
	header, found, compared string
}

func (b *brokenRule) Error() string {
	found := quoted(b.found)
	if b.header != "" {
		found = b.header + ": " + found // one that field.OverridesMethod knows, in the sender's spelling
	}
	if b.compared == "" {
		return fmt.Sprintf("%s: %s: %s", b.rule, found, b.cure())
	}
	return fmt.Sprintf("%s: %s, %s: %s", b.rule, found, quoted(b.compared), b.cure())
}

// maxQuoted leaves room for two quotations and the cure in a line of maxLogged bytes.
const maxQuoted = 42

// quoted leaves out a query and a fragment, which may hold a token, and userinfo where others than net/http see one.
func quoted(s string) string {
	if strings.HasPrefix(s, "//") {
		s = uri.Shown(s)
	}
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:max(i, 1)] // the one that nobody has in a path is quoted itself
	}
	q := strconv.QuoteToASCII(s[:min(len(s), maxQuoted)])
	if len(q) > maxQuoted+2 {
		q = q[:maxQuoted+1] + `"`
	}
	return q
}

const (
	lineRewritten uri.Rule = "Request.URL is not what the request line says"
	lineRawPath   uri.Rule = "Request.URL.RawPath is no spelling of its Path"
	lineDecoded   uri.Rule = "Request.URL has lost the RawPath of its request line"
	lineHTTP2     uri.Rule = "start of HTTP/2 on this connection"
	lineLetters   uri.Rule = "method that is no token in upper case"
	lineMethod    uri.Rule = "header with another method than the request"
)

// cure says who has to change what. Only rules that have an opening name one.
func (b *brokenRule) cure() string {
	switch b.rule {
	case uri.OtherEncoding:
		return "RequestLine.Handler around all routers decodes it, AllowOtherEncodings lets it be"
	case uri.EncodedSlash:
		return "the client has to send a slash, or set RequestLine.AllowEncodedSlash"
	case uri.EmptySegment:
		return "the client has to send one slash, or set RequestLine.AllowEmptySegments"
	case uri.PathParameter:
		return "the client has to leave out the semicolon, or set RequestLine.AllowPathParameters"
	case uri.NotAPath:
		return "set Request.RequestURI before http.StripPrefix, or put RequestLine.Handler around it"
	case uri.LongPath:
		return "the client has to send a shorter path, a query may be longer"
	case uri.ConnectForm, uri.AsteriskForm, uri.OtherForm:
		return "the client has to send a path"
	case lineLetters:
		return "the client has to send the method in upper case"
	case uri.Opaque:
		return "give Request.URL a Path"
	case lineRewritten:
		return "set RequestLine.AllowRewrittenURL, or rewrite in the proxy, or redirect"
	case lineRawPath:
		return "set RawPath to \"\" wherever Path is set"
	case lineDecoded:
		return "leave it there, RequestLine.Handler around all routers decodes"
	case lineHTTP2:
		return "what speaks it without TLS belongs outside of ClientCertificate and Guard"
	case lineMethod:
		return "remove it, obey it outside of the Guard, or set RequestLine.AllowMethodOverride"
	}
	return "the client has to send another path, nothing allows this one"
}

func otherEncoding(e *Error) bool {
	b, ok := e.Err.(*brokenRule) //nolint:errorlint // read has just made it
	return ok && b.rule == uri.OtherEncoding
}

// brokenMethod refuses a method that some compare to the letter and others in upper case, RFC 9110, section 9.1,
// notwithstanding, and headers with another method unless they may override it.
func brokenMethod(r *http.Request, override bool) *brokenRule {
	own := method(r)
	if !field.IsMethod(own) {
		return &brokenRule{rule: lineLetters, found: own}
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
				return &brokenRule{rule: lineMethod, header: name, found: value, compared: own}
			}
		}
	}
	return nil
}

// method is the request's; net/http lets a request that no server has read leave out GET.
func method(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}
