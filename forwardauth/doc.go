// Package forwardauth is a popauth.Guard as the authentication service of a proxy: the endpoint of nginx's auth_request,
// Traefik's ForwardAuth, Caddy's forward_auth, Envoy's ext_authz by HTTP and ingress-nginx's auth-url. An API in any
// language stands behind it: the proxy asks here about every request, and passes those on that are allowed, with who they
// come from in headers.
//
//	proofs, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com"})
//	// …
//	endpoint, err := forwardauth.New(forwardauth.Options{
//		Guard: popauth.Options{
//			Issuer: "https://id.example.com", Audience: []string{"https://api.example.com"},
//			Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs},
//		},
//		Headers:     forwardauth.Nginx(),
//		Certificate: forwarded.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"),
//		Trust:       []popauth.Trust{popauth.TrustPeers(nginx), popauth.TrustSecret("X-Proxy-Secret", secret)},
//	})
//	mux.Handle("/auth/orders.read", endpoint.Authorize(popauth.Bound(), popauth.Scope("orders.read")))
//
// A request that the proxy and the API could read differently is refused with 400 and popauth.ErrRequestLine: see
// popauth.RequestLine, which Guard.RequestLine opens. That goes for %7E, %40 and all else that net/url would not encode,
// too, since nobody can decode it for the API: the proxy sends on what came. Set AllowOtherEncodings where both the proxy
// chooses its locations by the decoded path, as nginx and Caddy do, and the API its handlers, as most frameworks do. Leave
// it where one of them goes by the escaped path: Envoy does, and so do chi, echo, and gin with UseRawPath, unless they are
// inside of a popauth.RequestLine.Handler.
//
// Letter case and a slash at the end of a path are the location's to cover: an API that serves /ADMIN or /admin/ as
// /admin needs a location that matches both.
//
// A popauth.RequestLine.Handler around an Endpoint is of no use: the Endpoint looks at its question itself, and the
// headers with another method, which are the original request's, that Handler would refuse.
//
// A location of the proxy names the path, and so chooses the policies. Everything is checked against the original
// request, which the proxy reports in headers: the method and the URL of a DPoP proof, and what a popauth.PolicyFunc sees.
//
// # The answers
//
// A request that may pass is answered with 200 and who it comes from, in the headers
//
//	X-Auth-Issuer    iss
//	X-Auth-Subject   sub
//	X-Auth-Client    client_id
//	X-Auth-Scope     scope, with a space between two
//	X-Auth-Binding   the members of cnf, with a space between two; empty for a bearer token
//
// and those of Options.Claims. Each is always there, on one line, empty where the token has no such claim. A character
// that is not printable ASCII, a percent sign, a comma, and a space within a value are percent-encoded: nothing that
// an issuer or its users choose can end a value, and decoding gives it back. Whatever is refused gets the status and
// the challenges that a Guard answers with. Of those nginx passes 401 and 403 on by itself, and takes the others for
// 500; the configuration in examples/forwardauth hands them to the client.
//
// The proxy must replace these headers, and remove them under the spellings that its API takes for the same, such as
// X_Auth_Subject; and nobody else may reach the API. The configurations in examples/forwardauth do the first. A request
// that brings one of them to the service, in any spelling, is refused with 400 and popauth.ErrForwardedRequest: what
// reaches the service as the client's own would reach the API, too, where a configuration lacks its line.
package forwardauth
