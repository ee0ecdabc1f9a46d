package popauth

import (
	"net/http"

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
	path, rule := uri.Target(r)
	if rule != "" {
		return "", false
	}
	rest, _, fits := uri.Rest(path, r.URL)
	return rest, fits
}
