// Package popauth guards net/http APIs with access tokens that only their owner can use.
//
// A bearer token works for whoever holds it, a thief included. A token that names a key in its cnf claim (RFC 7800)
// is accepted only from a caller that proves it holds that key: by the client certificate of the connection
// (RFC 8705), or by a signature over the request's method and URL (DPoP, RFC 9449). The order is always the same:
// authenticate, confirm, authorize.
//
//	guard, err := popauth.New(popauth.Options{
//		Issuer:   "https://id.example.com",
//		Audience: []string{"https://api.example.com"},
//	})
//	read := guard.Authorize(popauth.Scope("orders.read"))
//	mux.Handle("GET /orders", guard.Confirm(read(orders)))
//	server := &http.Server{
//		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
//		Handler: popauth.RequestLine{}.Handler(mux),
//	}
//
// # Rules of deployment
//
//   - The server's tls.Config.ClientAuth must at least be tls.RequestClientCert, or no caller ever has a certificate.
//     A binding needs no more, since the handshake proves possession. An identity taken from the certificate needs
//     tls.VerifyClientCertIfGiven with ClientCAs, or clientcert.Verified.
//   - Behind a proxy that ends TLS, r.TLS is the proxy's connection, and its certificate is not the caller's.
//   - Several processes must share a dpop.Options.Replay, or a proof is good once in each. A Guard that replaces another in one
//     process must have the same Confirmer or dpop.ReplayMemory.
//   - Only Confirm, BoundBy, Bound and Resource.DPoPRequired demand that a token is bound. Authenticate alone accepts
//     bearer tokens too, but never a bound one without proof.
//   - A stage decides about one request, when it comes. Streams and sessions must ask again, by Guard.Recheck or the
//     module mcpsession: see docs/streams.md.
//   - An Error is for logs. What a client is told stands in one table, and nothing in it comes from a request.
package popauth
