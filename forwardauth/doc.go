// Package forwardauth is a popauth.Guard as the authentication service of a proxy: the endpoint of nginx's auth_request,
// Traefik's ForwardAuth, Caddy's forward_auth, Envoy's ext_authz by HTTP and ingress-nginx's auth-url. The API behind
// the proxy may be in any language. The proxy asks here about every request, and passes on those that are allowed, with
// the caller's identity in headers.
//
//	proofs, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com"})
//	// …
//	trust := []proxy.Trust{proxy.TrustPeers(nginx), proxy.TrustSecret("X-Proxy-Secret", secret)}
//	peer, err := proxy.Trusted(trust...)
//	// …
//	source, err := proxy.Certificate(proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"), trust...)
//	// …
//	endpoint, err := forwardauth.New(forwardauth.Options{
//		Guard: popauth.Options{
//			Issuer: "https://id.example.com", Audience: []string{"https://api.example.com"},
//			Certificate: source,
//			Confirmers:  []popauth.Confirmer{popauth.MutualTLS{}, proofs},
//		},
//		Headers: forwardauth.Nginx(),
//		Proxy:   peer,
//	})
//	site := forwardauth.Site{
//		Endpoint: endpoint, …
//		Routes: []forwardauth.Route{{Path: "/orders", Handler: endpoint.Authorize(popauth.Bound(), popauth.Scope("orders.read"))}},
//	}
//	service, err := site.Handler() // the server's
//	// …
//	file, err := site.Nginx() // the proxy's, with the same names
//
// Without a Site the path at which the proxy asks selects the policies, and its configuration is written by hand:
//
//	mux.Handle("/auth/orders.read", endpoint.Authorize(popauth.Bound(), popauth.Scope("orders.read")))
//
// A request that the proxy and the API could read differently is refused with 400 and popauth.ErrRequestLine: see
// popauth.RequestLine; the fields of Guard.RequestLine turn single rules off. So are %7E, %40 and other escapes that
// net/url would not write, because the proxy forwards them undecoded. Set AllowOtherEncodings if the proxy chooses
// locations by the decoded path, as nginx and Caddy do, and the API routes by it, as most frameworks do. Don't set it if
// either uses the escaped path: Envoy does, and so do chi, echo, and gin with UseRawPath, unless they are inside a
// popauth.RequestLine.Handler.
//
// The proxy's locations must cover letter case and a slash at the end: an API that serves /ADMIN or /admin/ as /admin
// needs a location that matches both. A Route does.
//
// Don't put a popauth.RequestLine.Handler around an Endpoint: the Endpoint checks the original request itself, and
// Handler would refuse the headers that report its method.
//
// Everything is checked against the original request, which the proxy reports in headers: method and URL of a DPoP proof, and a
// popauth.PolicyFunc.
//
// # Preflights
//
// A browser's preflight has no token, and is refused with 401 as every request without. Nothing here makes an exception: have the
// proxy answer preflights itself, before it asks. docs/forwardauth.md has the lines of each.
//
// # The answers
//
// An allowed request is answered with 200 and the caller's identity, in the headers
//
//	X-Auth-Issuer    iss
//	X-Auth-Subject   sub
//	X-Auth-Client    client_id
//	X-Auth-Scope     scope, with a space between two
//	X-Auth-Binding   the members of cnf, with a space between two; empty for a bearer token
//
// and those of Options.Claims. Each is always there, on one line, empty if the token has no such claim. A character
// that is not printable ASCII, a percent sign, a comma, and a space within a value are percent-encoded: nothing that
// an issuer or its users choose can end a value, and decoding restores it. A refused request gets a Guard's status and
// challenges. nginx passes on only 401 and 403 by itself, and turns the others into 500; the configuration in
// examples/forwardauth passes them on.
//
// The proxy must replace these headers, and remove them under spellings that its API reads as the same, such as
// X_Auth_Subject; the configurations in examples/forwardauth do. And only the proxy may reach the API. A request that
// brings one of these headers to the service, in any spelling, is refused with 400 and popauth.ErrForwardedRequest: it
// shows that the configuration lacks a line, and that a client's own header would reach the API.
package forwardauth
