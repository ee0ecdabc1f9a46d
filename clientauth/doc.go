// Package clientauth is for authorization servers: it authenticates OAuth clients by their certificates and returns the
// cnf for their tokens, a certificate (RFC 8705) or the key of a DPoP proof (RFC 9449). Put it in front of your own
// token endpoint, or of one that a library such as fosite or zitadel/oidc provides.
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
//   - A certificate counts only on the certificate endpoints. Elsewhere it authenticates nobody.
//   - A name in a certificate counts if the chain leads to one of Options.Roots, or, without Roots, if the TLS stack, a
//     trusted proxy or popauth has verified it. Anybody can write any name into a self-signed certificate, so its names
//     never count. Nor do those of a root itself, if the chain is known; a proxy reports only that it has verified one.
//   - The name constraints of the chain must permit all names in the certificate. Every authority in Roots can issue any
//     name; to limit them to a trust domain, set Options.Certificate to clientcert.Verified with TrustDomains.
//   - Without Roots, a certificate that the TLS stack has verified counts only for the connection's server name (SNI).
//     For another host the answer is 421: see popauth.TLSCertificate. Roots and tokens of AlwaysBind need no such check.
//   - A registered key or thumbprint counts without a chain. It identifies one certificate.
//   - The certificate must be within its validity period in both cases. If the connection's own has expired, the answer
//     closes the connection, so that the client can present another.
//   - A certificate that Go can't parse (a proxy may forward one) can be registered by its thumbprint, and tokens are
//     bound to it. It has no name that could count, and Client.Certificate.Leaf is nil.
//   - The server's tls.Config.ClientAuth must at least be tls.RequestClientCert. For self-signed certificates it must not
//     verify: tls.RequestClientCert with Options.Roots serves both kinds of client.
//   - Behind a proxy, popauth.ClientCertificate with proxy.Certificate is the outermost handler. It also removes the
//     proxy's headers from other senders' requests.
//
// Errors are constants in the form of RFC 6749, section 5.2, with more statuses than its two, and with the codes
// server_error and temporarily_unavailable. An unknown client and a wrong certificate get the same answer.
package clientauth
