// Package clientauth is for authorization servers: it authenticates OAuth clients by their certificates and says what
// their tokens are to be bound to, a certificate (RFC 8705) or the key of a DPoP proof (RFC 9449). It stands in front
// of a token endpoint of one's own, or of one that a library such as fosite or zitadel/oidc provides.
//
//	auth, err := clientauth.New(clientauth.Options{
//		Clients:   store,                           // who is registered with which certificates
//		Endpoints: clientauth.PathPrefix("/mtls"),  // where a certificate is demanded
//		Roots:     pool,                            // whose certificates may say their own name
//	})
//	http.Handle("/", auth.Handler(mux))             // /mtls/token reaches mux as /token
//
//	client, err := auth.Authenticate(r)             // in the handler of /token
//	cnf := client.Confirmation()                    // for the token
//
// With Options.DPoP, clients may bind tokens to keys of their own, however they authenticate (RFC 9449, section 5):
//
//	if key, err := auth.Proof(w.Header(), r); err != nil {
//		clientauth.WriteError(w, err)               // invalid_dpop_proof, use_dpop_nonce
//	} else if key != (clientauth.Confirmation{}) {
//		cnf = key                                   // with cnf.TokenType() as token_type
//	}
//
// # What counts
//
//   - A certificate counts on the certificate endpoints alone. On any other it authenticates nobody.
//   - A name in a certificate counts if the chain leads to one of Options.Roots, or, without Roots, if the TLS stack, a
//     trusted proxy or popauth has verified it. Anybody can write any name into a certificate of his own, so one that
//     is its own issuer never counts by name. Nor does one of the roots itself, where the chain is known: a proxy says
//     only that it has verified it.
//   - All names in the certificate must be permitted by the name constraints of its chain. Every authority in Roots may
//     give every name; for those of one trust domain, popauth.Verified with TrustDomains as Options.Certificate.
//   - Without Roots, what the TLS stack has verified counts for the host that the connection was made for (SNI). Otherwise
//     the answer is 421: see popauth.TLSCertificate. With Roots it doesn't matter, nor for tokens of AlwaysBind.
//   - A registered key or thumbprint counts without a chain. It identifies one certificate.
//   - The certificate must be in its period in both cases. Where the connection's own has left it, the answer closes the
//     connection, so that the client can show another.
//   - A certificate that Go can't parse, as a proxy may forward one, can be registered by its thumbprint, and tokens are bound
//     to it. It has no name that could count, and Client.Certificate.Leaf is nil.
//   - The server's tls.Config.ClientAuth must at least be tls.RequestClientCert. For self-signed certificates it must not
//     verify: tls.RequestClientCert with Options.Roots serves both kinds of client.
//   - Behind a proxy, popauth.ClientCertificate with proxy.Certificate is the outermost handler. It also removes the
//     proxy's headers from what others may send.
//
// Answers are those of RFC 6749, section 5.2, made of constants. An unknown client and a wrong certificate are answered
// alike.
package clientauth
