// Package popauth guards net/http APIs with access tokens that only their owner can use.
//
// A bearer token works for whoever holds it, a thief included. A token that names a key in its cnf claim (RFC 7800)
// is accepted only from the party that proves to hold that key: by the client certificate of the connection
// (RFC 8705), or by a signature over the request's method and URL (RFC 9449). The order is always the same:
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
//     The binding needs no more, since the handshake proves possession; an identity that is taken from the
//     certificate needs tls.VerifyClientCertIfGiven and ClientCAs.
//   - Behind something that ends TLS, r.TLS is that one's connection. Its certificate is not the caller's.
//   - Behind a proxy dpop.Options.URL must be set. Several processes need a dpop.Options.Replay that they share, or a proof is good
//     once in each. A Guard that takes another's place in one process needs the Replay of that one.
//   - Only Confirm, BoundBy or Bound demand that a token is bound. Authenticate accepts bearer tokens too, but never
//     a bound one without proof.
//   - A stage decides about one request, when it comes. What stays open, or goes on over several requests, asks again:
//     Guard.Recheck, the module mcpsession for sessions of the Model Context Protocol, and docs/streams.md.
//   - An Error is for logs. What reaches a client stands in one table, and nothing in it comes from a request.
package popauth
