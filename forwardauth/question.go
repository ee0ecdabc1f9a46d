package forwardauth

import (
	"fmt"
	"net/http"
	"strings"
)

// ExtAuthz returns the form in which Envoy asks by ext_authz over HTTP without any header of its own: Istio's envoyExtAuthzHttp, and
// ExternalAuth of the Gateway API, ask so too. The question has the method, the host, the path and the query of the request,
// behind path_prefix, of which path is all but the last segment: "/auth/" for a path_prefix "/auth/orders.read". That segment names
// the policies. A client's X-Original-… and X-Forwarded-… are never read. The scheme is https.
//
// The proxy must send all headers of the request (allowed_headers), or no proof and no certificate arrives.
func ExtAuthz(path string) Headers { return Headers{Path: path} }

// pathProblem says what is wrong with Path, where it is used.
func (h Headers) pathProblem() error {
	switch {
	case h.Method+h.URI+h.Scheme+h.Host+h.URL != "":
		return fmt.Errorf("forwardauth: Headers.Path: the question is the request then: leave the names of headers empty, or it")
	case !strings.HasPrefix(h.Path, "/") || !strings.HasSuffix(h.Path, "/") || strings.Contains(h.Path, "//") ||
		strings.Contains(h.Path, "/.") || !fitName(strings.NewReplacer("/", "-", ".", "-").Replace(h.Path)):
		return fmt.Errorf("forwardauth: Headers.Path: got %q, want what stands before the name of the policies: /auth/", h.Path)
	}
	return nil
}

// question reads the request behind Path and the one segment that names the policies.
func (h Headers) question(r *http.Request) (said, error) {
	rest, ok := strings.CutPrefix(r.RequestURI, h.Path)
	end := strings.IndexByte(rest, '/')
	if !ok || end <= 0 || strings.ContainsAny(rest[:end], "?%;") {
		return said{}, unreported("the question's path", "no "+h.Path+", one segment and a path behind; the proxy's path_prefix is to be "+
			h.Path+" and the name of the policies")
	}
	return said{method: r.Method, scheme: "https", authority: r.Host, target: rest[end:]}, nil
}
