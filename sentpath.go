package popauth

import (
	"net/http"
	"strings"

	"github.com/seed-171ab058/popauth/internal/uri"
)

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
	path, rule := linePath(r)
	if rule != "" {
		return "", false
	}
	rest, _, fits := uri.Rest(path, r.URL)
	return rest, fits
}

// linePath returns the encoded path that stands in the request line (RFC 9112, section 3.2), "/" if a whole URL has
// none; or the rule that the form of the target breaks.
func linePath(r *http.Request) (path, rule string) {
	if r.URL == nil {
		return "", lineOpaque
	}
	if r.RequestURI == "" { // no server has read this request
		if path = r.URL.EscapedPath(); path == "" {
			path = "/"
		}
		return path, ""
	}
	target, _, _ := strings.Cut(r.RequestURI, "?")
	switch {
	case strings.HasPrefix(target, "/"):
		return target, ""
	case target == "": // middleware has stripped all of it: net/http reads no such line
		return "/", ""
	case r.Method == http.MethodConnect:
		return "", lineConnect
	case target == "*":
		return "", lineAsterisk
	}
	return absolutePath(r, target)
}

// absolutePath is the path of a target that is a whole URL, as to a proxy. net/http has taken Host from it, but not in
// HTTP/2, where a target has no such form (RFC 9113, section 8.3.1).
func absolutePath(r *http.Request, target string) (path, rule string) {
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || r.ProtoMajor > 1 || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", lineForm
	}
	host, _, slash := strings.Cut(rest, "/")
	if host == "" || r.URL.User != nil || r.URL.Host != host {
		return "", lineForm
	}
	if !slash {
		return "/", ""
	}
	return rest[len(host):], ""
}
