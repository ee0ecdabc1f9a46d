package popauth

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/seed-171ab058/popauth/internal/requestline"
	"github.com/seed-171ab058/popauth/internal/sampling"
	"github.com/seed-171ab058/popauth/internal/uri"
)

// RequestLine is the rules by which a request has one method and one path for everybody who reads it: a DPoP proof, a
// policy, a router outside or inside, a reverse proxy and the server behind it. A request that breaks a rule is refused
// with 400 and ErrRequestLine; the error says which rule, and what was found. The zero RequestLine has all rules. Each
// field opens one: set it only where the API needs it, and read its danger first.
//
// The request target is a path with an optional query, or a whole http or https URL with a host; the authority of a
// CONNECT and the asterisk of an OPTIONS are refused. The path has no dot segment, plain or encoded, no empty segment,
// no encoded slash, no backslash, no semicolon, no control character, and no invalid or double percent-encoding. It is
// encoded as net/url encodes it, or not at all. Request.URL is what stands in the request line, or what http.StripPrefix
// leaves of it; it has 8 KiB at most. The method has no lower-case letter, and no header names another one.
//
// It can't make two programs agree about a path that both read alike: routers differ in whether /users/{id} matches
// /users/ or /users/7/, and servers behind a proxy in whether letter case and a slash at the end count. Put policies at
// the routes of the innermost router; docs/routers.md says how to do it outside.
//
// Guards and clientcert.Require check the requests that reach them. They can't help the routes beside them, and can't
// undo what a router outside has chosen. Handler does both.
type RequestLine struct {
	// AllowEncodedSlash accepts %2F, for names that have slashes, such as /projects/group%2Fmy%20name. Danger: a router,
	// file server or proxy that decodes before it splits serves /admin/x for /admin%2Fx, under another route's policies.
	// Beside a %2F, chi, echo, and gin with UseRawPath, compare the escaped path, so that their /my files/{name} doesn't
	// match /my%20files/a%2Fb, and what is inside may.
	AllowEncodedSlash bool

	// AllowEmptySegments accepts //, for object stores whose keys have it. Danger: a proxy or handler that merges
	// slashes serves /admin/x for //admin/x, under another route's policies.
	AllowEmptySegments bool

	// AllowPathParameters accepts ; in a path, plain or as %3B. Danger: a server in Java cuts off what follows up to the
	// next slash, and serves /admin/x for /admin;a/x, under another route's policies.
	AllowPathParameters bool

	// AllowOtherEncodings accepts percent-encodings other than net/url's own, such as %7E, %40 and %e2. Handler needs no
	// opening for them. Danger: chi, echo, and gin with UseRawPath, compare the encoded path then. Outside of another
	// router or a file server they take /%61dmin/x for /{any}/x, and what is inside serves /admin/x.
	AllowOtherEncodings bool

	// AllowRewrittenURL accepts a Request.URL that isn't what stands in the request line, for middleware outside that
	// rewrites paths. Its path is held to the same rules, and its RawPath, if there is one, to its Path. Danger: policies
	// and routers go by one path then, and a DPoP proof by another.
	AllowRewrittenURL bool

	// AllowMethodOverride accepts X-HTTP-Method-Override, X-HTTP-Method and X-Method-Override that name another method
	// than the request's, where nothing inside obeys them. Danger: grpc-gateway does for a POSTed form, and runs DELETE
	// under the policies and the DPoP proof of the POST.
	AllowMethodOverride bool

	// Logger gets a line, like that of Options.Logger, for a request that Handler refuses, or a clientcert.Require or
	// ClientCertificate inside of it, for whatever reason: these have no Logger of their own. In Options it has no use. If
	// nil, slog.Default().
	Logger *slog.Logger

	// LogPerMinute bounds Logger's lines as Options.LogPerMinute does.
	LogPerMinute int

	// Observe is called for each request that gets a line from Logger, with StageDoor, as Options.Observe is for a Guard's: these
	// belong to no Guard. In Options it has no use. If nil, nothing is.
	Observe func(context.Context, Observation)
}

// Check returns nil if the request has one reading. Otherwise the error is an *Error with ErrRequestLine.
func (l RequestLine) Check(r *http.Request) error {
	if e := l.read(r); e != nil {
		return e
	}
	return nil
}

// Handler returns the outermost handler of an API, around all of its routers: whatever comes inside has one method and
// one path, and all else is refused, on routes without a Guard too. Percent-encodings other than net/url's own are
// decoded for everybody inside, by dropping URL.RawPath: %7E is ~ then, and %40 is @, for each router. Beside an allowed
// %2F, RawPath is kept, with the rest of it as net/url writes it. RequestURI stays as sent, since a DPoP proof is for
// that; a request without one gets that of its URL. For a reverse proxy inside see SentPath. What l allows is allowed for
// every Guard and clientcert.Require inside. It panics if next is nil.
func (l RequestLine) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("popauth: RequestLine: nil handler")
	}
	alone := refusals{log: newRefusalLog(l.Logger, l.LogPerMinute), observe: l.Observe}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = own(r)
		rules, decoded := l, false
		if o := outerRules(r); o != nil { // what a Handler further out allows and has decoded stays so
			rules, decoded = l.or(o.rules), o.decoded
			rules.Logger, rules.LogPerMinute, rules.Observe = l.Logger, l.LogPerMinute, l.Observe
		}
		e := rules.read(r)
		if e != nil && otherEncoding(e) {
			if plain := inPlain(r, rules, &alone); rules.read(plain) == nil {
				next.ServeHTTP(w, plain)
				return
			}
		}
		if e != nil {
			alone.write(w, r, e)
			return
		}
		if rules.allowed() != (requestline.Allowed{}) || decoded || l.Logger != nil || l.Observe != nil {
			r = r.WithContext(context.WithValue(r.Context(), outerLineKey{}, &outerLine{rules, r.RequestURI, decoded, &alone}))
		}
		next.ServeHTTP(w, r)
	})
}

// outerLine is what a Handler further out allows, for which request line, and whether it has decoded its encoding. It
// counts for no other request line: forwardauth makes requests with this one's context.
type outerLine struct {
	rules   RequestLine
	line    string
	decoded bool
	alone   *refusals // of the Handler
}

type outerLineKey struct{}

func outerRules(r *http.Request) *outerLine {
	if o, ok := r.Context().Value(outerLineKey{}).(*outerLine); ok && o.line == r.RequestURI {
		return o
	}
	return nil
}

// inPlain returns r without encodings other than net/url's own. An encoded slash stays one, in the RawPath.
func inPlain(r *http.Request, l RequestLine, alone *refusals) *http.Request {
	u := *r.URL
	if uri.HasEncodedSlash(u.RawPath) {
		u.RawPath = uri.Plain(u.RawPath)
	} else {
		u.RawPath = ""
	}
	r = r.WithContext(context.WithValue(r.Context(), outerLineKey{}, &outerLine{l, r.RequestURI, true, alone}))
	r.URL = &u
	return r
}

// refuse answers a request that is refused by a handler that belongs to no Guard. A Handler further out may have a Logger.
func refuse(w http.ResponseWriter, r *http.Request, e *Error) {
	alone := refusals{log: refusalLog{sampler: sampling.Of(r.Context())}}
	if o := outerRules(r); o != nil {
		alone.observe = o.alone.observe
		if o.alone.log.logger != nil {
			alone.log = o.alone.log
		}
	}
	alone.write(w, r, e)
}

// read is the one reading of a request line.
func (l RequestLine) read(r *http.Request) *Error {
	broken := requestline.Check(r, l.allowed(), false)
	if broken == nil {
		return nil
	}
	if o := outerRules(r); o != nil {
		if broken = requestline.Check(r, l.or(o.rules).allowed(), o.decoded); broken == nil {
			return nil
		}
	}
	return &Error{Reason: ErrRequestLine, Err: (*brokenRule)(broken)}
}

func (l RequestLine) allowed() requestline.Allowed {
	return requestline.Allowed{
		Path: uri.Allowed{
			EncodedSlash: l.AllowEncodedSlash, EmptySegment: l.AllowEmptySegments,
			PathParameter: l.AllowPathParameters, OtherEncoding: l.AllowOtherEncodings,
		},
		RewrittenURL: l.AllowRewrittenURL, MethodOverrides: l.AllowMethodOverride,
	}
}

// rewritten tells whether Request.URL need not be what stands in the request line.
func (l RequestLine) rewritten(r *http.Request) bool {
	if l.AllowRewrittenURL {
		return true
	}
	o := outerRules(r)
	return o != nil && o.rules.AllowRewrittenURL
}

func (l RequestLine) or(o RequestLine) RequestLine {
	return RequestLine{
		l.AllowEncodedSlash || o.AllowEncodedSlash, l.AllowEmptySegments || o.AllowEmptySegments,
		l.AllowPathParameters || o.AllowPathParameters, l.AllowOtherEncodings || o.AllowOtherEncodings,
		l.AllowRewrittenURL || o.AllowRewrittenURL, l.AllowMethodOverride || o.AllowMethodOverride, nil, 0, nil,
	}
}

// SentPath returns the escaped path as r's client sent it, without the prefix that http.StripPrefix has taken from
// r.URL; "" if r.URL isn't what stands in the request line. RequestLine.Handler decodes r.URL for the routers inside,
// and what a reverse proxy inside makes of that is another spelling, for which a DPoP proof or a signature of the path
// doesn't count. With SentPath the proxy sends what came:
//
//	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
//		p.SetURL(api) // a URL without a path
//		p.Out.URL.RawPath = popauth.SentPath(p.In)
//	}}
//
// Characters that net/url takes in no RawPath, such as | and the bytes of an é, are escaped in it: for a proof that is the
// same path. It can't change which path that is: net/url takes no RawPath that isn't a spelling of URL.Path. The server behind has
// to read all spellings alike, as it does inside of a RequestLine.Handler of its own.
func SentPath(r *http.Request) string {
	sent, ok := sentPath(r)
	if !ok {
		return ""
	}
	return uri.Sendable(sent)
}

// sentPath is false if r.URL is neither what stands in the request line, nor its rest behind a prefix.
func sentPath(r *http.Request) (string, bool) {
	path, rule := uri.Target(r)
	if rule != "" {
		return "", false
	}
	rest, _, fits := uri.Rest(path, r.URL)
	return rest, fits
}

// brokenRule is the cause of ErrRequestLine: the rule, the header that breaks it if there is one, what was found, what it
// was compared with, and what to change. It quotes what a sender chose, cut and in ASCII.
type brokenRule requestline.Broken

func (b *brokenRule) Error() string {
	found := quoted(b.Found)
	if b.Header != "" {
		found = b.Header + ": " + found // one that field.OverridesMethod knows, in the sender's spelling
	}
	if b.Compared == "" {
		return fmt.Sprintf("%s: %s: %s", b.Rule, found, b.cure())
	}
	return fmt.Sprintf("%s: %s, %s: %s", b.Rule, found, quoted(b.Compared), b.cure())
}

// maxQuoted leaves room for two quotations and the cure in a line of maxLogged bytes.
const maxQuoted = 42

// quoted leaves out a query and a fragment, which may hold a token, also where their mark is encoded, and userinfo where others
// than net/http see one.
func quoted(s string) string {
	if strings.HasPrefix(s, "//") {
		s = uri.Shown(s)
	}
	switch from, to, ok := uri.Mark(s); {
	case ok && from == 0:
		s = s[:to] // what nobody has in a path is quoted itself
	case ok:
		s = s[:from]
	}
	q := strconv.QuoteToASCII(s[:min(len(s), maxQuoted)])
	if len(q) > maxQuoted+2 {
		q = q[:maxQuoted+1] + `"`
	}
	return q
}

// cure says who has to change what. Only rules that have an opening name one.
func (b *brokenRule) cure() string {
	switch b.Rule {
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
	case requestline.MethodLetters:
		return "the client has to send the method in upper case"
	case uri.Opaque:
		return "give Request.URL a Path"
	case requestline.Rewritten:
		return "set RequestLine.AllowRewrittenURL, or rewrite in the proxy, or redirect"
	case requestline.RawPath:
		return "set RawPath to \"\" wherever Path is set"
	case requestline.Decoded:
		return "leave it there, RequestLine.Handler around all routers decodes"
	case requestline.HTTP2:
		return "what speaks it without TLS belongs outside of ClientCertificate and Guard"
	case requestline.MethodOverride:
		return "remove it, obey it outside of the Guard, or set RequestLine.AllowMethodOverride"
	}
	return "the client has to send another path, nothing allows this one"
}

func otherEncoding(e *Error) bool {
	b, ok := e.Err.(*brokenRule) //nolint:errorlint // read has just made it
	return ok && b.Rule == uri.OtherEncoding
}
